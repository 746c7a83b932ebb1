"""Merit order of a fleet under a tree of limits; the package explains how it works.

::

    order = MeritOrder(node=..., parent=...)
    order.limit(lower_kw=..., upper_kw=..., fixed_kw=...)
    order.refresh(Offers(low_kw=..., high_kw=..., floor_kw=..., key=...))      # once a minute, or a part each tick
    moves = order.tick(target_kw)                                              # every 1-4 s
"""

from dataclasses import dataclass

import numpy as np

from optimizer.problem.validation import ProblemError, at_least, finite, known, shaped, tree, whole, within
from optimizer.tracking.columns import (
    KEYS,
    Codes,
    Flags,
    Floats,
    Ints,
    Line,
    curves_of,
    goal_of,
    rows_of,
    tree_of,
    unlimited,
)
from optimizer.tracking.curves import divide, rank_rows, sum_up
from optimizer.tracking.pointer_walk import follow, must_wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What every row can take from now until its next refresh; each has shape ``(n,)``.

    Attributes:
        low_kw: Least power, load positive; NaN where a row takes no part.
        high_kw: Greatest power, at least ``low_kw``.
        floor_kw: Least power it can hold without stopping, 0 where there is none.
        key: Its place in the order: 0 is not shed but for a limit, 1 is shed last, 255 first.
    """

    low_kw: Floats
    high_kw: Floats
    floor_kw: Floats
    key: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What a tick changed.

    Attributes:
        rows: Rows with a new power, each once, shape ``(r,)``.
        power_kw: Their powers, shape ``(r,)``.
        wait: Whether the row should be commanded only when the others have moved, for no device moves at once and on
            the way a limit could be passed, shape ``(r,)``.
        total_kw: Sum of all setpoints now.
    """

    rows: Ints
    power_kw: Floats
    wait: Flags
    total_kw: float

    def __len__(self) -> int:
        return len(self.rows)


class MeritOrder:
    """Splits a total among rows so that few change when it does, and no limit above them is passed.

    A tick takes time with the number of nodes and of changed rows, not with the fleet. The sum of setpoints is the
    target, to a millionth of a kW, wherever the target lies inside ``range_kw`` and rows without a floor can take up
    the rest; else it is as near as floors allow. Loads stay inside the limits of all nodes above;
    where even the least of all rows is too much all of them take it.

    Args:
        node: Node every row hangs on, shape ``(n,)``.
        parent: Node that feeds each node, -1 at a root, shape ``(m,)``.
        patience_kw: A node does not move while what all nodes were to take and what they take differ by no more; one
            row somewhere makes up for it. More patience is fewer commands and a division less even.
        unready: Share of a change that may not have happened yet when the changes the other way have; it decides which
            rows have to ``wait``. 1 supposes nothing about which is faster.

    Raises:
        ProblemError: A node that there is not, or parents that make no tree.
    """

    def __init__(self, *, node: Ints, parent: Ints, patience_kw: float = 0.0, unready: float = 1.0) -> None:
        at_least("patience_kw", patience_kw, 0.0)
        within("unready", unready, 0.0, 1.0)
        whole("parent", parent, (len(parent),))
        tree("parent", parent)
        within("node", whole("node", node, (len(node),)), 0, len(parent) - 1)
        self._patience_kw, self._unready = float(patience_kw), float(unready)
        self._member: Ints = np.argsort(node, kind="stable")
        self._place = np.empty(len(node), dtype=np.int64)
        self._place[self._member] = np.arange(len(node))
        self._tree = tree_of(node.astype(np.int64), parent.astype(np.int64))
        n, m = len(node), len(parent) + 1
        self._rows = rows_of(n)
        self._line = Line(
            order=np.arange(n),
            at=self._tree.first[:-1].copy(),
            below=np.zeros(m),
            own_kw=np.zeros(m),
            stale=np.ones(m, dtype=np.bool_),
        )
        self._curves, self._limits, self._goal = curves_of(m), unlimited(m), goal_of(m)
        self._moved = np.empty(n, dtype=np.int64)
        self._node_of_row = node[self._member].astype(np.int64)
        self._scratch = np.zeros((3, m))
        self._trim = 0
        self._fixed_kw = 0.0

    def __len__(self) -> int:
        return len(self._rows.low)

    @property
    def power_kw(self) -> Floats:
        """Last setpoint of every row, NaN where it takes no part, shape ``(n,)``; a copy."""
        return self._rows.setpoint[self._place]

    def setpoint_kw(self, rows: Ints) -> Floats:
        """Return the last setpoints of some rows, NaN where one takes no part, shape ``(len(rows),)``."""
        return self._rows.setpoint[self._place[rows]]

    @property
    def range_kw(self) -> tuple[float, float]:
        """Least and greatest total of setpoints: rows that must not be shed are not, limits are kept."""
        top = self._curves.whole[-1]
        return float(top[1] - self._fixed_kw), float(top[KEYS] - self._fixed_kw)

    @property
    def node_kw(self) -> Floats:
        """Load of every node by setpoints, fixed load included, shape ``(m,)``."""
        load = self._line.own_kw + self._limits.fixed
        for k in self._tree.down[:0:-1]:
            load[self._tree.parent[k]] += load[k]
        return load[:-1]

    @property
    def overload_kw(self) -> Floats:
        """By how much each node's load passes its upper limit with every row at its least, shape ``(m,)``."""
        return np.asarray(np.maximum(self._curves.whole[:-1, 0] - self._limits.most[:-1], 0.0))

    def rows(self, part: int = 0, parts: int = 1) -> Ints:
        """Return the rows that ``refresh`` with the same arguments reads, shape ``(r,)``."""
        first = self._tree.first
        begin, end = self._nodes(part, parts)
        return self._member[first[begin] : first[end]].copy()

    def limit(self, *, lower_kw: Floats, upper_kw: Floats, fixed_kw: Floats) -> None:
        """Take new limits; they count from the next tick.

        Args:
            lower_kw: Least net load of every node, negative for export, may be infinite, shape ``(m,)``.
            upper_kw: Greatest net load of every node, may be infinite, shape ``(m,)``.
            fixed_kw: Load at every node itself that no row here moves, shape ``(m,)``.

        Raises:
            ProblemError: A wrong shape, an unknown number, or a lower limit above its upper one.
        """
        shape = (len(self._tree.parent) - 1,)
        known("lower_kw", shaped("lower_kw", lower_kw, shape))
        known("upper_kw", shaped("upper_kw", upper_kw, shape))
        at_least("upper_kw", upper_kw, lower_kw)
        finite("fixed_kw", shaped("fixed_kw", fixed_kw, shape))
        self._limits.least[:-1], self._limits.most[:-1] = lower_kw, upper_kw
        self._limits.fixed[:-1] = fixed_kw
        self._fixed_kw = float(fixed_kw.sum())
        sum_up(self._tree, self._limits, self._curves)

    def refresh(self, offers: Offers, *, part: int = 0, parts: int = 1) -> None:
        """Take new ranges and keys of a part of the rows and put these in order; setpoints change with the next tick.

        Args:
            offers: Of all rows; only those of ``rows(part, parts)`` are read.
            part: Which part, from 0.
            parts: How many parts the nodes are divided into, so that the work can be spread over several ticks.

        Raises:
            ProblemError: A wrong shape, a part that there is not, or a range that is none.
        """
        n = (len(self),)
        for name in ("low_kw", "high_kw", "floor_kw", "key"):
            shaped(name, getattr(offers, name), n)
        begin, end = self._nodes(part, parts)
        here = slice(self._tree.first[begin], self._tree.first[end])
        chosen = self._member[here]
        low, high = offers.low_kw[chosen], offers.high_kw[chosen]
        if not (np.isnan(low) | (low <= high)).all() or np.isinf(low).any() or np.isinf(high).any():
            raise ProblemError("low_kw, high_kw", "a range that is none", "finite low_kw <= high_kw, or low_kw NaN")
        self._rows.low[here], self._rows.high[here] = low, high
        self._rows.floor[here] = offers.floor_kw[chosen]
        self._rows.key[here] = offers.key[chosen]
        rank_rows(begin, end, self._tree, self._rows, self._line, self._curves)
        sum_up(self._tree, self._limits, self._curves)

    def believe(self, rows: Ints, power_kw: Floats) -> None:
        """Set the setpoints of rows to what they take, NaN for unknown; the next refresh commands them anew.

        Args:
            rows: Rows, shape ``(r,)``.
            power_kw: What they take, shape ``(r,)``.
        """
        self._rows.setpoint[self._place[rows]] = power_kw

    def tick(self, target_kw: float) -> Moves:
        """Bring the total to ``target_kw``, or as near as can be, and return the rows that changed.

        Args:
            target_kw: Net load of all rows together, load positive, without what is fixed.

        Raises:
            ProblemError: The target is unknown.
        """
        finite("target_kw", target_kw)
        low, high = self.range_kw
        total = min(max(float(target_kw), low), high)
        divide(total + self._fixed_kw, self._tree, self._limits, self._curves, self._goal)
        self._rows.tick[0] += 1
        count, self._trim, _ = follow(
            self._tree,
            self._rows,
            self._line,
            self._curves,
            self._goal,
            self._patience_kw,
            self._trim,
            self._moved,
        )
        moved, wait = self._moved[:count], np.zeros(count, dtype=np.bool_)
        must_wait(
            self._unready,
            moved,
            self._rows,
            self._node_of_row,
            self._tree,
            self._limits,
            self._line.own_kw,
            wait,
            self._scratch,
        )
        return Moves(
            rows=self._member[moved],
            power_kw=self._rows.setpoint[moved],
            wait=wait,
            total_kw=float(self._line.own_kw.sum()),
        )

    def _nodes(self, part: int, parts: int) -> tuple[int, int]:
        """Return first and last node of a part; parts have about as many rows each."""
        if not 0 <= part < parts:
            raise ProblemError("part", (part, parts), "a part from 0 to parts - 1")
        cuts = np.searchsorted(self._tree.first[:-1], len(self) * np.arange(1, parts) / parts)
        bounds = [0, *cuts.tolist(), len(self._tree.parent)]
        return bounds[part], bounds[part + 1]


def warm_up() -> None:
    """Compile everything, so that the first tick of a service is not late."""
    order = MeritOrder(node=np.zeros(2, dtype=np.int64), parent=np.array([-1, 0]))
    none = np.zeros(2)
    order.limit(lower_kw=none - 9.0, upper_kw=none + 9.0, fixed_kw=none)
    order.refresh(Offers(low_kw=none, high_kw=none + 2.0, floor_kw=none, key=np.ones(2, dtype=np.uint8)))
    order.tick(1.0)
