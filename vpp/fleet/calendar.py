"""Day types in Shanghai: workday, weekend or holiday, by the public calendar and its exchanged weekends (调休)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S, STEPS_PER_DAY

SHANGHAI = ZoneInfo("Asia/Shanghai")
SHANGHAI_OFFSET_S = 8 * SECONDS_PER_HOUR
"""Seconds ahead of UTC; Shanghai has no daylight saving time."""
Instants = TypeVar("Instants", float, FloatArray)
_EPOCH_DAY = date(1970, 1, 1)
_SATURDAY = 5
_NEW_YEARS_LAST, _LABOUR_LAST, _NATIONAL_LAST = 1, 2, 3


class DayType(StrEnum):
    """Kinds of day with alike load."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOff:
    """Announced exceptions to the week in one year.

    Attributes:
        holidays: Public holidays, bridging days included.
        workdays: Saturdays and Sundays that are worked in exchange (调休).
    """

    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCalendar:
    """The calendar of every year, announced or not.

    A year without an announcement has its statutory holidays by rule; bridging days and weekends worked in exchange are
    unknown then. ``unannounced`` names such years, and a result that rests on one has to name it too.

    Attributes:
        announced: Exceptions to the week by year.
    """

    announced: Mapping[int, DaysOff] = field(default_factory=lambda: MappingProxyType({}))

    def day_type(self, day: date) -> DayType:
        """Return the kind of ``day``."""
        known = self.announced.get(day.year)
        off = statutory(day.year) if known is None else known
        if day in off.holidays:
            return DayType.HOLIDAY
        if day in off.workdays or day.weekday() < _SATURDAY:
            return DayType.WORKDAY
        return DayType.WEEKEND

    def unannounced(self, first: date, last: date) -> tuple[int, ...]:
        """Return the years between ``first`` and ``last`` that have not been announced."""
        return tuple(year for year in range(first.year, last.year + 1) if year not in self.announced)

    def facts(self) -> list[list[str]]:
        """Return every holiday and every worked weekend in order, for a fingerprint of results that depend on them."""
        years = [self.announced[year] for year in sorted(self.announced)]
        holidays = [str(day) for off in years for day in sorted(off.holidays)]
        return [holidays, [str(day) for off in years for day in sorted(off.workdays)]]


def local_day(at_s: float) -> date:
    """Return the date in Shanghai at ``at_s`` epoch seconds."""
    return instant(at_s).astimezone(SHANGHAI).date()


def day_number(at_s: Instants) -> Instants:
    """Return the number of the Shanghai day that holds each instant (epoch seconds), counted from 1970-01-01."""
    return (at_s + SHANGHAI_OFFSET_S) // SECONDS_PER_DAY


def day_start_s(number: Instants) -> Instants:
    """Return the epoch second at which each Shanghai day begins, by its number."""
    return number * SECONDS_PER_DAY - SHANGHAI_OFFSET_S


def local_hour(at_s: Instants) -> Instants:
    """Return the hour of day in Shanghai of each instant, 0 to below 24."""
    return (at_s + SHANGHAI_OFFSET_S) % SECONDS_PER_DAY / SECONDS_PER_HOUR


def numbered_day(number: int) -> date:
    """Return a day by its number, counted from 1970-01-01."""
    return _EPOCH_DAY + timedelta(days=number)


def day_grid(day: date) -> TimeGrid:
    """Return the 96 steps of ``day`` in Shanghai."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    return TimeGrid(start_at=midnight.astimezone(UTC), step_s=STEP_S, count=STEPS_PER_DAY)


def span(first: date, last: date) -> frozenset[date]:
    """Return the days from ``first`` to ``last``."""
    return frozenset(first + timedelta(days=n) for n in range((last - first).days + 1))


def statutory(year: int) -> DaysOff:
    """Return a year's holidays by law alone (放假办法, State Council order 795 of 2024), nothing bridged or exchanged.

    New Year 1 day, Spring Festival 4 from its eve on, Qingming 1, Labour Day 2, Dragon Boat 1, Mid-Autumn 1, National
    Day 3. Festivals of the lunar calendar are known for the years of the table below.
    """
    fixed = (
        span(date(year, 1, 1), date(year, 1, _NEW_YEARS_LAST)),
        span(date(year, 5, 1), date(year, 5, _LABOUR_LAST)),
        span(date(year, 10, 1), date(year, 10, _NATIONAL_LAST)),
    )
    return DaysOff(holidays=frozenset().union(*fixed, _lunar(year)))


def _lunar(year: int) -> frozenset[date]:
    """Return Spring Festival from its eve on, Qingming, Dragon Boat and Mid-Autumn; nothing where they are unknown."""
    if year not in _LUNAR:
        return frozenset()
    spring, dragon_boat, mid_autumn = (date(year, *month_day) for month_day in _LUNAR[year])
    return span(spring - timedelta(days=1), spring + timedelta(days=2)) | {_qingming(year), dragon_boat, mid_autumn}


def _qingming(year: int) -> date:
    """Return Qingming of a year of this century, by the usual approximation of the solar term."""
    short = year % 100
    return date(year, 4, int(short * 0.2422 + 4.81) - short // 4)


_LUNAR = {
    2026: ((2, 17), (6, 19), (9, 25)),
    2027: ((2, 6), (6, 9), (9, 15)),
    2028: ((1, 26), (5, 28), (10, 3)),
    2029: ((2, 13), (6, 16), (9, 22)),
    2030: ((2, 3), (6, 5), (9, 12)),
    2031: ((1, 23), (6, 24), (10, 1)),
    2032: ((2, 11), (6, 12), (9, 19)),
    2033: ((1, 31), (6, 1), (9, 8)),
    2034: ((2, 19), (6, 20), (9, 27)),
    2035: ((2, 8), (6, 10), (9, 16)),
    2036: ((1, 28), (5, 30), (10, 4)),
    2037: ((2, 15), (6, 18), (9, 24)),
    2038: ((2, 4), (6, 7), (9, 13)),
    2039: ((1, 24), (5, 27), (10, 2)),
    2040: ((2, 12), (6, 14), (9, 20)),
}
"""Month and day of Spring Festival, Dragon Boat and Mid-Autumn: 1.1, 5.5 and 8.15 of the lunar calendar."""
