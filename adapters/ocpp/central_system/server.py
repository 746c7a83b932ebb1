"""The central system: OCPP's ``DeviceLink``, composed of server, sessions and delivery of instructions."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from adapters.kit.batching import Batcher
from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.server import Listening, WebSocketServer
from adapters.ocpp.central_system.capability_card import capability_card
from adapters.ocpp.central_system.delivery import InstructionDelivery, LeaseEnds
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.central_system.session import Session, SessionContext
from adapters.ocpp.central_system.session_policy import SessionListener, SessionPolicy
from adapters.ocpp.central_system.sessions import Sessions
from adapters.ocpp.control.composite_schedule import read_composite
from adapters.ocpp.control.scripts import ACCEPTED, EXPIRED, NOT_CONNECTED, REFUSED, Script
from adapters.ocpp.dialects.v16 import Dialect16
from adapters.ocpp.dialects.v20 import Dialect20
from adapters.ocpp.messages.ocpp_j import ADAPTER, Answer, AnswerKind, Call, Version
from adapters.ocpp.profiles.nameplates import Nameplates, check_places
from adapters.ocpp.profiles.profile_policy import ProfilePolicy
from adapters.ocpp.station.capability_cards import CapabilityCards
from adapters.ocpp.station.station_records import Command, Services
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import IdArray, Quantity, RowArray
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, LinkSink

DEFAULT_PATHS = ("/ocpp/{id}",)
LEAST_PATIENCE_WALL_S = 5.0
_LAYERS = {int(layer): layer for layer in Layer}
_DRAIN_PAUSE_S = 0.02
"""Sessions that end within it end together."""

RowsListener = Callable[[Sequence[int], int], None]


class OcppLink:
    """A ``vpp.ports.DeviceLink`` for charging stations.

    It departs from the letter of the port twice: a waiting ``DEFAULT`` is replaced only by a ``DEFAULT``, a waiting
    ``DISPATCH`` or ``RELEASE`` only by one of these two; and an instruction of an epoch below the highest seen comes
    back as rejected for ``Reason.EXPIRED``.

    Args:
        clock: The only source of time.
        listening: Addresses that stations dial. Security profiles 2 and 3 are TLS contexts of
            ``security.server_context``; with 3 the name in a station's certificate must be the one in its URL.
        entry: Which stations are let in, by which paths (``DEFAULT_PATHS`` where unset); ``authenticate`` is e.g. a
            ``security.KeyTable``.
        sessions: Time limits, rates and intervals of their connections.
        profiles: Which charging profiles they are given.
        on_session: Called with station, epoch, and whether a session began or ended; the epoch rises with time over
            all processes, so that the highest counts.
    """

    name = ADAPTER

    def __init__(
        self,
        *,
        clock: Clock,
        listening: Listening,
        entry: EntryRules | None = None,
        sessions: SessionPolicy | None = None,
        profiles: ProfilePolicy | None = None,
        on_session: SessionListener | None = None,
    ) -> None:
        self.cards = CapabilityCards()
        self._clock = clock
        self._listening = listening
        self._entry = entry or EntryRules(paths=Paths(DEFAULT_PATHS))
        self._policy = sessions or SessionPolicy()
        self._profiles = profiles or ProfilePolicy()
        self._on_session = on_session
        self._on_rows: RowsListener | None = None
        self._epoch = 0
        self._nameplates = Nameplates(sites=bool(self._policy.wake))
        self._batcher: Batcher
        self._known: KnownStations
        self._server: WebSocketServer | None = None
        self._sessions: Sessions | None = None

    # DeviceLink.

    @property
    def paths(self) -> Paths:
        """Patterns of the paths that stations connect to."""
        return self._entry.paths

    @property
    def port(self) -> int:
        """Port it listens on; the one asked for before ``start``."""
        return self._listening.port if self._server is None else self._server.port

    @property
    def tls_port(self) -> int | None:
        """Port of TLS beside the plain one, ``None`` if there is none."""
        return self._listening.tls_port if self._server is None else self._server.tls_port

    @property
    def connected(self) -> int:
        """Number of stations that are connected and have booted."""
        return 0 if self._sessions is None else self._sessions.up

    @property
    def waiting_setups(self) -> int:
        """Number of stations whose set-up has not begun."""
        return 0 if self._sessions is None else len(self._sessions.setups)

    @property
    def wakes(self) -> int:
        """How often sockets have woken the event loop."""
        return 0 if self._server is None else self._server.context.poller.wakes

    def age_wall_s(self) -> float:
        """See ``vpp.ports.LiveLink``."""
        return math.nan if self._server is None else self._server.age_wall_s()

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``station/connector`` with a connector of 1 or more."""
        check_places(index)

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; raises InputError as ``check`` does. What is kept of the fleet are columns."""
        if self._sessions is None:
            self._nameplates.assign(index)
        else:
            self._sessions.assign(index)

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``."""
        self._batcher = Batcher(ADAPTER, sink=sink)
        self._server = WebSocketServer(self._listening, self._entry)
        self._sessions = self._compose(self._server)
        self._server.start(self._sessions, before_rest=self._batcher.flush)
        self._sessions.start()

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        delivery, stale = self._running.delivery, batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        if not stale:
            self._mark_events(batch)
        connectors = self._nameplates.connectors(batch.rows)
        columns = (batch.ids, batch.rows, connectors, batch.layers, batch.power_kw, batch.until_s)
        values = (column.tolist() for column in columns)
        for command_id, row, connector, layer, power_kw, until_s in zip(*values, strict=True):
            station = self._known.find(row)
            command = Command(
                id=command_id,
                row=row,
                connector=connector,
                layer=_LAYERS[layer],
                power_kw=power_kw,
                until_s=until_s,
            )
            if stale:
                delivery.ended(command, EXPIRED)
            elif station is None or not station.online:
                delivery.ended(command, NOT_CONNECTED)
            else:
                delivery.queue(station, command)

    async def close(self) -> None:
        """See ``DeviceLink``; at ``drain_per_s`` sessions a second where that is set."""
        server, sessions = self._server, self._sessions
        if server is None or sessions is None or server.closed:
            return
        server.stop_accepting()
        sessions.stop()
        if self._policy.drain_per_s is not None:
            await self.drain(self._policy.drain_per_s)
        for session in sessions:
            sessions.end(session, CloseCode.GOING_AWAY)
        self._batcher.flush()
        await server.close()

    async def drain(self, per_s: float) -> None:
        """Accept no station any more and end ``per_s`` sessions a second with 1012, so that others can take them up.

        What a station has not answered comes back as unreachable; a session with an instruction under way has until
        its turn to finish it.
        """
        sessions = self._running
        if self._server is not None:
            self._server.stop_accepting()
        pause_s, due_s = max(1.0 / per_s, _DRAIN_PAUSE_S), 0.0
        for session in sessions:
            due_s += 1.0 / per_s
            if due_s >= pause_s:
                await asyncio.sleep(due_s)
                due_s = 0.0
            if sessions.get(session.station.id) is session:
                sessions.end(session, CloseCode.SERVICE_RESTART)
        self._batcher.flush()

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``."""
        if not self._nameplates.is_charging(row):
            return {}
        station = None if self._sessions is None else self._known.find(row)
        return capability_card(station, row, self._nameplates.connector(row))

    # Further requests of the service.

    def remember_default(self, row: int, power_kw: float) -> None:
        """State the default value of ``row`` from before a restart, so that a reconnection installs it again."""
        self._nameplates.remember_default(row, power_kw)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """See ``vpp.ports.InspectableLink``; its first value is reported as ``Quantity.LIMIT_KW`` as well."""
        session = self._session_of(row)
        station, unit = session.station, session.station.units_to_try()[0]
        answer = await _called(session, session.dialect.composite(self._nameplates.connector(row), duration_s, unit))
        return self._composite(station, row, session.version, answer)

    def version(self, row: int) -> Version:
        """Return the version that the station of a row speaks now; raises as ``device_schedule`` does."""
        return self._session_of(row).version

    def superseded(self, name: str, epoch: int) -> None:
        """Take note that a session of a higher epoch serves a station elsewhere: ours ends, no loss is reported."""
        sessions = self._running
        sessions.rise(epoch)
        session = sessions.get(name)
        if session is not None and session.epoch < epoch:
            sessions.end(session, CloseCode.GOING_AWAY)
            self._known.forget(session.station)

    def report_connections(self, report: RowsListener) -> None:
        """See ``vpp.ports.DialledLink``."""
        self._on_rows = report

    def supersede(self, rows: RowArray, numbers: IdArray) -> None:
        """See ``vpp.ports.DialledLink``; rows that are not ours are ignored."""
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
            station = self._known.find(row)
            if station is not None:
                self.superseded(station.id, number)

    # Private.

    @property
    def _running(self) -> Sessions:
        if self._sessions is None:
            raise ConflictError("OcppLink is not started")
        return self._sessions

    def _compose(self, server: WebSocketServer) -> Sessions:
        """Return the sessions, none as yet, with all they need."""
        lease_ends, open_sessions = LeaseEnds(), dict[str, Session]()
        services = self._services(lease_ends)
        self._known = KnownStations(self._nameplates, services)
        delivery = InstructionDelivery(
            clock=self._clock,
            batcher=self._batcher,
            known=self._known,
            sessions=open_sessions,
            lease_ends=lease_ends,
            least_interval_s=self._profiles.least_interval_s,
            wake=self._policy.wake,
        )
        if self._policy.wake:
            services.troubles.on_change = delivery.trouble_changed
        return Sessions(
            clock=self._clock,
            known=self._known,
            batcher=self._batcher,
            context=self._endpoint_context(server),
            dialects={
                Version.V16: Dialect16(),
                Version.V201: Dialect20(Version.V201),
                Version.V21: Dialect20(Version.V21),
            },
            delivery=delivery,
            policy=self._policy,
            listener=self._session_changed,
            open_sessions=open_sessions,
        )

    def _endpoint_context(self, server: WebSocketServer) -> SessionContext:
        timeout_s = self._policy.call_timeout_s
        return SessionContext(
            clock=self._clock,
            poller=server.context.poller,
            timers=server.context.timers,
            ids=count(int(self._clock.now_s() * 1000.0)),
            patience_wall_s=max(self._clock.wall(timeout_s), min(timeout_s, LEAST_PATIENCE_WALL_S)),
        )

    def _services(self, lease_ends: LeaseEnds) -> Services:
        return Services(
            clock=self._clock,
            batcher=self._batcher,
            nameplates=self._nameplates,
            cards=self.cards,
            troubles=StationTroubles(self._batcher, self._clock.now_s),
            profiles=self._profiles,
            sample_interval_s=max(round(self._policy.sample_interval_s), 1),
            boot_interval_s=max(round(self._policy.boot_interval_s), 1),
            lease=lease_ends.add,
        )

    def _session_changed(self, name: str, epoch: int, began: bool) -> None:  # noqa: FBT001 - a SessionListener
        if self._on_session is not None:
            self._on_session(name, epoch, began)
        if began and self._on_rows is not None:
            self._on_rows(list(self._nameplates.rows_of(name).values()), epoch)

    def _session_of(self, row: int) -> Session:
        sessions = self._running
        station = self._known.get(row)
        session = None if station is None else sessions.get(station.id)
        if session is None or not session.up:
            raise DeviceUnreachableError(f"the station of row {row} is not connected")
        return session

    def _mark_events(self, batch: SetpointBatch) -> None:
        """Note which rows take part in a request: their stations have priority when all come back at once."""
        moving = batch.layers != Layer.DEFAULT
        until_s = np.where(batch.layers[moving] == Layer.DISPATCH, batch.until_s[moving], 0.0)
        self._nameplates.mark_events(batch.rows[moving], until_s)

    def _composite(self, station: StationState, row: int, version: Version, answer: Answer) -> DeviceSchedule:
        schedule = None
        if answer.status == "Accepted":
            supply = self._profiles.supply
            schedule = read_composite(version, answer.payload, station.nameplate(row), supply)
        if schedule is None or not schedule.power_kw:
            raise ConflictError(f"{station.id} has no composite schedule: {answer.code or answer.status}")
        now_s = self._clock.now_s()
        self._batcher.sample(row, Quantity.LIMIT_KW, schedule.power_kw[0], now_s)
        # A composite schedule starts when it is asked for; OCPP 1.6 lets a station leave the time out.
        return replace(schedule, start_s=now_s) if math.isnan(schedule.start_s) else schedule


async def _called(session: Session, call: Call) -> Answer:
    """Send a station a call and return its answer; it waits its turn among the instructions.

    Raises:
        DeviceUnreachableError: The station does not answer, or its connection is lost.
    """
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    session.add(
        _asked(call, answered),
        lambda _verdict: None if answered.done() else answered.set_result(Answer(AnswerKind.LOST, {})),
    )
    session.pump()
    answer = await answered
    if answer.kind in (AnswerKind.TIMEOUT, AnswerKind.LOST):
        raise DeviceUnreachableError(f"{session.station.id} did not answer")
    return answer


def _asked(call: Call, answered: "asyncio.Future[Answer]") -> Script:
    answer = yield call
    if not answered.done():
        answered.set_result(answer)
    return ACCEPTED if answer.kind is AnswerKind.RESULT else REFUSED
