"""A dispatcher raises, prolongs, lowers and shortens a running request, with a power cut in between."""

from datetime import timedelta

import numpy as np
import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.bootstrap.replay import Replay
from vpp.domain.request import DispatchRequest, RequestState, Verdict
from vpp.storage.journal import verify

_LEAST_ACCURACY = 0.95


async def _change(city: VirtualCity, request_id: str, **changes: object) -> DispatchRequest:
    wanted = {"target_kw": None, "end_at": None} | changes
    revision, _ = await city.plant.revise(request_id, actor="dispatcher", key=None, **wanted)  # type: ignore[arg-type] # by name
    assert revision.quote.verdict is Verdict.FEASIBLE, revision.quote
    return await city.plant.accept_revision(request_id, revision.number, actor="dispatcher")


async def test_power_and_end_follow_the_changes_and_each_interval_is_settled_by_its_own(city: VirtualCity) -> None:
    draft = city.draft(FAR_TOO_MUCH_KW, minutes=60.0)
    quoted_kw, _ = await city.quoted_kw(draft)
    first_kw = round(0.5 * quoted_kw)
    request = await city.commit(city.draft(first_kw, minutes=60.0))
    start_s = request.draft.start_at.timestamp()
    scheduled = await _change(city, request.id, target_kw=float(round(0.55 * quoted_kw)))
    assert scheduled.state is RequestState.SCHEDULED

    await city.play_until(start_s + 850.0)
    raised = await _change(city, request.id, target_kw=float(round(0.7 * quoted_kw)))
    assert raised.state is RequestState.HOLDING
    await city.play_until(start_s + 30 * 60.0)
    prolonged = await _change(city, request.id, end_at=request.draft.end_at + timedelta(minutes=45))
    baseline = city.service.requests.measurement.baselines[request.id]
    assert baseline.grid.end_at >= prolonged.draft.end_at + timedelta(minutes=30)

    asked, _ = await city.plant.revise(
        request.id, target_kw=float(first_kw), end_at=None, actor="dispatcher", key="later"
    )
    await city.kill()
    await city.dark(40.0)
    await city.boot()
    known = city.plant.request(request.id)
    assert (known.accepted_kw, known.draft.end_at) == (raised.accepted_kw, prolonged.draft.end_at)
    again, created = await city.plant.revise(
        request.id, target_kw=float(first_kw), end_at=None, actor="dispatcher", key="later"
    )
    assert (again.number, created) == (asked.number, False)
    await city.play_until(start_s + 60 * 60.0 - 50.0)
    lowered = await _change(city, request.id, target_kw=float(first_kw))
    await city.play_until(start_s + 75 * 60.0)
    shortened = await _change(city, request.id, end_at=request.draft.start_at + timedelta(minutes=90))
    assert lowered.accepted_kw == shortened.accepted_kw == first_kw

    over = await city.play_out(request.id)
    assert over.state is RequestState.SETTLED
    found = city.plant.performance(request.id)
    assert found is not None
    held = [interval for interval in found.intervals if interval.phase == "holding"]
    assert len(held) == 6, "an hour, prolonged and shortened again"
    targets = np.array([interval.target_kw for interval in held]) / quoted_kw
    assert targets == pytest.approx([0.55, 0.68, 0.7, 0.7, 0.5, 0.5], abs=0.03)
    assert found.accuracy_ratio >= _LEAST_ACCURACY
    committed_kwh = float(targets.sum() * quoted_kw / 4.0)
    assert found.energy_kwh == pytest.approx(committed_kwh, rel=0.05)
    assert found.settlement_cny["gross"] == pytest.approx(3.0 * found.energy_kwh, rel=0.05)
    verdict = city.verdict(over)
    assert verdict["promises_broken"] == verdict["cap_violations"] == verdict["limits_not_restored"] == 0
    await city.service.core.store.journal.flush()
    replayed = Replay(city.settings, city.store).run()
    assert replayed.differences == []
    assert verify(city.store.database).count > 0
