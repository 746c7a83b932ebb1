"""Transformer headroom: what the tree lets through of a movement, node by node from the leaves up."""

from dataclasses import dataclass

import numpy as np

from optimizer.problem.validation import IntArray
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.planning.aggregation import summed
from vpp.planning.quote.quote_basis import QuoteBasis

_LEAST_KW = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What the tree lets through in every window; ``m`` transformers, ``W`` windows of up to ``J`` intervals.

    Attributes:
        share: Share of a movement that gets from each node to the top, shape ``(m, W, J)``.
        taken_kw: What each node takes away, shape ``(m, W, J)``.
    """

    share: FloatArray
    taken_kw: FloatArray


def passed(ground: QuoteBasis, direction: Direction, first: IntArray, room_kw: FloatArray) -> Passed:
    """Return how much of ``room_kw``, shape ``(C, W, J)``, passes without a transformer leaving its limits.

    A raise fills the room below the import limit, a cut that above the export limit. Rows below a node that binds are
    scaled alike.

    Args:
        ground: The picture.
        direction: Of the movement.
        first: First step of every window, shape ``(W,)``.
        room_kw: What every cell could be moved.
    """
    index, cells = ground.outlook.state.index, ground.cells
    wanted = summed(room_kw, cells.node, len(index.transformers))
    share, taken = np.ones_like(wanted), np.zeros_like(wanted)
    spare = _spare_kw(ground, direction, first, room_kw.shape[2])
    through = wanted
    roots = np.flatnonzero(index.feeders.parent < 0).astype(np.int64)
    for nodes in (*cells.levels, roots):
        over = np.maximum(through[nodes] - spare[nodes], 0.0)
        if over.any():
            taken[nodes] = over
            share[nodes] = 1.0 - over / np.maximum(through[nodes], _LEAST_KW)
        below = nodes[index.feeders.parent[nodes] >= 0]
        if len(below):
            through += summed(through[below] - taken[below], index.feeders.parent[below].astype(np.int64), len(through))
    if taken.any():
        for nodes in reversed(cells.levels):
            share[nodes] *= share[index.feeders.parent[nodes]]
    return Passed(share=share, taken_kw=taken)


def _spare_kw(ground: QuoteBasis, direction: Direction, first: IntArray, longest: int) -> FloatArray:
    """Return the room at every transformer in each interval of each window, at least 0, shape ``(m, W, J)``."""
    index, count = ground.outlook.state.index, ground.outlook.grid.count
    if direction is Direction.DOWN:
        spare = index.feeders.limit_kw[:, None] - ground.flow_kw
    else:
        spare = ground.flow_kw + index.feeders.export_limit_kw[:, None]
    steps = np.minimum(first[:, None] + np.arange(longest), count - 1)
    return np.asarray(np.maximum(spare, 0.0)[:, steps])


def named_caps(ground: QuoteBasis, taken_kw: FloatArray) -> dict[str, FloatArray]:
    """Return what each transformer that binds takes away by interval, from shape ``(m, J)``."""
    transformers = ground.outlook.state.index.transformers
    binding = np.flatnonzero(taken_kw.any(axis=1)).tolist()
    return {f"transformer {transformers[node].id} cap": taken_kw[node] for node in binding}
