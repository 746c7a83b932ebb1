"""Gathers what the sites say and hands it to the sink in batches."""

from collections import Counter
from enum import StrEnum

import numpy as np
import structlog

from adapters.mqtt.command_queue import QueuedCommand
from vpp.domain.errors import VppError
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import LinkSink

NAME = "mqtt"
_log = structlog.get_logger(__name__)
_TOLD_AT_MOST = 1000


class Rejection(StrEnum):
    """Why a message or a part of one was dropped; a metric label, so the list is closed."""

    MALFORMED = "malformed"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_SITE = "unknown_site"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_COMMAND = "unknown_command"
    IMPLAUSIBLE = "implausible"
    RETAINED = "retained"
    """A reading or an outcome that the broker kept: it says what was."""
    OLD = "old"
    FUTURE = "future"


class Batcher:
    """Batches on their way to the sink; kept until there is one."""

    def __init__(self) -> None:
        self.sink: LinkSink | None = None
        self._samples: list[tuple[int, int, float, float]] = []
        self._outcomes: list[tuple[int, int, int, int, float]] = []
        self._rejected: Counter[Rejection] = Counter()
        self._healed: Counter[str] = Counter()
        self._told: set[tuple[str, Rejection]] = set()

    def __len__(self) -> int:
        return len(self._samples) + len(self._outcomes)

    def sample(self, row: int, quantity: Quantity, value: float, at_s: float) -> None:
        """Add one measurement."""
        self._samples.append((row, quantity, value, at_s))

    def presence(self, rows: list[int], at_s: float, *, connected: bool) -> None:
        """Add the news that rows can or cannot be reached."""
        self._samples.extend((row, Quantity.CONNECTED, float(connected), at_s) for row in rows)

    def outcome(self, errand: QueuedCommand, at_s: float, status: OutcomeStatus, reason: Reason = Reason.NONE) -> None:
        """Add what became of an instruction."""
        self._outcomes.append((errand.command.id, errand.row, status, reason, at_s))

    def unserved(self, command_id: int, row: int, at_s: float) -> None:
        """Add the outcome of an instruction to a row that is not ours."""
        self._outcomes.append((command_id, row, OutcomeStatus.REJECTED, Reason.UNSUPPORTED, at_s))

    def reject(self, site: str, rejection: Rejection, why: VppError | str) -> None:
        """Count something dropped; the first of its kind from a site is logged with its text."""
        self._rejected[rejection] += 1
        if (site, rejection) not in self._told and len(self._told) < _TOLD_AT_MOST:
            self._told.add((site, rejection))
            _log.warning("message dropped, later ones of its kind are only counted", site=site, why=str(why))

    def heal(self, kind: str) -> None:
        """Count something that was repaired and taken."""
        self._healed[kind] += 1

    def flush(self) -> None:
        """Hand everything over."""
        if self.sink is None:
            return
        samples, self._samples = self._samples, []
        outcomes, self._outcomes = self._outcomes, []
        rejected, self._rejected = self._rejected, Counter()
        if samples:
            self.sink.telemetry(TelemetryBatch.of(samples))
        if outcomes:
            self.sink.outcomes(_batch(outcomes))
        for rejection in rejected.elements():
            self.sink.rejected_frame(NAME, rejection)
        healed, self._healed = self._healed, Counter()
        for kind in healed.elements():
            self.sink.healed(NAME, kind)


def _batch(outcomes: list[tuple[int, int, int, int, float]]) -> OutcomeBatch:
    ids, rows, status, reasons, at_s = zip(*outcomes, strict=True)
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.array(status, dtype=np.uint8),
        reasons=np.array(reasons, dtype=np.uint8),
        at_s=np.array(at_s, dtype=np.float64),
    )
