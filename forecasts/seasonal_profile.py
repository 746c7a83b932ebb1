"""Seasonal profile of many series: mean and standard deviation in one pass over the days.

The estimate of `forecasts.seasonal` without its quantiles, which need every day sorted: a city's history is never
copied.
"""

import math

import numpy as np

from forecasts.level import fading, level_of
from forecasts.series import History, SeriesError
from numerics.arrays import BoolArray, FloatArray, FloatTable, IntArray, Powers
from numerics.jit import njit


def seasonal_profile(
    history: History,
    same_type: BoolArray,
    *,
    group: IntArray | None = None,
    usable: BoolArray | None = None,
    recent_steps: int = 8,
) -> tuple[FloatTable, FloatTable]:
    """Return mean and standard deviation of the steps that follow ``history``, shape ``(n, count)`` each.

    Args:
        history: See ``forecasts.seasonal.seasonal``; so are the other arguments.
        same_type: Which of the days is of the type of each horizon step's day, shape ``(days, count)``.
        group: Rows of equal number share one level adjustment, shape ``(n,)``.
        usable: Days that resemble now, row by row, shape ``(n, days)``.
        recent_steps: How many of the last steps decide the level; 0 for no adjustment.

    Returns:
        NaN in rows without any history at all.

    Raises:
        SeriesError: Shapes that do not fit.
    """
    if same_type.ndim != 2 or same_type.shape[0] != history.days:  # noqa: PLR2004 - days and steps
        raise SeriesError(f"expected shape ({history.days}, count), got {same_type.shape} for same_type")
    n, count = history.power_kw.shape[0], same_type.shape[1]
    mean, spread = np.empty((n, count), dtype=np.float32), np.empty((n, count), dtype=np.float32)
    level = level_of(history, same_type, group=group, recent_steps=min(recent_steps, history.steps_per_day))
    _moments(
        history.power_kw,
        same_type | ~same_type.any(axis=0),
        np.ones((n, history.days), dtype=np.bool_) if usable is None else usable,
        level,
        fading(count),
        mean,
        spread,
    )
    return mean, spread


@njit()
def _moments(  # noqa: PLR0917 - a kernel takes arguments by position
    power: Powers,
    chosen: BoolArray,
    usable: BoolArray,
    level: FloatArray,
    fading: FloatArray,
    mean: FloatTable,
    spread: FloatTable,
) -> None:
    """Write mean and standard deviation over the known days, both levelled.

    Of the days of the right type only the usable ones count, unless none of them is.
    """
    days, count = chosen.shape
    per_day = power.shape[1] // days
    for k in range(power.shape[0]):
        for t in range(count):
            narrow = False
            for d in range(days):
                narrow |= chosen[d, t] and usable[k, d]
            number, total = 0, 0.0
            for d in range(days):
                value = power[k, d * per_day + t % per_day]
                if chosen[d, t] and (usable[k, d] or not narrow) and not np.isnan(value):
                    number += 1
                    total += value
            if not number:
                mean[k, t] = spread[k, t] = np.nan
                continue
            middle, squares = total / number, 0.0
            for d in range(days):
                value = power[k, d * per_day + t % per_day]
                if chosen[d, t] and (usable[k, d] or not narrow) and not np.isnan(value):
                    squares += (value - middle) ** 2
            factor = 1.0 + (level[k] - 1.0) * fading[t]
            mean[k, t] = middle * factor
            spread[k, t] = math.sqrt(squares / max(number - 1, 1)) * factor
