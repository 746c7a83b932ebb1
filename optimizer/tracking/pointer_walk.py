"""Moving the pointers: whole rows on or off, one row of a node in between, the total exact.

A node may stay as it is while the difference between what all nodes were to take and what they take is small; the next
one that moves makes up for it, and in the end one row somewhere takes the rest. So a small change of the total is a
command or two, not one for every node.

Columns are taken out of their tuples before a loop, and calls in a loop are made for rows that change only: numba
counts references at every access to a tuple's field and at every call.
"""

import numpy as np

from numerics.jit import njit
from optimizer.tracking.columns import KEYS, Curves, Flags, Floats, Goal, Ints, Limits, Line, Rows, Tree

_EXACT_KW = 1e-6
"""Rounding of kW: nearer than that is the same."""


@njit()
def follow(  # noqa: PLR0917 - a kernel takes arguments by position
    tree: Tree, rows: Rows, line: Line, curves: Curves, goal: Goal, patience_kw: float, trim: int, moved: Ints
) -> tuple[int, int, float]:
    """Bring every node's rows to their share.

    Args:
        tree: The nodes.
        rows: Rows whose ``setpoint`` changes.
        line: Whose pointers move.
        curves: Of this line.
        goal: Shares; ``up`` and ``down`` are used up.
        patience_kw: Difference of the sum so far up to which a node stays as it is.
        trim: Node whose row took the rest the last time.
        moved: Filled with the rows whose ``setpoint`` changed, shape ``(n,)``.

    Returns:
        How many rows changed, the node whose row took the rest, and what is left of it, kW.
    """
    parent, first, up, down = tree.parent, tree.first, goal.up, goal.down
    share, own_kw, stale, own = goal.share, line.own_kw, line.stale, curves.own
    count, carry = 0, 0.0
    for k in range(len(parent) - 1):
        if first[k] == first[k + 1]:
            continue
        low, high = _leeway(k, parent, up, down)
        apart = own_kw[k] - share[k]
        if stale[k] or not (abs(carry + apart) <= patience_kw and low <= apart <= high):
            target = share[k] + min(max(-carry, low), high)
            # A row that must not be shed is shed for a limit only.
            target = max(target, min(share[k], own[k, 1]))
            ahead = target - share[k]
            count = _place(k, target, ahead - low, high - ahead, tree, rows, line, curves, moved, count)
            apart = own_kw[k] - share[k]
        _use_up(k, apart, parent, up, down)
        carry += apart
    count, trim, carry = _take_rest(carry, trim, tree, rows, line, curves, goal, moved, count)
    return _changed(count, rows.setpoint, rows.was, moved), trim, carry


@njit(inline=True)
def _leeway(k: int, parent: Ints, up: Floats, down: Floats) -> tuple[float, float]:
    """Return how far a node's own rows may be below and above their share without breaking a limit above them."""
    fall, rise, node = np.inf, np.inf, k
    while node >= 0:
        fall, rise = min(fall, down[node]), min(rise, up[node])
        node = parent[node]
    return -fall, rise


@njit(inline=True)
def _use_up(k: int, apart: float, parent: Ints, up: Floats, down: Floats) -> None:
    node = k
    while node >= 0:
        up[node] = max(up[node] - apart, 0.0)
        down[node] = max(down[node] + apart, 0.0)
        node = parent[node]


@njit()
def _place(  # noqa: C901, PLR0917 - one pass over a node's line; a kernel takes arguments by position
    k: int,
    target: float,
    fall: float,
    rise: float,
    tree: Tree,
    rows: Rows,
    line: Line,
    curves: Curves,
    moved: Ints,
    count: int,
) -> int:
    """Move the pointer of node ``k`` until its rows take ``target``, or up to ``fall`` less or ``rise`` more."""
    low, high, setpoint, was, seen, now = rows.low, rows.high, rows.setpoint, rows.was, rows.seen, rows.tick[0]
    order, first, end = line.order, tree.first[k], tree.first[k + 1]
    least = curves.own[k, 0]
    need = min(max(target, least), curves.own[k, KEYS]) - least
    fresh, at, below = line.stale[k], line.at[k], line.below[k]
    if fresh:
        at, below = first, 0.0
        line.stale[k] = False
    while at > first and below > need + _EXACT_KW:
        if at < end:
            count = _assign(order[at], low[order[at]], setpoint, was, seen, now, moved, count)
        at -= 1
        below -= high[order[at]] - low[order[at]]
    if at == first:
        below = 0.0
    while at < end:
        i = order[at]
        if np.isnan(low[i]) or below + high[i] - low[i] > need + _EXACT_KW:
            break
        if not abs(setpoint[i] - high[i]) <= _EXACT_KW:
            count = _assign(i, high[i], setpoint, was, seen, now, moved, count)
        below += high[i] - low[i]
        at += 1
    own_kw = least + below
    if at < end and not np.isnan(low[order[at]]):
        i = order[at]
        power = low[i] + max(need - below, 0.0)
        power = _possible(power, low[i], min(rows.floor[i], high[i]), fall, rise)
        count = _assign(i, power, setpoint, was, seen, now, moved, count)
        own_kw += power - low[i]
    if fresh:
        for j in range(at + 1, end):
            i = order[j]
            if not abs(setpoint[i] - low[i]) <= _EXACT_KW:
                count = _assign(i, low[i], setpoint, was, seen, now, moved, count)
    line.at[k], line.below[k], line.own_kw[k] = at, below, own_kw
    return count


@njit(inline=True)
def _possible(power: float, low: float, floor: float, fall: float, rise: float) -> float:
    """Return the nearest power a row can hold: between nothing and its floor it can hold neither, only switch."""
    off = max(low, 0.0)
    kept = power
    if off + _EXACT_KW < power < floor:
        nearer = floor - power <= power - off
        kept = floor if floor - power <= rise and (nearer or power - off > fall) else off
    return kept


@njit()
def _assign(  # noqa: PLR0917 - a kernel takes arguments by position
    i: int, power: float, setpoint: Floats, was: Floats, seen: Ints, now: int, moved: Ints, count: int
) -> int:
    """Set the setpoint of a row and note it in ``moved``, once a tick; return the new count."""
    before = setpoint[i]
    if abs(before - power) <= _EXACT_KW:
        return count
    setpoint[i] = power
    if seen[i] == now or np.isnan(power):
        return count
    seen[i], was[i] = now, before
    moved[count] = i
    return count + 1


@njit()
def _changed(count: int, setpoint: Floats, was: Floats, moved: Ints) -> int:
    """Leave out the rows that ended where they began; return how many are left."""
    kept = 0
    for j in range(count):
        i = moved[j]
        if not abs(setpoint[i] - was[i]) <= _EXACT_KW:
            moved[kept] = i
            kept += 1
    return kept


@njit()
def must_wait(  # noqa: PLR0917 - a kernel takes arguments by position
    unready: float,
    moved: Ints,
    rows: Rows,
    home: Ints,
    tree: Tree,
    limits: Limits,
    own_kw: Floats,
    wait: Flags,
    scratch: Floats,
) -> None:
    """Mark rows whose move has to wait until others have moved, or a limit could be passed on the way.

    Devices do not move at one time. While a part of the falls has not happened a node's load is higher by it: where
    that passes the limit the rises under it wait, if the node can do without them so long. While a part of the rises
    has not it is lower: where that passes the lower limit the falls wait, if the node can bear the rises alone so long.
    Where neither can be borne all move at once.

    Args:
        unready: That part.
        moved: Rows that move, shape ``(r,)``.
        rows: Where they come from and go to.
        home: Node of every row, shape ``(n,)``.
        tree: The nodes.
        limits: Of the nodes.
        own_kw: Sum of the setpoints of each node's own rows, shape ``(m + 1,)``.
        wait: Filled, shape ``(r,)``.
        scratch: Shape ``(3, m + 1)``.
    """
    load, fall, rise = scratch[0], scratch[1], scratch[2]
    setpoint, was, parent, down = rows.setpoint, rows.was, tree.parent, tree.down
    load[:] = own_kw + limits.fixed
    fall[:] = 0.0
    rise[:] = 0.0
    for i in moved:
        change = setpoint[i] - (0.0 if np.isnan(was[i]) else was[i])
        fall[home[i]] += max(-change, 0.0)
        rise[home[i]] += max(change, 0.0)
    for q in range(len(down) - 1, 0, -1):
        k = down[q]
        for column in (load, fall, rise):
            column[parent[k]] += column[k]
    # From here on 1 stands for tight.
    for q in range(len(down)):
        k = down[q]
        above = parent[k]
        most, least = limits.most[k] + _EXACT_KW, limits.least[k] - _EXACT_KW
        over = load[k] + unready * fall[k] > most and load[k] - rise[k] >= least
        under = load[k] - unready * rise[k] < least and load[k] + fall[k] <= most
        fall[k] = 1.0 if over or (above >= 0 and fall[above] == 1.0) else 0.0
        rise[k] = 1.0 if under or (above >= 0 and rise[above] == 1.0) else 0.0
    for j in range(len(moved)):
        i = moved[j]
        change = setpoint[i] - (0.0 if np.isnan(was[i]) else was[i])
        over, under = fall[home[i]] == 1.0, rise[home[i]] == 1.0
        wait[j] = over if change > 0.0 else under and not over


@njit()
def _take_rest(  # noqa: PLR0917 - a kernel takes arguments by position
    carry: float,
    trim: int,
    tree: Tree,
    rows: Rows,
    line: Line,
    curves: Curves,
    goal: Goal,
    moved: Ints,
    count: int,
) -> tuple[int, int, float]:
    """Let one row take what the sum of all nodes is apart; where none can alone, several nodes do."""
    nodes, parent, first, up, down = len(tree.parent) - 1, tree.parent, tree.first, goal.up, goal.down
    if abs(carry) <= _EXACT_KW:
        return count, trim, carry
    low, high, floor, setpoint, was, seen = rows.low, rows.high, rows.floor, rows.setpoint, rows.was, rows.seen
    for q in range(nodes):
        k = (trim + q) % nodes
        at = line.at[k]
        if at < first[k + 1]:
            i = line.order[at]
            power = setpoint[i] - carry
            fall, rise = _leeway(k, parent, up, down)
            holds = power >= min(floor[i], high[i]) or power <= max(low[i], 0.0) + _EXACT_KW
            if fall <= -carry <= rise and low[i] <= power <= high[i] and holds:
                line.own_kw[k] -= carry
                return _assign(i, power, setpoint, was, seen, rows.tick[0], moved, count), k, 0.0
    for q in range(nodes):
        k = (trim + q) % nodes
        before = line.own_kw[k]
        fall, rise = _leeway(k, parent, up, down)
        change = min(max(-carry, fall), rise)
        target = max(before + change, min(before, curves.own[k, 1]))
        if first[k] == first[k + 1] or abs(target - before) <= _EXACT_KW:
            continue
        count = _place(
            k, target, max(change - fall, 0.0), max(rise - change, 0.0), tree, rows, line, curves, moved, count
        )
        _use_up(k, line.own_kw[k] - before, parent, up, down)
        carry += line.own_kw[k] - before
        if abs(carry) <= _EXACT_KW:
            return count, k, carry
    return count, trim, carry
