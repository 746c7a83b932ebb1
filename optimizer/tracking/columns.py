"""Columns of nodes and rows that the kernels work on, tuples because numba reads them as they are.

``m`` nodes and one more, number ``m``, above all roots, with no rows and no limits. ``n`` rows, node after node, so
that what is looked at together lies together: the rows of node ``k`` are ``first[k]:first[k + 1]``. ``LEVELS`` levels
of a curve: at level 0 every row takes the least it can, at level ``b + 1`` those with keys up to ``b`` take the most.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

KEYS = 256
LEVELS = KEYS + 1


class Tree(NamedTuple):
    """Tree of nodes.

    Attributes:
        parent: Node above each, shape ``(m + 1,)``, -1 for the last.
        down: All nodes, each after its parent, shape ``(m + 1,)``.
        first: First of each node's rows, shape ``(m + 2,)``.
        child_first: First child of each node in ``children``, shape ``(m + 2,)``.
        children: Children, shape ``(m,)``.
    """

    parent: Ints
    down: Ints
    first: Ints
    child_first: Ints
    children: Ints


class Rows(NamedTuple):
    """Range and setpoint of each row, shape ``(n,)``; ``low`` is NaN where a row takes no part.

    Attributes:
        low: Least power, kW.
        high: Greatest power, kW.
        floor: Least power it can hold without stopping, kW.
        key: Its place in the order, lowest first to take power and last to lose it.
        setpoint: Its last setpoint, kW, NaN for none.
        was: The same before the tick in which it was last touched.
        seen: Number of that tick.
        tick: Number of the present tick, shape ``(1,)``.
    """

    low: Floats
    high: Floats
    floor: Floats
    key: Codes
    setpoint: Floats
    was: Floats
    seen: Ints
    tick: Ints


class Line(NamedTuple):
    """Rows in merit order, and the place of each node's pointer.

    Attributes:
        order: Rows by key within each node, shape ``(n,)``.
        at: Place of the pointer, shape ``(m + 1,)``.
        below: Width of all rows before the pointer, kW, shape ``(m + 1,)``.
        own_kw: Sum of the setpoints of the node's own rows, kW, shape ``(m + 1,)``.
        stale: The order is new and no row was placed by it yet, shape ``(m + 1,)``.
    """

    order: Ints
    at: Ints
    below: Floats
    own_kw: Floats
    stale: Flags


class Curves(NamedTuple):
    """Load over level; each has shape ``(m + 1, LEVELS)`` and never falls.

    Attributes:
        own: The node's own rows.
        whole: Own rows, what is fixed, and the children as their limits let them.
        held: The same inside the node's own limits.
    """

    own: Floats
    whole: Floats
    held: Floats


class Limits(NamedTuple):
    """Bounds of a node's load and the part of it that no row moves, kW, shape ``(m + 1,)``."""

    least: Floats
    most: Floats
    fixed: Floats


class Goal(NamedTuple):
    """How a total divides, kW, shape ``(m + 1,)``.

    Attributes:
        load: Of the node with everything under it.
        share: Of its own rows.
        up: Further load that its limit lets through.
        down: Load that may be missing before its lower limit is reached.
    """

    load: Floats
    share: Floats
    up: Floats
    down: Floats


def tree_of(node: Ints, parent: Ints) -> Tree:
    """Return the tree with a node above all roots."""
    top = len(parent)
    above = np.append(np.where(parent < 0, top, parent), -1)
    depth = np.zeros(top + 1, dtype=np.int64)
    walk = above.copy()
    while (walk >= 0).any():
        depth += walk >= 0
        walk = np.where(walk >= 0, above[walk], -1)
    children = np.argsort(above[:top], kind="stable")
    return Tree(
        parent=above,
        down=np.argsort(depth, kind="stable"),
        first=np.concatenate(([0], np.cumsum(np.bincount(node, minlength=top + 1)))).astype(np.int64),
        child_first=np.concatenate(([0], np.cumsum(np.bincount(above[:top], minlength=top + 1)))).astype(np.int64),
        children=children,
    )


def rows_of(n: int) -> Rows:
    """Return rows that take no part yet."""
    return Rows(
        low=np.full(n, np.nan),
        high=np.zeros(n),
        floor=np.zeros(n),
        key=np.full(n, KEYS - 1, dtype=np.uint8),
        setpoint=np.full(n, np.nan),
        was=np.full(n, np.nan),
        seen=np.zeros(n, dtype=np.int64),
        tick=np.zeros(1, dtype=np.int64),
    )


def curves_of(nodes: int) -> Curves:
    """Return curves of ``nodes`` nodes, the one above all roots included, with no rows in them."""
    return Curves(*(np.zeros((nodes, LEVELS)) for _ in range(3)))


def goal_of(nodes: int) -> Goal:
    """Return a place for the division of a total among ``nodes`` nodes."""
    return Goal(*(np.zeros(nodes) for _ in range(4)))


def unlimited(nodes: int) -> Limits:
    """Return limits of ``nodes`` nodes that bind nowhere."""
    return Limits(least=np.full(nodes, -np.inf), most=np.full(nodes, np.inf), fixed=np.zeros(nodes))
