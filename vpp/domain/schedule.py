"""Schedules: planned power of every resource over time."""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid

PowerTable = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""Net power of many rows over time, kW, load positive."""


class Rung(IntEnum):
    """Rung of the fallback ladder that a schedule comes from, the best first."""

    OPTIMAL = 0
    """Solved within the deadline."""
    PREVIOUS = 1
    """Tail of the previous plan: the solver was late or failed."""
    SAFE_DEFAULT = 2
    """By rule: every device on its safe default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Mean net power of every resource on every step.

    Attributes:
        grid: The steps.
        power_kw: Net power, load positive, NaN where nothing is intended, shape ``(n_resources, count)``; a city's
            plan is kept in single precision.
        rung: Rung of the fallback ladder.
        objective_cny: Cost of the plan, NaN where it was not solved.
        gap_ratio: Certified relative optimality gap, NaN where it was not solved.
        solve_s: Wall seconds the solver took.
        reason: Reason for a rung below optimal; empty on the first.
        overload_kw: Greatest power beyond a limit by transformer id, kW; empty when every limit is held.
    """

    grid: TimeGrid
    power_kw: PowerTable
    rung: Rung
    objective_cny: float
    gap_ratio: float
    solve_s: float
    reason: str = ""
    overload_kw: dict[str, float]

    def at(self, at_s: float) -> FloatArray:
        """Return every resource's power at ``at_s``, shape ``(n_resources,)``; outside the grid its nearest step."""
        return np.asarray(self.power_kw[:, self._step(at_s)], dtype=np.float64)

    def some_at(self, at_s: float, rows: RowArray) -> FloatArray:
        """Return ``at`` of ``rows`` alone, NaN for rows that were added later, shape ``(len(rows),)``."""
        found = np.full(len(rows), np.nan)
        known = rows < len(self.power_kw)
        found[known] = self.power_kw[rows[known], self._step(at_s)]
        return found

    def first(self, count: int) -> "Schedule":
        """Return the first ``count`` steps and one after them in which nothing is intended."""
        if count >= self.grid.count:
            return self
        power_kw = self.power_kw[:, : count + 1].copy()
        power_kw[:, count] = np.nan
        return replace(self, grid=replace(self.grid, count=count + 1), power_kw=power_kw)

    def _step(self, at_s: float) -> int:
        return min(max(self.grid.index_at(at_s), 0), self.grid.count - 1)
