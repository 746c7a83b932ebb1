"""Plausibility of recorded values: faults of meters and loggers become unknown, without looking ahead."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from numerics.arrays import BoolArray, FloatTable

SENTINELS: Final = (-1.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0, 6553.5, 32767.0, 65535.0)
"""What loggers write for no value, and the ends of the ranges of 16-bit registers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plausible:
    """Bounds of one quantity.

    Attributes:
        low: Least plausible value.
        high: Largest plausible value; per unit of capacity where ``per_capacity``.
        per_capacity: Whether ``high`` is in units of the capacity, where that is known.
        stuck_after: Equal values other than zero in a row after which the next is taken for stuck; 0 for never.
        stuck_whole_after: The same for whole numbers, which states and counts hold for long; 0 for never.
        sentinels: Values that mean that there is none.
    """

    low: float
    high: float
    per_capacity: bool = False
    stuck_after: int = 0
    stuck_whole_after: int = 0
    sentinels: tuple[float, ...] = SENTINELS


def plausible(values: FloatTable, capacity: FloatTable, bounds: Plausible) -> FloatTable:
    """Return values with what is no measurement made NaN: sentinels, impossible sizes, stuck readings.

    A value is judged by itself and by those before it.

    Args:
        values: NaN where missing, shape ``(T, S)``.
        capacity: NaN where unknown, shape ``(T, S)``.
        bounds: What is plausible.
    """
    high = np.where(capacity > 0.0, bounds.high * capacity, np.inf) if bounds.per_capacity else bounds.high
    sentinel = np.isin(values, np.asarray(bounds.sentinels, dtype=np.float32))
    wrong = sentinel | (values < bounds.low) | (values > high) | np.isinf(values)
    return np.where(wrong | _stuck(values, bounds), np.float32(np.nan), values)


def _stuck(values: FloatTable, bounds: Plausible) -> BoolArray:
    """Return which values repeat the ones before them for too long, shape ``(T, S)``."""
    step = np.arange(len(values))[:, None]
    repeats = np.zeros(values.shape, dtype=np.bool_)
    repeats[1:] = (values[1:] == values[:-1]) & (values[1:] != 0.0)
    began = np.maximum.accumulate(np.where(repeats, 0, step), axis=0)
    length = step - began
    whole = values == np.round(values)
    limit = np.where(whole, bounds.stuck_whole_after, bounds.stuck_after)
    return np.asarray(repeats & (limit > 0) & (length >= limit))
