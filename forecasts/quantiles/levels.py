"""Levels of the quantiles of a forecast, and what makes a set of quantiles a proper one."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from numerics.arrays import FloatArray, IntArray

LEVELS: Final = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Probabilities of the quantiles of every forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """Forecasts of many series, issues and targets as a table of ``n`` rows.

    Attributes:
        series: Column of the panel, shape ``(n,)``.
        issue: Step at whose start it was made, shape ``(n,)``.
        target: Step it is about, shape ``(n,)``.
        mean: Expected value, shape ``(n,)``.
        quantiles: Quantiles at ``LEVELS``, not falling, shape ``(n, 7)``.
        upper: Largest possible value, NaN where unknown, shape ``(n,)``.
    """

    series: IntArray
    issue: IntArray
    target: IntArray
    mean: FloatArray
    quantiles: FloatArray
    upper: FloatArray

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def joined(cls, parts: "list[Forecasts]") -> "Forecasts":
        """Return the rows of several tables, one after the other."""
        if not parts:
            empty, none = np.empty(0, dtype=np.int64), np.empty(0)
            quantiles = np.empty((0, len(LEVELS)))
            return cls(series=empty, issue=empty, target=empty, mean=none, quantiles=quantiles, upper=none)
        return cls(
            series=np.concatenate([part.series for part in parts]),
            issue=np.concatenate([part.issue for part in parts]),
            target=np.concatenate([part.target for part in parts]),
            mean=np.concatenate([part.mean for part in parts]),
            quantiles=np.concatenate([part.quantiles for part in parts]),
            upper=np.concatenate([part.upper for part in parts]),
        )

    def with_quantiles(self, quantiles: FloatArray) -> "Forecasts":
        """Return the same rows with other quantiles, shape ``(n, 7)``."""
        return replace(self, quantiles=quantiles)


def proper(
    mean: FloatArray, quantiles: FloatArray, lower: FloatArray | float, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean and quantiles within their bounds, the quantiles not falling.

    Sorting crossed quantiles never makes them worse (Chernozhukov, Fernández-Val & Galichon 2010).

    Args:
        mean: Shape ``(n,)``.
        quantiles: Shape ``(n, 7)``.
        lower: Least possible value, shape ``(n,)`` or one for all; -inf where there is none.
        upper: Largest possible value, NaN where unknown, shape ``(n,)``.
    """
    above = np.maximum(np.where(np.isnan(upper), np.inf, upper), lower)
    low = np.broadcast_to(np.asarray(lower, dtype=np.float64), mean.shape)
    bounded = np.clip(np.sort(quantiles, axis=1), low[:, None], above[:, None])
    return np.clip(mean, low, above), bounded


def pinball(truth: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the pinball loss, mean over the levels, NaN where the truth is, shape ``(n,)``.

    Koenker & Bassett (1978).
    """
    off = truth[:, None] - quantiles
    levels = np.asarray(LEVELS)
    return np.asarray(np.maximum(levels * off, (levels - 1.0) * off).mean(axis=1))
