"""Telemetry storage: the log of every cycle's samples, and their history."""

from collections.abc import Iterator
from typing import Protocol

from vpp.domain.telemetry import FloatArray, IdArray, Quantity, TelemetryBatch


class TelemetryLog(Protocol):
    """Every sample, cycle by cycle, exactly as the fast loop saw it."""

    def append(self, cycle: int, at_s: float, batch: TelemetryBatch) -> None:
        """Store the samples of one cycle's snapshot; they are durable after the next ``flush``."""
        ...

    @property
    def pending(self) -> int:
        """Number of cycles that are not durable yet."""
        ...

    @property
    def dropped(self) -> int:
        """Number of samples dropped because memory for unwritten ones was full."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable; raises StorageError where not possible now."""
        ...

    def since(self, from_s: float) -> Iterator[tuple[float, TelemetryBatch]]:
        """Iterate epoch seconds and samples of the stored cycles from ``from_s`` on, in order; blocks."""
        ...


class TelemetryHistory(Protocol):
    """Stored samples, to be queried; calls block and may come from any thread."""

    def history(self, row: int, *, from_s: float, to_s: float, quantity: Quantity | None = None) -> TelemetryBatch:
        """Return the samples of one device in ``[from_s, to_s)``, by quantity and time."""
        ...

    def minutes(
        self, *, from_s: float, to_s: float, area: int | None = None, step_s: int = 60
    ) -> tuple[FloatArray, FloatArray, IdArray]:
        """Return start of every step, mean kW of an area (the city for ``None``) and how many devices reported."""
        ...

    def latest(self, *, since_s: float, to_s: float) -> TelemetryBatch:
        """Return the last sample of every device and quantity in ``[since_s, to_s)``."""
        ...
