"""Days of the same type: which past days a forecast step may be made from, by workday, weekend and holiday."""

from typing import Final

import numpy as np

from numerics.arrays import BoolArray, FloatTable, IntArray

WORKDAY: Final = 0
WEEKEND: Final = 1
HOLIDAY: Final = 2
_LEAST_HOLIDAYS = 3
"""With fewer holidays in the past, weekends count as well, as in a baseline of same-type days."""


def same_type(past: IntArray, wanted: IntArray, *, steps_per_day: int) -> BoolArray:
    """Return which past day-long blocks are of the type of each future step's day, shape ``(days, count)``.

    A holiday borrows weekends where too few holidays lie in the past.

    Args:
        past: Day type of every past step, ``WORKDAY``, ``WEEKEND`` or ``HOLIDAY``, shape ``(days * steps_per_day,)``.
        wanted: Day type of every future step, shape ``(count,)``.
        steps_per_day: Steps of one day.
    """
    types = past.reshape(-1, steps_per_day)[:, np.arange(len(wanted)) % steps_per_day]
    same = types == wanted
    few = (wanted == HOLIDAY) & (same.sum(axis=0) < _LEAST_HOLIDAYS)
    return np.asarray(same | (few & (types == WEEKEND)))


def begun_idle(power_kw: FloatTable, *, steps_per_day: int, idle_kw: float) -> BoolArray:
    """Return which day-long blocks followed a step without charging, shape ``(n, days)``; the first never does.

    Args:
        power_kw: Means of whole days, shape ``(n, days * steps_per_day)``.
        steps_per_day: Steps of one day.
        idle_kw: Magnitude below which a charger is idle.
    """
    before = np.full((len(power_kw), power_kw.shape[1] // steps_per_day), np.nan)
    before[:, 1:] = power_kw[:, steps_per_day - 1 : -1 : steps_per_day]
    return np.asarray(np.abs(before) < idle_kw)
