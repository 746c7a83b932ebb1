"""What kind of day it is in Shanghai: load follows the working week, and the working week follows the calendar."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S, STEPS_PER_DAY

SHANGHAI = ZoneInfo("Asia/Shanghai")
_SATURDAY = 5


class DayType(StrEnum):
    """Kinds of day whose load looks alike."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCalendar:
    """Exceptions to the week.

    Attributes:
        holidays: Public holidays, bridging days included.
        workdays: Saturdays and Sundays that are worked in exchange (调休).
    """

    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    def day_type(self, day: date) -> DayType:
        """Return the kind of ``day``."""
        if day in self.holidays:
            return DayType.HOLIDAY
        if day in self.workdays or day.weekday() < _SATURDAY:
            return DayType.WORKDAY
        return DayType.WEEKEND


def local_day(at_s: float) -> date:
    """Return the date in Shanghai at ``at_s`` epoch seconds."""
    return instant(at_s).astimezone(SHANGHAI).date()


def day_grid(day: date) -> TimeGrid:
    """Return the 96 steps of ``day`` in Shanghai."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    return TimeGrid(start_at=midnight.astimezone(UTC), step_s=STEP_S, count=STEPS_PER_DAY)


def _span(first: date, last: date) -> set[date]:
    return {first + timedelta(days=n) for n in range((last - first).days + 1)}


CHINA = DayCalendar(
    holidays=frozenset(
        _span(date(2026, 1, 1), date(2026, 1, 3))
        | _span(date(2026, 2, 15), date(2026, 2, 23))
        | _span(date(2026, 4, 4), date(2026, 4, 6))
        | _span(date(2026, 5, 1), date(2026, 5, 5))
        | _span(date(2026, 6, 19), date(2026, 6, 21))
        | _span(date(2026, 9, 25), date(2026, 9, 27))
        | _span(date(2026, 10, 1), date(2026, 10, 7))
    ),
    workdays=frozenset(
        {
            date(2026, 1, 4),
            date(2026, 2, 14),
            date(2026, 2, 28),
            date(2026, 5, 9),
            date(2026, 9, 20),
            date(2026, 10, 10),
        }
    ),
)
"""Days off of 2026 by the State Council's notice of 4 November 2025; each year's notice adds to it."""
