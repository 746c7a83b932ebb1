"""Demand for reserve on the steps of a plan: power, for how long it has to last, and what a missing kW costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid

BLOCK_H = 2.0
"""Longest stretch in which one reserve is held: what other rows give beside it differs from hour to hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveDemand:
    """Upward power that is wanted on the steps of a plan; 0 where none is.

    Attributes:
        power_kw: Power wanted, shape ``(count,)``.
        missing_cny_per_kw_h: What a kW that is missing for an hour costs, shape ``(count,)``.
        sustain_h: Hours for which the power has to last whenever it is called, shape ``(count,)``.
        again: Steps in which a call may be followed by another one of the same day, shape ``(count,)``.
    """

    power_kw: FloatArray
    missing_cny_per_kw_h: FloatArray
    sustain_h: FloatArray
    again: BoolArray

    @classmethod
    def nothing(cls, count: int) -> "ReserveDemand":
        """Return a demand for nothing."""
        none = np.zeros(count)
        return cls(power_kw=none, missing_cny_per_kw_h=none, sustain_h=none, again=np.zeros(count, dtype=np.bool_))

    def plus(self, other: "ReserveDemand") -> "ReserveDemand":
        """Return both at once: powers add up, at their mean price, for the longer of two times."""
        power = self.power_kw + other.power_kw
        worth = self.power_kw * self.missing_cny_per_kw_h + other.power_kw * other.missing_cny_per_kw_h
        return ReserveDemand(
            power_kw=power,
            missing_cny_per_kw_h=np.divide(worth, power, out=np.zeros_like(power), where=power > 0.0),
            sustain_h=np.maximum(self.sustain_h, other.sustain_h),
            again=self.again | other.again,
        )

    def otherwise(self, other: "ReserveDemand") -> "ReserveDemand":
        """Return this demand where it wants anything, and ``other`` elsewhere."""
        mine = self.power_kw > 0.0
        return ReserveDemand(
            power_kw=np.where(mine, self.power_kw, other.power_kw),
            missing_cny_per_kw_h=np.where(mine, self.missing_cny_per_kw_h, other.missing_cny_per_kw_h),
            sustain_h=np.where(mine, self.sustain_h, other.sustain_h),
            again=np.where(mine, self.again, other.again),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveBlock:
    """Steps ``[first, last)`` with one demand.

    Attributes:
        power_kw: Power wanted.
        price_cny_per_kw: What a kW that is missing in the block costs.
        sustain_steps: Steps for which the power has to last.
        again: A call in it may be followed by another one of the same day.
    """

    first: int
    last: int
    power_kw: float
    price_cny_per_kw: float
    sustain_steps: int
    again: bool


def blocks_of(demand: ReserveDemand, grid: TimeGrid) -> Sequence[ReserveBlock]:
    """Return the demand in blocks, disjoint and in order, each of at most ``BLOCK_H``."""
    facts = np.stack([demand.power_kw, demand.missing_cny_per_kw_h, demand.sustain_h, demand.again], axis=1)
    changes = np.flatnonzero((facts[1:] != facts[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(facts)]
    longest = max(round(BLOCK_H / grid.step_h), 1)
    return [
        _block(demand, grid, first, min(first + longest, end))
        for begin, end in pairwise(edges)
        if demand.power_kw[begin] > 0.0
        for first in range(begin, end, longest)
    ]


def _block(demand: ReserveDemand, grid: TimeGrid, first: int, last: int) -> ReserveBlock:
    hours = (last - first) * grid.step_h
    return ReserveBlock(
        first=first,
        last=last,
        power_kw=float(demand.power_kw[first]),
        price_cny_per_kw=float(demand.missing_cny_per_kw_h[first]) * hours,
        sustain_steps=max(int(np.ceil(demand.sustain_h[first] / grid.step_h - 1e-9)), 1),
        again=bool(demand.again[first]),
    )
