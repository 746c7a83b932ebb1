"""Sums over the feeder tree."""

import numpy as np

from optimizer.validation import IntArray
from vpp.domain.fleet import FleetIndex
from vpp.domain.telemetry import FloatArray

_OVERLOAD_TOLERANCE_KW = 1e-3


def leaves_first(index: FleetIndex) -> IntArray:
    """Return transformer positions with every child before its parent, shape ``(n_transformers,)``."""
    depth = np.zeros(len(index.transformers), dtype=np.int64)
    above = index.parent_code.copy()
    for _ in range(len(depth)):
        if (above < 0).all():
            break
        depth += above >= 0
        above = np.where(above >= 0, index.parent_code[above], -1)
    return np.argsort(-depth, kind="stable").astype(np.int64)


def own_base_kw(index: FleetIndex) -> FloatArray:
    """Return the base load at each node itself, shape ``(n_transformers,)``.

    A transformer's ``base_load_kw`` is what its meter would show without us, so it holds that of the nodes below.
    """
    own = index.transformer_base_kw.copy()
    children = np.flatnonzero(index.parent_code >= 0)
    np.subtract.at(own, index.parent_code[children], index.transformer_base_kw[children])
    return own


def node_flow_kw(index: FleetIndex, power_kw: FloatArray) -> FloatArray:
    """Return the net import of every transformer, base load and children included, shape ``(n_transformers, count)``.

    Args:
        index: Whose tree counts.
        power_kw: Power of every row, shape ``(n_resources, count)``.
    """
    flow = np.repeat(own_base_kw(index)[:, None], power_kw.shape[1], axis=1)
    np.add.at(flow, index.transformer_code, power_kw)
    for node in leaves_first(index).tolist():
        above = index.parent_code[node]
        if above >= 0:
            flow[above] += flow[node]
    return flow


def overload_kw(index: FleetIndex, power_kw: FloatArray) -> FloatArray:
    """Return how far every transformer leaves its limits, at least 0, shape ``(n_transformers, count)``."""
    flow = node_flow_kw(index, power_kw)
    above = flow - index.transformer_limit_kw[:, None]
    below = -index.transformer_export_kw[:, None] - flow
    return np.maximum(np.maximum(above, below), 0.0)


def named_overload(index: FleetIndex, worst_kw: FloatArray) -> dict[str, float]:
    """Return transformer id to greatest overload where there is any, from shape ``(n_transformers,)``."""
    over = np.flatnonzero(worst_kw > _OVERLOAD_TOLERANCE_KW).tolist()
    return {index.transformers[node].id: float(worst_kw[node]) for node in over}
