"""Understands what the sites send, and leaves the network out of it."""

from collections.abc import Mapping

from adapters.mqtt import payload
from adapters.mqtt.delivery import Delivery, Rejection
from adapters.mqtt.ledger import Ledger
from adapters.mqtt.payload import DeviceReading
from adapters.mqtt.roster import Roster
from adapters.mqtt.topics import Leaf, leaf_of, site_of
from vpp.domain.errors import FrameError, InputError
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

_PLAUSIBLE_FACTOR = 10.0
"""Above that many times the nameplate a power is taken for watts under a wrong name."""
_POWERS = (Quantity.POWER_KW, Quantity.P_MIN_KW, Quantity.P_MAX_KW, Quantity.LIMIT_KW)


class Inbox:
    """Turns messages into samples, presence and outcomes; a bad one is counted and harms nobody else."""

    def __init__(self, roster: Roster, ledger: Ledger, delivery: Delivery) -> None:
        self._roster = roster
        self._ledger = ledger
        self._delivery = delivery
        self._latest: dict[int, tuple[float, Mapping[Quantity, float]]] = {}
        self._takers = {Leaf.TELEMETRY: self._telemetry, Leaf.OUTCOME: self._outcome, Leaf.STATUS: self._status}

    def take(self, topic_name: str, message: bytes, now_s: float) -> None:
        """Read one message; never raises for what is in it."""
        site = site_of(topic_name)
        taker = self._takers.get(leaf_of(topic_name))  # type: ignore[call-overload]  # a Leaf is a str
        if taker is None:
            self._delivery.reject(site, Rejection.UNKNOWN_TOPIC, topic_name)
            return
        try:
            taker(site, message, now_s)
        except FrameError as error:
            self._delivery.reject(site, Rejection.MALFORMED, error)
        except InputError as error:
            self._delivery.reject(site, Rejection.INVALID_FIELD, error)

    def latest(self, row: int) -> tuple[float, Mapping[Quantity, float]] | None:
        """Return when a device last reported and what, ``None`` before its first report."""
        return self._latest.get(row)

    def _telemetry(self, site: str, message: bytes, now_s: float) -> None:
        if not self._roster.rows(site):
            self._delivery.reject(site, Rejection.UNKNOWN_SITE, f"telemetry of site {site!r}, which is not registered")
            return
        at_s, readings, faults = payload.parse_telemetry(message)
        if self._roster.proves_return(site, at_s):
            self._delivery.presence(self._roster.came(site), now_s, connected=True)
        for reading in readings:
            self._reading(site, reading, at_s, now_s)
        for fault in faults:
            self._delivery.reject(site, Rejection.INVALID_FIELD, fault)

    def _reading(self, site: str, reading: DeviceReading, at_s: float, now_s: float) -> None:
        row = self._roster.row(site, reading.device)
        if row is None:
            self._delivery.reject(site, Rejection.UNKNOWN_DEVICE, f"device {reading.device!r} is not registered")
            return
        fault = self._implausible(row, reading)
        if fault is not None:
            self._delivery.reject(site, Rejection.IMPLAUSIBLE, fault)
            return
        if self._roster.set_device(row, online=reading.online):
            self._delivery.presence([row], now_s, connected=reading.online and self._roster.is_online(site))
        for quantity, value in reading.values.items():
            self._delivery.sample(row, quantity, value, at_s)
        self._latest[row] = (at_s, reading.values)

    def _implausible(self, row: int, reading: DeviceReading) -> InputError | None:
        span_kw = self._roster.span_kw(row)
        for quantity in _POWERS:
            value = reading.values.get(quantity, 0.0)
            if abs(value) > _PLAUSIBLE_FACTOR * span_kw > 0.0:
                field = f"{quantity.name.lower()} of {reading.device}"
                return InputError(field, value, f"kW; its nameplate says {span_kw} kW (watts go under ..._w)")
        return None

    def _outcome(self, site: str, message: bytes, now_s: float) -> None:
        _, answers, faults = payload.parse_outcomes(message)
        for answer in answers:
            errand = self._ledger.settle(answer.id, site, answer.device)
            if errand is not None:
                self._delivery.outcome(errand, now_s, answer.status, answer.reason)
            elif answer.id > self._ledger.highest_id or self._ledger.is_under_way(answer.id):
                self._delivery.reject(site, Rejection.UNKNOWN_COMMAND, f"outcome of {answer.id}, not asked of {site}")
        for fault in faults:
            self._delivery.reject(site, Rejection.INVALID_FIELD, fault)

    def _status(self, site: str, message: bytes, now_s: float) -> None:
        online, said_at_s = payload.parse_status(message)
        if not self._roster.rows(site):
            self._delivery.reject(site, Rejection.UNKNOWN_SITE, f"status of site {site!r}, which is not registered")
        if online:
            if not self._roster.predates_loss(said_at_s):
                self._delivery.presence(self._roster.came(site), now_s, connected=True)
            return
        self._delivery.presence(self._roster.lost(site, now_s), now_s, connected=False)
        for errand in self._ledger.give_up(site):
            self._delivery.outcome(errand, now_s, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
