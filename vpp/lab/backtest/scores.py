"""Scores of forecasts beside their truth; rows without a truth do not count."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from forecasts.quantiles.levels import LEVELS, pinball
from numerics.arrays import FloatArray

_QUANTILES = [f"q{round(level * 100):02d}" for level in LEVELS]


def overall(table: pd.DataFrame) -> dict[str, float]:
    """Return the scores of all rows together.

    Returns:
        ``mae`` of the median, ``rmse`` of the mean, ``pinball``, the mean loss of the seven quantiles, and
        ``wmape``, the absolute error of the median over the truth's sum; NaN where no row has a truth.
    """
    judged = table[table["truth"].notna()]
    if judged.empty:
        return dict.fromkeys(("mae", "rmse", "pinball", "wmape"), float("nan"))
    truth = judged["truth"].to_numpy(dtype=np.float64)
    off = np.abs(truth - judged["q50"].to_numpy())
    return {
        "mae": float(off.mean()),
        "rmse": float(np.sqrt(((truth - judged["mean"].to_numpy()) ** 2).mean())),
        "pinball": float(pinball(truth, judged[_QUANTILES].to_numpy(dtype=np.float64)).mean()),
        "wmape": float(off.sum() / max(float(np.abs(truth).sum()), 1e-12)),
    }


def or_null(value: float) -> float | None:
    """Return a score for JSON, which has no NaN: ``None`` instead."""
    return None if math.isnan(value) else value


def ahead_hours(table: pd.DataFrame) -> FloatArray:
    """Return the hours from issue to target of every row, shape ``(n,)``."""
    return np.asarray((table["target_at"] - table["issued_at"]).dt.total_seconds() / 3600.0)


def at_horizon(table: pd.DataFrame, hours: float) -> pd.DataFrame:
    """Return the rows whose target begins so many hours after the issue."""
    return table[np.isclose(ahead_hours(table), hours)]


def many_levels_pinball(table: pd.DataFrame) -> float:
    """Return the mean loss of the quantiles of 1 to 99 %, drawn through the seven; GEFCom2014 (Hong et al. 2016).

    Between the seven, quantiles are linear in the standard normal's; beyond them they go on with the last slope.
    """
    truth = table["truth"].to_numpy(dtype=np.float64)
    levels = np.arange(1, 100) / 100.0
    quantiles = through_seven(table[_QUANTILES].to_numpy(dtype=np.float64), levels)
    off = truth[:, None] - quantiles
    return float(np.maximum(levels * off, (levels - 1.0) * off).mean())


def through_seven(quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return quantiles at any levels, drawn through the seven on the scale of a normal law, shape ``(n, k)``.

    Args:
        quantiles: Shape ``(n, 7)``.
        levels: Probabilities between 0 and 1, shape ``(k,)``.
    """
    normal = NormalDist()
    known = np.array([normal.inv_cdf(level) for level in LEVELS])
    wanted = np.array([normal.inv_cdf(float(level)) for level in levels])
    place = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
    share = (wanted - known[place]) / (known[place + 1] - known[place])
    return np.asarray(quantiles[:, place] + share * (quantiles[:, place + 1] - quantiles[:, place]))
