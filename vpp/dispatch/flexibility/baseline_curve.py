"""Baseline of a portfolio at any instant, from its frozen 15-minute means."""

from collections.abc import Mapping

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.performance import Baseline, own_metered
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import LOADS, STORING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray

_KEPT_COLUMNS = 4
_SCHEDULES = (BaselineMethod.SCHEDULE, BaselineMethod.STORED_SCHEDULE)


@njit()
def _drifted(here: FloatArray, near: FloatArray, weight: float, steps: BoolArray, count: int) -> FloatArray:
    rows = np.full(count, np.nan)
    for row in range(min(count, len(here))):
        rows[row] = here[row] if steps[row] else here[row] + weight * (near[row] - here[row])
    return rows


class BaselineCurve:
    """Baseline of a portfolio at any instant, with the interval means settlement will use.

    A schedule steps and so do the devices that follow it. Everything else drifts, so its part runs straight from one
    interval's middle to the next, shifted within each interval so that the mean stays what was frozen.

    Args:
        baseline: As frozen.
        portfolio: Rows that count, shape ``(n_resources,)``; the baseline may know fewer.
        class_rows: Rows of every class by its name.

    Attributes:
        own: Rows of the classes that are measured by their own meters, shape ``(n_resources,)``; the curve leaves them
            out of its total.
        shaped: Buildings and plants of the portfolio among them, which go on with this baseline's shape, ``(m,)``.
        roofs: Photovoltaics of the portfolio that go on as the roofs around them, ``(r,)``.
        stores: Stores of the portfolio whose schedule counts as far as their energy would carry it, ``(s,)``.
        courses: Chargers of the portfolio whose sessions go on as others do, ``(k,)``.
    """

    def __init__(self, baseline: Baseline, portfolio: BoolArray, class_rows: Mapping[str, BoolArray]) -> None:
        self._baseline = baseline
        self._columns: dict[int, FloatArray] = {}
        known = len(baseline.power_kw)
        steps = np.zeros(len(portfolio), dtype=np.bool_)
        for name, method in baseline.methods.items():
            if method in _SCHEDULES and name in class_rows:
                steps |= class_rows[name]
        self.steps = steps
        self.own = np.zeros(len(portfolio), dtype=np.bool_)
        loads, stores = np.zeros_like(self.own), np.zeros_like(self.own)
        for cls in own_metered(baseline):
            self.own |= class_rows[cls.value]
            if cls in LOADS:
                loads |= class_rows[cls.value]
            elif cls in STORING:
                stores |= class_rows[cls.value]
        self.shaped, self.stores = (
            np.flatnonzero((portfolio & rows)[:known]).astype(np.int32) for rows in (loads, stores)
        )
        self.roofs = self.courses = np.zeros(0, dtype=np.int32)
        if baseline.methods.get(ResourceClass.PV.value) is BaselineMethod.ROOF_YIELD:
            self.roofs = np.flatnonzero((portfolio & class_rows[ResourceClass.PV.value])[:known]).astype(np.int32)
        if baseline.methods.get(ResourceClass.EV.value) is BaselineMethod.SESSION_COURSE:
            self.courses = np.flatnonzero((portfolio & class_rows[ResourceClass.EV.value])[:known]).astype(np.int32)
        counted = portfolio[:known] & ~self.own[:known]
        self._step_kw = np.nansum(baseline.power_kw[counted & steps[:known]], axis=0)
        self._smooth_kw = np.nansum(baseline.power_kw[counted & ~steps[:known]], axis=0)

    def total_kw(self, now_s: float) -> float:
        """Return the portfolio's baseline at ``now_s``; outside the grid its nearest step."""
        step, weight = self._place(now_s)
        before, here, after = (self._smooth_kw[self._step(step + k)] for k in (-1, 0, 1))
        line = here + (abs(weight) * ((after if weight > 0 else before) - here))
        bend = (before - 2.0 * here + after) / 8.0
        return float(line - bend + self._step_kw[step])

    def rows_kw(self, now_s: float, count: int) -> FloatArray:
        """Return every row's baseline at ``now_s``, NaN in rows it does not know, shape ``(count,)``."""
        step, weight = self._place(now_s)
        here, near = self._column(step), self._column(self._step(step + (1 if weight > 0 else -1)))
        return _drifted(here, near, abs(weight), read_only(self.steps), count)

    def shape_kw(self, rows: RowArray, at_s: FloatArray) -> FloatArray:
        """Return the baseline of some rows, at an instant of its own for each; NaN in rows it does not know.

        It runs straight from one step's middle to the next, on as straight for a step before the first middle, and is
        held after the last.

        Args:
            rows: Rows it knows, shape ``(m,)``.
            at_s: Epoch seconds, shape ``(m,)``.

        Returns:
            Shape ``(m,)``.
        """
        grid, power_kw = self._baseline.grid, self._baseline.power_kw
        if grid.count == 1:
            return np.asarray(power_kw[rows, 0])
        middles = np.nan_to_num((at_s - grid.start_s) / grid.step_s - 0.5)
        before = np.clip(np.floor(middles), 0, grid.count - 2).astype(np.intp)
        here, near = power_kw[rows, before], power_kw[rows, before + 1]
        return np.asarray(here + np.clip(middles - before, -1.0, 1.0) * (near - here))

    def _column(self, step: int) -> FloatArray:
        """Return one step of every row, side by side in memory as the array of them all is not."""
        known = self._columns.get(step)
        if known is None:
            if len(self._columns) > _KEPT_COLUMNS:
                self._columns.clear()
            known = self._columns[step] = read_only(self._baseline.power_kw[:, step])
        return known

    def some_kw(self, now_s: float, rows: RowArray) -> FloatArray:
        """Return the baseline of some rows at ``now_s`` as it steps, NaN in rows it does not know, ``(len(rows),)``."""
        step, _ = self._place(now_s)
        known = rows < len(self._baseline.power_kw)
        power = np.full(len(rows), np.nan)
        power[known] = self._baseline.power_kw[rows[known], step]
        return power

    def ends_s(self, now_s: float, end_s: float) -> FloatArray:
        """Return the ends of the steps between two instants, the last cut at ``end_s``."""
        step_s = self._baseline.grid.step_s
        first = (now_s // step_s + 1.0) * step_s
        return np.append(np.arange(first, end_s, step_s), end_s)

    def ahead_kw(self, rows: RowArray, ends_s: FloatArray) -> FloatArray:
        """Return the baseline of rows in the steps that end at ``ends_s``, shape ``(len(rows), len(ends_s))``.

        NaN in rows it does not know. The last step may be cut short.
        """
        return np.stack([self.some_kw(float(end) - 1.0, rows) for end in ends_s], axis=1)

    def _place(self, now_s: float) -> tuple[int, float]:
        """Return the step and the distance from its middle, -0.5 to 0.5 of a step."""
        grid = self._baseline.grid
        step = self._step(grid.index_at(now_s))
        weight = (now_s - grid.start_s) / grid.step_s - step - 0.5
        return step, float(np.clip(weight, -0.5, 0.5))

    def _step(self, step: int) -> int:
        return min(max(step, 0), self._baseline.grid.count - 1)
