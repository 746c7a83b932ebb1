"""What the kernels work on: columns of the nodes and of the rows, tuples because numba reads them as they are.

``m`` nodes and one more, number ``m``, above all roots, with no rows and no limits. ``n`` rows, node after node, so that
what is looked at together lies together: the rows of node ``k`` are ``first[k]:first[k + 1]``. ``LEVELS`` levels of a curve: at level 0 every row
takes the least it can, at level ``b + 1`` those with keys up to ``b`` take the most.
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
    """Who stands under whom.

    Attributes:
        parent: Node above each, shape ``(m + 1,)``, -1 for the last.
        down: All nodes, each after its parent, shape ``(m + 1,)``.
        first: First of each node's rows, shape ``(m + 2,)``.
        kids: First child of each node in ``kid``, shape ``(m + 2,)``.
        kid: Children, shape ``(m,)``.
    """

    parent: Ints
    down: Ints
    first: Ints
    kids: Ints
    kid: Ints


class Rows(NamedTuple):
    """What each row can take and was told, shape ``(n,)``; ``low`` is NaN where a row takes no part.

    Attributes:
        low: Least power, kW.
        high: Greatest power, kW.
        floor: Least power it can hold without stopping, kW.
        key: Its place in the order, lowest first to take power and last to lose it.
        told: Power it was told, kW, NaN for none.
        was: The same before the tick in which it was last touched.
        seen: Number of that tick.
        tick: Number of the present tick, shape ``(1,)``.
    """

    low: Floats
    high: Floats
    floor: Floats
    key: Codes
    told: Floats
    was: Floats
    seen: Ints
    tick: Ints


class Line(NamedTuple):
    """Rows in merit order, and where each node's pointer stands.

    Attributes:
        order: Rows by key within each node, shape ``(n,)``.
        at: Place of the pointer, shape ``(m + 1,)``.
        below: Width of all rows before the pointer, kW, shape ``(m + 1,)``.
        got: What the node's own rows were told in sum, kW, shape ``(m + 1,)``.
        stale: The order is new and no row was placed by it yet, shape ``(m + 1,)``.
    """

    order: Ints
    at: Ints
    below: Floats
    got: Floats
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
