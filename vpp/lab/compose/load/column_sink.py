"""State of a load test's gateway: latest values in columns, batches encoded for the bus."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vpp.bus.messages.frames import telemetry_frames
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus
from vpp.domain.telemetry import Quantity, TelemetryBatch


@dataclass(slots=True)
class ColumnSink:
    """A ``LinkSink`` that does what a gateway does with telemetry.

    Attributes:
        values: Latest value of every row and quantity, shape ``(n_rows, 8)``.
        at_s: Epoch seconds of the latest measurement of every row.
        ended: Called after every batch of outcomes.
    """

    n_rows: int
    samples: int = 0
    batches: int = 0
    bus_bytes: int = 0
    accepted: int = 0
    refused: int = 0
    connected: int = 0
    ended: Callable[[], None] | None = None
    rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.values = np.full((self.n_rows, len(Quantity)), np.nan, dtype=np.float32)
        self.at_s = np.full(self.n_rows, np.nan)

    values: Any = field(init=False)
    at_s: Any = field(init=False)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """See ``LinkSink``."""
        self.samples += len(batch)
        self.batches += 1
        self.values[batch.rows, batch.quantities] = batch.values
        self.at_s[batch.rows] = batch.at_s
        self.bus_bytes += sum(map(len, telemetry_frames(batch)))

    def outcomes(self, batch: OutcomeBatch) -> None:
        """See ``LinkSink``."""
        accepted = int((batch.status == OutcomeStatus.ACCEPTED).sum())
        self.accepted += accepted
        self.refused += len(batch) - accepted
        if self.ended is not None:
            self.ended()

    def session(self, event: SessionEvent) -> None:
        """See ``LinkSink``."""

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """See ``LinkSink``."""
        del adapter
        self.rejected[reason] += 1

    def healed(self, adapter: str, kind: str) -> None:
        """See ``LinkSink``."""

    def connection_refused(self, refused: RefusedConnection) -> None:
        """See ``LinkSink``."""
