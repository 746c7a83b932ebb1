"""A simulated charging station: its connection, its cars and its reports, in the words of one OCPP version."""

import math
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call, Json, Version
from adapters.ocpp.messages.rpc import Endpoint, EndpointContext
from adapters.ocpp.profiles.power_units import Supply
from adapters.ocpp.simulated.call_queue import CallQueue, QueuedCall
from adapters.ocpp.simulated.connector import CarSession, Connector
from adapters.ocpp.simulated.station_profiles import ProfileEnvironment, StationProfiles
from vpp.domain.device import DeviceReadings, PlugEvent
from vpp.domain.session import Promise
from vpp.domain.setpoint import Layer

_RECONNECT_S = 5.0
"""First pause before a station connects again after a lost connection."""


class ReportReason(StrEnum):
    """Reason of a report of a transaction, as ``triggerReason`` of 2.x."""

    PERIODIC = "MeterValuePeriodic"
    TRIGGERED = "Trigger"


class StationDialect(Protocol):
    """Messages of one OCPP version, as a station sends and serves them."""

    version: Version

    def boot(self, station: "Station") -> Call:
        """Return the boot notification."""
        ...

    def heartbeat(self) -> Call:
        """Return a heartbeat."""
        ...

    def status(self, station: "Station", connector: Connector) -> Call:
        """Return a connector's status."""
        ...

    def report(self, station: "Station", connector: Connector, reason: ReportReason) -> Call | None:
        """Return meter values, with the transaction if one runs."""
        ...

    def session_started(self, station: "Station", connector: Connector, session: CarSession) -> None:
        """Queue the start of a car's transaction and its driver's charging needs."""
        ...

    def session_ended(self, station: "Station", connector: Connector, session: CarSession, event: PlugEvent) -> None:
        """Queue the end of the transaction of a car that has left."""
        ...

    def serve(self, station: "Station", message_id: str, action: str, payload: Json) -> Json | None:
        """Answer a call of the central system; ``None`` if the station answers later."""
        ...


class StationEnvironment(ProfileEnvironment, Protocol):
    """World, clock and readings that all stations of a process share."""

    supply: Supply
    readings: DeviceReadings

    def dial(self, station: "Station", after_s: float) -> None:
        """Connect a station after so many seconds."""
        ...


class StationEndpoint(Endpoint):
    """A station's end of one connection."""

    __slots__ = ("_station",)

    def __init__(self, station: "Station", context: EndpointContext) -> None:
        super().__init__(context)
        self._station = station

    @property
    def version(self) -> Version:
        """See ``Endpoint``."""
        return self._station.dialect.version

    @property
    def peer(self) -> str:
        """See ``Endpoint``."""
        return self._station.id

    def serve_fast(self, frame: CallFrame) -> bytes | None:  # noqa: ARG002 - a station receives no frequent calls
        """See ``Endpoint``."""
        return None

    def opened(self) -> None:
        """See ``Endpoint``."""
        self._station.opened(self)

    def lost(self) -> None:
        """See ``Endpoint``."""
        self._station.closed(self)

    def served(self) -> None:
        """See ``Endpoint``."""
        self._station.send_next()

    def serve(self, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``Endpoint``."""
        return self._station.dialect.serve(self._station, message_id, action, payload)


class Station:
    """A simulated station.

    Attributes:
        connectors: Connectors (1.6) or EVSEs (2.x) by number.
        settings: Configuration keys (1.6) or ``Component.Variable`` (2.x) that were set.
        profiles: Charging profiles of the connectors.
        interval_s: Seconds between reports.
        attempts: Attempts to connect since the last that worked.
        away: Its devices have lost their link, so that it must stay off the network.
    """

    def __init__(
        self, *, name: str, dialect: StationDialect, environment: StationEnvironment, interval_s: float
    ) -> None:
        self.id = name
        self.dialect = dialect
        self.environment = environment
        self.connectors: dict[int, Connector] = {}
        self.settings: dict[str, str] = {}
        self.interval_s = interval_s
        self.attempts = 0
        self.boots = 0
        self.away = False
        self.connection: StationEndpoint | None = None
        self.profiles = StationProfiles(self.connectors, environment, lambda: self.connection)
        self._calls = CallQueue(environment.clock)
        self._booted = False
        self._opened_s = 0.0
        self._closed_s = math.inf
        self._heartbeat_s = 300.0

    # Connection.

    @property
    def booted(self) -> bool:
        """It is connected and its boot notification was accepted."""
        return self._booted

    def opened(self, connection: StationEndpoint) -> None:
        """Take a fresh connection: boot first, then send what waited."""
        self.connection, self._opened_s = connection, self.now_s()
        connection.call(self.dialect.boot(self), self._boot_answered)
        self.send_next()

    def closed(self, connection: StationEndpoint) -> None:
        """Go on without a connection; durable calls wait, meter values are dropped."""
        if self.connection is not connection:
            return
        self.connection, self._booted, self._closed_s = None, False, self.now_s()
        self._calls.connection_lost()
        for connector in self.connectors.values():
            connector.reporting = False
        if not self.away:
            self.environment.dial(self, _RECONNECT_S)

    def hang_up(self) -> None:
        """Drop the connection, as a lost link does."""
        if self.connection is not None:
            self.connection.cut()

    def lapse_profiles(self) -> None:
        """Remove the profiles that do not hold for the time the station has been offline."""
        self.profiles.lapse(self.now_s() - self._closed_s)

    def was_offline(self, at_s: float) -> bool:
        """Return whether ``at_s`` lies before the present connection."""
        return at_s < self._opened_s

    def now_s(self) -> float:
        """Return the station's time in epoch seconds."""
        return self.environment.clock.now_s()

    # Calls.

    def queue_call(
        self,
        build: Callable[[], Call | None],
        answered: Callable[[Answer], None] | None = None,
        *,
        durable: bool = False,
    ) -> None:
        """Queue a call; without a connection only a durable one."""
        if durable or self.connection is not None:
            self._calls.add(QueuedCall(build=build, answered=answered, durable=durable))

    def send_next(self) -> None:
        """Send what is next, nothing before the boot notification is accepted."""
        if self.connection is not None and self._booted:
            self._calls.send_next(self.connection)

    def report(self) -> None:
        """Queue meter values of every connector, and a heartbeat if one is due."""
        for connector in self.connectors.values():
            self.report_connector(connector, ReportReason.PERIODIC)
        if self.now_s() - self._calls.sent_s >= self._heartbeat_s:
            self.queue_call(self.dialect.heartbeat)
        self.send_next()

    def report_connector(self, connector: Connector, reason: ReportReason) -> None:
        """Queue meter values of one connector, unless some wait already."""
        self.profiles.apply(connector)
        if connector.reporting or not self._booted:
            return
        connector.reporting = True

        def build() -> Call | None:
            connector.reporting = False
            return self.dialect.report(self, connector, reason)

        self.queue_call(build)

    def queue_status(self, connector: Connector) -> None:
        """Queue a connector's status."""
        self.queue_call(lambda: self.dialect.status(self, connector))

    def trigger(self, message: str, number: int | None) -> str:
        """Queue a message that the central system triggers; return the status of the answer.

        Args:
            message: ``requestedMessage`` of TriggerMessage.
            number: Connector, all if ``None``.
        """
        chosen = [one for one in self.connectors.values() if number in (None, one.number)]
        match message:
            case "BootNotification":
                self.queue_call(lambda: self.dialect.boot(self), self._boot_answered)
            case "Heartbeat":
                self.queue_call(self.dialect.heartbeat)
            case "StatusNotification":
                for connector in chosen:
                    self.queue_status(connector)
            case "MeterValues" | "TransactionEvent":
                for connector in chosen:
                    self.report_connector(connector, ReportReason.TRIGGERED)
            case _:
                return "NotImplemented"
        return "Accepted" if chosen else "Rejected"

    def set_interval(self, text: str) -> bool:
        """Take a report interval in seconds; return whether it is valid."""
        if not text.isdecimal() or int(text) < 1:
            return False
        self.interval_s = float(text)
        return True

    # Cars.

    def plug(self, connector: Connector, event: PlugEvent) -> None:
        """Take a car that arrived or left."""
        session, connector.session = connector.session, None
        if event.plugged:
            connector.session = session = CarSession(
                number=event.session,
                transaction="",
                started_s=event.at_s,
                meter_kwh=event.meter_kwh,
                promise=event.promise,
            )
            self.dialect.session_started(self, connector, session)
        elif session is not None:
            if not session.stopped:
                self.dialect.session_ended(self, connector, session, event)
            self.profiles.end_transaction(connector)
        self.queue_status(connector)
        self.send_next()

    def restart_session(self, number: int | None) -> CarSession | None:
        """Begin again with a car whose transaction was stopped remotely.

        Args:
            number: Connector, any if ``None``.

        Returns:
            The new session, ``None`` if no such car is there.
        """
        for connector in self.connectors.values():
            stopped = connector.session
            if stopped is not None and stopped.stopped and number in (None, connector.number):
                connector.session = session = CarSession(
                    number=stopped.number,
                    transaction="",
                    started_s=self.now_s(),
                    meter_kwh=self.register_kwh(connector),
                    promise=None,
                )
                self.dialect.session_started(self, connector, session)
                self.environment.world.apply(connector.row, Layer.RELEASE, math.nan, self.now_s())
                return session
        return None

    def stop_session(self, transaction: str) -> Connector | None:
        """Stop a transaction remotely; the car stays and takes nothing. Return its connector, ``None`` if unknown."""
        for connector in self.connectors.values():
            session = connector.transaction()
            if session is not None and session.transaction == transaction:
                session.stopped = True
                self.profiles.end_transaction(connector)
                self.environment.world.apply(connector.row, Layer.DISPATCH, 0.0, math.inf)
                return connector
        return None

    def register_kwh(self, connector: Connector) -> float:
        """Return a connector's energy register."""
        return float(self.environment.readings.energy_kwh[connector.row])

    def remaining_promise(self, connector: Connector, session: CarSession) -> Promise | None:
        """Return the promise less the energy delivered (ISO 15118-2: the energy request is what is left)."""
        if session.promise is None:
            return None
        left_kwh = session.promise.energy_kwh - self._delivered_kwh(connector, session)
        return replace(session.promise, energy_kwh=max(left_kwh, 0.0))

    def queue_charging_needs(self, connector: Connector, session: CarSession, build: Callable[[], Call | None]) -> None:
        """Queue a driver's charging needs, after the register they count from where the car has charged already."""
        if session.promise is None:
            return
        if self._delivered_kwh(connector, session) > 0.0:
            self.queue_call(
                lambda: self.dialect.report(self, connector, ReportReason.PERIODIC),
                durable=True,
            )
        self.queue_call(build, durable=True)

    def _delivered_kwh(self, connector: Connector, session: CarSession) -> float:
        return max(0.0, self.register_kwh(connector) - session.meter_kwh)

    def _boot_answered(self, answer: Answer) -> None:
        if answer.kind is AnswerKind.LOST:
            return
        if answer.status != "Accepted":
            self.hang_up()
            return
        self._heartbeat_s = float(answer.payload["interval"])
        self.attempts, self.boots = 0, self.boots + 1
        if not self._booted:
            self._booted = True
            for connector in self.connectors.values():
                self.queue_status(connector)
                self.report_connector(connector, ReportReason.PERIODIC)
