"""The central system: accepts stations at ``/ocpp/{station_id}`` and hands them their instructions."""

import asyncio
import contextlib
import heapq
import logging
import math
from collections.abc import Callable, Mapping
from itertools import count

from picows import WSTransport, WSUpgradeRequest, WSUpgradeResponseWithListener, ws_create_server

from adapters.ocpp import handshake
from adapters.ocpp.charger import Charger, Command, Services
from adapters.ocpp.coalescer import ADAPTER, Coalescer
from adapters.ocpp.commands import ACCEPTED, EXPIRED, NOT_CONNECTED, REFUSED, Dialect, Script, Verdict
from adapters.ocpp.composite import CompositeSchedule, read_composite
from adapters.ocpp.roster import Roster, check_places
from adapters.ocpp.rpc import MAX_FRAME_BYTES, Deadlines
from adapters.ocpp.session import Session
from adapters.ocpp.units import Supply
from adapters.ocpp.v2x import Dialect2
from adapters.ocpp.v16 import Dialect16
from adapters.ocpp.wire import Answer, AnswerKind, Call, Version, choose_version
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.fleet import FleetIndex
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.ports import Clock, LinkSink

log = logging.getLogger(__name__)

TICK_WALL_S = 0.1
READ_BUFFER_BYTES = 2048
PUMPED_AT_ONCE = 100
"""Stations that get their instruction before the loop turns to its sockets again."""
SILENT_INTERVALS = 2.5
"""Heartbeat intervals without a frame before a connection counts as dead; at one it is pinged."""
LEAST_SILENCE_WALL_S = 15.0
LEAST_PATIENCE_WALL_S = 5.0
BOOT_PATIENCE_WALL_S = 10.0
"""A station that has not spoken so long after connecting is asked to boot: it knows us, we do not know it."""
CLOSING_WALL_S = 1.0

Authenticate = Callable[[str, str | None], bool]


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
        authenticate: Judges station id and Basic password (``None`` where none was given); everybody may in without.
        supply: The grid at the stations, for A and W.
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
    ) -> None:
        self._address = (host, port)
        self._clock = clock
        self._intervals = (max(round(sample_interval_s), 1), max(round(boot_interval_s), 1))
        self._authenticate = authenticate
        self._supply = supply or Supply()
        patience = max(clock.wall(call_timeout_s), min(call_timeout_s, LEAST_PATIENCE_WALL_S))
        self._deadlines = Deadlines(patience)
        self._silence_wall_s = max(clock.wall(SILENT_INTERVALS * boot_interval_s), LEAST_SILENCE_WALL_S)
        self._ids = count(int(clock.now_s() * 1000.0))
        self._last_transaction = 0
        self._epoch = 0
        self._index = FleetIndex.empty()
        self._coalescer: Coalescer
        self._roster: Roster | None = None
        self._sessions: dict[str, Session] = {}
        self._leases: list[tuple[float, int]] = []
        self._to_pump: dict[Session, None] = {}
        self._dialects: Mapping[Version, Dialect] = {
            Version.V16: Dialect16(),
            Version.V201: Dialect2(Version.V201),
            Version.V21: Dialect2(Version.V21),
        }
        self._server: asyncio.Server | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._silence_due = 0.0

    # DeviceLink.

    @property
    def port(self) -> int:
        """Port it listens on; the one asked for before ``start``."""
        if self._server is None:
            return self._address[1]
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``station/connector`` with a connector of 1 or more."""
        check_places(index)

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; raises InputError as ``check`` does."""
        self._index = index
        self._grow()

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``."""
        self._coalescer = Coalescer(sink=sink, clock=self._clock)
        services = Services(
            clock=self._clock,
            coalescer=self._coalescer,
            supply=self._supply,
            sample_interval_s=self._intervals[0],
            boot_interval_s=self._intervals[1],
            next_transaction=self._next_transaction,
            lease=self._keep_lease,
        )
        self._roster = Roster(services)
        self._grow()
        host, port = self._address
        self._server = await ws_create_server(
            self._accept,
            host,
            port,
            backlog=4096,
            max_frame_size=MAX_FRAME_BYTES,
            read_buffer_init_size=READ_BUFFER_BYTES,
            use_aiofastnet=False,  # 10 instead of 15 KB a connection
        )
        self._on_tick()

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        places, stale = self._places, batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        columns = (batch.ids, batch.rows, batch.layers, batch.power_kw, batch.until_s)
        for command_id, row, layer, power_kw, until_s in zip(*(column.tolist() for column in columns), strict=True):
            charger, connector = places.find(row) or (None, 0)
            command = Command(
                id=command_id,
                row=row,
                connector=connector,
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
        """See ``DeviceLink``."""
        if self._tick is not None:
            self._tick.cancel()
        if self._server is not None:
            self._server.close()
        transports = [session.transport for session in self._sessions.values() if session.transport is not None]
        for session in list(self._sessions.values()):
            session.retire()
            session.charger.online = False
            self._drop_pending(session.charger)
        self._sessions.clear()
        if self._roster is not None:
            self._coalescer.flush()
        await _all_gone(transports)
        if self._server is not None:
            await self._server.wait_closed()

    # What else the service may ask.

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``."""
        place = None if self._roster is None else self._roster.find(row)
        if place is None:
            return {}
        charger, connector = place
        abilities = charger.abilities
        return {
            "station": charger.id,
            "connector": connector,
            "connected": charger.online,
            "version": abilities.version,
            "vendor": abilities.vendor,
            "model": abilities.model,
            "firmware": abilities.firmware,
            "rate_units": [unit.value for unit in abilities.units or ()],
            "max_stack_level": abilities.max_stack_level,
            "max_periods": abilities.max_periods,
            "ack_s": None if math.isnan(abilities.ack_s) else abilities.ack_s,
        }

    def remember_default(self, row: int, power_kw: float) -> None:
        """State what lies underneath at ``row`` from an earlier life, so that a reconnection puts it there again."""
        charger, _ = self._places.get(row)
        charger.defaults[row] = power_kw

    async def get_composite_schedule(self, row: int, duration_s: int) -> CompositeSchedule:
        """Ask a station for its schedule in force and report its first value as ``Quantity.LIMIT_KW``.

        Raises:
            UnknownIdError: The row is not ours.
            DeviceUnreachableError: The station is not connected or does not answer.
            ConflictError: It cannot say.
        """
        charger, connector = self._places.get(row)
        session = self._sessions.get(charger.id)
        if session is None or not session.up:
            raise DeviceUnreachableError(f"{charger.id} is not connected")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        unit = charger.units_to_try()[0]
        session.add(
            _asked(session.dialect.composite(connector, duration_s, unit), answered),
            lambda _verdict: None if answered.done() else answered.set_result(Answer(AnswerKind.LOST, {})),
        )
        session.pump()
        answer = await answered
        if answer.kind in (AnswerKind.TIMEOUT, AnswerKind.LOST):
            raise DeviceUnreachableError(f"{charger.id} did not answer")
        return self._composite(charger, row, session.version, answer)

    # Registry.

    def opened(self, session: Session) -> None:
        """Take a new connection; the newest of a station wins, a half-open one must not keep it out (ocpp-go#314)."""
        charger = session.charger
        before = self._sessions.get(charger.id)
        self._sessions[charger.id] = session
        if before is not None:
            before.retire()
        if charger.booted:  # it need not boot again to come back
            self._come_up(session)

    def spoke(self, session: Session, *, booted: bool) -> None:
        """See ``session.Registry``; a first call that is no boot is as good: the station knows us from before."""
        if booted and session.up:
            session.add(session.dialect.setup(session.charger))
        session.charger.booted = True
        if not session.up:
            self._come_up(session)

    def closed(self, session: Session) -> None:
        """See ``session.Registry``; the late close of a replaced connection changes nothing (ts-ocpp#19)."""
        charger = session.charger
        self._to_pump.pop(session, None)
        if self._sessions.get(charger.id) is not session:
            return
        del self._sessions[charger.id]
        self._drop_pending(charger)
        if charger.online:
            charger.online, charger.lost_s = False, self._clock.now_s()
            self._tell_connected(charger)
            log.info("station %s lost", charger.id)

    def ended(self, command: Command, verdict: Verdict) -> None:
        """See ``session.Registry``."""
        self._coalescer.outcome(command.id, command.row, verdict.status, verdict.reason)

    # The rest.

    @property
    def _places(self) -> Roster:
        if self._roster is None:
            raise ConflictError("OcppLink is not started")
        return self._roster

    def _grow(self) -> None:
        if self._roster is None:
            return
        for charger in self._roster.grow(self._index):
            session = self._sessions.get(charger.id)
            if session is not None and session.up:
                self._tell_connected(charger)
                session.add(session.dialect.setup(charger))
                session.pump()

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
            del self._to_pump[session]
            session.pump()
        if self._to_pump:
            asyncio.get_running_loop().call_soon(self._pump_some)

    def _drop_pending(self, charger: Charger) -> None:
        for command in charger.pending.values():
            self.ended(command, NOT_CONNECTED)
        charger.pending.clear()

    def _come_up(self, session: Session) -> None:
        charger = session.charger
        session.up = True
        charger.abilities.version = session.version.value
        if not charger.online:
            charger.online = True
            self._tell_connected(charger)
            if not math.isnan(charger.lost_s):
                log.info("station %s back after %.0f s", charger.id, self._clock.now_s() - charger.lost_s)
        session.add(session.dialect.setup(charger))

    def _tell_connected(self, charger: Charger) -> None:
        now_s = self._clock.now_s()
        for row in charger.rows.values():
            self._coalescer.sample(row, Quantity.CONNECTED, float(charger.online), now_s)

    def _composite(self, charger: Charger, row: int, version: Version, answer: Answer) -> CompositeSchedule:
        schedule = None
        if answer.status == "Accepted":
            schedule = read_composite(version, answer.payload, charger.resources[row], self._supply)
        if schedule is None or not schedule.power_kw:
            raise ConflictError(f"{charger.id} has no composite schedule: {answer.code or answer.status}")
        self._coalescer.sample(row, Quantity.LIMIT_KW, schedule.power_kw[0], self._clock.now_s())
        return schedule

    def _next_transaction(self) -> int:
        """Return a positive int32 that no earlier process gave out: clock seconds, or one more than the last."""
        self._last_transaction = max(self._last_transaction + 1, int(self._clock.now_s())) & 0x7FFF_FFFF
        return self._last_transaction

    def _keep_lease(self, until_s: float, row: int) -> None:
        heapq.heappush(self._leases, (until_s, row))

    def _on_tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._deadlines.expire()
        now_s = self._clock.now_s()
        while self._leases and self._leases[0][0] <= now_s:
            _, row = heapq.heappop(self._leases)
            self._places.get(row)[0].expire(row)
        if loop.time() >= self._silence_due:
            self._silence_due = loop.time() + self._silence_wall_s / 10.0
            self._check_silence(loop.time())
        self._tick = loop.call_later(TICK_WALL_S, self._on_tick)

    def _check_silence(self, now: float) -> None:
        """Ping the quiet, drop the dead, ask those who connected and said nothing who they are."""
        for session in list(self._sessions.values()):
            silent = now - session.heard_s
            if silent >= self._silence_wall_s:
                session.cut()
            elif silent >= BOOT_PATIENCE_WALL_S and not session.up:
                session.add(_told(Call("TriggerMessage", {"requestedMessage": "BootNotification"})))
                session.pump()
            elif silent >= self._silence_wall_s / SILENT_INTERVALS and session.transport is not None:
                session.transport.send_ping()

    def _accept(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener | None:
        """Choose a version for a known station; ``None`` is 404."""
        charger = self._places.chargers.get(handshake.station_id(request))
        if charger is None:
            log.warning("refused a connection to %r: no such station", request.path)
            return None
        if self._authenticate is not None:
            password = handshake.password(request, charger.id)
            if not self._authenticate(charger.id, password):
                return handshake.unauthorized()
        offered = handshake.offered(request)
        version = choose_version(offered)
        if version is None:
            return handshake.no_common_version()
        session = Session(
            charger=charger,
            dialect=self._dialects[version],
            registry=self,
            deadlines=self._deadlines,
            ids=self._ids,
        )
        return handshake.accepted(version if offered else None, session)


def _asked(call: Call, answered: "asyncio.Future[Answer]") -> Script:
    answer = yield call
    if not answered.done():
        answered.set_result(answer)
    return ACCEPTED if answer.kind is AnswerKind.RESULT else REFUSED


def _told(call: Call) -> Script:
    yield call
    return ACCEPTED


async def _all_gone(transports: list[WSTransport]) -> None:
    """Wait until the sockets are closed; those whose peer does not take our farewell are dropped."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_WALL_S):
            for transport in transports:
                await transport.wait_disconnected()
    for transport in transports:
        transport.disconnect(False)  # noqa: FBT003 - picows takes it by position
