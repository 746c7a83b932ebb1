"""Overload of every transformer, and its name."""

import numpy as np
import numpy.typing as npt

from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex

_OVERLOAD_TOLERANCE_KW = 1e-3


def overload_kw(index: FleetIndex, power_kw: npt.NDArray[np.floating]) -> FloatArray:
    """Return how far every transformer leaves its limits, at least 0, shape ``(n_transformers, count)``.

    Args:
        index: The fleet with its tree.
        power_kw: Power of every row, unknown power (NaN) left out, shape ``(n_resources, count)``.
    """
    flow = index.feeders.load_kw(power_kw)
    above = flow - index.feeders.limit_kw[:, None]
    below = -index.feeders.export_limit_kw[:, None] - flow
    return np.maximum(np.maximum(above, below), 0.0)


def named_overload(index: FleetIndex, worst_kw: FloatArray) -> dict[str, float]:
    """Return transformer id to greatest overload where there is any, from shape ``(n_transformers,)``."""
    over = np.flatnonzero(worst_kw > _OVERLOAD_TOLERANCE_KW).tolist()
    return {index.transformers[node].id: float(worst_kw[node]) for node in over}
