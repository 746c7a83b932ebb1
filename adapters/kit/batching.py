"""Batches of samples and outcomes: one delivery to the sink for whatever came within some 20 ms.

Order: within a batch samples keep the order in which they came; samples are delivered before the outcomes that were
collected with them; a session event is delivered after everything that came before it. Counts of dropped and repaired
messages are passed on at once, for they have no place in time.
"""

import asyncio
from array import array
from collections.abc import Iterable

import numpy as np

from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import LinkSink

FLUSH_WALL_S = 0.02
"""Longest wall time a sample waits for others; far below any cycle of the service."""

_POWER, _ENERGY = int(Quantity.POWER_KW), int(Quantity.ENERGY_KWH)
_CONNECTED = int(Quantity.CONNECTED)


class Batcher:
    """Collects samples and outcomes in columns and delivers them together.

    Args:
        adapter: Name of the protocol, as in the registry and in metrics.
        sink: Receiver of the batches; what comes before ``open`` is kept where there is none yet.
        flush_wall_s: Longest wall time before delivery, ``None`` where the owner alone calls ``flush``. With a time the
            batcher is used inside a running event loop.
    """

    def __init__(
        self, adapter: str, *, sink: LinkSink | None = None, flush_wall_s: float | None = FLUSH_WALL_S
    ) -> None:
        self._adapter = adapter
        self._sink = sink
        self._flush_wall_s = flush_wall_s
        self._rows, self._quantities, self._values, self._at_s = _columns()
        self._outcomes: list[tuple[int, int, int, int, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many samples and outcomes wait."""
        return len(self._rows) + len(self._outcomes)

    def open(self, sink: LinkSink) -> None:
        """Deliver to ``sink`` from now on, what was collected before included."""
        self._sink = sink
        self.flush()

    def sample(self, row: int, quantity: Quantity, value: float, at_s: float) -> None:
        """Add one measurement, taken at epoch second ``at_s``."""
        self._rows.append(row)
        self._quantities.append(quantity)
        self._values.append(value)
        self._at_s.append(at_s)
        if self._timer is None:
            self._arm()

    def reading(self, row: int, power_kw: float, energy_kwh: float, at_s: float) -> None:
        """Add power (kW, load positive) and energy register (kWh, NaN where unknown) of one row."""
        rows, quantities, values, stamps = self._rows, self._quantities, self._values, self._at_s
        if energy_kwh == energy_kwh:  # noqa: PLR0124 - not NaN, in the frequent path
            rows.append(row)
            quantities.append(_ENERGY)
            values.append(energy_kwh)
            stamps.append(at_s)
        rows.append(row)
        quantities.append(_POWER)
        values.append(power_kw)
        stamps.append(at_s)
        if self._timer is None:
            self._arm()

    def presence(self, rows: Iterable[int], at_s: float, *, connected: bool) -> None:
        """Add that rows can, or cannot, be reached."""
        value = float(connected)
        for row in rows:
            self._rows.append(row)
            self._quantities.append(_CONNECTED)
            self._values.append(value)
            self._at_s.append(at_s)
        if self._timer is None and self._rows:
            self._arm()

    def outcome(self, command_id: int, row: int, status: OutcomeStatus, reason: Reason, at_s: float) -> None:
        """Add the outcome of one command."""
        self._outcomes.append((command_id, row, status, reason, at_s))
        if self._timer is None:
            self._arm()

    def session(self, event: SessionEvent) -> None:
        """Pass a session event on, after all that came before it."""
        self.flush()
        if self._sink is not None:
            self._sink.session(event)

    def rejected(self, reason: str) -> None:
        """Count a frame, or a part of one, that was dropped."""
        if self._sink is not None:
            self._sink.rejected_frame(self._adapter, reason)

    def healed(self, kind: str) -> None:
        """Count a message that was taken after a repair."""
        if self._sink is not None:
            self._sink.healed(self._adapter, kind)

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Pass on that a device was refused."""
        if self._sink is not None:
            self._sink.connection_refused(refused)

    def flush(self) -> None:
        """Deliver what was collected so far; keep it where there is no sink yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink is None:
            return
        if self._rows:
            batch = TelemetryBatch(
                rows=np.frombuffer(self._rows, dtype=np.int32),
                quantities=np.frombuffer(self._quantities, dtype=np.uint8),
                values=np.frombuffer(self._values, dtype=np.float64),
                at_s=np.frombuffer(self._at_s, dtype=np.float64),
            )
            self._rows, self._quantities, self._values, self._at_s = _columns()
            self._sink.telemetry(batch)
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._sink.outcomes(_outcome_batch(outcomes))

    def _arm(self) -> None:
        if self._flush_wall_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_wall_s, self.flush)


def _columns() -> "tuple[array[int], array[int], array[float], array[float]]":
    """Return empty columns of rows, quantities, values and times; a batch keeps the old ones as they are."""
    return array("i"), array("B"), array("d"), array("d")


def _outcome_batch(outcomes: list[tuple[int, int, int, int, float]]) -> OutcomeBatch:
    ids, rows, status, reasons, at_s = zip(*outcomes, strict=True)
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.array(status, dtype=np.uint8),
        reasons=np.array(reasons, dtype=np.uint8),
        at_s=np.array(at_s, dtype=np.float64),
    )
