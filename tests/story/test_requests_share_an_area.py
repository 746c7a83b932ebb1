"""Two requests at the same time in one area: each has rows of its own, both are delivered, none is paid twice."""

from datetime import timedelta

import numpy as np
import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.bootstrap.replay import Replay
from vpp.domain.errors import InputError
from vpp.domain.request import Direction, Product, RequestState, Verdict

_LEAST_ACCURACY = 0.95


async def test_the_second_gets_what_the_first_does_not_need_and_both_are_delivered(city: VirtualCity) -> None:
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW, minutes=60.0))
    first = await city.commit(city.draft(round(0.4 * quoted_kw), minutes=60.0))
    start_s = first.draft.start_at.timestamp()
    measurement = city.service.requests.measurement
    alone = measurement.portfolios[first.id].copy()

    window = {"start_at": first.draft.start_at + timedelta(minutes=15), "minutes": 30.0}
    beside = await city.ask(city.draft(FAR_TOO_MUCH_KW, **window))
    assert beside.quote is not None
    assert beside.quote.p50_kw <= 0.65 * quoted_kw, "what is promised to the first is not there"
    assert beside.quote.p50_kw >= 0.25 * quoted_kw, "and what it does not need is"
    assert any(first.id in notice for notice in beside.quote.notices)
    with pytest.raises(InputError, match=f"(?s){first.id}.*asks for up"):
        await city.ask(city.draft(100.0, product=Product.VALLEY_FILLING, direction=Direction.DOWN, **window))

    await city.play_until(start_s + 60.0)  # the first one holds by now, with rows it has moved
    at = first.draft.start_at + timedelta(minutes=30)
    late = await city.ask(city.draft(FAR_TOO_MUCH_KW, start_at=at, minutes=30.0))
    assert late.quote is not None
    wanted_kw = round(0.8 * min(late.quote.deliverable_p10_kw))
    assert wanted_kw > 0.1 * quoted_kw
    second = await city.commit(city.draft(float(wanted_kw), start_at=at, minutes=30.0))
    assert second.quote is not None
    assert second.quote.verdict is Verdict.FEASIBLE
    kept, given = measurement.portfolios[first.id], measurement.portfolios[second.id]
    assert not (kept & given).any(), "each row serves one"
    assert (given & alone).any(), "what the first had and did not need"

    await city.play_until(start_s + 45 * 60.0)
    await city.kill()
    await city.dark(20.0)
    await city.boot()
    again = city.service.requests.measurement.portfolios
    assert np.array_equal(again[first.id], kept)
    assert np.array_equal(again[second.id], given)

    over = [await city.play_out(request.id) for request in (first, second)]
    assert [request.state for request in over] == [RequestState.SETTLED] * 2
    for request in over:
        found = city.plant.performance(request.id)
        assert found is not None
        assert found.accuracy_ratio >= _LEAST_ACCURACY, (request.draft, found.accuracy_ratio)
    together = city.verdict(over[1])["delivered_mean_kw"]
    assert together == pytest.approx((first.accepted_kw or 0.0) + wanted_kw, rel=0.05), "none of it counts twice"
    verdict = city.verdict(over[0])
    assert verdict["promises_broken"] == verdict["cap_violations"] == verdict["limits_not_restored"] == 0
    await city.service.core.store.journal.flush()
    assert Replay(city.settings, city.store).run().differences == []
