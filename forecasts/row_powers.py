"""Expected power of every row from its series, its present power and the charging need of its car."""

import math
from typing import NamedTuple

import numpy as np

from forecasts.charging_need import ChargingNeeds
from forecasts.cohorts import SeriesCode
from numerics.arrays import FloatArray, FloatTable
from numerics.jit import njit

_UNKNOWN_SPREAD_RATIO = 0.3
"""Relative spread of a row that has no history."""


class Membership(NamedTuple):
    """Series of every row, -1 for none, and the factor that scales it to the row; shape ``(n,)`` each."""

    of_row: SeriesCode
    weight: FloatTable


def row_powers(
    profile: tuple[FloatTable, FloatTable],
    membership: Membership,
    *,
    present_kw: FloatArray,
    needs: ChargingNeeds,
    start_s: float,
    step_s: float,
) -> tuple[FloatTable, FloatTable]:
    """Return mean and standard deviation of every row's power, shape ``(n, count)`` each.

    A row follows its series, or its present power where the series is unknown; until a promised car departs, the row
    follows the car, which is certain.

    Args:
        profile: Mean and standard deviation of every series, NaN where unknown, shape ``(k, count)`` each.
        membership: Series of every row.
        present_kw: Power of every row now, shape ``(n,)``.
        needs: Promised cars.
        start_s: Epoch seconds at which the first step starts.
        step_s: Length of a step in seconds.
    """
    shape = (len(membership.of_row), profile[0].shape[1])
    expected_kw, spread_kw = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    _expand(profile, membership, present_kw, needs, (start_s, step_s), expected_kw, spread_kw)
    return expected_kw, spread_kw


@njit()
def _expand(  # noqa: PLR0917 - a kernel takes arguments by position
    profile: tuple[FloatTable, FloatTable],
    membership: Membership,
    present_kw: FloatArray,
    needs: ChargingNeeds,
    clock: tuple[float, float],
    expected_kw: FloatTable,
    spread_kw: FloatTable,
) -> None:
    mean, spread = profile
    of_row, weight = membership
    promised, power, charged_by_s, departure_s = needs
    start_s, step_s = clock
    steps = expected_kw.shape[1]
    whole = np.empty(mean.shape[0], dtype=np.bool_)
    for k in range(mean.shape[0]):
        whole[k] = not (np.isnan(mean[k]).any() or np.isnan(spread[k]).any())
    for row in range(expected_kw.shape[0]):
        k, first = of_row[row], 0
        if promised[row]:
            first = int(min(max(math.ceil((departure_s[row] - start_s) / step_s), 0.0), float(steps)))
        for t in range(first):
            rest_s = charged_by_s[row] - start_s - t * step_s
            expected_kw[row, t] = power[row] * min(max(rest_s, 0.0), step_s) / step_s
            spread_kw[row, t] = 0.0
        if k >= 0 and whole[k]:
            for t in range(first, steps):
                expected_kw[row, t] = mean[k, t] * weight[row]
                spread_kw[row, t] = spread[k, t] * weight[row]
            continue
        now = np.float32(present_kw[row])
        wide = np.float32(abs(present_kw[row]) * _UNKNOWN_SPREAD_RATIO)
        for t in range(first, steps):
            known = k >= 0 and not np.isnan(mean[k, t])
            expected_kw[row, t] = mean[k, t] * weight[row] if known else now
            known = k >= 0 and not np.isnan(spread[k, t])
            spread_kw[row, t] = spread[k, t] * weight[row] if known else wide
