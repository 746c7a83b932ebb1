"""One simulated station: a connection that comes and goes, and a queue that survives it."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call, Json, Version
from adapters.ocpp.messages.rpc import Endpoint, Hub
from adapters.ocpp.profiles.power_units import Supply
from adapters.ocpp.simulated.connector import Connector, Visit
from adapters.ocpp.simulated.profile_stack import Installed, Purpose
from vpp.domain.device import DeviceReadings, PlugEvent
from vpp.domain.session import Promise
from vpp.ports import Clock, DeviceWorld

_SOON_S = 5.0
"""A connection that a station dropped by itself is tried again after about this long."""


class Telling(StrEnum):
    """Why a station reports a transaction."""

    PERIODIC = "MeterValuePeriodic"
    TRIGGERED = "Trigger"


@dataclass(slots=True, kw_only=True)
class Message:
    """A call in a station's queue.

    Attributes:
        build: Gives the call at the moment of sending, ``None`` if there is nothing to say any more.
        durable: It waits for a connection, and is sent again word for word if the connection goes before the answer
            comes.
        call: What was sent, once it was.
    """

    build: Callable[[], Call | None]
    answered: Callable[[Answer], None] | None = None
    durable: bool = False
    call: Call | None = None


class StationDialect(Protocol):
    """The words of one version for a station."""

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

    def report(self, station: "Station", connector: Connector, why: Telling) -> Call | None:
        """Return meter values, with the transaction if one runs."""
        ...

    def began(self, station: "Station", connector: Connector, visit: Visit) -> None:
        """Queue the news of a car and of its driver's wish."""
        ...

    def left(self, station: "Station", connector: Connector, visit: Visit, event: PlugEvent) -> None:
        """Queue the news that a car has gone."""
        ...

    def serve(self, station: "Station", message_id: str, action: str, payload: Json) -> Json | None:
        """Answer the central system; ``None`` if the station will answer later."""
        ...


class Surroundings(Protocol):
    """What all stations of a process share."""

    world: DeviceWorld
    clock: Clock
    supply: Supply
    readings: DeviceReadings

    def taken(self, profile_id: int) -> None:
        """Count a charging profile that a station said yes to."""
        ...

    def dial(self, station: "Station", after_s: float) -> None:
        """Connect a station after so many seconds."""
        ...


class Line(Endpoint):
    """A station's end of one connection."""

    __slots__ = ("_station",)

    def __init__(self, station: "Station", hub: Hub) -> None:
        super().__init__(station.voice.version, hub)
        self._station = station

    @property
    def peer(self) -> str:
        """See ``Endpoint``."""
        return self._station.id

    def quick(self, frame: CallFrame) -> bytes | None:  # noqa: ARG002 - a station hears nothing often
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
        self._station.pump()

    def serve(self, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``Endpoint``."""
        return self._station.voice.serve(self._station, message_id, action, payload)


class Station:
    """A simulated station.

    Attributes:
        settings: Configuration keys (1.6) or ``Component.Variable`` (2.x) that were set.
        interval_s: Seconds between reports.
        attempts: Connections tried since the last that worked.
        away: It must keep off the network.
    """

    def __init__(self, *, name: str, voice: StationDialect, around: Surroundings, interval_s: float) -> None:
        self.id = name
        self.voice = voice
        self.around = around
        self.connectors: dict[int, Connector] = {}
        self.settings: dict[str, str] = {}
        self.interval_s = interval_s
        self.attempts = 0
        self.boots = 0
        self.away = False
        self.line: Line | None = None
        self._closed_s = math.inf
        self._booted = False
        self._heartbeat_s = 300.0
        self._spoke_s = 0.0
        self._opened_s = 0.0
        self._sent: Message | None = None
        self._queue: deque[Message] = deque()

    # Connection.

    @property
    def speaking(self) -> bool:
        """It is connected and was let in."""
        return self._booted

    def opened(self, line: Line) -> None:
        """Take a fresh connection: boot first, then what waited."""
        self.line, self._opened_s = line, self.now_s()
        self._boot()
        self.pump()

    def closed(self, line: Line) -> None:
        """Go on without a connection; what must be told waits, what grows old is forgotten."""
        if self.line is not line:
            return
        self.line, self._booted, self._closed_s = None, False, self.now_s()
        if self._sent is not None and self._sent.durable:
            self._queue.appendleft(self._sent)
        self._sent = None
        self._queue = deque(message for message in self._queue if message.durable)
        for connector in self.connectors.values():
            connector.reporting = False
        if not self.away:
            self.around.dial(self, _SOON_S)

    def endure(self) -> None:
        """Live on without a connection: what does not hold so long lapses."""
        offline_s = self.now_s() - self._closed_s
        for connector in self.connectors.values():
            if connector.stack.lapse(offline_s):
                self.obey(connector)

    def update_profile(self, profile_id: int, power_kw: float) -> bool:
        """Give a dynamic profile another value; tell whether it is installed anywhere."""
        found = False
        for connector in self.connectors.values():
            if connector.stack.update(profile_id, power_kw):
                found = True
                self.obey(connector)
        return found

    def was_offline(self, at_s: float) -> bool:
        """Tell whether something happened before the present connection."""
        return at_s < self._opened_s

    def now_s(self) -> float:
        """Return the station's time."""
        return self.around.clock.now_s()

    # Queue.

    def tell(
        self,
        build: Callable[[], Call | None],
        answered: Callable[[Answer], None] | None = None,
        *,
        durable: bool = False,
    ) -> None:
        """Queue a call."""
        if durable or self.line is not None:
            self._queue.append(Message(build=build, answered=answered, durable=durable))

    def pump(self) -> None:
        """Send what is next, one at a time; nothing but the boot before it is accepted."""
        line = self.line
        while line is not None and line.idle and self._booted and self._queue:
            message = self._queue.popleft()
            message.call = message.call or message.build()
            if message.call is not None:
                self._sent, self._spoke_s = message, self.now_s()
                line.call(message.call, self._answered)

    def report(self, why: Telling = Telling.PERIODIC) -> None:
        """Queue meter values of every connector, and a heartbeat if one is due."""
        for connector in self.connectors.values():
            self.report_connector(connector, why)
        if self.now_s() - self._spoke_s >= self._heartbeat_s:
            self.tell(self.voice.heartbeat)
        self.pump()

    def report_connector(self, connector: Connector, why: Telling) -> None:
        """Queue meter values of one connector, unless some wait already."""
        self.obey(connector)
        if connector.reporting or not self._booted:
            return
        connector.reporting = True

        def build() -> Call | None:
            connector.reporting = False
            return self.voice.report(self, connector, why)

        self.tell(build)

    def tell_status(self, connector: Connector) -> None:
        """Queue a connector's status."""
        self.tell(lambda: self.voice.status(self, connector))

    def boot(self) -> None:
        """Boot again, as a triggered message."""
        self.tell(lambda: self.voice.boot(self), self._boot_answered)

    # Cars.

    def plug(self, connector: Connector, event: PlugEvent) -> None:
        """Take a car that came or went."""
        visit, connector.visit = connector.visit, None
        if event.plugged:
            connector.visit = visit = Visit(
                session=event.session,
                transaction="",
                began_s=event.at_s,
                meter_kwh=event.meter_kwh,
                promise=event.promise,
            )
            self.voice.began(self, connector, visit)
        elif visit is not None:
            if not visit.stopped:
                self.voice.left(self, connector, visit, event)
            self.end_transaction(connector)
        self.tell_status(connector)
        self.pump()

    def given_kwh(self, connector: Connector, visit: Visit) -> float:
        """Return what a car has taken since it came, 0 where the register is not known."""
        given_kwh = float(self.around.readings.energy_kwh[connector.row]) - visit.meter_kwh
        return max(0.0, given_kwh)

    def still_wanted(self, connector: Connector, visit: Visit) -> Promise | None:
        """Return what a car still wants of its promise (ISO 15118-2: the energy request is what is left)."""
        if visit.promise is None:
            return None
        left_kwh = visit.promise.energy_kwh - self.given_kwh(connector, visit)
        return replace(visit.promise, energy_kwh=max(left_kwh, 0.0))

    def tell_wish(self, connector: Connector, visit: Visit, build: Callable[[], Call | None]) -> None:
        """Queue what a driver still wants, behind the register it counts from where the car has been here a while."""
        if visit.promise is None:
            return
        if self.given_kwh(connector, visit) > 0.0:
            self.tell(lambda: self.voice.report(self, connector, Telling.PERIODIC), durable=True)
        self.tell(build, durable=True)

    def end_transaction(self, connector: Connector) -> None:
        """Let the profiles of a transaction lapse with it."""
        connector.stack.clear(purpose=Purpose.TX)
        self.obey(connector)

    # Profiles.

    def take_profile(self, message_id: str, number: int, profile: Installed | None) -> None:
        """Answer a charging profile after the device's own time, and obey it or not as the device is.

        Args:
            message_id: What the answer goes to.
            number: Connector it is for, 0 for all.
            profile: ``None`` if it makes no sense to this station.
        """
        connectors = self._chosen(number)
        if not connectors:
            self._answer_later(0.0, message_id, lambda: "Rejected")
            return
        response = self.around.world.response(connectors[0].row)

        def decide() -> str:
            if response.refused or profile is None or not all(one.fits(profile) for one in connectors):
                return "Rejected"
            self.around.taken(profile.id)
            if not response.ignored:
                for connector in connectors:
                    connector.stack.install(profile)
                    self.obey(connector)
            return "Accepted"

        self._answer_later(response.latency_s, message_id, decide)

    def clear_profiles(
        self,
        message_id: str,
        number: int,
        *,
        profile_id: int | None,
        purpose: Purpose | None,
        stack_level: int | None,
    ) -> None:
        """Answer a clearance after the device's own time; there is no refusing it, only not knowing the profile."""
        connectors = self._chosen(number)
        latency_s = self.around.world.response(connectors[0].row).latency_s if connectors else 0.0

        def decide() -> str:
            cleared = 0
            for connector in connectors:
                cleared += connector.stack.clear(profile_id=profile_id, purpose=purpose, stack_level=stack_level)
                self.obey(connector)
            return "Accepted" if cleared else "Unknown"

        self._answer_later(latency_s, message_id, decide)

    def obey(self, connector: Connector) -> None:
        """Put into force what the profiles of a connector add up to now."""
        connector.obey(self.around.world, self.now_s())

    def set_interval(self, text: str) -> bool:
        """Take a report interval; tell whether it makes sense."""
        if not text.isdecimal() or int(text) < 1:
            return False
        self.interval_s = float(text)
        return True

    # The rest.

    def _chosen(self, number: int) -> list[Connector]:
        if number == 0:
            return list(self.connectors.values())
        return [self.connectors[number]] if number in self.connectors else []

    def _answer_later(self, latency_s: float, message_id: str, decide: Callable[[], str]) -> None:
        """Decide and answer in ``latency_s``, if the connection is still the same."""
        line = self.line

        def answer() -> None:
            if line is not None and self.line is line:
                line.reply(message_id, {"status": decide()})

        asyncio.get_running_loop().call_later(self.around.clock.wall(latency_s), answer)

    def _boot(self) -> None:
        if self.line is not None:
            self.line.call(self.voice.boot(self), self._boot_answered)

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
                self.tell_status(connector)
                self.report_connector(connector, Telling.PERIODIC)

    def _answered(self, answer: Answer) -> None:
        message, self._sent = self._sent, None
        if message is None:
            return
        if answer.kind is AnswerKind.LOST:
            self._sent = message  # ``closed`` decides what becomes of it
        elif answer.kind is AnswerKind.TIMEOUT:
            self._sent = message
            self.hang_up()
        elif message.answered is not None:
            message.answered(answer)

    def hang_up(self) -> None:
        """Drop the connection, as a lost link does."""
        if self.line is not None:
            self.line.cut()
