"""Samples and outcomes in batches: one delivery to the sink about every 20 ms, however many stations spoke."""

import asyncio

import numpy as np

from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import Clock, LinkSink

ADAPTER = "ocpp"
FLUSH_WALL_S = 0.02
"""Wall seconds a sample may wait for company; far below any cycle of the service."""


class Coalescer:
    """Collects what stations said and delivers it; session news keeps its place among the samples."""

    def __init__(self, *, sink: LinkSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._samples: list[tuple[int, int, float, float]] = []
        self._outcomes: list[tuple[int, int, int, int, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def sample(self, row: int, quantity: Quantity, value: float, at_s: float) -> None:
        """Take one measurement."""
        self._samples.append((row, quantity, value, at_s))
        if self._timer is None:
            self._arm()

    def outcome(self, command_id: int, row: int, status: OutcomeStatus, reason: Reason) -> None:
        """Take the end of one instruction."""
        self._outcomes.append((command_id, row, status, reason, self._clock.now_s()))
        if self._timer is None:
            self._arm()

    def session(self, event: SessionEvent) -> None:
        """Pass on news of a car, after the samples that came before it."""
        self.flush()
        self._sink.session(event)

    def rejected(self, reason: str) -> None:
        """Count a frame or a part of one that was dropped."""
        self._sink.rejected_frame(ADAPTER, reason)

    def flush(self) -> None:
        """Deliver everything collected so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._samples:
            samples, self._samples = self._samples, []
            self._sink.telemetry(TelemetryBatch.of(samples))
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._sink.outcomes(_outcome_batch(outcomes))

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(FLUSH_WALL_S, self.flush)


def _outcome_batch(outcomes: list[tuple[int, int, int, int, float]]) -> OutcomeBatch:
    ids, rows, status, reasons, at_s = zip(*outcomes, strict=True)
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.array(status, dtype=np.uint8),
        reasons=np.array(reasons, dtype=np.uint8),
        at_s=np.array(at_s, dtype=np.float64),
    )
