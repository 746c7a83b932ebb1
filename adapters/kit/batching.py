"""Samples and outcomes in batches: one delivery to the sink about every 20 ms, however many stations spoke."""

import asyncio
from array import array

import numpy as np

from vpp.domain.knock import Knock
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import Clock, LinkSink

FLUSH_WALL_S = 0.02
"""Wall seconds a sample may wait for company; far below any cycle of the service."""

_POWER, _ENERGY = int(Quantity.POWER_KW), int(Quantity.ENERGY_KWH)


class Batcher:
    """Collects what stations said, in columns, and delivers it; session news keeps its place among the samples."""

    def __init__(self, adapter: str, *, sink: LinkSink, clock: Clock) -> None:
        self._adapter = adapter
        self._sink = sink
        self._clock = clock
        self._rows, self._quantities, self._values, self._at_s = _columns()
        self._outcomes: list[tuple[int, int, int, int, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def sample(self, row: int, quantity: Quantity, value: float, at_s: float) -> None:
        """Take one measurement."""
        self._rows.append(row)
        self._quantities.append(quantity)
        self._values.append(value)
        self._at_s.append(at_s)
        if self._timer is None:
            self._arm()

    def reading(self, row: int, power_kw: float, energy_kwh: float, at_s: float) -> None:
        """Take power and register of one row, the register where it is known."""
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
        self._sink.rejected_frame(self._adapter, reason)

    def healed(self, kind: str) -> None:
        """Count a message that was taken after a repair."""
        self._sink.healed(self._adapter, kind)

    def knocked(self, knock: Knock) -> None:
        """Pass on that a station was not let in."""
        self._sink.knocked(knock)

    def flush(self) -> None:
        """Deliver everything collected so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
        self._timer = asyncio.get_running_loop().call_later(FLUSH_WALL_S, self.flush)


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
