"""Metered 15-minute means."""

from typing import Protocol

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid

LEAST_METERED_RATIO = 0.5
"""Share of a quarter of an hour below which its mean is unknown."""


class IntervalMeter(Protocol):
    """Metered 15-minute means of the whole fleet."""

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where unknown, shape ``(n_resources, grid.count)``."""
        ...


class IntervalMemory(IntervalMeter, Protocol):
    """Metered 15-minute means that can be added to, with their completeness: the metered share of each interval.

    ``read`` returns means with a completeness of at least `LEAST_METERED_RATIO`, NaN below it.
    """

    def read_completeness(self, grid: TimeGrid) -> FloatArray:
        """Return the completeness of each interval, from 0 to 1, shape as ``read``."""
        ...

    def grow(self, n_resources: int) -> None:
        """Serve a larger fleet."""
        ...

    def write(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Store one interval of the whole fleet; NaN where nothing was metered. Arrays of shape ``(n_resources,)``."""
        ...

    def keep(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Store one interval without waiting: it can be read at once, and is durable after ``flush``."""
        ...

    @property
    def pending(self) -> int:
        """Number of kept intervals that are not durable yet."""
        ...

    async def flush(self) -> None:
        """Make every kept interval durable; raises StorageError where not possible now."""
        ...

    def forget(self, before_s: float) -> int:
        """Delete the intervals that start before an instant, epoch seconds; return how many; blocks."""
        ...

    def import_rows(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Merge means of some rows, shape ``(len(rows), grid.count)``; return the number of values stored."""
        ...
