"""Load curves of nodes over merit order keys, and the division of a total among nodes."""

import numpy as np

from numerics.jit import njit
from optimizer.tracking.columns import KEYS, LEVELS, Curves, Floats, Goal, Limits, Line, Rows, Tree


@njit()
def rank_rows(  # noqa: PLR0917 - a kernel takes arguments by position
    begin: int, end: int, tree: Tree, rows: Rows, line: Line, curves: Curves
) -> None:
    """Put the rows of nodes ``begin:end`` in order by counting, and sum up their curves; absent rows come last."""
    place = np.empty(LEVELS + 1, dtype=np.int64)
    low, high, key, first, order, stale = rows.low, rows.high, rows.key, tree.first, line.order, line.stale
    for k in range(begin, end):
        place[:] = 0
        own = curves.own[k]
        own[:] = 0.0
        for i in range(first[k], first[k + 1]):
            if np.isnan(low[i]):
                place[KEYS] += 1
                continue
            place[key[i]] += 1
            own[0] += low[i]
            own[key[i] + 1] += high[i] - low[i]
        begins = first[k]
        for b in range(LEVELS):
            count = place[b]
            place[b] = begins
            begins += count
            if b > 0:
                own[b] += own[b - 1]
        for i in range(first[k], first[k + 1]):
            b = KEYS if np.isnan(low[i]) else int(key[i])
            order[place[b]] = i
            place[b] += 1
        stale[k] = True


@njit()
def sum_up(tree: Tree, limits: Limits, curves: Curves) -> None:
    """Sum the curves from the leaves to the top, each node held inside its limits as far as its rows can."""
    nodes = len(tree.parent)
    for k in range(nodes):
        curves.whole[k] = curves.own[k] + limits.fixed[k]
    for q in range(nodes - 1, -1, -1):
        k = tree.down[q]
        whole, held = curves.whole[k], curves.held[k]
        # What the rows cannot reach is no limit to hold: all at their least is the best against a load too high.
        most = max(limits.most[k], whole[0])
        least = min(limits.least[k], whole[KEYS])
        for b in range(LEVELS):
            held[b] = min(max(whole[b], least), most)
        if tree.parent[k] >= 0:
            above = curves.whole[tree.parent[k]]
            for b in range(LEVELS):
                above[b] += held[b]


@njit()
def divide(load_kw: float, tree: Tree, limits: Limits, curves: Curves, goal: Goal) -> None:
    """Divide the load of the top node over the tree: one level for all, a lower or higher one where a limit binds."""
    goal.load[tree.down[0]] = load_kw
    for q in range(len(tree.down)):
        k = tree.down[q]
        level, part = _level_of(goal.load[k], curves.whole[k])
        own = curves.own[k]
        goal.share[k] = own[level - 1] + part * (own[level] - own[level - 1])
        for j in range(tree.child_first[k], tree.child_first[k + 1]):
            held = curves.held[tree.children[j]]
            goal.load[tree.children[j]] = held[level - 1] + part * (held[level] - held[level - 1])
        goal.up[k] = max(limits.most[k] - goal.load[k], 0.0)
        goal.down[k] = max(goal.load[k] - limits.least[k], 0.0)


@njit(inline=True)
def _level_of(load: float, curve: Floats) -> tuple[int, float]:
    """Return the lowest level, from 1, whose load is enough, and how much of its step is needed."""
    low, high = 1, KEYS
    while low < high:
        middle = (low + high) // 2
        if curve[middle] >= load:
            high = middle
        else:
            low = middle + 1
    step = curve[low] - curve[low - 1]
    return low, min(max((load - curve[low - 1]) / step, 0.0), 1.0) if step > 0.0 else 1.0
