"""Feeder flow: net import and overload of every transformer, summed over the tree."""

import numpy as np
import numpy.typing as npt

from numerics.sums import grouped
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex

_OVERLOAD_TOLERANCE_KW = 1e-3


def own_base_kw(index: FleetIndex) -> FloatArray:
    """Return the base load at each node itself, shape ``(n_transformers,)``.

    A transformer's ``base_load_kw`` is what its meter would show without us, so it holds that of the nodes below.
    """
    own = index.feeders.base_load_kw.copy()
    children = np.flatnonzero(index.feeders.parent >= 0)
    np.subtract.at(own, index.feeders.parent[children], index.feeders.base_load_kw[children])
    return own


def own_flow_kw(index: FleetIndex, power_kw: npt.NDArray[np.floating]) -> FloatArray:
    """Return the net import at each node itself, base load included, children not, ``(n_transformers, count)``."""
    count = len(index.transformers)
    return grouped(power_kw, index.transformer_code, count) + own_base_kw(index)[:, None]


def node_flow_kw(index: FleetIndex, power_kw: npt.NDArray[np.floating]) -> FloatArray:
    """Return the net import of every transformer, base load and children included, shape ``(n_transformers, count)``.

    Args:
        index: The fleet with its tree.
        power_kw: Power of every row, NaN counting as nothing, shape ``(n_resources, count)``.
    """
    return index.feeders.summed_upwards(own_flow_kw(index, power_kw))


def overload_kw(index: FleetIndex, power_kw: npt.NDArray[np.floating]) -> FloatArray:
    """Return how far every transformer leaves its limits, at least 0, shape ``(n_transformers, count)``."""
    flow = node_flow_kw(index, power_kw)
    above = flow - index.feeders.limit_kw[:, None]
    below = -index.feeders.export_limit_kw[:, None] - flow
    return np.maximum(np.maximum(above, below), 0.0)


def named_overload(index: FleetIndex, worst_kw: FloatArray) -> dict[str, float]:
    """Return transformer id to greatest overload where there is any, from shape ``(n_transformers,)``."""
    over = np.flatnonzero(worst_kw > _OVERLOAD_TOLERANCE_KW).tolist()
    return {index.transformers[node].id: float(worst_kw[node]) for node in over}
