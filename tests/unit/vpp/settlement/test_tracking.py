"""Interval and minute means from snapshots."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.application.delivery.recovery import minutes_of
from vpp.domain.errors import InputError
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction
from vpp.domain.telemetry import Quality
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.settlement.tracking import TrackedIntervals, Tracker

GRID = TimeGrid(start_at=datetime(2026, 7, 15, 10, 0, tzinfo=UTC), count=2)
T0 = GRID.start_s
BASELINE = Baseline(
    grid=GRID,
    power_kw=np.array([[100.0, 110.0], [50.0, 50.0], [7.0, 7.0]]),
    methods={},
    reference_days=(),
    excluded_days=(),
    adjustment_ratio={},
    input_sha256="",
)
PORTFOLIO = np.array([True, True, False])


def state(at_s: float, *power_kw: float, quality: tuple[int, ...] = (0, 0, 0)) -> FleetState:
    unknown = np.full(3, np.nan)
    return FleetState(
        index=FleetIndex.empty(),
        at_s=at_s,
        cycle=1,
        power_kw=np.array(power_kw),
        power_at_s=np.full(3, at_s),
        quality=np.array(quality, dtype=np.uint8),
        energy_kwh=unknown,
        soc=unknown,
        connected=np.ones(3, dtype=np.bool_),
        plugged=np.zeros(3, dtype=np.bool_),
        available_min_kw=unknown,
        available_max_kw=unknown,
        limit_kw=unknown,
        need_kwh=unknown,
        departure_s=unknown,
        sheddable=np.ones(3, dtype=np.bool_),
    )


def tracker(resumed: TrackedIntervals | None = None, direction: Direction = Direction.UP) -> Tracker:
    return Tracker(baseline=BASELINE, portfolio=PORTFOLIO, direction=direction, resumed=resumed)


def follow(watch: Tracker, from_s: float, until_s: float, step_s: float = 60.0) -> None:
    for at_s in np.arange(from_s, until_s, step_s).tolist():
        watch.observe(state(at_s, 80.0, 40.0, 1.0), target_kw=30.0)
    watch.close(until_s)


def test_a_snapshot_holds_until_the_next() -> None:
    watch = tracker()
    for minute in range(15):
        watch.observe(state(T0 + 60.0 * minute, 90.0 if minute < 5 else 60.0, 40.0, 1.0), target_kw=30.0)
    watch.close(T0 + 900.0)
    measured = watch.tracked().measured_kw()
    assert measured[:, 0] == pytest.approx([70.0, 40.0, np.nan], nan_ok=True)
    assert np.isnan(measured[:, 1]).all()


def test_uneven_snapshots_weigh_by_time_and_split_at_the_step_edge() -> None:
    watch = tracker()
    follow(watch, T0, T0 + 840.0)
    watch.observe(state(T0 + 840.0, 20.0, 40.0, 1.0), target_kw=30.0)
    watch.observe(state(T0 + 930.0, 20.0, 40.0, 1.0), target_kw=30.0)
    tracked = watch.tracked()
    assert tracked.measured_kw()[0, 0] == pytest.approx((840.0 * 80.0 + 60.0 * 20.0) / 900.0)
    assert tracked.covered_s[0] == pytest.approx([900.0, 30.0])


def test_minutes_carry_baseline_target_and_delivered() -> None:
    watch = tracker()
    follow(watch, T0, T0 + 1800.0)
    minutes = watch.minutes()
    assert len(minutes.at_s) == 30
    assert minutes.measured_kw == pytest.approx(np.full(30, 120.0))
    assert minutes.delivered_kw == pytest.approx(np.repeat([30.0, 40.0], 15))
    assert minutes.target_kw == pytest.approx(np.full(30, 30.0))


def test_in_the_other_direction_delivered_turns_round() -> None:
    watch = tracker(direction=Direction.DOWN)
    follow(watch, T0, T0 + 60.0)
    assert watch.minutes().delivered_kw[0] == pytest.approx(-30.0)


def test_a_row_without_a_usable_meter_stands_at_its_baseline_and_is_not_measured() -> None:
    watch = tracker()
    bad = (int(Quality.GOOD), int(Quality.BAD), 0)
    for minute in range(15):
        watch.observe(state(T0 + 60.0 * minute, np.nan, 40.0, 1.0, quality=bad), target_kw=0.0)
    watch.close(T0 + 900.0)
    assert np.isnan(watch.tracked().measured_kw()).all()
    assert watch.minutes().delivered_kw[0] == pytest.approx(0.0)
    assert watch.tracked().quality_ratio() == {"good": 0.0, "stale": 0.0, "substituted": 0.0, "bad": 1.0}


def test_quality_is_counted_over_the_portfolio_only() -> None:
    watch = tracker()
    codes = (int(Quality.GOOD), int(Quality.STALE), int(Quality.BAD))
    watch.observe(state(T0, 1.0, 1.0, 1.0, quality=codes), target_kw=0.0)
    assert watch.tracked().good_ratio() == pytest.approx([0.5, np.nan], nan_ok=True)
    assert watch.tracked().quality_ratio()["stale"] == 0.5


def test_a_long_silence_is_a_gap_and_half_an_interval_is_needed() -> None:
    watch = tracker()
    follow(watch, T0, T0 + 300.0)
    watch.observe(state(T0 + 300.0, 0.0, 0.0, 0.0), target_kw=0.0)
    watch.observe(state(T0 + 900.0, 0.0, 0.0, 0.0), target_kw=0.0)
    assert np.isnan(watch.tracked().measured_kw()[0, 0])
    assert np.isnan(watch.minutes().measured_kw[6])


def test_a_tracker_resumed_from_its_intervals_ends_where_an_unbroken_one_does() -> None:
    unbroken, first = tracker(), tracker()
    follow(unbroken, T0, T0 + 1800.0)
    follow(first, T0, T0 + 1020.0)
    second = tracker(resumed=first.tracked())
    follow(second, T0 + 1020.0, T0 + 1800.0)
    one, other = unbroken.tracked(), second.tracked()
    assert other.mean_kw == pytest.approx(one.mean_kw)
    assert np.array_equal(other.quality_count, one.quality_count)
    assert other.minutes.delivered_kw == pytest.approx(one.minutes.delivered_kw)


def test_what_lies_outside_the_event_is_ignored() -> None:
    watch = tracker()
    follow(watch, T0 - 600.0, T0)
    follow(watch, T0 + 1800.0, T0 + 2400.0)
    assert not watch.tracked().covered_s.any()
    assert not watch.tracked().quality_count.any()
    assert watch.tracked().quality_ratio() == {}


def test_a_fleet_that_grew_meanwhile_is_followed_on_its_old_rows() -> None:
    watch = Tracker(baseline=BASELINE, portfolio=PORTFOLIO, direction=Direction.UP)
    grown = state(T0, 80.0, 40.0, 1.0)
    object.__setattr__(grown, "power_kw", np.array([80.0, 40.0, 1.0, 5.0]))
    object.__setattr__(grown, "quality", np.zeros(4, dtype=np.uint8))
    watch.observe(grown, target_kw=0.0)
    watch.close(T0 + 60.0)
    assert watch.minutes().measured_kw[0] == pytest.approx(120.0)


def test_intervals_of_another_baseline_are_refused() -> None:
    other = Tracker(baseline=BASELINE, portfolio=PORTFOLIO, direction=Direction.UP).tracked()
    wrong = TrackedIntervals(
        grid=TimeGrid(start_at=GRID.start_at, count=3),
        mean_kw=other.mean_kw,
        covered_s=other.covered_s,
        quality_count=other.quality_count,
        minutes=other.minutes,
    )
    with pytest.raises(InputError, match="intervals of this baseline"):
        tracker(resumed=wrong)
    with pytest.raises(InputError, match="one flag a row"):
        Tracker(baseline=BASELINE, portfolio=np.ones(2, dtype=np.bool_), direction=Direction.UP)


cycles = st.lists(
    st.tuples(st.floats(1.0, 130.0), st.floats(0.0, 60.0), st.floats(50.0, 200.0), st.floats(0.0, 90.0)), min_size=1
)


@given(cycles, st.sampled_from(Direction))
def test_minutes_of_a_journal_are_those_of_the_tracker_to_the_bit(
    drawn: list[tuple[float, float, float, float]], direction: Direction
) -> None:
    watch, at_s, figures = tracker(direction=direction), T0 - 30.0, []
    for gap_s, target_kw, baseline_kw, power_kw in drawn:
        at_s = round(at_s + gap_s, 3)
        watch.observe(state(at_s, power_kw, 0.0, 1.0), target_kw=target_kw, baseline_kw=baseline_kw)
        figures.append((at_s, target_kw, baseline_kw, power_kw))
    watch.observe(state(at_s + 5.0, 1.0, 1.0, 1.0), target_kw=1.0)
    live, kept = watch.minutes(), minutes_of(GRID, np.array([*figures, (at_s + 5.0, 0.0, 0.0, 0.0)]), direction)
    whole = (kept.covered_s > 0.0) & (kept.at_s + 60.0 <= at_s + 5.0)

    for name in ("covered_s", "measured_kw", "target_kw", "baseline_kw", "delivered_kw"):
        np.testing.assert_array_equal(getattr(live, name)[whole], getattr(kept, name)[whole])
