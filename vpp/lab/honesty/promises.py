"""Promises: each quantile of every window and call, whether it was kept, and how much it weighs.

*Kept* means that the least quarter of an hour could deliver 0.99 of the quantile. Areas of one time err together, so
all of them weigh as much as one window of the city. A call weighs as one window; only its p10 is judged, for nothing
beyond it was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import CITY
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.calendar import day_number
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.lab.honesty.true_calls import TrueCall
from vpp.planning.calibration.cells import DIRECTIONS, block_of, notice_of

KEPT_RATIO = 0.99
_DRAWS = 1000
_BOUNDS = (0.05, 0.95)
_MOST_SEEDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share with the interval that nine in ten draws of days fall into; NaN where nothing is known.

    Attributes:
        ratio: The share.
        low: Lower end.
        high: Upper end.
    """

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Promises of windows and calls; shape ``(n,)`` unless noted.

    Attributes:
        kept: 1 where p10, p50 and p90 were deliverable, 0 where not, NaN where nobody knows, shape ``(n, 3)``.
        weight: How much each counts.
        day: Day and seed, one number for each pair.
        is_city: Of the whole city.
        direction: Position in `vpp.planning.calibration.cells.DIRECTIONS`.
        notice: Position in ``NOTICES`` there.
        block: Position in ``BLOCKS`` there.
    """

    kept: FloatArray
    weight: FloatArray
    day: IntArray
    is_city: BoolArray
    direction: IntArray
    notice: IntArray
    block: IntArray

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def of_windows(cls, windows: JudgedWindows) -> Self:
        """Return the promises of windows."""
        quoted_kw = np.stack([windows.p10_kw, windows.p50_kw, windows.p90_kw], axis=1)
        return cls(
            kept=(windows.deliverable_kw[:, None] >= KEPT_RATIO * quoted_kw).astype(np.float64),
            weight=_weights(windows),
            day=windows.day * _MOST_SEEDS + windows.seed,
            is_city=windows.is_city,
            direction=windows.direction,
            notice=windows.notice,
            block=windows.block,
        )

    @classmethod
    def of_calls(cls, calls: Sequence[TrueCall]) -> Self:
        """Return the promises of calls."""
        kept = np.full((len(calls), 3), np.nan)
        kept[:, 0] = [one.least_kw >= KEPT_RATIO * one.accepted_kw for one in calls]
        days = [int(day_number(one.start_s)) * _MOST_SEEDS + one.seed for one in calls]
        return cls(
            kept=kept,
            weight=np.ones(len(calls)),
            day=np.array(days, dtype=np.int64),
            is_city=np.array([one.area == CITY for one in calls], dtype=np.bool_),
            direction=np.array([DIRECTIONS.index(one.direction) for one in calls], dtype=np.int64),
            notice=np.array([notice_of(one.start_s - one.submit_s) for one in calls], dtype=np.int64),
            block=np.array([block_of(one.start_s) for one in calls], dtype=np.int64),
        )

    @classmethod
    def together(cls, *parts: Self) -> Self:
        """Return the promises of all parts."""
        names = ("kept", "weight", "day", "is_city", "direction", "notice", "block")
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def chosen(self, these: BoolArray) -> Self:
        """Return some of the promises, shape ``(n,)``."""
        names = ("kept", "weight", "day", "is_city", "direction", "notice", "block")
        return type(self)(**{name: getattr(self, name)[these] for name in names})

    def kept_ratio(self, quantile: int) -> Interval:
        """Return the share of a quantile (0 is p10) that was kept; days are drawn again, for a day errs together."""
        known = np.isfinite(self.kept[:, quantile])
        if not known.any():
            return Interval(ratio=np.nan, low=np.nan, high=np.nan)
        weight, kept = self.weight[known], self.kept[known, quantile]
        _, place = np.unique(self.day[known], return_inverse=True)
        whole, done = np.bincount(place, weight), np.bincount(place, weight * kept)
        count = len(whole)
        drawn = np.random.default_rng(1).multinomial(count, np.full(count, 1.0 / count), size=_DRAWS)
        low, high = np.quantile((drawn @ done) / (drawn @ whole), _BOUNDS)
        return Interval(ratio=float(done.sum() / whole.sum()), low=float(low), high=float(high))


def _weights(windows: JudgedWindows) -> FloatArray:
    """Return 1 for a window of the city, and for one of an area 1 over their number at that time, shape ``(n,)``."""
    keys = np.stack(
        [
            windows.seed.astype(np.float64),
            windows.quoted_s,
            windows.start_s,
            windows.steps.astype(np.float64),
            windows.direction.astype(np.float64),
            windows.is_city.astype(np.float64),
        ]
    )
    order = np.lexsort(keys)
    ranked = keys[:, order]
    fresh = np.concatenate(([True], (ranked[:, 1:] != ranked[:, :-1]).any(axis=0)))
    group = np.cumsum(fresh) - 1
    weight = np.empty(len(windows))
    weight[order] = 1.0 / np.bincount(group)[group]
    return weight
