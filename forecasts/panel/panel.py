"""Panel of series on one time grid, and the view of it that could be had at an instant."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from numerics.arrays import BoolArray, FloatTable, IntArray

SECONDS_PER_DAY: Final = 86_400
_GONE_DAYS: Final = 7
"""A series without a row for so long is taken to have ended."""
_UNKNOWN: Final = np.float32(np.nan)


class PanelError(ValueError):
    """Series that do not fit on one grid, or a view beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Series of one quantity on a regular grid; ``T`` steps, ``S`` series.

    Attributes:
        series: Name of every series, shape ``(S,)``.
        zone: Code of the group each is pooled with, shape ``(S,)``.
        start_s: Epoch seconds, local and without a zone, at which the first step starts.
        step_s: Length of a step; divides a day.
        recorded: The quantity as it was recorded, to judge by; no view holds it, shape ``(T, S)``.
        value: The quantity, NaN where missing or not plausible, shape ``(T, S)``.
        known_from: First step at whose start each value is known, shape ``(T, S)``.
        live: Other quantities by name, shape ``(T, S)`` each.
        live_from: First step at whose start these are known, shape ``(T, S)``.
        capacity: Largest possible value as stated at each step, NaN where it is not, shape ``(T, S)``.
        listed: Steps for which the series had a row, shape ``(T, S)``.
        stand_in: Name of the live quantity that goes with the value while that is not known, empty for none.
    """

    series: tuple[str, ...]
    zone: IntArray
    start_s: int
    step_s: int
    recorded: FloatTable
    value: FloatTable
    known_from: IntArray
    live: Mapping[str, FloatTable]
    live_from: IntArray
    capacity: FloatTable
    listed: BoolArray
    stand_in: str = ""

    def __post_init__(self) -> None:
        if self.step_s <= 0 or SECONDS_PER_DAY % self.step_s:
            raise PanelError(f"step_s: {self.step_s} does not divide a day of {SECONDS_PER_DAY} s")
        shape = (self.value.shape[0], len(self.series))
        shapes = {name: column.shape for name, column in self.live.items()}
        shapes |= {"recorded": self.recorded.shape, "value": self.value.shape, "known_from": self.known_from.shape}
        shapes |= {"live_from": self.live_from.shape}
        shapes |= {"capacity": self.capacity.shape, "listed": self.listed.shape}
        for name, found in shapes.items():
            if found != shape:
                raise PanelError(f"{name}: shape {found}, expected {shape}")
        steps = np.arange(shape[0])[:, None]
        if (self.known_from <= steps).any() or (self.live_from <= steps).any():
            raise PanelError("known_from, live_from: a value cannot be known before its step has ended")

    @property
    def steps_per_day(self) -> int:
        """Steps of one day."""
        return SECONDS_PER_DAY // self.step_s

    def until(self, issue: int) -> "Panel":
        """Return the panel as it was known at the start of step ``issue``: later steps are absent, unknown values NaN.

        Args:
            issue: Step of the grid, or a later one.
        """
        last = min(issue, len(self.value))
        known, live = self.known_from[:last] <= issue, self.live_from[:last] <= issue
        return replace(
            self,
            recorded=self.recorded[:last],
            value=np.where(known, self.value[:last], _UNKNOWN),
            known_from=self.known_from[:last],
            live={name: np.where(live, column[:last], _UNKNOWN) for name, column in self.live.items()},
            live_from=self.live_from[:last],
            capacity=self.capacity[:last],
            listed=self.listed[:last],
        )

    def at(self, issue: int, days: int) -> "View":
        """Return the last ``days`` as they were known at the start of step ``issue``.

        Everything later is absent, not masked: a forecaster that is given a view cannot look ahead.

        Args:
            issue: Step of the grid, or a later one.
            days: Days of history, NaN where the panel has not begun.
        """
        count = days * self.steps_per_day
        first = max(issue - count, 0)
        last = min(issue, len(self.value))
        known, live = self.known_from[first:last] <= issue, self.live_from[first:last] <= issue
        pad = (first - (issue - count), issue - last if issue > last else 0)
        listed = _padded(self.listed[first:last], pad, fill=False)
        recent = listed[-_GONE_DAYS * self.steps_per_day :]
        return View(
            issue=issue,
            end_s=self.start_s + issue * self.step_s,
            step_s=self.step_s,
            zone=self.zone,
            value=_padded(np.where(known, self.value[first:last], _UNKNOWN), pad, fill=np.nan),
            live={
                name: _padded(np.where(live, column[first:last], _UNKNOWN), pad, fill=np.nan)
                for name, column in self.live.items()
            },
            capacity=_last_known(self.capacity[first:last]),
            present=np.asarray(recent.any(axis=0)),
            stand_in=self.stand_in,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was known of a panel at an instant: whole days that end there; ``D`` days of ``P`` steps, ``S`` series.

    Attributes:
        issue: Step of the panel's grid at whose start it is taken.
        end_s: That instant in epoch seconds, local and without a zone.
        step_s: Length of a step.
        zone: Code of the group each series is pooled with, shape ``(S,)``.
        value: Known values, NaN elsewhere, shape ``(D * P, S)``.
        live: Live quantities by name, shape ``(D * P, S)`` each.
        capacity: Largest possible value as last stated, NaN where never, shape ``(S,)``.
        present: Series that had a row within the last week, shape ``(S,)``.
        stand_in: Name of the live quantity that goes with the value while that is not known, empty for none.
    """

    issue: int
    end_s: int
    step_s: int
    zone: IntArray
    value: FloatTable
    live: Mapping[str, FloatTable]
    capacity: FloatTable
    present: BoolArray
    stand_in: str

    @property
    def steps_per_day(self) -> int:
        """Steps of one day."""
        return SECONDS_PER_DAY // self.step_s

    @property
    def days(self) -> int:
        """Days of history."""
        return len(self.value) // self.steps_per_day


def _padded(block: np.ndarray, pad: tuple[int, int], *, fill: float) -> np.ndarray:
    """Return a block with missing steps before and after it."""
    if pad == (0, 0):
        return block
    return np.pad(block, (pad, (0, 0)), constant_values=fill)


def _last_known(block: FloatTable) -> FloatTable:
    """Return the last value of every column that is known, NaN where none is."""
    if not len(block):
        return np.full(block.shape[1], np.nan, dtype=np.float32)
    known = ~np.isnan(block)
    last = len(block) - 1 - np.argmax(known[::-1], axis=0)
    return np.asarray(block[last, np.arange(block.shape[1])])
