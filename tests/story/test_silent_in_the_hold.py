"""All links fall silent ten minutes into the hold: settled is what was metered, lost devices are named."""

import numpy as np

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.request import RequestState

_HOLD_MINUTES = 30.0
_SEEN_S = 600.0


async def test_nothing_is_settled_that_nobody_metered_and_the_lost_are_named(city: VirtualCity) -> None:
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW, minutes=_HOLD_MINUTES))
    request = await city.commit(city.draft(round(0.6 * quoted_kw), minutes=_HOLD_MINUTES))
    enlisted = city.service.requests.measurement.portfolios[request.id]
    await city.play_until(request.draft.start_at.timestamp() + _SEEN_S)
    assert sum(len(ids) for ids in city.plant.losses(request.id).values()) < 0.2 * enlisted.sum()

    city.twin.drop(np.arange(len(city.index), dtype=np.int32))
    await city.cycle()
    await city.cycle()
    lost = city.plant.losses(request.id)["disconnected"]
    assert set(lost) == {city.index.resources[row].id for row in np.flatnonzero(enlisted).tolist()}

    request = await city.play_out(request.id)
    performance = city.plant.performance(request.id)
    assert request.state is RequestState.SETTLED
    assert performance is not None
    target_kwh = (request.accepted_kw or 0.0) * _SEEN_S / 3600.0
    assert 0.9 * target_kwh < performance.energy_kwh < 1.03 * target_kwh
    truth = city.verdict(request)["delivered_kw"]
    assert performance.energy_kwh <= 0.25 * sum(truth)
    first, second = (i for i in performance.intervals if i.held_ratio > 0.0)
    assert 0.6 < first.metered_ratio < 0.7
    assert (second.metered_ratio, second.delivered_kw) == (0.0, 0.0)
    assert performance.unmetered_count == enlisted.sum()
