"""Counterfactual of buildings and plants: the power they would take without commands, from their own meters.

A load that was not ordered shows it: its meter is its counterfactual. Once ordered, it is taken to go on from the level
it showed before, with the shape of its frozen baseline, until its request is over. So what a day is above or below the
days before counts for nobody, and a load that was never ordered claims nothing. This is the baseline of
docs/adr/0045; compare the meter before of NAESB WEQ-015, which has no shape.
"""

from collections.abc import Callable

import numpy as np

from numerics.arrays import IntArray
from numerics.jit import njit
from vpp.domain.resource import LOADS
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

LEVEL_S = 300.0
"""Time constant of the level before an order: longer than a reading, shorter than a load takes to change."""
_ANCHOR_RATIO = 0.5
"""A baseline far smaller than the power it stands for cannot scale it."""
_LEAST_SCALE, _MOST_SCALE = 0.25, 4.0
"""A building takes several times as much at noon as at six; beyond that a frozen baseline is no shape of this load."""
_NOBODY = -1

Shape = Callable[[FloatArray], FloatArray]
"""Returns the frozen baseline of some rows, at an instant of its own for each, epoch seconds; shape ``(m,)`` both."""


def load_rows(index: FleetIndex) -> RowArray:
    """Return the rows of buildings and plants, shape ``(m,)``."""
    return index.rows_of(*LOADS)


class LoadCounterfactual:
    """Follows every building and plant snapshot by snapshot.

    Args:
        count: Number of rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._level_kw = np.full(count, np.nan)
        # Mean instant of the readings in a level: that of a load which falls all evening is some minutes old.
        self._level_s = np.full(count, np.nan)
        self._anchor_kw = np.full(count, np.nan)
        self._last_kw = np.full(count, np.nan)
        self._measured_by = np.full(count, _NOBODY)
        self._ordered = np.zeros(count, dtype=np.bool_)
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        more = count - len(self._level_kw)
        unknown = np.full(more, np.nan)
        self._level_kw, self._anchor_kw = np.append(self._level_kw, unknown), np.append(self._anchor_kw, unknown)
        self._level_s = np.append(self._level_s, unknown)
        self._last_kw = np.append(self._last_kw, unknown)
        self._measured_by = np.append(self._measured_by, np.full(more, _NOBODY))
        self._ordered = np.append(self._ordered, np.zeros(more, dtype=np.bool_))

    def restore(self, rows: RowArray, level_kw: FloatArray, level_s: FloatArray, number: IntArray) -> None:
        """Take loads as ordered before a restart, since when their meters have shown commands and their ends.

        Args:
            rows: Buildings and plants, shape ``(m,)``.
            level_kw: Power each would have taken at some instant, as it was noted, shape ``(m,)``.
            level_s: That instant, epoch seconds, shape ``(m,)``.
            number: Number of the request that has ordered each, shape ``(m,)``.
        """
        self._level_kw[rows], self._level_s[rows], self._anchor_kw[rows] = level_kw, level_s, np.nan
        self._measured_by[rows], self._ordered[rows] = number, True

    def observe(self, state: FleetState, *, held: BoolArray) -> None:
        """Take the level of every load that was not ordered.

        Args:
            state: The snapshot.
            held: Rows with a command of a request in force, shape ``(n_resources,)``.
        """
        elapsed_s, self._at_s = state.at_s - self._at_s, state.at_s
        weight = 1.0 if np.isnan(elapsed_s) else -float(np.expm1(-max(elapsed_s, 0.0) / LEVEL_S))
        rows = load_rows(state.index)
        rows = rows[metered(state, rows) & ~held[rows] & ~self._ordered[rows]]
        metered_s = np.where(np.isfinite(state.power_at_s[rows]), state.power_at_s[rows], state.at_s)
        for level, seen in ((self._level_kw, state.power_kw[rows]), (self._level_s, metered_s)):
            before = level[rows]
            level[rows] = np.where(np.isnan(before), seen, before + weight * (seen - before))

    def would_kw(
        self,
        state: FleetState,
        rows: RowArray,
        shape: Shape,
        *,
        number: int,
        held: BoolArray,
        noted_kw: FloatArray,
    ) -> FloatArray:
        """Return what some loads of a request would take now, shape ``(len(rows),)``.

        A load that is not metered and was not ordered counts at the level it last showed, else at its baseline.

        Args:
            state: The snapshot.
            rows: Buildings and plants.
            shape: Their frozen baseline.
            number: Of the request, at least 0; where another one measured a load before, it goes on from there.
            held: Rows with a command of a request in force, shape ``(n_resources,)``.
            noted_kw: Power noted when a row was commanded, for rows whose past was lost in a restart; NaN for none.
        """
        frozen_kw = shape(np.full(len(rows), state.at_s))
        self._begin(rows, shape, frozen_kw, number=number, held=held, noted_kw=noted_kw)
        ordered, level_kw = self._ordered[rows], self._level_kw[rows]
        seen_kw = np.where(metered(state, rows), state.power_kw[rows], level_kw)
        moved_kw = moved_rows_kw(level_kw, frozen_kw, self._anchor_kw[rows])
        own_kw = np.where(ordered, moved_kw, seen_kw)
        self._last_kw[rows] = own_kw = np.where(np.isnan(own_kw), frozen_kw, own_kw)
        return own_kw

    def _begin(
        self, rows: RowArray, shape: Shape, frozen_kw: FloatArray, *, number: int, held: BoolArray, noted_kw: FloatArray
    ) -> None:
        """Anchor the loads that are ordered for the first time, and those that another request measured before.

        A level is anchored where the baseline was at the mean instant of its readings.
        """
        ordered = self._ordered[rows]
        fresh = np.where(ordered, np.isnan(self._anchor_kw[rows]), held[rows])  # restored ones have no anchor yet
        handed = ordered & (self._measured_by[rows] != number)
        handed &= ~fresh
        level_kw = np.where(handed, self._last_kw[rows], self._level_kw[rows])
        self._level_kw[rows] = np.where(fresh & np.isnan(level_kw), noted_kw[rows], level_kw)
        shown = fresh & ~np.isnan(level_kw)
        anchor_kw = np.where(shown, shape(self._level_s[rows]), frozen_kw) if shown.any() else frozen_kw
        self._anchor_kw[rows] = np.where(fresh | handed, anchor_kw, self._anchor_kw[rows])
        self._ordered[rows] = ordered | fresh
        self._measured_by[rows] = number

    def end(self, running: BoolArray, *, held: BoolArray) -> None:
        """Forget the orders of rows that no running request measures and none holds, shape ``(n_resources,)`` each."""
        self._ordered &= running | held


def metered(state: FleetState, rows: RowArray) -> BoolArray:
    """Return which of ``rows`` have a meter that can be believed now, shape ``(len(rows),)``."""
    known = state.connected[rows] & np.isfinite(state.power_kw[rows]) & (state.quality[rows] != Quality.BAD)
    return np.asarray(known)


@njit()
def moved_kw(level_kw: float, baseline_kw: float, anchor_kw: float) -> float:
    """Return a load's power after its baseline has moved from ``anchor_kw``, where it was at ``level_kw``.

    In proportion while that means something; a building that also feeds in crosses zero, and is moved by the
    difference then.
    """
    if np.isnan(baseline_kw) or np.isnan(anchor_kw):
        return level_kw
    if anchor_kw * level_kw > 0.0 and anchor_kw * baseline_kw > 0.0 and abs(anchor_kw) >= _ANCHOR_RATIO * abs(level_kw):
        return level_kw * min(max(baseline_kw / anchor_kw, _LEAST_SCALE), _MOST_SCALE)
    return level_kw + baseline_kw - anchor_kw


@njit()
def moved_rows_kw(level_kw: FloatArray, baseline_kw: FloatArray, anchor_kw: FloatArray) -> FloatArray:
    """Return ``moved_kw`` of every row, shape ``(m,)`` as all arguments."""
    moved = np.empty(len(level_kw))
    for place in range(len(level_kw)):
        moved[place] = moved_kw(level_kw[place], baseline_kw[place], anchor_kw[place])
    return moved
