"""Proportional split over all rows each tick: the alternative of ``vpp bench dispatch``.

All keys are computed again, all curves summed up, and the rows of the marginal key share the rest in proportion to
their widths. Same keys, same limits, same feeder tree.
"""

import numpy as np

from numerics.jit import njit
from optimizer.problem.validation import FloatArray
from optimizer.tracking.columns import (
    KEYS,
    Codes,
    Floats,
    Ints,
    curves_of,
    goal_of,
    tree_of,
    unlimited,
)
from optimizer.tracking.curves import divide, sum_up
from optimizer.tracking.merit_order import Offers

_SAME_KW = 1e-6


class ProportionalSplit:
    """Splits a total by keys, all rows of the marginal key alike.

    Args:
        node: Node of every row, rising, shape ``(n,)``.
        parent: Node above each node, shape ``(m,)``.
    """

    def __init__(self, *, node: Ints, parent: Ints) -> None:
        m = len(parent) + 1
        self._tree, self._limits = tree_of(node, parent), unlimited(m)
        self._curves, self._goal = curves_of(m), goal_of(m)
        self._power = np.full(len(node), np.nan)

    def limit(self, *, upper_kw: FloatArray, fixed_kw: FloatArray) -> None:
        """Take the limits of every node in both directions, and what is fixed at it, shape ``(m,)`` each."""
        self._limits.most[:-1], self._limits.least[:-1], self._limits.fixed[:-1] = upper_kw, -upper_kw, fixed_kw

    def split(self, offers: Offers, target_kw: float) -> int:
        """Bring the total to ``target_kw``; return how many rows change."""
        _curves(self._tree.first, offers.low_kw, offers.high_kw, offers.key, self._curves.own)
        sum_up(self._tree, self._limits, self._curves)
        whole = self._curves.whole[-1]
        load = min(max(target_kw + float(self._limits.fixed.sum()), whole[1]), whole[KEYS])
        divide(load, self._tree, self._limits, self._curves, self._goal)
        return _shared(
            self._tree.first,
            offers.low_kw,
            offers.high_kw,
            offers.key,
            self._curves.own,
            self._goal.share,
            self._power,
        )


@njit()
def _curves(first: Ints, low: Floats, high: Floats, key: Codes, own: Floats) -> None:
    own[:] = 0.0
    for k in range(len(first) - 1):
        for i in range(first[k], first[k + 1]):
            if not np.isnan(low[i]):
                own[k, 0] += low[i]
                own[k, key[i] + 1] += high[i] - low[i]
        for b in range(1, KEYS + 1):
            own[k, b] += own[k, b - 1]


@njit()
def _shared(  # noqa: PLR0917 - a kernel takes arguments by position
    first: Ints, low: Floats, high: Floats, key: Codes, own: Floats, share: Floats, power: Floats
) -> int:
    changed = 0
    for k in range(len(first) - 1):
        level = 1
        while level < KEYS and own[k, level] < share[k] - _SAME_KW:
            level += 1
        step = own[k, level] - own[k, level - 1]
        part = min(max((share[k] - own[k, level - 1]) / step, 0.0), 1.0) if step > 0.0 else 1.0
        for i in range(first[k], first[k + 1]):
            b = key[i] + 1
            full = 1.0 if b < level else (part if b == level else 0.0)
            x = low[i] + full * (high[i] - low[i])
            if not np.isnan(x) and not abs(power[i] - x) <= _SAME_KW:
                changed += 1
            power[i] = x
    return changed
