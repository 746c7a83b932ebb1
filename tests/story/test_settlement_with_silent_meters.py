"""Meters fall silent and the load comes back: settled is what was metered, right where it was and never above truth."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vpp.settlement.performance_parts import BASELINE, EVERYBODY, GRID, INDEX, REQUEST, START_S
from vpp.domain.performance import Performance
from vpp.domain.telemetry import FloatArray, Quantity, TelemetryBatch
from vpp.ports import LEAST_METERED_RATIO
from vpp.settlement.money.settlement_terms import SettlementTerms
from vpp.settlement.performance import evaluate, phases_of, target_profile
from vpp.telemetry.metering import MeteredMeans

POWER, CONNECTED = int(Quantity.POWER_KW), int(Quantity.CONNECTED)
ROWS, CUT_KW, HOLD_S, PERIOD_S = 4, 25.0, 1800.0, 30.0
Stretch = tuple[float, float]
"""Seconds after the hold's begin, ``[from, until)``."""
Gaps = Sequence[Sequence[Stretch]]
"""Of each device: when it is silent."""
Sent = list[tuple[float, int, int, float, float]]
"""Instant of hearing, row, quantity, value, stamp."""


def truly_kw(row: int, at_s: float, gaps: Gaps, hold: Stretch) -> float:
    """Return the true power: cut in the hold, but at its height whenever nobody looks."""
    silent = any(a <= at_s < b for a, b in gaps[row])
    cut = CUT_KW if hold[0] <= at_s < hold[1] and not silent else 0.0
    return float(BASELINE.power_kw[row, 0]) - cut


def sent(gaps: Gaps, hold: Stretch) -> Sent:
    """Return what the meters say, every half a minute unless they are silent."""
    messages: Sent = []
    for row in range(ROWS):
        for at_s in np.arange(GRID.start_s - START_S, GRID.end_s - START_S + 400.0, PERIOD_S).tolist():
            if not any(a <= at_s < b for a, b in gaps[row]):
                messages.append((at_s, row, POWER, truly_kw(row, at_s, gaps, hold), at_s))
    return messages


def settled(messages: Sent, hold: Stretch, *, restart_s: float | None = None) -> Performance:
    """Return the measurement that follows from what was heard, in cycles of ten seconds."""
    means = MeteredMeans(INDEX, GRID.start_s, 180.0)
    mean_kw, share = np.full((ROWS, GRID.count), np.nan), np.zeros((ROWS, GRID.count))
    for now_s in np.arange(GRID.start_s, GRID.end_s + 400.0, 10.0).tolist():
        if restart_s is not None and now_s - START_S == restart_s:
            means = MeteredMeans(INDEX, now_s, 180.0)
        heard = [m for m in messages if now_s - 10.0 < m[0] + START_S <= now_s]
        batch = TelemetryBatch.of([(row, quantity, kw, at_s + START_S) for _, row, quantity, kw, at_s in heard])
        for start_s, kw, known in means.take(batch, now_s):
            step = GRID.index_at(start_s)
            if 0 <= step < GRID.count:
                mean_kw[:, step] = np.where(known >= LEAST_METERED_RATIO, kw, np.nan)
                share[:, step] = known
    return evaluated(mean_kw, share, hold)


def evaluated(mean_kw: FloatArray, share: FloatArray, hold: Stretch) -> Performance:
    start_s, end_s = START_S + hold[0], START_S + hold[1]
    times = {"start_s": start_s, "end_s": end_s, "release_end_s": end_s}
    return evaluate(
        replace(REQUEST, accepted_kw=ROWS * CUT_KW),
        index=INDEX,
        portfolio=EVERYBODY,
        baseline=BASELINE,
        measured_kw=mean_kw,
        metered_ratio=share,
        target_kw=target_profile(GRID, ROWS * CUT_KW, ramp_s=start_s, **times),
        phases=phases_of(GRID, **times),
        ramp_s=start_s,
        hold_s=(start_s, end_s),
        issued_at=GRID.end_at,
        terms=SettlementTerms(),
    )


def true_kwh(gaps: Gaps, hold: Stretch, within: Stretch) -> float:
    """Return what was truly delivered in the hold within a stretch."""
    total = 0.0
    for row in range(ROWS):
        edges = sorted({*within, *hold, *(edge for gap in gaps[row] for edge in gap)})
        for a, b in pairwise([e for e in edges if within[0] <= e <= within[1]]):
            kw = float(BASELINE.power_kw[row, 0]) - truly_kw(row, (a + b) / 2.0, gaps, hold)
            total += kw * (b - a) / 3600.0
    return total


NONE: Sequence[Stretch] = ()
HOLD = (0.0, HOLD_S)
ALTERNATING = tuple((at_s, at_s + 300.0) for at_s in np.arange(10.0, 1800.0, 600.0).tolist())
CASES: dict[str, Gaps] = {
    "nobody is silent": (NONE,) * ROWS,
    "all are silent at the start": (((-600.0, 420.0),),) * ROWS,
    "all are silent in the middle": (((610.0, 1210.0),),) * ROWS,
    "all are silent at the end": (((1300.0, 4000.0),),) * ROWS,
    "all are silent throughout": (((5.0, 4000.0),),) * ROWS,
    "now and then": (ALTERNATING,) * ROWS,
    "one device": (((100.0, 1500.0),), NONE, NONE, NONE),
    "one after the other": tuple(((k * 400.0 + 5.0, k * 400.0 + 500.0),) for k in range(ROWS)),
    "one speaks on": (NONE, *(((100.0, 4000.0),),) * 3),
    "for a little longer than three reports": (((300.0, 395.0), (905.0, 1000.0)),) * ROWS,
}


@pytest.mark.parametrize("gaps", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("hold", [HOLD, (300.0, 2100.0), (120.0, 990.0)], ids=["on the grid", "off it", "odd"])
def test_what_is_settled_is_right_where_it_is_metered_and_never_above_the_truth(gaps: Gaps, hold: Stretch) -> None:
    result = settled(sent(gaps, hold), hold)

    assert result.energy_kwh <= true_kwh(gaps, hold, hold) + 1e-6
    for interval in result.intervals:
        begin_s = interval.start_at.timestamp() - START_S
        if interval.metered_ratio >= 0.999 and interval.held_ratio > 0.0:
            truth = true_kwh(gaps, hold, (max(begin_s, hold[0]), min(begin_s + 900.0, hold[1])))
            assert interval.held_kw * interval.held_ratio * 0.25 == pytest.approx(truth, rel=0.01)


def _late(messages: Sent) -> Sent:
    """Let a gateway keep everything from five minutes into the hold and hand it over twenty minutes later."""
    return [(1500.0 if 300.0 <= at_s < 1500.0 else at_s, *rest) for at_s, *rest in messages]  # type: ignore[misc]


def _retained(messages: Sent) -> Sent:
    """Leave one reading of three days ago, delivered in the hold."""
    return [(at_s, row, what, kw, -3.0 * 86_400.0) for at_s, row, what, kw, _ in messages if at_s == 300.0]


def _wild(messages: Sent) -> Sent:
    return [(at, row, what, -7000.0 if at % 300.0 == 0.0 else kw, stamp) for at, row, what, kw, stamp in messages]


def _lost(messages: Sent) -> Sent:
    """Let links be lost for the last third, the meters' last value cut."""
    return [*(m for m in messages if m[0] < 1200.0), *((1205.0, row, CONNECTED, 0.0, 1205.0) for row in range(ROWS))]


@pytest.mark.parametrize("change", [_late, _retained, _wild, _lost])
def test_messages_that_are_late_old_wild_or_lost_never_add_to_what_is_settled(change: Callable[[Sent], Sent]) -> None:
    result = settled(change(sent(CASES["nobody is silent"], HOLD)), HOLD)
    assert result.energy_kwh <= ROWS * CUT_KW * HOLD_S / 3600.0 + 1e-6


def test_what_a_restart_forgets_is_not_metered() -> None:
    whole = settled(sent(CASES["nobody is silent"], HOLD), HOLD)
    soon = settled(sent(CASES["nobody is silent"], HOLD), HOLD, restart_s=300.0)
    late = settled(sent(CASES["nobody is silent"], HOLD), HOLD, restart_s=600.0)
    assert soon.energy_kwh == pytest.approx(whole.energy_kwh - ROWS * CUT_KW * 300.0 / 3600.0)
    assert late.energy_kwh == pytest.approx(whole.energy_kwh / 2.0), "a third of an interval is no measurement of it"
    assert late.unmetered_count == ROWS


def _apart(drawn: list[tuple[int, int]]) -> tuple[Stretch, ...]:
    """Return silences with four minutes between them: who speaks once between two of them just reports seldom."""
    apart: list[Stretch] = []
    for a, length in sorted(drawn):
        begin_s = max(float(a), apart[-1][1] + 240.0) if apart else float(a)
        apart.append((begin_s, begin_s + length))
    return tuple(apart)


# On the meters' half minutes: between two samples a load may end its cut unseen.
STRETCHES = st.lists(st.tuples(st.integers(-600, 2400), st.integers(95, 1200)), max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(STRETCHES, min_size=ROWS, max_size=ROWS), st.integers(0, 27), st.integers(10, 63))
def test_no_pattern_of_silence_and_no_window_is_settled_above_the_truth(
    drawn: list[list[tuple[int, int]]], start: int, length: int
) -> None:
    gaps = tuple(_apart(row) for row in drawn)
    hold = (PERIOD_S * start, PERIOD_S * (start + length))
    assert settled(sent(gaps, hold), hold).energy_kwh <= true_kwh(gaps, hold, hold) + 1e-6
