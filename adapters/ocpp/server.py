"""The central system: accepts stations at ``/ocpp/{station_id}`` and hands them their instructions."""

import asyncio
import heapq
import logging
import math
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count

import numpy as np

from adapters.ocpp.admission import Admission, Bucket
from adapters.ocpp.cards import Cards
from adapters.ocpp.channel import Channel, Switchboard
from adapters.ocpp.charger import Charger, Command, Services
from adapters.ocpp.coalescer import ADAPTER, Coalescer
from adapters.ocpp.commands import ACCEPTED, EXPIRED, NOT_CONNECTED, REFUSED, Dialect, Script, Verdict
from adapters.ocpp.composite import CompositeSchedule, read_composite
from adapters.ocpp.door import Authenticate, Door, Listener, Tolerance
from adapters.ocpp.frames import CloseCode
from adapters.ocpp.plates import Plates, check_places
from adapters.ocpp.poller import REST_WALL_S, Poller
from adapters.ocpp.roster import Roster
from adapters.ocpp.rpc import Hub
from adapters.ocpp.session import Session
from adapters.ocpp.units import Supply
from adapters.ocpp.v2x import Dialect2
from adapters.ocpp.v16 import Dialect16
from adapters.ocpp.wheel import Wheel
from adapters.ocpp.wire import Answer, AnswerKind, Call, Json, Version
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.fleet import FleetIndex
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.ports import Clock, LinkSink

log = logging.getLogger(__name__)

TICK_WALL_S = 0.1
PUMPED_AT_ONCE = 100
"""Stations that get their instruction before the loop turns to its sockets again."""
SILENT_INTERVALS = 2.5
"""Heartbeat intervals without a frame before a connection counts as dead; at one it is pinged."""
LEAST_SILENCE_WALL_S = 15.0
LEAST_PATIENCE_WALL_S = 5.0
BOOT_PATIENCE_WALL_S = 10.0
"""A station that has not spoken so long after connecting is asked to boot: it knows us, we do not know it."""
CLOSING_WALL_S = 1.0
KEPT_AWAY_WALL_S = 900.0
"""How long a station is remembered that has gone; it may have come to another process."""
ADMISSIONS_PER_S = 5000.0
SETUPS_PER_S = 100.0
SETUPS_AT_ONCE = 500
"""Questions and settings after a boot wait for their turn: ten messages a station would double a rush."""
RUSH = 50
"""Stations let in during one tick from which on those questions wait until the rush is over."""

SessionTold = Callable[[str, int, bool], None]


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
        tolerance: What firmware may get wrong.
        admissions_per_s: Stations let in a second, twice as many after a quiet time; the rest hears 503 and
            Retry-After, except those in a request.
        setups_per_s: Stations a second that are asked and told what follows a boot.
        drain_per_s: Sessions a second that ``close`` ends (1012), ``None`` for all at once (1001).
        call_retries: How often an instruction without an answer is sent again on the same connection.
        control_test: Stations of an unknown make are put to the control test.
        dynamic: Dispatch values of 2.1 stations are dynamic profiles, updated in place.
        max_offline_s: How long a 2.1 station may keep a dispatch value without a connection.
        rest_wall_s: Longest pause after a thin harvest of events; longer costs latency, shorter CPU.
        on_session: Told of every session: station, epoch, and whether it began or ended; the epoch rises with time
            over all processes, so that who hears several knows which one counts.
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
        tolerance: Tolerance | None = None,
        admissions_per_s: float = ADMISSIONS_PER_S,
        setups_per_s: float = SETUPS_PER_S,
        drain_per_s: float | None = None,
        call_retries: int = 0,
        control_test: bool = True,
        dynamic: bool = False,
        max_offline_s: int | None = None,
        rest_wall_s: float = REST_WALL_S,
        on_session: SessionTold | None = None,
    ) -> None:
        self.call_retries = call_retries
        self.cards = Cards()
        self._address = (host, port)
        self._reuse_port = reuse_port
        self._tls = tls
        self._tls_port = tls_port
        self._clock = clock
        self._authenticate = authenticate
        self._tolerance = tolerance or Tolerance()
        self._admission = Admission(admissions_per_s, 2.0 * admissions_per_s)
        self._setups = Bucket(setups_per_s, max(SETUPS_AT_ONCE, setups_per_s))
        self._drain_per_s = drain_per_s
        self._supply = supply or Supply()
        self._features = (control_test, dynamic, max_offline_s)
        self._intervals = (max(round(sample_interval_s), 1), max(round(boot_interval_s), 1))
        self._patience_wall_s = max(clock.wall(call_timeout_s), min(call_timeout_s, LEAST_PATIENCE_WALL_S))
        self._silence_wall_s = max(clock.wall(SILENT_INTERVALS * boot_interval_s), LEAST_SILENCE_WALL_S)
        self._rest_wall_s = rest_wall_s
        self._on_session = on_session
        self._session_epoch = 0
        self._welcomed = 0
        self._rush = False
        self._epoch = 0
        self._plates = Plates()
        self._sessions: dict[str, Session] = {}
        self._leases: list[tuple[float, int]] = []
        self._away: deque[tuple[float, Charger]] = deque()
        self._to_pump: dict[Session, None] = {}
        self._to_set_up: dict[Session, None] = {}
        self._dialects: Mapping[Version, Dialect] = {
            Version.V16: Dialect16(),
            Version.V201: Dialect2(Version.V201),
            Version.V21: Dialect2(Version.V21),
        }
        self._coalescer: Coalescer
        self._board: Switchboard
        self._hub: Hub
        self._door: Door
        self._roster: Roster | None = None
        self._listeners: list[Listener] = []
        self._tick: asyncio.TimerHandle | None = None

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
        return sum(session.up for session in self._sessions.values())

    @property
    def waiting_setups(self) -> int:
        """Number of stations that have not been asked yet what follows a boot."""
        return len(self._to_set_up)

    @property
    def wakes(self) -> int:
        """How often sockets have woken the event loop."""
        return self._board.poller.wakes

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``station/connector`` with a connector of 1 or more."""
        check_places(index)

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; raises InputError as ``check`` does. What is kept of the fleet are columns."""
        if self._roster is None:
            self._plates.grow(index)
            return
        for charger in self._roster.grow(index):
            session = self._sessions.get(charger.id)
            if session is not None and session.up:
                self._tell_connected(charger)
                self._set_up(session)

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``."""
        self._coalescer = Coalescer(sink=sink, clock=self._clock)
        self._roster = Roster(self._plates, self._services())
        poller, wheel = Poller(self._rest_wall_s), Wheel()
        self._board = Switchboard(poller=poller, wheel=wheel, rsv_tolerated=self._tolerance.reserved_bits)
        self._hub = Hub(
            clock=self._clock,
            poller=poller,
            wheel=wheel,
            ids=count(int(self._clock.now_s() * 1000.0)),
            patience_wall_s=self._patience_wall_s,
        )
        self._door = Door(
            self._board,
            self,
            authenticate=self._authenticate,
            admission=self._admission,
            tolerance=self._tolerance,
        )
        self._listen()
        poller.before_rest(self._coalescer.flush)
        wheel.start()
        poller.start()
        self._on_tick()

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        roster, stale = self._places, batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        if not stale:
            self._mark_events(batch)
        columns = (batch.ids, batch.rows, batch.layers, batch.power_kw, batch.until_s)
        for command_id, row, layer, power_kw, until_s in zip(*(column.tolist() for column in columns), strict=True):
            charger = roster.find(row)
            command = Command(
                id=command_id,
                row=row,
                connector=0 if charger is None else self._plates.connector(row),
                layer=Layer(layer),
                power_kw=power_kw,
                until_s=until_s,
            )
            if stale:
                self.ended(command, EXPIRED)
            elif charger is None or not charger.online:
                self.ended(command, NOT_CONNECTED)
            else:
                self._queue(charger, command)

    async def close(self) -> None:
        """See ``DeviceLink``; at ``drain_per_s`` sessions a second where that is set."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._roster is None or self._board.poller.closed:
            return
        if self._drain_per_s is not None:
            await self.drain(self._drain_per_s)
        for session in list(self._sessions.values()):
            self._end(session, CloseCode.GOING_AWAY)
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
        for session in list(self._sessions.values()):
            due += 1.0 / per_s
            if due >= pause_s:
                await asyncio.sleep(due)
                due = 0.0
            if self._sessions.get(session.charger.id) is session:
                self._end(session, CloseCode.SERVICE_RESTART)
        self._coalescer.flush()

    # What else the service may ask.

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``."""
        if not self._plates.is_charging(row):
            return {}
        connector, charger = self._plates.connector(row), self._roster and self._roster.find(row)
        if not charger:
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
            "phase_switching": known.phase_switching,
            "phases": charger.plate(row).phases,
            "tested": known.tested,
            "follows_limits": known.follows,
            "offline_behaviour": known.offline.value,
            "ack_s": None if math.isnan(charger.ack_s) else charger.ack_s,
            "grid_functions": dict(charger.der or {}),
        }

    def remember_default(self, row: int, power_kw: float) -> None:
        """State what lies underneath at ``row`` from an earlier life, so that a reconnection puts it there again."""
        self._plates.remember_default(row, power_kw)

    async def ask(self, row: int, action: str, payload: Json) -> Answer:
        """Send a station a call of an operator's and return what came of it; it waits its turn among the others.

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
        """Return what the station of a row speaks now; raises as ``ask`` does."""
        return self._session_of(row).version

    async def get_composite_schedule(self, row: int, duration_s: int) -> CompositeSchedule:
        """Ask a station for its schedule in force and report its first value as ``Quantity.LIMIT_KW``.

        Raises:
            UnknownIdError: The row is not ours.
            DeviceUnreachableError: The station is not connected or does not answer.
            ConflictError: It cannot say.
        """
        session = self._session_of(row)
        charger, unit = session.charger, session.charger.units_to_try()[0]
        call = session.dialect.composite(self._plates.connector(row), duration_s, unit)
        answer = await self.ask(row, call.action, call.payload)
        return self._composite(charger, row, session.version, answer)

    def superseded(self, station: str, epoch: int) -> None:
        """Hear that a session of a higher epoch serves a station elsewhere: ours ends, and nobody is told of a loss."""
        session = self._sessions.get(station)
        if session is not None and session.epoch < epoch:
            self._end(session, CloseCode.GOING_AWAY)
            self._places.forget(session.charger)

    # Registry: of sessions.

    def opened(self, session: Session) -> None:
        """Take a new connection; the newest of a station wins, a half-open one must not keep it out (ocpp-go#314)."""
        charger = session.charger
        before = self._sessions.get(charger.id)
        self._sessions[charger.id] = session
        if before is not None:
            self._to_set_up.pop(before, None)
            before.retire()
        if self._on_session is not None:
            self._on_session(charger.id, session.epoch, True)  # noqa: FBT003 - began
        if charger.booted:  # it need not boot again to come back
            self._come_up(session)
        now = self._hub.poller.now
        session.expect(now + min(BOOT_PATIENCE_WALL_S, self._silence_wall_s / SILENT_INTERVALS))

    def spoke(self, session: Session, *, booted: bool) -> None:
        """See ``session.Registry``; a first call that is no boot is as good: the station knows us from before."""
        session.charger.booted = True
        if not session.up:
            self._come_up(session)
        if booted or session not in self._to_set_up:
            self._set_up(session)
            self._set_up_some(speaking=session)

    def silent(self, session: Session, now: float) -> float:
        """See ``session.Registry``: ping the quiet, drop the dead, ask who has said nothing yet who it is."""
        quiet, ping_after = now - session.heard, self._silence_wall_s / SILENT_INTERVALS
        if quiet >= self._silence_wall_s:
            session.cut()
            return math.inf
        if quiet >= BOOT_PATIENCE_WALL_S and not session.up:
            session.add(_told(Call("TriggerMessage", {"requestedMessage": "BootNotification"})))
            session.pump()
            return now + ping_after
        if quiet >= ping_after and session.channel is not None:
            session.channel.ping()
            return session.heard + self._silence_wall_s
        return session.heard + (ping_after if session.up else min(BOOT_PATIENCE_WALL_S, ping_after))

    def closed(self, session: Session) -> None:
        """See ``session.Registry``; the late close of a replaced connection changes nothing (ts-ocpp#19)."""
        charger = session.charger
        self._to_pump.pop(session, None)
        self._to_set_up.pop(session, None)
        if self._sessions.get(charger.id) is not session:
            return
        del self._sessions[charger.id]
        self._drop_pending(charger)
        self._away.append((self._hub.poller.now, charger))
        if self._on_session is not None:
            self._on_session(charger.id, session.epoch, False)  # noqa: FBT003 - ended
        if charger.online:
            charger.online, charger.lost_s = False, self._clock.now_s()
            self._tell_connected(charger)
            log.info("station %s lost", charger.id)

    def ended(self, command: Command, verdict: Verdict) -> None:
        """See ``session.Registry``."""
        self._coalescer.outcome(command.id, command.row, verdict.status, verdict.reason)

    # Host: of the door.

    def knows(self, station: str) -> bool:
        """See ``door.Host``."""
        return bool(station) and (station in self._places.chargers or bool(self._plates.rows_of(station)))

    def is_prior(self, station: str) -> bool:
        """See ``door.Host``."""
        return self._plates.in_event(station, self._clock.now_s())

    def welcome(self, channel: Channel, station: str, version: Version) -> None:
        """See ``door.Host``."""
        charger = self._places.come(station)
        if charger is None:
            channel.close(CloseCode.PROTOCOL_ERROR)
            return
        self._welcomed += 1
        self._session_epoch = max(self._session_epoch + 1, int(self._clock.now_s() * 1e6))
        session = Session(
            charger=charger,
            dialect=self._dialects[version],
            registry=self,
            hub=self._hub,
            epoch=self._session_epoch,
        )
        session.begin(channel)

    def turned_away(self, reason: str) -> None:
        """See ``door.Host``."""
        self._coalescer.rejected(reason)

    # The rest.

    @property
    def _places(self) -> Roster:
        if self._roster is None:
            raise ConflictError("OcppLink is not started")
        return self._roster

    def _services(self) -> Services:
        control_test, dynamic, max_offline_s = self._features
        return Services(
            clock=self._clock,
            coalescer=self._coalescer,
            supply=self._supply,
            plates=self._plates,
            cards=self.cards,
            sample_interval_s=self._intervals[0],
            boot_interval_s=self._intervals[1],
            lease=self._keep_lease,
            control_test=control_test,
            dynamic=dynamic,
            max_offline_s=max_offline_s,
        )

    def _listen(self) -> None:
        host, port = self._address
        plain = None if self._tls_port is not None else self._tls
        self._listeners.append(Listener(self._board, self._door, (host, port), reuse_port=self._reuse_port, tls=plain))
        if self._tls_port is not None and self._tls is not None:
            address = (host, self._tls_port)
            self._listeners.append(
                Listener(self._board, self._door, address, reuse_port=self._reuse_port, tls=self._tls)
            )

    def _session_of(self, row: int) -> Session:
        charger = self._places.get(row)
        session = None if charger is None else self._sessions.get(charger.id)
        if session is None or not session.up:
            raise DeviceUnreachableError(f"the station of row {row} is not connected")
        return session

    def _mark_events(self, batch: SetpointBatch) -> None:
        """Remember which rows take part in a request: their stations go first when all come back at once."""
        moving = batch.layers != Layer.DEFAULT
        until_s = np.where(batch.layers[moving] == Layer.DISPATCH, batch.until_s[moving], 0.0)
        self._plates.mark_events(batch.rows[moving], until_s)

    def _queue(self, charger: Charger, command: Command) -> None:
        replaced = charger.pending.pop(command.slot, None)
        if replaced is not None:
            self.ended(replaced, EXPIRED)
        charger.pending[command.slot] = command
        session = self._sessions.get(charger.id)
        if session is not None:
            if not self._to_pump:
                asyncio.get_running_loop().call_soon(self._pump_some)
            self._to_pump[session] = None

    def _pump_some(self) -> None:
        for session in list(self._to_pump)[:PUMPED_AT_ONCE]:
            self._to_pump.pop(session, None)
            session.pump()
        if self._to_pump:
            asyncio.get_running_loop().call_soon(self._pump_some)

    def _drop_pending(self, charger: Charger) -> None:
        for command in charger.pending.values():
            self.ended(command, NOT_CONNECTED)
        charger.pending.clear()

    def _end(self, session: Session, code: CloseCode) -> None:
        """End a session of our own accord; what it has not done comes back as unreachable."""
        charger = session.charger
        session.retire(code)
        self._to_pump.pop(session, None)
        self._to_set_up.pop(session, None)
        self._sessions.pop(charger.id, None)
        charger.online = False
        self._drop_pending(charger)

    def _come_up(self, session: Session) -> None:
        charger = session.charger
        session.up = True
        if charger.abilities.version != session.version.value:
            charger.spoken(session.version.value)
        if not charger.online:
            charger.online = True
            self._tell_connected(charger)
            if not math.isnan(charger.lost_s):
                log.info("station %s back after %.0f s", charger.id, self._clock.now_s() - charger.lost_s)
        self._set_up(session)

    def _set_up(self, session: Session) -> None:
        """Have a station asked and told all that a boot calls for, when its turn comes; the next tick at the latest."""
        self._to_set_up[session] = None

    def _set_up_some(self, speaking: Session | None = None) -> None:
        """Begin with those whose turn it is; one that is ``speaking`` is answered first and pumps by itself."""
        now = self._hub.poller.now
        while self._to_set_up and not self._rush and self._setups.take(now):
            session = next(iter(self._to_set_up))
            del self._to_set_up[session]
            session.add(session.dialect.setup(session.charger))
            if session is not speaking:
                session.pump()

    def _tell_connected(self, charger: Charger) -> None:
        now_s = self._clock.now_s()
        for row in charger.rows.values():
            self._coalescer.sample(row, Quantity.CONNECTED, float(charger.online), now_s)

    def _composite(self, charger: Charger, row: int, version: Version, answer: Answer) -> CompositeSchedule:
        schedule = None
        if answer.status == "Accepted":
            schedule = read_composite(version, answer.payload, charger.plate(row), self._supply)
        if schedule is None or not schedule.power_kw:
            raise ConflictError(f"{charger.id} has no composite schedule: {answer.code or answer.status}")
        self._coalescer.sample(row, Quantity.LIMIT_KW, schedule.power_kw[0], self._clock.now_s())
        return schedule

    def _keep_lease(self, until_s: float, row: int) -> None:
        heapq.heappush(self._leases, (until_s, row))

    def _on_tick(self) -> None:
        now_s, now = self._clock.now_s(), asyncio.get_running_loop().time()
        self._hub.poller.now = now
        while self._leases and self._leases[0][0] <= now_s:
            _, row = heapq.heappop(self._leases)
            charger = self._places.find(row)
            if charger is not None:
                charger.expire(row)
        self._rush, self._welcomed = self._welcomed > RUSH, 0
        self._set_up_some()
        while self._away and self._away[0][0] <= now - KEPT_AWAY_WALL_S:
            _, charger = self._away.popleft()
            if charger.id not in self._sessions:
                self._places.forget(charger)
        self._tick = asyncio.get_running_loop().call_later(TICK_WALL_S, self._on_tick)

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


def _told(call: Call) -> Script:
    yield call
    return ACCEPTED
