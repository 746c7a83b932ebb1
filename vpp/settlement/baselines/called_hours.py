"""Hours in which a portfolio was called by other requests, and the windows that leave them out.

What meters show from a call's ramp to the end of its rebound watch is what was asked for, not what would have been: it
neither adjusts a baseline nor is held as the last value before control (NAESB WEQ-015: event hours are left out).
"""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import STEP_S
from vpp.ports import IntervalMeter

_LOOKBACK_STEPS = 24
"""How far before notice an uncalled step may lie to adjust: six hours; load of half a day ago says less."""
_BEFORE_LOOKBACK_STEPS = 96
"""How far before control an uncalled step may lie to be held: one day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledHours:
    """Spans of time in which a portfolio was called.

    Attributes:
        spans: Begin and end of each in epoch seconds, half-open.
    """

    spans: tuple[tuple[float, float], ...] = ()

    def free(self, grid: TimeGrid) -> BoolArray:
        """Return which steps lie wholly outside all spans, shape ``(grid.count,)``."""
        starts_s = grid.starts_s()
        free = np.ones(grid.count, dtype=np.bool_)
        for begin_s, end_s in self.spans:
            free &= (starts_s >= end_s) | (starts_s + grid.step_s <= begin_s)
        return free


NOT_CALLED = CalledHours()


def window_before(notice_s: float, length_s: float, called: CalledHours = NOT_CALLED) -> TimeGrid:
    """Return the shortest window that ends at or before ``notice_s`` and has ``length_s`` of whole uncalled steps.

    Where calls leave fewer in the last six hours, the window is that long and has fewer.
    """
    count = int(length_s // STEP_S)
    most = _ending(notice_s, max(count, _LOOKBACK_STEPS))
    free = np.flatnonzero(called.free(most))
    first = 0 if len(free) < count else int(free[len(free) - count]) if count else most.count
    return _ending(notice_s, most.count - first)


def meter_before_kw(meter: IntervalMeter, start_s: float, steps: int, called: CalledHours = NOT_CALLED) -> FloatArray:
    """Return each row's last metered mean that was complete before ``start_s``, shape ``(n_resources,)``.

    Looks at the last ``steps`` whole steps that were not called, and at the last ``steps`` of all for rows that were
    not metered in those; NaN where none was metered.
    """
    last = _ending(start_s, steps)
    held_kw = last_known(meter.read(last))
    if called.free(last).all():
        return held_kw
    day = _ending(start_s, _BEFORE_LOOKBACK_STEPS)
    before_kw = last_known(meter.read(day)[:, np.flatnonzero(called.free(day))[-steps:]])
    return np.where(np.isfinite(before_kw), before_kw, held_kw)


def last_known(power_kw: FloatArray) -> FloatArray:
    """Return each row's last known value, NaN without any, shape ``(n_rows,)``."""
    held_kw = np.full(len(power_kw), np.nan)
    for column in power_kw.T:
        held_kw = np.where(np.isfinite(column), column, held_kw)
    return held_kw


def _ending(at_s: float, steps: int) -> TimeGrid:
    """Return the last whole ``steps`` that are complete at ``at_s``."""
    return TimeGrid(start_at=instant(floor_s(at_s, STEP_S) - steps * STEP_S), step_s=STEP_S, count=steps)
