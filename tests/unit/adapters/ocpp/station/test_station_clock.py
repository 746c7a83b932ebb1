"""A station's clock is measured by its live messages; what is old is told from what is slow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.station.station_clock import LONGEST_PAST_S, StationClock

NOW_S = 1_751_392_800.0


def settled(offset_s: float = 0.0, at_s: float = NOW_S) -> StationClock:
    """Return a clock so far behind, known by one live message."""
    clock = StationClock()
    clock.live(at_s, at_s - offset_s)
    return clock


@pytest.mark.parametrize("offset_s", [-7200.0, -300.0, 0.0, 300.0, 7200.0, 8 * 3600.0])
def test_a_clock_that_is_off_is_corrected_from_the_first_message_on(offset_s: float) -> None:
    clock = settled(offset_s)
    for minute in range(1, 120):
        now_s = NOW_S + 60.0 * minute
        assert clock.live(now_s, now_s - offset_s - 0.2) == pytest.approx(now_s, abs=0.5)
    assert clock.offset_s == pytest.approx(offset_s, abs=0.5)
    assert clock.is_off is (abs(offset_s) > 60.0)


def test_the_least_delay_of_the_last_ten_minutes_counts() -> None:
    clock = settled(3.0)
    for second in range(10, 1200, 10):
        clock.live(NOW_S + second, NOW_S + second - 1.0 - second % 7)
    assert clock.offset_s == pytest.approx(1.0)


def test_a_drifting_clock_is_followed_both_ways() -> None:
    for drift in (-0.001, 0.001):
        clock = settled()
        for minute in range(600):
            now_s = NOW_S + 60.0 * minute
            clock.live(now_s, now_s - drift * 60.0 * minute)
        assert clock.offset_s == pytest.approx(drift * 36_000.0, abs=1.0)


def test_a_queue_that_is_emptied_is_old_and_no_slow_clock() -> None:
    clock = settled()
    back_s = NOW_S + 3600.0
    for number in range(60):  # a message a second, of a minute each
        stamp_s = NOW_S + 60.0 * number
        assert clock.live(back_s + number, stamp_s) == stamp_s
    assert clock.offset_s == 0.0


def test_a_clock_that_is_set_back_or_springs_is_believed_once_two_messages_agree() -> None:
    for step_s in (3600.0, 100_000.0, -100_000.0):
        clock = settled()
        clock.live(NOW_S + 60.0, NOW_S + 60.0 - step_s)
        clock.live(NOW_S + 120.0, NOW_S + 120.0 - step_s)
        assert clock.live(NOW_S + 180.0, NOW_S + 180.0 - step_s) == NOW_S + 180.0
        assert clock.offset_s == pytest.approx(step_s)


def test_a_clock_set_right_is_right_at_once() -> None:
    clock = settled(8 * 3600.0)
    assert clock.live(NOW_S + 60.0, NOW_S + 60.0) == NOW_S + 60.0
    assert clock.offset_s == 0.0


@pytest.mark.parametrize("stamp_s", [0.0, 12.0, NOW_S + 2 * LONGEST_PAST_S, math.nan])
def test_what_is_no_time_of_day_is_now_and_changes_nothing(stamp_s: float) -> None:
    clock = settled()
    assert clock.live(NOW_S + 60.0, stamp_s) == clock.queued(NOW_S + 60.0, stamp_s) == NOW_S + 60.0
    assert clock.offset_s == 0.0
    assert clock.is_off is not math.isnan(stamp_s)
    clock.live(NOW_S + 61.0, NOW_S + 61.0)
    assert clock.live(NOW_S + 400.0, NOW_S + 400.0) == NOW_S + 400.0


def test_what_was_kept_says_nothing_of_the_clock_but_that_it_is_not_slower() -> None:
    clock = StationClock()
    assert clock.queued(NOW_S, NOW_S - 3000.0) == NOW_S - 3000.0
    assert math.isnan(clock.offset_s)
    clock.live(NOW_S, NOW_S - 3000.0)  # wrong: that was old as well
    assert clock.queued(NOW_S + 1.0, NOW_S - 9.0) == NOW_S + 1.0
    assert clock.offset_s == 10.0
    assert clock.queued(NOW_S + 1.0, NOW_S - 500.0) == NOW_S - 490.0


STAMPS = st.floats(-1e10, 1e10) | st.floats(NOW_S - 1e6, NOW_S + 1e6) | st.just(math.nan)


@given(st.lists(st.tuples(st.booleans(), STAMPS, st.floats(0.0, 1e4)), max_size=60))
def test_nothing_was_ever_after_now(messages: list[tuple[bool, float, float]]) -> None:
    clock, now_s = StationClock(), NOW_S
    for queued, stamp_s, passed_s in messages:
        now_s += passed_s
        at_s = (clock.queued if queued else clock.live)(now_s, stamp_s)
        assert at_s <= now_s + 1e-3
