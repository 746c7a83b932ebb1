"""Histograms of error scores: a bounded memory of a whole distribution, fine near the middle and coarse far out.

Bins are even on the scale ``asinh(score)``, linear near 0 and logarithmic beyond. Levels between two bins are
interpolated.
"""

import math

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.telemetry import FloatArray

BINS = 512
_WIDEST = math.asinh(1e4)
EDGES = np.sinh(np.linspace(-_WIDEST, _WIDEST, BINS + 1))
"""Ends of the bins, scores, shape ``(BINS + 1,)``."""


def bins_of(scores: FloatArray) -> IntArray:
    """Return the bin of every score, shape as given; the outermost hold all beyond."""
    place = np.floor((np.arcsinh(scores) + _WIDEST) * (BINS / (2.0 * _WIDEST)))
    return np.clip(place, 0, BINS - 1).astype(np.int64)


def normal_mass() -> FloatArray:
    """Return the share of the standard normal distribution in every bin, shape ``(BINS,)``."""
    below = np.array([0.5 * math.erfc(-edge / math.sqrt(2.0)) for edge in EDGES.tolist()])
    below[0], below[-1] = 0.0, 1.0
    return np.diff(below)


def quantiles(mass: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the score below which a share of each histogram lies.

    Args:
        mass: Weight of every bin, shape ``(k, BINS)``; none may be empty.
        levels: Shares from 0 to 1, shape ``(k, m)``; 0 is the begin of the first bin with weight.

    Returns:
        Shape ``(k, m)``.
    """
    share = np.cumsum(mass, axis=1)
    share /= share[:, -1:]
    result = np.empty(levels.shape)
    for row, (whole, wanted) in enumerate(zip(share, levels, strict=True)):
        place = np.minimum(np.searchsorted(whole, np.maximum(wanted, 1e-12), side="left"), BINS - 1)
        before = np.where(place > 0, whole[place - 1], 0.0)
        part = np.clip((wanted - before) / np.maximum(whole[place] - before, 1e-300), 0.0, 1.0)
        result[row] = EDGES[place] + part * (EDGES[place + 1] - EDGES[place])
    return result
