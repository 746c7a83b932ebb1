"""Two-sided rows in merit order: a row that can give and take has one place for each half of its range.

In one piece such a row would be either full in or full out, and half the batteries would charge what the other half
discharges. In two pieces it stands at nothing between them: its giving half is more urgent to be at nothing than its
taking half is to be at full, by just one unit of urgency, so a fleet that is asked for nothing does nothing.

Ids of halves: row ``i`` is ``i`` with what it takes, the ``j``-th row that can give is ``n + j`` with what it gives.
"""

from typing import TypeVar

import numpy as np

from optimizer.tracking.columns import Flags, Floats, Ints
from optimizer.tracking.merit_order import MeritOrder, Moves

Column = TypeVar("Column", Floats, Ints)


class TwoSided:
    """Turns rows into halves and back.

    Args:
        two_way: Which rows can give as well as take, shape ``(n,)``.
    """

    def __init__(self, two_way: Flags) -> None:
        self._n = len(two_way)
        self._giving = np.flatnonzero(two_way)
        self._half = np.full(self._n, -1, dtype=np.int64)
        self._half[self._giving] = self._n + np.arange(len(self._giving))

    def __len__(self) -> int:
        return self._n + len(self._giving)

    def spread(self, values: Column) -> Column:
        """Return a column of rows as a column of halves, the same value in both, shape ``(len(self),)``."""
        return np.concatenate([values, values[self._giving]])

    def halves_of(self, rows: Ints) -> Ints:
        """Return the ids of the halves of ``rows``."""
        giving = self._half[rows]
        return np.concatenate([rows, giving[giving >= 0]])

    def rows_of(self, ids: Ints) -> Ints:
        """Return the row of every half, in the order of ``ids``."""
        rows = ids.copy()
        gives = ids >= self._n
        rows[gives] = self._giving[ids[gives] - self._n]
        return rows

    def put(self, rows: Ints, low_kw: Floats, high_kw: Floats, low: Floats, high: Floats) -> None:
        """Write the ranges of some rows into the columns of halves.

        Args:
            rows: Rows, shape ``(r,)``.
            low_kw: Least power of all rows, NaN where one takes no part, shape ``(n,)``.
            high_kw: Greatest power of all rows, shape ``(n,)``.
            low: Least power of all halves, changed, shape ``(len(self),)``.
            high: The same for the greatest.
        """
        half = self._half[rows]
        gives = half >= 0
        low[rows], high[rows] = low_kw[rows], high_kw[rows]
        both, half = rows[gives], half[gives]
        low[half], high[half] = np.minimum(low_kw[both], 0.0), np.minimum(high_kw[both], 0.0)
        low[both], high[both] = np.maximum(low_kw[both], 0.0), np.maximum(high_kw[both], 0.0)

    def part_kw(self, ids: Ints, power_kw: Floats) -> Floats:
        """Return the part of each half in the powers of all rows, shape ``(len(ids),)``.

        Args:
            ids: Halves.
            power_kw: Power of every row, shape ``(n,)``.
        """
        power = power_kw[self.rows_of(ids)]
        taking = np.where(self._half[self.rows_of(ids)] >= 0, np.maximum(power, 0.0), power)
        return np.where(ids >= self._n, np.minimum(power, 0.0), taking)

    def setpoint_kw(self, rows: Ints, order: MeritOrder) -> Floats:
        """Return the last setpoints of ``rows``, NaN where one takes no part, shape ``(len(rows),)``."""
        power = order.setpoint_kw(rows)
        half = self._half[rows]
        gives = half >= 0
        power[gives] += order.setpoint_kw(half[gives])
        return power

    def power_kw(self, setpoint_kw: Floats) -> Floats:
        """Return the power of every row from that of every half, NaN where one takes no part, shape ``(n,)``."""
        power = setpoint_kw[: self._n].copy()
        power[self._giving] += setpoint_kw[self._n :]
        return power

    def joined(self, moves: Moves, order: MeritOrder) -> Moves:
        """Return moves of halves as moves of rows, each once; it waits if one of its halves does."""
        rows, back = np.unique(self.rows_of(moves.rows), return_inverse=True)
        power = self.setpoint_kw(rows, order)
        wait = np.zeros(len(rows), dtype=np.bool_)
        np.logical_or.at(wait, back, moves.wait)
        return Moves(rows=rows, power_kw=power, wait=wait, total_kw=moves.total_kw)
