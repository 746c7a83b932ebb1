"""A plan takes seconds to make; what a request was quoted on in the meantime stays in force."""

import numpy as np

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray


async def test_a_plan_begun_before_an_acceptance_does_not_replace_the_stores_schedule(city: VirtualCity) -> None:
    slow, plans = city.service.slow, city.service.plans
    before = plans.schedule
    assert before is not None
    begun = await slow.prepare()
    assert begun is not None
    assert begun.kept_until_s is None
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    request = await city.commit(city.draft(round(0.85 * quoted_kw)))

    await slow.install(begun)

    assert plans.schedule is not None
    assert plans.schedule is not begun.schedule
    until_s = request.draft.end_at.timestamp()
    np.testing.assert_allclose(_stores_kw(city, plans.schedule, until_s), _stores_kw(city, before, until_s), atol=1e-3)


async def test_a_plan_nobody_was_accepted_beside_is_installed_as_it_is(city: VirtualCity) -> None:
    slow, plans = city.service.slow, city.service.plans
    begun = await slow.prepare()
    assert begun is not None
    await slow.install(begun)
    assert plans.schedule is begun.schedule
    assert plans.forecast is begun.forecast


def _stores_kw(city: VirtualCity, schedule: Schedule, until_s: float) -> FloatArray:
    """Return the schedule of the batteries until then, shape ``(n, steps)``."""
    steps_s = np.arange(city.clock.now_s(), until_s, schedule.grid.step_s)
    return np.stack([schedule.some_at(at_s, city.rows_of("storage")) for at_s in steps_s], axis=1)
