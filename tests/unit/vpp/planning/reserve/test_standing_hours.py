"""Hours of standing commitments: seasons, types of days, nights, ends, and days whose calls are used up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from vpp.domain.request import CITY, Direction
from vpp.domain.standing import StandingCommitment, StandingHours, StandingTerms
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import SHANGHAI
from vpp.fleet.holidays import CHINA
from vpp.planning.reserve.standing_hours import StandingCall, due_steps, in_hours, standing_demand

WEDNESDAY = datetime(2026, 7, 15, tzinfo=SHANGHAI).astimezone(UTC)
NOON = StandingHours(from_hour=13.0, until_hour=15.0)
TERMS = StandingTerms(
    area=CITY,
    direction=Direction.UP,
    power_kw=1000.0,
    hours=(NOON,),
    availability_cny_per_mw_h=Decimal(100),
    shortfall_cny_per_mw_h=Decimal(200),
    from_at=WEDNESDAY - timedelta(days=30),
)


def commitment(**changes: object) -> StandingCommitment:
    return StandingCommitment(
        id="s",
        terms=replace(TERMS, **changes),  # type: ignore[arg-type]  # a test table
        created_at=WEDNESDAY,
        actor="d",
    )


def grid(day: datetime = WEDNESDAY, *, hours: float = 24.0) -> TimeGrid:
    return TimeGrid(start_at=day, count=round(4 * hours))


def hours_of(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[float]:
    return (np.flatnonzero(flags) / 4.0).tolist()


@pytest.mark.parametrize(
    ("hours", "first", "last", "count"),
    [
        (NOON, 13.0, 14.75, 8),
        (StandingHours(from_hour=0.0, until_hour=24.0), 0.0, 23.75, 96),
        (StandingHours(from_hour=22.0, until_hour=6.0), 0.0, 23.75, 32),
    ],
)
def test_hours_are_those_of_shanghai(hours: StandingHours, first: float, last: float, count: int) -> None:
    found = hours_of(in_hours(hours, grid(), CHINA))
    assert (found[0], found[-1], len(found)) == (first, last, count)


def test_season_and_type_are_those_of_the_day_on_which_the_hours_begin() -> None:
    night = StandingHours(from_hour=22.0, until_hour=6.0, months=frozenset({7}), day_types=frozenset({"workday"}))
    friday = WEDNESDAY + timedelta(days=2)
    found = hours_of(in_hours(night, grid(friday, hours=48.0), CHINA))
    assert found[0] == 0.0, "Thursday's night"
    assert found[-1] == 24.0 + 5.75, "Friday's night ends on Saturday, and Saturday has none"
    assert hours_of(in_hours(replace(night, months=frozenset({8})), grid(friday), CHINA)) == []


def test_a_saturday_worked_in_exchange_is_a_workday() -> None:
    worked = datetime(2026, 2, 14, tzinfo=SHANGHAI).astimezone(UTC)
    office = replace(NOON, day_types=frozenset({"workday"}))
    assert in_hours(office, grid(worked), CHINA).sum() == 8
    assert in_hours(office, grid(worked - timedelta(days=7)), CHINA).sum() == 0


def test_a_commitment_holds_from_its_begin_to_its_end_or_until_it_is_ended() -> None:
    begun = commitment(from_at=WEDNESDAY + timedelta(hours=14))
    assert hours_of(due_steps(begun, grid(), CHINA))[0] == 14.0
    ended = replace(commitment(), ended_at=WEDNESDAY + timedelta(hours=14))
    assert hours_of(due_steps(ended, grid(), CHINA))[-1] == 13.75


def test_cuts_want_reserve_for_their_longest_call_and_raises_want_none() -> None:
    wanted = standing_demand([commitment()], grid(), CHINA)
    assert hours_of(wanted.power_kw == 1000.0) == hours_of(in_hours(NOON, grid(), CHINA))
    assert wanted.missing_cny_per_kw_h.max() == pytest.approx(0.3), "100 not paid and 200 charged a MW and hour"
    assert wanted.sustain_h.max() == 2.0
    short = standing_demand([commitment(longest_call_minutes=30.0)], grid(), CHINA)
    assert short.sustain_h.max() == 0.5
    assert not standing_demand([commitment(direction=Direction.DOWN)], grid(), CHINA).power_kw.any()


def test_two_commitments_at_once_want_both_powers_at_their_mean_price() -> None:
    dear = replace(commitment(power_kw=3000.0, availability_cny_per_mw_h=Decimal(500)), id="t")
    wanted = standing_demand([commitment(), dear], grid(), CHINA)
    assert wanted.power_kw.max() == 4000.0
    assert wanted.missing_cny_per_kw_h.max() == pytest.approx((0.3 * 1000 + 0.7 * 3000) / 4000)


def test_a_day_whose_calls_are_used_up_wants_nothing_any_more() -> None:
    noon_s = (WEDNESDAY + timedelta(hours=13)).timestamp()
    corners = [(noon_s - 300.0, 0.0), (noon_s, 400.0), (noon_s + 1800.0, 400.0), (noon_s + 2700.0, 0.0)]
    call = StandingCall(area=CITY, direction=Direction.UP, start_s=noon_s, corners=corners)
    wanted = standing_demand([commitment()], grid(hours=48.0), CHINA, calls=[call])
    assert wanted.power_kw[52:56].tolist() == [600.0, 600.0, 600.0, 0.0], "held, begun to be released, released"
    assert hours_of(wanted.power_kw[56:] > 0.0)[0] == 24.0 - 14.0 + 13.0
    again = standing_demand([commitment(calls_a_day=2)], grid(hours=48.0), CHINA, calls=[call])
    assert again.power_kw[55] == 1000.0
    assert again.again[52:56].tolist() == [True, True, True, False]
