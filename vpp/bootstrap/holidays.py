"""Calendar of a site from a file: years announced after the release, or corrections."""

import tomllib
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType

from vpp.domain.errors import ConfigurationError
from vpp.fleet.calendar import DayCalendar, DaysOff
from vpp.fleet.holidays import CHINA

_KINDS = ("holidays", "workdays")


def calendar_of(path: Path | None) -> DayCalendar:
    """Return the calendar, years that a file states replacing those of the package.

    The file is TOML: a table a year, with the dates of ``holidays`` and of ``workdays`` (weekends worked in exchange)::

        [2027]
        holidays = [2027-01-01, 2027-02-05]
        workdays = [2027-01-31]

    Raises:
        ConfigurationError: The file cannot be read, or states what is no date of its year.
    """
    if path is None:
        return CHINA
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"VPP_HOLIDAYS: {path} cannot be read: {error}") from error
    stated = {_year(path, name): _days_off(path, name, table) for name, table in content.items()}
    return DayCalendar(announced=MappingProxyType({**CHINA.announced, **stated}))


def _year(path: Path, name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) == len("2027")):
        raise ConfigurationError(f"VPP_HOLIDAYS: {path}: table [{name}] is not accepted; give a year such as [2027]")
    return int(name)


def _days_off(path: Path, year: str, table: object) -> DaysOff:
    if not isinstance(table, dict) or not set(table) <= set(_KINDS):
        raise ConfigurationError(f"VPP_HOLIDAYS: {path}: [{year}] is not accepted; give lists named {_KINDS}")
    found = {kind: frozenset(_dates(path, f"{year}.{kind}", int(year), table.get(kind, []))) for kind in _KINDS}
    both = sorted(found["holidays"] & found["workdays"])
    if both:
        raise ConfigurationError(f"VPP_HOLIDAYS: {path}: {both[0]} is a holiday and a workday; give it once")
    return DaysOff(**found)


def _dates(path: Path, where: str, year: int, values: object) -> list[date]:
    dates: list[date] = []
    for value in values if isinstance(values, list) else [values]:
        if not isinstance(value, date) or isinstance(value, datetime) or value.year != year:
            raise ConfigurationError(f"VPP_HOLIDAYS: {path}: {where}: {value!r} is not accepted; give dates of {year}")
        dates.append(value)
    return dates
