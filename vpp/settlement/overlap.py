"""Holds that begin or end within a metered interval: settled on overlap, each interval by the seconds it is held.

Meters know quarters of an hour, dispatchers name any minute. The energy of an interval that is held in part is shared
out by the minutes the service followed itself; where it did not, by the target course: what the interval lacks of
its target is then lacking in the hold, what it has beyond earns nothing.
"""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.settlement.tracking import MinuteSeries

_LEAST_SEEN_RATIO = 0.95
"""Share of a stretch that must have been followed for its minutes to share out its energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldParts:
    """The held part of every step, shape ``(count,)`` each; powers and accuracies are NaN outside the hold.

    Attributes:
        seconds: How long each step is held.
        power_kw: Mean delivered in that part.
        accuracy: One less its relative distance from the target; NaN where nothing was due.
    """

    seconds: FloatArray
    power_kw: FloatArray
    accuracy: FloatArray

    @classmethod
    def of(
        cls,
        delivered_kw: FloatArray,
        grid: TimeGrid,
        hold_s: tuple[float, float],
        *,
        target_kw: FloatArray,
        full_kw: FloatArray,
        minutes: MinuteSeries | None,
    ) -> "HeldParts":
        """Return the held parts of steps whose whole means are ``delivered_kw``; see ``held_means_kw``."""
        start_s, end_s = hold_s
        seconds = held_seconds(grid, start_s, end_s)
        power_kw = held_means_kw(
            delivered_kw,
            grid=grid,
            start_s=start_s,
            end_s=end_s,
            target_kw=target_kw,
            full_kw=full_kw,
            minutes=minutes,
        )
        due_kw = np.where(seconds < grid.step_s, full_kw, target_kw)
        due_kw = np.where(due_kw > 0.0, due_kw, np.nan)
        return cls(seconds=seconds, power_kw=power_kw, accuracy=1.0 - np.abs(power_kw - due_kw) / due_kw)


def held_seconds(grid: TimeGrid, start_s: float, end_s: float) -> FloatArray:
    """Return for how long each step lies in the hold ``[start_s, end_s)``, shape ``(count,)``."""
    begin_s = grid.starts_s()
    inside_s = np.minimum(begin_s + grid.step_s, end_s) - np.maximum(begin_s, start_s)
    return np.asarray(np.maximum(inside_s, 0.0), dtype=np.float64)


def held_means_kw(
    delivered_kw: FloatArray,
    *,
    grid: TimeGrid,
    start_s: float,
    end_s: float,
    target_kw: FloatArray,
    full_kw: FloatArray | float,
    minutes: MinuteSeries | None,
) -> FloatArray:
    """Return the mean power delivered in the held part of every step, NaN in steps that are not held.

    Args:
        delivered_kw: Mean of every whole step by the meters, shape ``(count,)``, as all arrays here.
        grid: The steps.
        start_s: Epoch seconds of the hold's begin.
        end_s: Epoch seconds of its end.
        target_kw: Mean target of every whole step, ramp and release included.
        full_kw: Target in the held part, one value for all steps or one a step.
        minutes: What was followed live; ``None`` where nothing was.
    """
    held_s = held_seconds(grid, start_s, end_s)
    full = np.broadcast_to(np.asarray(full_kw, dtype=np.float64), delivered_kw.shape)
    means = np.where(held_s > 0.0, delivered_kw, np.nan)
    for step in np.flatnonzero((held_s > 0.0) & (held_s < grid.step_s)).tolist():
        begin_s = grid.start_s + step * grid.step_s
        ratio = grid.step_s / float(held_s[step])
        held_kw = np.nan
        if minutes is not None:
            inside = _mean(minutes, max(begin_s, start_s), min(begin_s + grid.step_s, end_s))
            held_kw = inside + _shift(float(delivered_kw[step]) - _mean(minutes, begin_s, begin_s + grid.step_s), ratio)
        if np.isnan(held_kw):
            held_kw = float(full[step]) + min(float(delivered_kw[step] - target_kw[step]), 0.0) * ratio
        means[step] = max(held_kw, min(float(delivered_kw[step]), 0.0))
    return means


def _shift(off_kw: float, ratio: float) -> float:
    """Return the correction of the minutes by the interval's meters: what is lacking is lacking in the hold."""
    return off_kw * ratio if off_kw < 0.0 else off_kw


def _mean(minutes: MinuteSeries, from_s: float, until_s: float) -> float:
    """Return the mean delivered over a stretch, NaN where too little of it was followed."""
    overlap_s = np.minimum(minutes.at_s + SECONDS_PER_MINUTE, until_s) - np.maximum(minutes.at_s, from_s)
    seen_s = np.maximum(overlap_s, 0.0) * minutes.covered_s / SECONDS_PER_MINUTE
    known = (seen_s > 0.0) & np.isfinite(minutes.delivered_kw)
    if float(seen_s[known].sum()) < _LEAST_SEEN_RATIO * (until_s - from_s):
        return float("nan")
    return float(np.average(minutes.delivered_kw[known], weights=seen_s[known]))
