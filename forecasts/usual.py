"""The usual day of many series: mean and spread only, block by block.

A city's history never lies in memory several times over that way. The same estimate as `forecasts.seasonal`, which
also gives quantiles and sorts all days for them.
"""

import numpy as np
import numpy.typing as npt

from forecasts.seasonal import LEVEL_HALF_LIFE_STEPS, aligned, level_of
from forecasts.series import BoolArray, FloatArray, History, IntArray, SeriesError

FloatTable = npt.NDArray[np.float32]
_BLOCK = 512
"""Series that are looked at together: with two weeks of days a few megabytes."""


def usual(
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
    fading = 0.5 ** (np.arange(count) / LEVEL_HALF_LIFE_STEPS)
    for first in range(0, n, _BLOCK):
        rows = slice(first, first + _BLOCK)
        part = None if usable is None else usable[rows]
        days = aligned(history, same_type, part, rows=rows)
        factor = 1.0 + (level[rows, None] - 1.0) * fading
        mean[rows], spread[rows] = _moments(days, factor)
    return mean, spread


def _moments(days: FloatArray, factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation over known days, both times ``factor``, shape ``(n, count)`` each."""
    known = ~np.isnan(days)
    number = known.sum(axis=0)
    divisor = np.where(number > 0, number, np.nan)
    filled = np.where(known, days, 0.0)
    mean = filled.sum(axis=0) / divisor
    apart = np.where(known, days - mean, 0.0)
    spread = np.sqrt(np.einsum("dnt,dnt->nt", apart, apart) / np.maximum(divisor - 1, 1))
    return mean * factor, spread * factor
