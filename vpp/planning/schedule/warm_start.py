"""Warm start of a problem from the answer to the last: shifted in time, for the devices of now."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import FloatArray, IntArray
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Warm
from optimizer.problem.validation import PowerArray
from vpp.domain.timegrid import TimeGrid
from vpp.planning.schedule.translate import NO_ROW, Translation


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """Multipliers and schedule of a solve, with its grid, devices and reserve windows.

    Attributes:
        warm: Multipliers and schedule on ``grid``.
        grid: The steps it is about.
        rows: Fleet row of every device, see ``Translation``, shape ``(n,)``.
        windows: First step and number of steps of every reserve window, shape ``(w, 2)``.
    """

    warm: Warm
    grid: TimeGrid
    rows: IntArray
    windows: IntArray

    @classmethod
    def of(cls, translation: Translation, warm: Warm | None) -> "WarmStart | None":
        """Return the warm start that the answer to ``translation`` leaves, ``None`` where it leaves none."""
        if warm is None:
            return None
        windows = _windows(translation.problem)
        return cls(warm=warm, grid=translation.grid, rows=translation.rows, windows=windows)

    def onto(self, translation: Translation) -> Warm:
        """Return the same on the grid and for the devices of ``translation``.

        Steps beyond the old grid repeat its last one; a device that was not there rests or does as expected.
        """
        grid, warm = translation.grid, self.warm
        offset = round((grid.start_s - self.grid.start_s) / grid.step_s)
        steps = np.clip(np.arange(grid.count) + offset, 0, self.grid.count - 1)
        return Warm(
            total_price=warm.total_price[steps],
            node_import_price=warm.node_import_price[:, steps],
            node_export_price=warm.node_export_price[:, steps],
            regulation_price=warm.regulation_price[:, steps],
            hold_price=self._hold_price(translation.problem, offset),
            power_kw=None if warm.power_kw is None else self._power_kw(warm.power_kw, translation, steps),
        )

    def _power_kw(self, power_kw: PowerArray, translation: Translation, steps: IntArray) -> PowerArray:
        place = {row: device for device, row in enumerate(self.rows.tolist()) if row != NO_ROW}
        found = np.array([place.get(row, -1) for row in translation.rows.tolist()], dtype=np.int64)
        carried = _at_rest_kw(translation.problem).astype(power_kw.dtype)
        known = np.flatnonzero(found >= 0)
        carried[known] = power_kw[np.ix_(found[known], steps)]
        return carried

    def _hold_price(self, problem: Problem, offset: int) -> FloatArray | None:
        """Return each window's price by its place in time; one that is new begins at half the price of a miss."""
        if problem.reserve is None or self.warm.hold_price is None:
            return None
        known = {
            (first - offset, length): price
            for (first, length), price in zip(
                self.windows.tolist(), np.asarray(self.warm.hold_price).tolist(), strict=True
            )
        }
        fresh = (0.5 * problem.reserve.prices_cny_per_kw).tolist()
        places = zip(_windows(problem).tolist(), fresh, strict=True)
        return np.array([known.get((first, length), half) for (first, length), half in places])


def _at_rest_kw(problem: Problem) -> FloatArray:
    """Return devices at rest: cars and batteries at 0, the others as expected, shape ``(n, T)``."""
    idle = np.zeros((len(problem.charging) + len(problem.storing), problem.steps))
    return np.concatenate([idle, -problem.solar.available_kw, problem.flexible.baseline_kw])


def _windows(problem: Problem) -> IntArray:
    if problem.reserve is None:
        return np.zeros((0, 2), dtype=np.int64)
    return np.stack([problem.reserve.first, problem.reserve.last - problem.reserve.first], axis=1)
