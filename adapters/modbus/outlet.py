"""What the link tells the service, gathered into batches."""

import asyncio

import numpy as np

from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import LinkSink

NAME = "modbus"
_GATHER_WALL_S = 0.02
"""How long to gather: batching for the processor's sake, no matter what the clock shows."""
_BATCH = 4096


class Outlet:
    """Gathers samples and outcomes and hands them on shortly after, many at a time."""

    def __init__(self) -> None:
        self._sink: LinkSink | None = None
        self._samples: list[tuple[int, int, float, float]] = []
        self._outcomes: list[tuple[int, int, int, int, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def open(self, sink: LinkSink) -> None:
        """Hand everything to ``sink`` from now on, what was gathered before included."""
        self._sink = sink
        self.flush()

    def sample(self, row: int, quantity: Quantity, value: float, at_s: float) -> None:
        """Take one measurement."""
        self._samples.append((row, quantity, value, at_s))
        self._schedule()

    def outcome(self, command: int, row: int, status: OutcomeStatus, reason: Reason, at_s: float) -> None:
        """Take what became of one instruction."""
        self._outcomes.append((command, row, status, reason, at_s))
        self._schedule()

    def rejected(self, reason: str) -> None:
        """Count something a device said that could not be used."""
        if self._sink is not None:
            self._sink.rejected_frame(NAME, reason)

    def flush(self) -> None:
        """Hand on what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink is None:
            return
        if self._samples:
            samples, self._samples = self._samples, []
            self._sink.telemetry(TelemetryBatch.of(samples))
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._sink.outcomes(_outcome_batch(outcomes))

    def _schedule(self) -> None:
        if len(self._samples) + len(self._outcomes) >= _BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_WALL_S, self.flush)


def _outcome_batch(outcomes: list[tuple[int, int, int, int, float]]) -> OutcomeBatch:
    ids, rows, status, reasons, at_s = zip(*outcomes, strict=True)
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.array(status, dtype=np.uint8),
        reasons=np.array(reasons, dtype=np.uint8),
        at_s=np.array(at_s, dtype=np.float64),
    )
