"""Reports of one endpoint's units: samples, troubles, connection and outcomes, each loss and return logged once."""

import structlog

from adapters.kit.batching import Batcher
from adapters.modbus.command import Command, Verdict
from adapters.modbus.unit import Unit
from vpp.domain.telemetry import Quantity
from vpp.ports import Clock

_log = structlog.get_logger(__name__)


class UnitReports:
    """Reports on units to the service; none on those that have left.

    Args:
        endpoint: Host and port, for the log.
        clock: The only source of time.
        batcher: Where reports go.
    """

    def __init__(self, endpoint: tuple[str, int], clock: Clock, batcher: Batcher) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._batcher = batcher

    def samples(self, unit: Unit) -> None:
        """Report the readings of a unit, as last read."""
        if unit.contact.left:
            return
        now_s = self._clock.now_s()
        for quantity, value in unit.device.samples():
            self._batcher.sample(unit.row, quantity, value, now_s)
        self.troubles(unit)

    def limit(self, unit: Unit) -> None:
        """Report the setpoint in force as read back, where there is one."""
        limit_kw = unit.device.limit_kw()
        if not unit.contact.left and limit_kw == limit_kw:  # noqa: PLR0124 - false for NaN only: no setpoint is in force
            self._batcher.sample(unit.row, Quantity.LIMIT_KW, limit_kw, self._clock.now_s())

    def troubles(self, unit: Unit) -> None:
        """Report the troubles of a unit where they have changed."""
        troubles = unit.troubles
        if not unit.contact.left and troubles != unit.contact.reported_troubles:
            unit.contact.reported_troubles = troubles
            self._batcher.sample(unit.row, Quantity.TROUBLES, float(troubles), self._clock.now_s())

    def connected(self, unit: Unit, *, connected: bool, quietly: bool = False) -> None:
        """Report that a unit answers, or that it does not; ``quietly`` logs no loss, since its endpoint's is logged."""
        contact = unit.contact
        if contact.left or contact.connected is connected:
            return
        now_s = self._clock.now_s()
        self._batcher.sample(unit.row, Quantity.CONNECTED, float(connected), now_s)
        if connected and contact.loss_logged:
            _log.info("modbus device recovered", row=unit.row, after_s=round(now_s - contact.since_s, 1))
        elif not connected and not quietly:
            _log.warning("modbus device lost", row=unit.row, endpoint=self._endpoint, unit=unit.number, why=contact.why)
        contact.loss_logged = not connected and not quietly
        contact.connected = connected
        contact.since_s = now_s

    def handed_over(self, unit: Unit, due_s: float) -> None:
        """Report a unit as disconnected and forget its state: another process polls it now."""
        if unit.contact.connected:
            self._batcher.sample(unit.row, Quantity.CONNECTED, 0.0, self._clock.now_s())
        unit.contact.hand_over(due_s)

    def unusable(self, reason: str) -> None:
        """Count an answer that could not be used; ``reason`` is ``exception`` or ``map``."""
        self._batcher.rejected(reason)

    def outcome(self, command: Command, verdict: Verdict) -> None:
        """Report the outcome of an instruction."""
        self._batcher.outcome(command.id, command.row, *verdict, self._clock.now_s())
