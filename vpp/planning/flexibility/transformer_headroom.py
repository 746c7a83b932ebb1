"""Transformer headroom: the part of a movement that feeder limits allow, node by node from the leaves up."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.planning.flexibility.aggregation import summed
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis

_LEAST_KW = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederLimited:
    """Movement within feeder limits in every window; ``m`` transformers, ``W`` windows of up to ``J`` intervals.

    Attributes:
        share: Share of a movement that gets from each node to the top, shape ``(m, W, J)``.
        withheld_kw: Movement that each node's limits withhold, shape ``(m, W, J)``.
    """

    share: FloatArray
    withheld_kw: FloatArray


def limited_by_feeders(
    basis: FlexibilityBasis, direction: Direction, first: IntArray, potential_kw: FloatArray
) -> FeederLimited:
    """Return how much of ``potential_kw``, shape ``(C, W, J)``, passes without a transformer leaving its limits.

    A raise uses the headroom below the import limit, a cut that above the export limit. Rows below a node that
    binds are scaled alike.

    Args:
        basis: Basis of the fleet.
        direction: Of the movement.
        first: First step of every window, shape ``(W,)``.
        potential_kw: How far every group could be moved.
    """
    index, groups = basis.inputs.state.index, basis.groups
    wanted = summed(potential_kw, groups.node, len(index.transformers))
    share, taken = np.ones_like(wanted), np.zeros_like(wanted)
    spare = _spare_kw(basis, direction, first, potential_kw.shape[2])
    through = wanted
    for nodes in (*index.feeders.levels, index.feeders.roots):
        over = np.maximum(through[nodes] - spare[nodes], 0.0)
        if over.any():
            taken[nodes] = over
            share[nodes] = 1.0 - over / np.maximum(through[nodes], _LEAST_KW)
        below = nodes[index.feeders.parent[nodes] >= 0]
        if len(below):
            through += summed(through[below] - taken[below], index.feeders.parent[below].astype(np.int64), len(through))
    if taken.any():
        share = index.feeders.shared_downwards(share)
    return FeederLimited(share=share, withheld_kw=taken)


def _spare_kw(basis: FlexibilityBasis, direction: Direction, first: IntArray, longest: int) -> FloatArray:
    """Return the headroom of every transformer in each interval of each window, at least 0, shape ``(m, W, J)``."""
    index, count = basis.inputs.state.index, basis.inputs.grid.count
    if direction is Direction.DOWN:
        spare = index.feeders.limit_kw[:, None] - basis.flow_kw
    else:
        spare = basis.flow_kw + index.feeders.export_limit_kw[:, None]
    steps = np.minimum(first[:, None] + np.arange(longest), count - 1)
    return np.asarray(np.maximum(spare, 0.0)[:, steps])


def named_caps(basis: FlexibilityBasis, withheld_kw: FloatArray) -> dict[str, FloatArray]:
    """Return the power each binding transformer withholds by interval, from shape ``(m, J)``."""
    transformers = basis.inputs.state.index.transformers
    binding = np.flatnonzero(withheld_kw.any(axis=1)).tolist()
    return {f"transformer {transformers[node].id} cap": withheld_kw[node] for node in binding}
