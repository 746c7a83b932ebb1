"""What is as large as the fleet leaves memory some hours after a request is over, and is there when it is asked for."""

from collections.abc import Iterable

import numpy as np

from tests.story.test_service_of_a_quiet_town import Still, asked, put_in_force, still
from vpp.domain.request import RequestState
from vpp.domain.telemetry import FloatArray

__all__ = ["still"]
HOUR_S = 3600.0


async def called(made: Still) -> str:
    """Run a request to its settlement; return its id."""
    put_in_force(made)
    plant = made.service.plant
    request, _ = await plant.submit(asked(made, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    for at_s in np.arange(request.draft.start_at.timestamp(), request.draft.end_at.timestamp() + 1800.0, 300.0):
        await made.clock.advance(float(at_s) + 1.0)
        made.report(power_kw=3.0, rows=12)
        await made.cycle()
    await made.clock.advance(request.draft.end_at.timestamp() + 2.0 * HOUR_S)
    await made.cycle()
    await made.service.requests.settlement.settle_finished()
    assert plant.request(request.id).state is RequestState.SETTLED
    return request.id


async def passed(made: Still, hours: float) -> None:
    """Let time pass."""
    await made.clock.advance(made.clock.now_s() + hours * HOUR_S)
    made.report(power_kw=3.0, rows=12)
    await made.cycle()
    await made.store.journal.flush()
    await made.service.requests.settlement.settle_finished()


def held_bytes(made: Still) -> int:
    """Return the bytes of the arrays of all requests that are held."""
    measurement, settlement = made.service.requests.measurement, made.service.requests.settlement
    arrays: Iterable[FloatArray] = (
        *(baseline.power_kw for baseline in measurement.baselines.values()),
        *(rows for rows in measurement.portfolios.values()),
        *(tracker.tracked().mean_kw for tracker in measurement._trackers.values()),
        *measurement.sessions._kept_kw.values(),
        *(performance.baseline.power_kw for performance in settlement._performances.values()),
        *(known[0].power_kw for known in made.service.core.engine._portfolios._curves.values()),
    )
    return sum(array.nbytes for array in arrays)


async def test_a_performance_is_the_same_after_its_baseline_was_released(still: Still) -> None:
    request_id = await called(still)
    parts, plant = still.service.requests, still.service.plant
    before, minutes = parts.settlement.performance(request_id), parts.measurement.minutes(request_id)
    await passed(still, 5.0)
    assert request_id in parts.measurement.baselines
    await passed(still, 7.0)
    assert held_bytes(still) == 0
    assert parts.measurement.has_baseline(request_id)

    again = parts.settlement.performance(request_id)
    assert before is not None
    assert again is not None
    assert (again.accuracy_ratio, again.delivered_mean_kw, again.settlement_cny) == (
        before.accuracy_ratio,
        before.delivered_mean_kw,
        before.settlement_cny,
    )
    np.testing.assert_array_equal(again.baseline.power_kw, before.baseline.power_kw)
    recalled = parts.measurement.minutes(request_id)
    assert minutes is not None
    assert recalled is not None
    np.testing.assert_array_equal(recalled.delivered_kw, minutes.delivered_kw)
    await passed(still, 7.0)
    assert held_bytes(still) == 0
    assert plant.request(request_id).state is RequestState.SETTLED


async def test_a_month_of_calls_holds_no_more_than_a_day(still: Still) -> None:
    held = []
    for _ in range(30):
        await called(still)
        held.append(held_bytes(still))
        await passed(still, 20.0)
    assert max(held[15:]) <= max(held[:15])
    assert held_bytes(still) == 0
    assert len(still.service.plant.requests()) == 30
