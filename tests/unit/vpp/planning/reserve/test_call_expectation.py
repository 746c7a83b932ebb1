"""Expected calls: learnt by type of day and hour, worth what a call pays with its chance."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import SHANGHAI, DayType
from vpp.fleet.holidays import CHINA
from vpp.planning.reserve.call_expectation import PastCall, learnt, stated

MONDAY = datetime(2026, 6, 29, tzinfo=SHANGHAI).astimezone(UTC)
"""A Monday; the three weeks from it hold no holiday."""


def call(day: int, *, hour: float = 13.0, length_h: float = 2.0, power_kw: float = 900.0) -> PastCall:
    start = MONDAY + timedelta(days=day, hours=hour)
    return PastCall(start_s=start.timestamp(), end_s=(start + timedelta(hours=length_h)).timestamp(), power_kw=power_kw)


def after(days: int) -> dict[str, float]:
    """Experience of whole days from the Monday on."""
    since = MONDAY - timedelta(hours=1)
    return {"since_s": since.timestamp(), "now_s": (MONDAY + timedelta(days=days, hours=1)).timestamp()}


def test_the_chance_of_an_hour_is_the_share_of_days_with_a_call_drawn_towards_the_prior() -> None:
    workdays = [day for day in range(21) if day % 7 < 5]
    found = learnt([call(day) for day in workdays[::2]], CHINA, **after(21))
    assert found is not None
    assert found.chance[DayType.WORKDAY][13] == pytest.approx((8 + 0.2) / (15 + 10))
    assert found.chance[DayType.WORKDAY][14] == found.chance[DayType.WORKDAY][13]
    assert found.chance[DayType.WORKDAY][15] == pytest.approx(0.2 / 25)
    assert found.chance[DayType.WEEKEND][13] == pytest.approx(0.2 / 16), "nobody called on a weekend"
    assert (found.power_kw[13], found.power_kw[12], found.length_h) == (900.0, 0.0, 2.0)


def test_two_weeks_without_experience_or_a_call_let_expect_nothing() -> None:
    assert learnt([call(1)], CHINA, **after(13)) is None
    assert learnt([], CHINA, **after(30)) is None
    assert learnt([call(1)], CHINA, **after(14)) is not None


def test_today_counts_neither_for_nor_against() -> None:
    twice = [call(1), call(15)]
    found, known = learnt(twice, CHINA, **after(15)), learnt(twice[:1], CHINA, **after(15))
    assert found is not None
    assert known is not None
    np.testing.assert_array_equal(found.chance[DayType.WORKDAY], known.chance[DayType.WORKDAY])


def test_calls_at_the_same_time_add_up_and_those_one_after_the_other_do_not() -> None:
    beside = [call(3, power_kw=900.0), call(3, hour=14.0, length_h=2.0, power_kw=300.0)]
    one_by_one = [call(4, hour=9.0, length_h=0.5, power_kw=500.0), call(4, hour=9.5, length_h=0.5, power_kw=200.0)]
    for calls in ([*beside, *one_by_one], [*reversed(beside), *reversed(one_by_one)]):
        found = learnt(calls, CHINA, **after(21))
        assert found is not None
        assert found.power_kw[[9, 13, 14, 15]].tolist() == [500.0, 900.0, 1200.0, 300.0]


@given(st.lists(st.integers(0, 20), max_size=21, unique=True), st.integers(0, 20))
def test_another_call_never_makes_one_less_probable(days: list[int], more: int) -> None:
    base = [call(3, hour=9.0)]  # so that there is something to learn from
    fewer = learnt([*base, *map(call, days)], CHINA, **after(21))
    found = learnt([*base, *map(call, {*days, more})], CHINA, **after(21))
    assert fewer is not None
    assert found is not None
    for kind, chance in found.chance.items():
        assert (chance >= fewer.chance[kind] - 1e-12).all()
        assert ((chance > 0.0) & (chance < 1.0)).all()


def test_a_kw_is_worth_what_a_call_pays_with_its_chance_and_cheap_hours_are_left_alone() -> None:
    grid = TimeGrid(start_at=MONDAY, count=96)
    expected = stated([(13.0, 15.0, 1000.0, 0.25), (20.0, 21.0, 500.0, 0.005)])
    wanted = expected.demand(grid, CHINA, 3.0)
    assert np.flatnonzero(wanted.power_kw).tolist() == list(range(52, 60))
    assert wanted.missing_cny_per_kw_h[52] == pytest.approx(0.75)
    assert wanted.sustain_h[52] == 2.0
    assert not stated([]).demand(grid, CHINA, 3.0).power_kw.any()
