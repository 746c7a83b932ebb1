"""The central system: lets stations in, by the path that names each, and hands them their instructions."""

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from adapters.kit.admission import Admission, Bucket
from adapters.kit.batching import Batcher
from adapters.kit.poller import REST_WALL_S, Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.acceptor import Acceptor, Authenticate, Listener, Tolerance
from adapters.kit.websocket.connection import Switchboard
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.paths import DEFAULT, Paths
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.central_system.session import Session
from adapters.ocpp.central_system.session_policy import SessionPolicy, SessionTold
from adapters.ocpp.central_system.sessions import SILENT_INTERVALS, Leases, Sessions
from adapters.ocpp.control.composite_schedule import read_composite
from adapters.ocpp.control.scripts import ACCEPTED, EXPIRED, NOT_CONNECTED, REFUSED, Script
from adapters.ocpp.control.waking import WakeRule
from adapters.ocpp.dialects.v16 import Dialect16
from adapters.ocpp.dialects.v20 import Dialect2
from adapters.ocpp.messages.ocpp_j import ADAPTER, Answer, AnswerKind, Call, Json, Version, choose_version
from adapters.ocpp.messages.rpc import Hub
from adapters.ocpp.profiles.nameplates import Nameplates, check_places
from adapters.ocpp.profiles.power_units import Supply
from adapters.ocpp.station.capability_cards import CapabilityCards
from adapters.ocpp.station.station_records import Command, Services
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.fleet import FleetIndex
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import IdArray, Quantity, RowArray
from vpp.ports import Clock, LinkSink

LEAST_SILENCE_WALL_S = 15.0
LEAST_PATIENCE_WALL_S = 5.0
CLOSING_WALL_S = 1.0
SETTLE_WALL_S = 0.5
ADMISSIONS_PER_S = 2000.0
"""Two fifths of what a core can do: during a rush the stations that are here are still heard and instructed."""
SETUPS_PER_S = 100.0
SETUPS_AT_ONCE = 500
"""Questions and settings after a boot wait for their turn: ten messages a station would double a rush."""
_LAYERS = {int(layer): layer for layer in Layer}


RowsTold = Callable[[Sequence[int], int], None]


class OcppLink:
    """A ``vpp.ports.DeviceLink`` for charging stations.

    Two things depart from the letter of the port, both towards less surprise: a waiting ``DEFAULT`` is replaced only
    by a ``DEFAULT``, a waiting ``DISPATCH`` or ``RELEASE`` only by one of these two; and an instruction of an epoch
    below the highest seen comes back as rejected for ``Reason.EXPIRED``.

    Args:
        host: Address to listen on.
        port: Port to listen on, 0 for any free one.
        call_timeout_s: Clock seconds a station has to answer a call. On a clock faster than the wall's never less than
            5 wall seconds (or the timeout itself, if shorter): sockets do not get faster with the clock.
        sample_interval_s: How often stations are to report meter values, in whole seconds on the wire.
        boot_interval_s: Heartbeat interval given to stations, in whole seconds on the wire.
        authenticate: Judges station id and Basic password (``None`` where none was given), e.g. a
            ``security.KeyTable``; everybody may in without.
        supply: The grid at the stations, for A and W.
        reuse_port: Many processes listen on the same port and share its connections.
        tls: Server side of security profile 2 or 3 (``security.server_context``); with 3 the name in a station's
            certificate must be the one in its URL.
        tls_port: Port for TLS beside a plain ``port``; without it ``port`` itself speaks TLS where ``tls`` is given.
        tls_host: Address of ``tls_port``, ``host`` if unset.
        tolerance: What firmware may get wrong.
        admissions_per_s: Stations let in a second, twice as many after a quiet time; the rest hears 503 and
            Retry-After, except those in a request.
        setups_per_s: Stations a second that are asked and told what follows a boot.
        drain_per_s: Sessions a second that ``close`` ends (1012), ``None`` for all at once (1001).
        call_retries: How often an instruction without an answer is sent again on the same connection.
        control_test: Stations of an unknown make are put to the control test.
        dynamic: Dispatch values of 2.1 stations are dynamic profiles, updated in place.
        max_offline_s: How long a 2.1 station may keep a dispatch value without a connection.
        wake: Where cars that do not wake after a pause are woken, by model and site; nowhere if not given.
        profile_interval_s: Least time between a profile of a connector and one that raises its ceiling, 0 for none.
        settle_wall_s: How long a station that has booted is sent nothing: some refuse what comes right behind the
            answer to their boot.
        rest_wall_s: Longest pause after a thin harvest of events; longer costs latency, shorter CPU.
        on_session: Told of every session: station, epoch, and whether it began or ended; the epoch rises with time
            over all processes, so that who hears several knows which one counts.
        paths: Patterns of the paths stations connect to, ``{id}`` standing for the station; raises ConfigurationError
            for one that is none.
    """

    name = ADAPTER

    def __init__(
        self,
        *,
        host: str,
        port: int,
        clock: Clock,
        call_timeout_s: float = 30.0,
        sample_interval_s: float = 60.0,
        boot_interval_s: float = 300.0,
        authenticate: Authenticate | None = None,
        supply: Supply | None = None,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
        tls_port: int | None = None,
        tls_host: str | None = None,
        tolerance: Tolerance | None = None,
        admissions_per_s: float = ADMISSIONS_PER_S,
        setups_per_s: float = SETUPS_PER_S,
        drain_per_s: float | None = None,
        call_retries: int = 0,
        control_test: bool = True,
        dynamic: bool = False,
        max_offline_s: int | None = None,
        wake: Sequence[WakeRule] = (),
        profile_interval_s: float = 0.0,
        settle_wall_s: float = SETTLE_WALL_S,
        rest_wall_s: float = REST_WALL_S,
        on_session: SessionTold | None = None,
        paths: Sequence[str] = DEFAULT,
    ) -> None:
        self.cards = CapabilityCards()
        self._address = (host, port)
        self._reuse_port = reuse_port
        self._tls = tls
        self._tls_port = tls_port
        self._tls_host = tls_host or host
        self._clock = clock
        self._authenticate = authenticate
        self._tolerance = tolerance or Tolerance()
        self._admission = Admission(admissions_per_s, 2.0 * admissions_per_s)
        self._manners = SessionPolicy(
            call_retries=call_retries,
            silence_wall_s=max(clock.wall(SILENT_INTERVALS * boot_interval_s), LEAST_SILENCE_WALL_S),
            setups=Bucket(setups_per_s, max(SETUPS_AT_ONCE, setups_per_s)),
            wake=wake,
            profile_interval_s=profile_interval_s,
            settle_wall_s=settle_wall_s,
            on_session=self._told_session,
        )
        self._on_session = on_session
        self._on_rows: RowsTold | None = None
        self._drain_per_s = drain_per_s
        self._supply = supply or Supply()
        self._features = (control_test, dynamic, max_offline_s)
        self._intervals = (max(round(sample_interval_s), 1), max(round(boot_interval_s), 1))
        self._patience_wall_s = max(clock.wall(call_timeout_s), min(call_timeout_s, LEAST_PATIENCE_WALL_S))
        self._rest_wall_s = rest_wall_s
        self.paths = Paths(paths)
        self._epoch = 0
        self._plates = Nameplates(sites=bool(wake))
        self._coalescer: Batcher
        self._board: Switchboard
        self._door: Acceptor
        self._roster: KnownStations
        self._sessions: Sessions | None = None
        self._listeners: list[Listener] = []

    # DeviceLink.

    @property
    def port(self) -> int:
        """Port it listens on; the one asked for before ``start``."""
        return self._listeners[0].port if self._listeners else self._address[1]

    @property
    def tls_port(self) -> int | None:
        """Port of TLS beside the plain one, ``None`` if there is none."""
        return self._listeners[1].port if len(self._listeners) > 1 else self._tls_port

    @property
    def connected(self) -> int:
        """Number of stations that are connected and have booted."""
        return 0 if self._sessions is None else self._sessions.up

    @property
    def waiting_setups(self) -> int:
        """Number of stations that have not been asked yet what follows a boot."""
        return 0 if self._sessions is None else self._sessions.waiting_setups

    @property
    def wakes(self) -> int:
        """How often sockets have woken the event loop."""
        return self._board.poller.wakes

    def age_wall_s(self) -> float:
        """See ``vpp.ports.LiveLink``."""
        return math.nan if self._sessions is None else self._board.poller.age_wall_s()

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``station/connector`` with a connector of 1 or more."""
        check_places(index)

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; raises InputError as ``check`` does. What is kept of the fleet are columns."""
        if self._sessions is None:
            self._plates.grow(index)
        else:
            self._sessions.grow(index)

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``."""
        self._coalescer = Batcher(ADAPTER, sink=sink)
        poller, wheel = Poller(self._rest_wall_s), TimingWheel()
        self._board = Switchboard(poller=poller, wheel=wheel, rsv_tolerated=self._tolerance.reserved_bits)
        self._sessions = sessions = self._open_sessions()
        self._door = Acceptor(
            self._board,
            sessions,
            authenticate=self._authenticate,
            admission=self._admission,
            tolerance=self._tolerance,
            paths=self.paths,
            choose=choose_version,
            realm=ADAPTER,
        )
        self._listen()
        poller.before_rest(self._coalescer.flush)
        wheel.start()
        poller.start()
        sessions.start()

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        sessions, stale = self._running, batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        if not stale:
            self._mark_events(batch)
        connectors = self._plates.connectors(batch.rows)
        columns = (batch.ids, batch.rows, connectors, batch.layers, batch.power_kw, batch.until_s)
        values = (column.tolist() for column in columns)
        for command_id, row, connector, layer, power_kw, until_s in zip(*values, strict=True):
            charger = self._roster.find(row)
            command = Command(
                id=command_id,
                row=row,
                connector=connector,
                layer=_LAYERS[layer],
                power_kw=power_kw,
                until_s=until_s,
            )
            if stale:
                sessions.ended(command, EXPIRED)
            elif charger is None or not charger.online:
                sessions.ended(command, NOT_CONNECTED)
            else:
                sessions.queue(charger, command)

    async def close(self) -> None:
        """See ``DeviceLink``; at ``drain_per_s`` sessions a second where that is set."""
        for listener in self._listeners:
            listener.close()
        sessions = self._sessions
        if sessions is None or self._board.poller.closed:
            return
        sessions.stop()
        if self._drain_per_s is not None:
            await self.drain(self._drain_per_s)
        for session in sessions:
            sessions.end(session, CloseCode.GOING_AWAY)
        self._coalescer.flush()
        await self._all_gone()
        self._board.wheel.stop()
        self._board.poller.close()

    async def drain(self, per_s: float) -> None:
        """Let nobody in any more and end ``per_s`` sessions a second with 1012, so that others can take them up.

        What a station has not answered comes back as unreachable; a session with an instruction under way has until
        its turn to finish it.
        """
        self._door.open = False
        for listener in self._listeners:
            listener.close()
        pause_s, due = max(1.0 / per_s, 0.02), 0.0
        sessions = self._running
        for session in sessions:
            due += 1.0 / per_s
            if due >= pause_s:
                await asyncio.sleep(due)
                due = 0.0
            if sessions.get(session.charger.id) is session:
                sessions.end(session, CloseCode.SERVICE_RESTART)
        self._coalescer.flush()

    # What else the service may ask.

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``."""
        if not self._plates.is_charging(row):
            return {}
        connector = self._plates.connector(row)
        charger = None if self._sessions is None else self._roster.find(row)
        if charger is None:
            return {"connector": connector, "connected": False}
        known = charger.abilities
        return {
            "station": charger.id,
            "connector": connector,
            "connected": charger.online,
            "version": known.version,
            "vendor": known.vendor,
            "model": known.model,
            "firmware": known.firmware,
            "rate_units": [unit.value for unit in known.units or ()],
            "max_stack_level": known.max_stack_level,
            "max_periods": known.max_periods,
            "step": known.step,
            "zero_allowed": known.zero_allowed,
            "profile_purpose": None if known.purpose is None else known.purpose.value,
            "profile_end": known.end.value,
            "phase_switching": known.phase_switching,
            "phases": charger.plate(row).phases,
            "tested": known.tested,
            "follows_limits": known.follows,
            "offline_behaviour": known.offline.value,
            "ack_s": None if math.isnan(charger.ack_s) else charger.ack_s,
            "clock_offset_s": charger.clock_offset_s,
            "grid_functions": dict(charger.grid_functions or {}),
            **({"asleep": True} if charger.asleep(row) else {}),
        }

    def remember_default(self, row: int, power_kw: float) -> None:
        """State what lies underneath at ``row`` from an earlier life, so that a reconnection puts it there again."""
        self._plates.remember_default(row, power_kw)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """See ``vpp.ports.InspectableLink``; its first value is reported as ``Quantity.LIMIT_KW`` as well."""
        session = self._session_of(row)
        charger, unit = session.charger, session.charger.units_to_try()[0]
        call = session.dialect.composite(self._plates.connector(row), duration_s, unit)
        answer = await self._called(row, call.action, call.payload)
        return self._composite(charger, row, session.version, answer)

    async def _called(self, row: int, action: str, payload: Json) -> Answer:
        """Send a station a call and return its answer; it waits its turn among the instructions.

        Raises:
            UnknownIdError: The row is not ours.
            DeviceUnreachableError: The station is not connected or does not answer.
        """
        session = self._session_of(row)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        session.add(
            _asked(Call(action, payload), answered),
            lambda _verdict: None if answered.done() else answered.set_result(Answer(AnswerKind.LOST, {})),
        )
        session.pump()
        answer = await answered
        if answer.kind in (AnswerKind.TIMEOUT, AnswerKind.LOST):
            raise DeviceUnreachableError(f"{session.charger.id} did not answer")
        return answer

    def version(self, row: int) -> Version:
        """Return what the station of a row speaks now; raises as ``device_schedule`` does."""
        return self._session_of(row).version

    def superseded(self, station: str, epoch: int) -> None:
        """Hear that a session of a higher epoch serves a station elsewhere: ours ends, and nobody is told of a loss."""
        sessions = self._running
        sessions.rise(epoch)
        session = sessions.get(station)
        if session is not None and session.epoch < epoch:
            sessions.end(session, CloseCode.GOING_AWAY)
            self._roster.forget(session.charger)

    def tell_sessions(self, told: RowsTold) -> None:
        """See ``vpp.ports.DialledLink``."""
        self._on_rows = told

    def supersede(self, rows: RowArray, numbers: IdArray) -> None:
        """See ``vpp.ports.DialledLink``; rows that are not ours are passed over."""
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
            charger = self._roster.find(row)
            if charger is not None:
                self.superseded(charger.id, number)

    # The rest.

    def _told_session(self, station: str, epoch: int, began: bool) -> None:  # noqa: FBT001 - SessionTold's signature
        if self._on_session is not None:
            self._on_session(station, epoch, began)
        if began and self._on_rows is not None:
            self._on_rows(list(self._plates.rows_of(station).values()), epoch)

    @property
    def _running(self) -> Sessions:
        if self._sessions is None:
            raise ConflictError("OcppLink is not started")
        return self._sessions

    def _open_sessions(self) -> Sessions:
        """Return the sessions, none as yet."""
        leases = Leases()
        services = self._services(leases.keep)
        self._roster = KnownStations(self._plates, services)
        sessions = Sessions(
            clock=self._clock,
            plates=self._plates,
            roster=self._roster,
            coalescer=self._coalescer,
            hub=Hub(
                clock=self._clock,
                poller=self._board.poller,
                wheel=self._board.wheel,
                ids=count(int(self._clock.now_s() * 1000.0)),
                patience_wall_s=self._patience_wall_s,
            ),
            dialects={
                Version.V16: Dialect16(),
                Version.V201: Dialect2(Version.V201),
                Version.V21: Dialect2(Version.V21),
            },
            leases=leases,
            manners=self._manners,
        )
        if self._manners.wake:
            services.troubles.noticed = sessions.troubled
        return sessions

    def _services(self, lease: Callable[[float, int], None]) -> Services:
        control_test, dynamic, max_offline_s = self._features
        return Services(
            clock=self._clock,
            coalescer=self._coalescer,
            supply=self._supply,
            plates=self._plates,
            cards=self.cards,
            troubles=StationTroubles(self._coalescer, self._clock.now_s),
            sample_interval_s=self._intervals[0],
            boot_interval_s=self._intervals[1],
            lease=lease,
            control_test=control_test,
            dynamic=dynamic,
            max_offline_s=max_offline_s,
        )

    def _listen(self) -> None:
        host, port = self._address
        plain = None if self._tls_port is not None else self._tls
        self._listeners.append(Listener(self._board, self._door, (host, port), reuse_port=self._reuse_port, tls=plain))
        if self._tls_port is not None and self._tls is not None:
            address = (self._tls_host, self._tls_port)
            self._listeners.append(
                Listener(self._board, self._door, address, reuse_port=self._reuse_port, tls=self._tls)
            )

    def _session_of(self, row: int) -> Session:
        sessions = self._running
        charger = self._roster.get(row)
        session = None if charger is None else sessions.get(charger.id)
        if session is None or not session.up:
            raise DeviceUnreachableError(f"the station of row {row} is not connected")
        return session

    def _mark_events(self, batch: SetpointBatch) -> None:
        """Remember which rows take part in a request: their stations go first when all come back at once."""
        moving = batch.layers != Layer.DEFAULT
        until_s = np.where(batch.layers[moving] == Layer.DISPATCH, batch.until_s[moving], 0.0)
        self._plates.mark_events(batch.rows[moving], until_s)

    def _composite(self, charger: StationState, row: int, version: Version, answer: Answer) -> DeviceSchedule:
        schedule = None
        if answer.status == "Accepted":
            schedule = read_composite(version, answer.payload, charger.plate(row), self._supply)
        if schedule is None or not schedule.power_kw:
            raise ConflictError(f"{charger.id} has no composite schedule: {answer.code or answer.status}")
        now_s = self._clock.now_s()
        self._coalescer.sample(row, Quantity.LIMIT_KW, schedule.power_kw[0], now_s)
        # A composite schedule starts when it is asked for; OCPP 1.6 lets a station leave the time out.
        return replace(schedule, start_s=now_s) if math.isnan(schedule.start_s) else schedule

    async def _all_gone(self) -> None:
        """Wait until peers have closed too; those that do not take our farewell are dropped."""
        lingering, waited_s = self._board.lingering, 0.0
        while lingering and waited_s < CLOSING_WALL_S:
            await asyncio.sleep(0.01)
            waited_s += 0.01
        for channel in list(lingering):
            channel.cut()


def _asked(call: Call, answered: "asyncio.Future[Answer]") -> Script:
    answer = yield call
    if not answered.done():
        answered.set_result(answer)
    return ACCEPTED if answer.kind is AnswerKind.RESULT else REFUSED
