"""A hold off the quarters of an hour is settled by the seconds each interval is held."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpp.settlement.performance_parts import BASELINE, EVERYBODY, GRID, INDEX, REQUEST, START_S
from vpp.domain.performance import Performance
from vpp.domain.telemetry import FloatArray
from vpp.settlement.money.settlement_terms import SettlementTerms
from vpp.settlement.overlap import held_means_kw, held_seconds
from vpp.settlement.performance import evaluate, phases_of, target_profile
from vpp.settlement.tracking import MinuteSeries

TARGET_KW = 100.0
PRICE = 3.0


def minute_series(delivered_kw: FloatArray, covered_s: float = 60.0) -> MinuteSeries:
    count = len(delivered_kw)
    return MinuteSeries(
        at_s=GRID.start_s + 60.0 * np.arange(count),
        baseline_kw=np.full(count, 400.0),
        measured_kw=400.0 - delivered_kw,
        target_kw=np.full(count, TARGET_KW),
        delivered_kw=delivered_kw,
        covered_s=np.full(count, covered_s),
    )


def settled(start_s: float, end_s: float, share: float = 1.0, *, ramp_s: float = 0.0, followed: bool) -> Performance:
    """Return what is settled where a share of the target is delivered, ramp and release included."""
    times = {"start_s": start_s, "end_s": end_s, "release_end_s": end_s + ramp_s}
    target = target_profile(GRID, TARGET_KW, ramp_s=start_s - ramp_s, **times)
    meters = BASELINE.power_kw.copy()
    meters[0] -= share * target
    fine = replace(GRID, step_s=60, count=GRID.count * 15)
    by_minute = share * target_profile(fine, TARGET_KW, ramp_s=start_s - ramp_s, **times)
    return evaluate(
        replace(REQUEST, accepted_kw=TARGET_KW),
        index=INDEX,
        portfolio=EVERYBODY,
        baseline=BASELINE,
        measured_kw=meters,
        metered_ratio=np.ones(meters.shape),
        target_kw=target,
        phases=phases_of(GRID, **times),
        ramp_s=start_s - ramp_s,
        hold_s=(start_s, end_s),
        issued_at=GRID.end_at,
        minutes=minute_series(by_minute) if followed else None,
        terms=SettlementTerms(price_cny_per_kwh=PRICE),
    )


@pytest.mark.parametrize("followed", [True, False], ids=["followed live", "by the timetable"])
@pytest.mark.parametrize("ramp_s", [0.0, 300.0], ids=["no ramp", "a ramp of five minutes"])
@pytest.mark.parametrize(("off_s", "minutes"), [(0.0, 60.0), (300.0, 60.0), (60.0, 45.0), (840.0, 16.0), (300.0, 5.0)])
def test_perfect_delivery_is_paid_in_full_wherever_the_window_lies(
    off_s: float, minutes: float, ramp_s: float, *, followed: bool
) -> None:
    result = settled(START_S + off_s, START_S + off_s + 60.0 * minutes, ramp_s=ramp_s, followed=followed)
    assert result.energy_kwh == pytest.approx(TARGET_KW * minutes / 60.0, rel=2e-3)
    assert result.settlement_cny["gross"] == pytest.approx(TARGET_KW * minutes / 60.0 * PRICE, rel=2e-3)
    assert result.accuracy_ratio == pytest.approx(1.0, abs=2e-3)


@given(st.integers(0, 3000), st.integers(60, 2400), st.floats(0.0, 1.3), st.booleans())
def test_a_share_of_the_target_is_never_settled_as_more(
    off_s: int,
    length_s: int,
    share: float,
    followed: bool,  # noqa: FBT001 - drawn
) -> None:
    result = settled(START_S + off_s, START_S + min(off_s + length_s, 4500), share, followed=followed)
    due_kwh = TARGET_KW * (min(off_s + length_s, 4500) - off_s) / 3600.0
    # Minutes at the window's edges hold a share of the target for a part of them only.
    assert result.energy_kwh <= share * due_kwh + TARGET_KW / 60.0 * 0.5


def test_the_seconds_of_all_steps_are_the_hold() -> None:
    seconds = held_seconds(GRID, START_S + 300.0, START_S + 2000.0)
    assert seconds.tolist() == [0.0, 600.0, 900.0, 200.0, 0.0, 0.0]


def test_what_came_in_the_ramp_alone_is_not_settled_as_held() -> None:
    by_minute = np.zeros(90)
    by_minute[15:20] = TARGET_KW
    means = held_means_kw(
        np.array([0.0, TARGET_KW / 3.0, 0.0, 0.0, 0.0, 0.0]),
        grid=GRID,
        start_s=START_S + 300.0,
        end_s=START_S + 900.0,
        target_kw=np.array([0.0, TARGET_KW, 0.0, 0.0, 0.0, 0.0]),
        full_kw=TARGET_KW,
        minutes=minute_series(by_minute),
    )
    assert means[1] == pytest.approx(0.0)
    assert np.isnan(means[[0, 2, 3, 4, 5]]).all()


def test_meters_that_know_less_than_what_was_followed_are_believed() -> None:
    by_minute = np.full(90, TARGET_KW)
    means = held_means_kw(
        np.full(6, 60.0),
        grid=GRID,
        start_s=START_S + 300.0,
        end_s=START_S + 900.0,
        target_kw=np.full(6, TARGET_KW),
        full_kw=TARGET_KW,
        minutes=minute_series(by_minute),
    )
    assert means[1] * 600.0 == pytest.approx(TARGET_KW * 600.0 - 40.0 * 900.0)
