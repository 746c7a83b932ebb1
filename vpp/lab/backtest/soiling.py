"""Soiled tables: what meters, loggers and lines do to a record, done to a clean one."""

from typing import Final

import numpy as np
import pandas as pd

from forecasts.panel.grid import AVAILABLE_AT, Columns
from numerics.arrays import BoolArray

MISSING_RATIO: Final = 0.20
_STUCK_RATIO: Final = 0.02
"""Share of rows within stretches that repeat the value before them."""
_STUCK_STEPS: Final = 36
_SENTINEL_RATIO: Final = 0.005
_SENTINELS: Final = (-99.0, 6553.5, 65535.0)
_LATE_RATIO: Final = 0.10
_LATE_H: Final = 6.0


def soiled(frame: pd.DataFrame, columns: Columns, seed: int) -> pd.DataFrame:
    """Return a table of which a fifth of the rows is missing, and others are stuck, sentinels or late.

    Args:
        frame: Clean table.
        columns: What its columns mean; value and live columns are soiled.
        seed: Seed of every random draw.
    """
    random = np.random.default_rng(seed)
    names = [*columns.series, columns.time]
    made = frame.sort_values(names, kind="stable").reset_index(drop=True)
    dirty = [name for name in (columns.value, *columns.live) if name in made.columns]
    stuck = _stretches(len(made), random)
    sentinel = random.random(len(made)) < _SENTINEL_RATIO
    for name in dirty:
        held = made[name].astype(np.float64).where(~stuck).ffill()
        made[name] = held.where(~sentinel, random.choice(_SENTINELS, len(made)))
    late_s = np.where(random.random(len(made)) < _LATE_RATIO, random.uniform(0.0, _LATE_H * 3600.0, len(made)), 0.0)
    made[AVAILABLE_AT] = pd.to_datetime(made[columns.time]) + pd.to_timedelta(np.round(late_s), unit="s")
    return made[random.random(len(made)) >= MISSING_RATIO]


def _stretches(count: int, random: np.random.Generator) -> BoolArray:
    """Return which of ``count`` rows lie in stretches that are stuck."""
    begins = random.random(count) < _STUCK_RATIO / _STUCK_STEPS
    last = np.maximum.accumulate(np.where(begins, np.arange(count), -_STUCK_STEPS))
    return np.asarray(np.arange(count) - last < _STUCK_STEPS)
