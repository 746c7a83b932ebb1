"""Evidence of a baseline method: what meters, calendars, weather and plans say about the rows of one class."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray, IdArray
from vpp.fleet.calendar import DayCalendar, DayType
from vpp.fleet.holidays import CHINA

HOURS = 24


class Need(StrEnum):
    """Evidence that a method cannot do without, beyond meters of days before the event."""

    AFTER = "after"
    """Meters of after the event; such a baseline cannot be frozen at acceptance."""
    WEATHER = "weather"
    PLAN = "plan"
    SESSIONS = "sessions"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about some rows on one event day; load positive, kW, NaN where unknown.

    Attributes:
        days: Days before the event's, newest first.
        read: Returns the means of one of these days, shape ``(n_rows, n_steps)``.
        today: Day of the event.
        today_kw: Its means; NaN where another call, or this one, moved the load, shape ``(n_rows, n_steps)``.
        event: Steps of the day that want a baseline, in order, shape ``(n_event,)``.
        notice: Number of the day's steps that were complete at notice.
        event_days: Days on which the portfolio was called.
        calendar: Workdays, weekends and holidays.
        temperature_c: Outdoor temperature by day, shape ``(n_steps,)`` each.
        plan_kw: The plan on the event's steps, shape ``(n_rows, n_event)``.
        session_kw: What charging sessions would have taken, likewise.
        held_out: Rows drawn at random that are not called, shape ``(n_rows,)``.
    """

    days: tuple[date, ...]
    read: Callable[[date], FloatArray]
    today: date
    today_kw: FloatArray
    event: IdArray
    notice: int
    event_days: Collection[date] = ()
    calendar: DayCalendar = CHINA
    temperature_c: Mapping[date, FloatArray] = field(default_factory=dict)
    plan_kw: FloatArray | None = None
    session_kw: FloatArray | None = None
    held_out: BoolArray | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.today_kw)

    @property
    def steps_per_hour(self) -> int:
        """Steps of an hour."""
        return int(self.today_kw.shape[1]) // HOURS

    @property
    def first(self) -> int:
        """First step of the event."""
        return int(self.event[0])

    def like_days(self) -> Iterator[date]:
        """Iterate the days of the event's kind that were no event days, newest first."""
        kind = self.calendar.day_type(self.today)
        return (day for day in self.days if day not in self.event_days and self.calendar.day_type(day) is kind)

    @property
    def works(self) -> bool:
        """Whether the event's day is a workday."""
        return self.calendar.day_type(self.today) is DayType.WORKDAY

    def hours_before(self, begin_h: float, end_h: float) -> IdArray:
        """Return the steps from ``begin_h`` to ``end_h`` hours before the event, as far as they lie in its day."""
        steps = np.arange(
            self.first - round(begin_h * self.steps_per_hour), self.first - round(end_h * self.steps_per_hour)
        )
        return steps[steps >= 0]

    def no_kw(self) -> FloatArray:
        """Return unknown power on the event's steps, shape ``(n_rows, n_event)``."""
        return np.full((self.rows, len(self.event)), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What would have been by one method, and why.

    Attributes:
        power_kw: Mean on the event's steps, NaN where the method has none, shape ``(n_rows, n_event)``.
        days: Days it rests on, newest first.
        excluded: ISO date of a day that was left out, and the reason.
        adjustment: What today's level added, as a ratio of the unadjusted baseline; 0 for none.
        note: Why there is no estimate, or what stands in; empty where all is as the rule says.
    """

    power_kw: FloatArray
    days: tuple[date, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    adjustment: float = 0.0
    note: str = ""


class Method(Protocol):
    """A rule by which a baseline is made."""

    @property
    def name(self) -> str:
        """Name in programmes and results."""

    @property
    def source(self) -> str:
        """Rule book or paper."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it cannot do without."""

    def of(self, evidence: Evidence) -> Estimate:
        """Return the baseline of the evidence's rows."""
