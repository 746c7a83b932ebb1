"""Evidence of one or two hourly metered rows around a Wednesday, given day by day."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.fleet.calendar import DayType
from vpp.fleet.holidays import CHINA
from vpp.settlement.baselines.methods.evidence import Evidence

TODAY = date(2026, 7, 15)
HOURS = 24


def workdays(count: int, before: date = TODAY) -> tuple[date, ...]:
    """Return the last workdays before a date, newest first."""
    days = (before - timedelta(days=back) for back in range(1, 3 * count + 10))
    return tuple([day for day in days if CHINA.day_type(day) is DayType.WORKDAY][:count])


def flat(*kw: float, steps: int = HOURS) -> FloatArray:
    """Return rows that take the same all day."""
    return np.repeat(np.array(kw, dtype=np.float64)[:, None], steps, axis=1)


def with_hours(power_kw: FloatArray, hours: Sequence[int], kw: float) -> FloatArray:
    """Return a copy in which the hours that begin at ``hours`` o'clock are ``kw`` in every row."""
    changed = power_kw.copy()
    changed[:, list(hours)] = kw
    return changed


def evidence(
    history: Mapping[date, FloatArray], today_kw: FloatArray, event: Sequence[int], notice: int = 10, **more: object
) -> Evidence:
    """Return evidence; what is metered in the event's hours is not known to a baseline."""
    hidden = today_kw.copy()
    hidden[:, list(event)] = np.nan
    given: dict[str, object] = {
        "days": tuple(sorted(history, reverse=True)),
        "read": lambda day: history[day],
        "today": TODAY,
        "today_kw": hidden,
        "event": np.array(event, dtype=np.int64),
        "notice": notice,
    }
    return Evidence(**{**given, **more})  # type: ignore[arg-type] # fields by name
