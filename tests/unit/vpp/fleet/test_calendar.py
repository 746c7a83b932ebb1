"""One calendar: announced years, and years by law alone."""

import importlib
from datetime import date, timedelta

import pytest

from vpp.fleet.calendar import DayCalendar, DayType, statutory
from vpp.fleet.holidays import CHINA

WORKDAY, WEEKEND, HOLIDAY = DayType.WORKDAY, DayType.WEEKEND, DayType.HOLIDAY


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (date(2026, 10, 1), HOLIDAY),
        (date(2026, 10, 7), HOLIDAY),
        (date(2026, 10, 8), WORKDAY),
        (date(2026, 10, 10), WORKDAY),
        (date(2026, 10, 11), WEEKEND),
        (date(2025, 10, 8), HOLIDAY),
        (date(2024, 2, 18), WORKDAY),
    ],
)
def test_announced_years_are_known_day_by_day(day: date, kind: DayType) -> None:
    assert CHINA.day_type(day) is kind
    assert CHINA.unannounced(day, day) == ()


def test_the_announced_years_are_those_of_the_public_package() -> None:
    try:
        table = importlib.import_module("chinese_calendar.constants")
    except ModuleNotFoundError:
        pytest.skip("chinesecalendar is not installed")
    assert {2024, 2025, 2026} <= set(CHINA.announced)
    for year, off in CHINA.announced.items():
        assert off.holidays == {day for day in table.holidays if day.year == year}
        assert off.workdays == {day for day in table.workdays if day.year == year}


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (date(2027, 1, 1), HOLIDAY),
        (date(2027, 1, 4), WORKDAY),
        (date(2027, 2, 5), HOLIDAY),
        (date(2027, 2, 8), HOLIDAY),
        (date(2027, 2, 9), WORKDAY),
        (date(2027, 4, 5), HOLIDAY),
        (date(2027, 5, 2), HOLIDAY),
        (date(2027, 6, 9), HOLIDAY),
        (date(2027, 9, 15), HOLIDAY),
        (date(2027, 10, 3), HOLIDAY),
        (date(2027, 10, 4), WORKDAY),
        (date(2061, 10, 3), HOLIDAY),
    ],
)
def test_a_year_nobody_has_announced_has_its_statutory_days_and_says_so(day: date, kind: DayType) -> None:
    assert CHINA.day_type(day) is kind
    assert CHINA.unannounced(day - timedelta(days=1), day)[-1] == day.year


def test_every_announced_year_holds_its_statutory_days_as_the_law_of_its_time_had_them() -> None:
    # Spring Festival's eve and 2 May became statutory with 2025.
    for year in (2025, 2026):
        assert statutory(year).holidays <= CHINA.announced[year].holidays | {date(year, 1, 28), date(year, 5, 2)}


def test_only_the_years_of_a_window_are_asked_for() -> None:
    assert CHINA.unannounced(date(2026, 12, 31), date(2027, 1, 1)) == (2027,)
    assert DayCalendar().unannounced(date(2026, 12, 31), date(2027, 1, 1)) == (2026, 2027)


def test_weekends_and_holidays_are_their_own_kinds() -> None:
    assert CHINA.day_type(date(2026, 7, 15)) is DayType.WORKDAY
    assert CHINA.day_type(date(2026, 7, 18)) is DayType.WEEKEND
    assert CHINA.day_type(date(2026, 10, 5)) is DayType.HOLIDAY
    assert CHINA.day_type(date(2026, 10, 10)) is DayType.WORKDAY
