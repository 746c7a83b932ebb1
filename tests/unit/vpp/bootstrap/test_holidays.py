"""Calendars a site states in a file."""

from datetime import date
from pathlib import Path

import pytest

from vpp.bootstrap.holidays import calendar_of
from vpp.domain.errors import ConfigurationError
from vpp.fleet.calendar import DayType
from vpp.fleet.holidays import CHINA

WORKDAY, WEEKEND, HOLIDAY = DayType.WORKDAY, DayType.WEEKEND, DayType.HOLIDAY


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
