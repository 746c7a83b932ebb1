"""A request for regulation on the real service: its signal is followed between cycles, scored, and replayed exactly."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.story.city import PowerCut, VirtualCity, small_twin
from vpp.bootstrap.replay import Replay
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.regulation.signal_table import Signal
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.performance import Performance
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import DispatchRequest, Product, RequestState, Verdict
from vpp.lab.twin.signals import regd_like
from vpp.settlement.regulation_score import PjmScore, Trace
from vpp.storage.journal import verify

REPORT_S = 4.0
"""Meters of devices that follow a signal of seconds are read every few seconds."""
SHARE = 0.8
MINUTES = 15.0
LEAST_SCORE = 0.85
"""Ten batteries of 250 kW carry 0.2 MW here: one that refuses once is missed for twenty seconds."""
FAR_TOO_MUCH_KW = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One request for regulation, played with a power cut in the hold.

    Attributes:
        refusals: What was said to signals that make no sense.
        sent_before: Commands before the cut.
    """

    settings: Settings
    store: Store
    quoted: DispatchRequest
    request: DispatchRequest
    performance: Performance
    standing: RegulationStanding
    connection: Trace
    verdict: dict[str, Any]
    commands: dict[str, int]
    ids: list[int]
    rows: set[int]
    classes: set[str]
    refusals: list[str]


@pytest.fixture(name="day", scope="module")
def _day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    settings, told = asyncio.run(_played(tmp_path_factory.mktemp("regulated")))
    store = Store.open(settings.database_url)
    yield Day(settings=settings, store=store, **told)
    store.close()


async def _played(directory: Path) -> tuple[Settings, dict[str, Any]]:
    city = VirtualCity(small_twin(), directory, report_s=REPORT_S, watch_minutes=1.0)
    await city.found()
    quoted = await city.ask(city.draft(FAR_TOO_MUCH_KW, minutes=MINUTES, product=Product.REGULATION))
    assert quoted.quote is not None
    request = await city.commit(
        city.draft(round(SHARE * quoted.quote.p50_kw), minutes=MINUTES, product=Product.REGULATION)
    )
    start_s = request.draft.start_at.timestamp()
    refusals = [await _refused(city, request, signal) for signal in _bad_signals(start_s)]
    signal = regd_like(seed=3, duration_s=60.0 * MINUTES, step_s=4.0, start_s=start_s)
    assert await city.plant.take_signal(request.id, signal.time_s, signal.value, unit="value") == len(signal.time_s)
    before = len(city.wire.sent)
    await city.play_until(start_s + 60.0 * MINUTES / 2.0)
    city.wire.fuse_s = city.clock.now_s()
    with pytest.raises(PowerCut):
        await city.play(minutes=2.0)
    await city.kill()
    await city.dark(20.0)
    await city.boot()
    await city.play_until(start_s + 60.0 * MINUTES)
    rows = {row for _, row, layer, _ in city.wire.sent[before:] if layer == _DISPATCH}
    standing = city.plant.regulation(request.id)
    request = await city.play_out(request.id)
    told = {
        "quoted": quoted,
        "request": request,
        "performance": city.plant.performance(request.id),
        "connection": city.connection_points.trace(request.id, request.accepted_kw or 0.0),
        "standing": standing,
        "verdict": city.verdict(request),
        "commands": city.plant.commands(),
        "ids": city.wire.ids,
        "rows": rows,
        "classes": {city.index.resources[row].resource_class.value for row in rows},
        "refusals": refusals,
    }
    await city.close()
    return city.settings, told


_DISPATCH = 1


def _bad_signals(start_s: float) -> list[Signal]:
    good = Signal(time_s=start_s + 4.0 * np.arange(3.0), value=np.zeros(3))
    return [
        replace(good, value=np.array([0.0, np.nan, 0.0])),
        replace(good, value=np.array([0.0, 1.5, 0.0])),
        replace(good, time_s=good.time_s[::-1].copy()),
        replace(good, time_s=good.time_s + 7200.0),
        replace(good, time_s=good.time_s - 7200.0),
    ]


async def _refused(city: VirtualCity, request: DispatchRequest, signal: Signal) -> str:
    with pytest.raises((InputError, ConflictError)) as refusal:
        await city.plant.take_signal(request.id, signal.time_s, signal.value, unit="value")
    return str(refusal.value)


def test_what_can_be_had_in_both_directions_is_quoted_by_the_step(day: Day) -> None:
    quote = day.quoted.quote
    assert quote is not None
    assert quote.verdict is Verdict.INFEASIBLE
    assert len(quote.deliverable_p50_kw) == round(MINUTES / 15.0)
    assert all(0.0 < p10 <= p50 for p10, p50 in zip(quote.deliverable_p10_kw, quote.deliverable_p50_kw, strict=True))
    assert {limit.name.partition(":")[0] for limit in quote.limits} == {"up", "down"}
    assert [offer.kind for offer in quote.counter_offers] == ["less_power"]
    assert quote.counter_offers[0].target_kw <= quote.p50_kw


def test_signals_that_make_no_sense_are_refused_and_nothing_of_them_is_taken(day: Day) -> None:
    for refusal, word in zip(
        day.refusals, ("NaN", "reserved", "after that of", "end of the request", "stale"), strict=True
    ):
        assert word in refusal
    kept = [entry.body for entry in day.store.journal.entries(["regulation.signal"])]
    assert [len(body["at_s"]) for body in kept] == [round(60.0 * MINUTES / 4.0)]  # type: ignore[arg-type] # JSON


def test_the_signal_is_followed_and_the_score_is_in_the_settlement(day: Day) -> None:
    assert day.request.state is RequestState.SETTLED
    scores = day.performance.regulation
    assert scores["pjm"]["total"] >= LEAST_SCORE
    assert {"pjm", "north_china", "guangdong", "jiangsu", "hunan"} <= set(scores)
    assert PjmScore().score(day.connection).total >= LEAST_SCORE, "by the meters of the grid as well"
    issued = next(day.store.journal.entries(["performance.issued"])).body["regulation"]
    assert issued["pjm"]["total"] == pytest.approx(scores["pjm"]["total"])  # type: ignore[index] # JSON
    assert 0.7 < day.performance.accuracy_ratio <= 1.0, "half of the only interval was not metered for the power cut"
    assert not day.performance.settlement_cny, "nothing says what regulation is paid"


def test_what_was_asked_and_metered_is_known_over_the_restart(day: Day) -> None:
    standing = day.standing
    assert standing.capacity_kw == day.request.accepted_kw
    assert standing.time_s[0] == day.request.draft.start_at.timestamp()
    gap_s = np.diff(standing.time_s)
    assert np.count_nonzero(gap_s > 10.0) == 1, "the power cut"
    assert gap_s.max() <= 40.0
    assert np.ptp(standing.signal_kw) > standing.capacity_kw


def test_caps_hold_and_promises_are_kept(day: Day) -> None:
    assert day.verdict["cap_violations"] == 0
    assert day.verdict["promises_broken"] == 0
    assert day.verdict["limits_not_restored"] == 0


def test_only_who_can_follow_a_signal_of_seconds_is_told(day: Day) -> None:
    assert day.rows
    assert day.classes <= {"ev", "v2g", "storage"}


def test_every_setpoint_is_accounted_for(day: Day) -> None:
    assert len(day.ids) == len(set(day.ids))
    assert day.commands["unaccounted"] == 0
    assert day.commands["confirmed"] > 0


def test_every_cycle_and_every_tick_is_decided_again_and_comes_out_the_same(day: Day) -> None:
    verdict = Replay(day.settings, day.store).run()
    ticks = sum(entry.kind == "regulation.tick" for entry in day.store.journal.entries())
    assert verdict.differences == []
    assert verdict.ticks == ticks
    assert ticks > 60.0 * MINUTES / 10.0
    assert verdict.setpoints == day.commands["sent"]
    verify(day.store.database)


async def test_who_is_told_to_stop_lets_the_signal_fade_and_takes_no_more(tmp_path: Path) -> None:
    city = VirtualCity(small_twin(), tmp_path, report_s=REPORT_S, watch_minutes=1.0)
    await city.found()
    request = await city.commit(city.draft(100.0, minutes=30.0, product=Product.REGULATION))
    start_s = request.draft.start_at.timestamp()
    await city.plant.take_signal(request.id, np.array([start_s]), np.array([100.0]), unit="target_kw")
    await city.play_until(start_s + 30.0)
    assert city.plant.regulation(request.id).told_kw == pytest.approx(100.0, abs=15.0)
    stopped = await city.plant.cancel(request.id, actor="dispatcher", reason="enough")
    with pytest.raises(ConflictError, match="aborted"):
        await city.plant.take_signal(request.id, np.array([start_s + 60.0]), np.array([0.5]), unit="value")
    await city.play_until(city.clock.now_s() + timedelta(minutes=16).total_seconds())
    assert stopped.state is RequestState.ABORTED
    assert not city.service.core.engine.regulation.following
    request = await city.play_out(request.id)
    assert city.verdict(request)["limits_not_restored"] == 0
    await city.close()
