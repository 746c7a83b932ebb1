"""Alarm before the calendar ends: for a year without announced holidays, forecasts and baselines guess day types."""

from datetime import date, timedelta

import structlog

from vpp.fleet.calendar import DayCalendar, local_day
from vpp.ports import News
from vpp.runtime.observability import Metrics

_log = structlog.get_logger(__name__)
ALARM = "alarm"
AHEAD_DAYS = 30
"""Days ahead for which holidays must be known: longer than any forecast, and time enough to act."""


class CalendarWatch:
    """Checks once a day whether the holidays of the days ahead are announced."""

    def __init__(self, calendar: DayCalendar, news: News, metrics: Metrics) -> None:
        self._calendar = calendar
        self._news = news
        self._metrics = metrics
        self._day: date | None = None
        self._missing: tuple[int, ...] = ()

    def follow(self, at_s: float) -> None:
        """Take the time of a cycle."""
        day = local_day(at_s)
        if day == self._day:
            return
        self._day, before = day, self._missing
        ahead = [day + timedelta(days=n) for n in range(AHEAD_DAYS)]
        self._missing = self._calendar.unannounced(ahead[0], ahead[-1])
        self._metrics.set_days_unannounced(sum(d.year in self._missing for d in ahead))
        if self._missing == before:
            return
        years = ", ".join(str(year) for year in self._missing or before)
        state = "set" if self._missing else "cleared"
        self._news.publish(ALARM, at_s, {"alarm": "calendar_unannounced", "state": state, "years": years})
        log = _log.warning if self._missing else _log.info
        log("holidays are not announced" if self._missing else "holidays are announced", years=years)
