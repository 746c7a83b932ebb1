"""One calendar: announced years, years by law alone, and what a site states itself."""

import importlib
from datetime import date, timedelta
from pathlib import Path

import pytest

from vpp.bootstrap.holidays import calendar_of
from vpp.domain.daytype import DayCalendar, DayType, statutory
from vpp.domain.errors import ConfigurationError
from vpp.domain.holidays import CHINA

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


def test_a_file_states_a_year_and_corrects_another(tmp_path: Path) -> None:
    path = tmp_path / "holidays.toml"
    path.write_text("[2027]\nholidays = [2027-01-01, 2027-01-04]\nworkdays = [2027-01-09]\n[2026]\nholidays = []\n")
    calendar = calendar_of(path)
    assert calendar.day_type(date(2027, 1, 4)) is HOLIDAY
    assert calendar.day_type(date(2027, 1, 9)) is WORKDAY
    assert calendar.day_type(date(2026, 10, 1)) is WORKDAY, "the file's year replaces the program's"
    assert calendar.day_type(date(2025, 10, 1)) is HOLIDAY
    assert calendar.unannounced(date(2026, 12, 31), date(2027, 1, 1)) == ()
    assert calendar_of(None) is CHINA


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[2027]\nholidays = [2026-01-01]\n", "2027.holidays"),
        ("[2027]\nholidays = ['2027-01-01']\n", "2027.holidays"),
        ("[2027]\nholidays = [2027-01-01T00:00:00Z]\n", "2027.holidays"),
        ("[2027]\nholiday = [2027-01-01]\n", "holidays"),
        ("[next]\nholidays = []\n", "next"),
        ("2027 = 3\n", "2027"),
        ("[2027]\nholidays = [2027-01-03]\nworkdays = [2027-01-03]\n", "2027-01-03"),
        ("[2027\n", "cannot be read"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "holidays.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named) as refused:
        calendar_of(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        calendar_of(tmp_path / "none.toml")
