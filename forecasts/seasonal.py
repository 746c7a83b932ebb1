"""Seasonal quantiles: the same time of day on days of the same type, scaled by today's level.

Seasonal-naive with averaging (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2) and the
same-day adjustment of demand-response baselines (`forecasts.level`). The reference of `forecasts.seasonal_profile`,
which gives the service the same mean and spread without quantiles; a test holds the two equal.
"""

import numpy as np

from forecasts.level import fading, level_of
from forecasts.series import History, Quantiles, SeriesError
from numerics.arrays import BoolArray, FloatArray, IntArray

_QUANTILES = (0.1, 0.5, 0.9)


def seasonal(
    history: History,
    same_type: BoolArray,
    *,
    group: IntArray | None = None,
    usable: BoolArray | None = None,
    recent_steps: int = 8,
) -> Quantiles:
    """Return the forecast of the steps that follow ``history``.

    Args:
        history: Whole days ending now, so that step ``k`` of the horizon is step ``k % steps_per_day`` of each of them.
        same_type: Which of the days is of the type of each horizon step's day, shape ``(days, count)``; a step without
            any is forecast from all days.
        group: Rows of equal number share one level adjustment, shape ``(n,)``; a single charger's ratio would be noise.
            ``None`` puts every row on its own.
        usable: Days that resemble now, row by row, e.g. those on which an idle charger was idle too, shape
            ``(n, days)``; a row without any uses them all.
        recent_steps: How many of the last steps decide the level; 0 for no adjustment.

    Returns:
        NaN in rows without any history at all.

    Raises:
        SeriesError: Shapes that do not fit.
    """
    if same_type.ndim != 2 or same_type.shape[0] != history.days:  # noqa: PLR2004 - days and steps
        raise SeriesError(f"expected shape ({history.days}, count), got {same_type.shape} for same_type")
    days = _aligned(history, same_type, usable)
    mean, spread, quantiles = _statistics(days)
    level = level_of(history, same_type, group=group, recent_steps=min(recent_steps, history.steps_per_day))
    factor = 1.0 + (level[:, None] - 1.0) * fading(same_type.shape[1])
    p10, p50, p90 = np.sort(quantiles * factor, axis=0)
    return Quantiles(
        start_s=history.end_s,
        step_s=history.step_s,
        available_at_s=history.available_at_s,
        mean_kw=mean * factor,
        spread_kw=spread * factor,
        p10_kw=p10,
        p50_kw=p50,
        p90_kw=p90,
    )


def _aligned(history: History, same_type: BoolArray, usable: BoolArray | None) -> FloatArray:
    """Return each day's value for every horizon step, NaN where the day does not count, ``(days, n, count)``."""
    power, per_day = history.power_kw, history.steps_per_day
    n = len(power)
    by_day = power.reshape(n, history.days, per_day).transpose(1, 0, 2)
    chosen = same_type | ~same_type.any(axis=0)
    steps = np.arange(same_type.shape[1]) % per_day
    counts = np.broadcast_to(chosen[:, None, :], (history.days, n, len(steps)))
    if usable is not None:
        narrowed = counts & usable.T[:, :, None]
        counts = np.where(narrowed.any(axis=0), narrowed, counts)
    return np.where(counts, by_day[:, :, steps], np.nan)


def _statistics(days: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, standard deviation and quantiles over the known days, without warnings where none is known."""
    known = ~np.isnan(days)
    number = known.sum(axis=0)
    divisor = np.where(number > 0, number, np.nan)
    mean = np.where(known, days, 0.0).sum(axis=0) / divisor
    spread = np.sqrt(np.where(known, (days - mean) ** 2, 0.0).sum(axis=0) / np.maximum(divisor - 1, 1))
    ordered = np.sort(days, axis=0)  # NaN last
    quantiles = np.stack([_quantile(ordered, number, level) for level in _QUANTILES])
    return mean, spread, quantiles


def _quantile(ordered: FloatArray, number: IntArray, level: float) -> FloatArray:
    """Return a quantile of the first ``number`` values along axis 0 by linear interpolation (Hyndman & Fan type 7)."""
    at = level * np.maximum(number - 1, 0)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(number - 1, 0))
    low = np.take_along_axis(ordered, below[None], axis=0)[0]
    high = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.asarray(low + (high - low) * (at - below))
