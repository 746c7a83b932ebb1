"""Sessions of a central system: one open connection a station, its liveness, and the kit's view of the fleet."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import structlog

from adapters.kit.batching import Batcher
from adapters.kit.websocket.connection import WebSocketConnection
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.host import DeviceHost
from adapters.ocpp.central_system.delivery import InstructionDelivery
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.central_system.session import Session, SessionContext
from adapters.ocpp.central_system.session_policy import SessionListener, SessionPolicy
from adapters.ocpp.central_system.setup_queue import SetupQueue
from adapters.ocpp.control.scripts import ACCEPTED, Dialect, Script
from adapters.ocpp.messages.ocpp_j import ADAPTER, Call, Version, choose_version
from adapters.ocpp.station.station_state import StationState
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock

_log = structlog.get_logger(__name__)

TICK_WALL_S = 0.1
SILENT_INTERVALS = 2.5
"""Heartbeat intervals without a frame before a connection counts as dead; at one it is pinged."""
LEAST_SILENCE_WALL_S = 15.0
BOOT_PATIENCE_WALL_S = 10.0
"""A station that has sent nothing so long after connecting is asked to boot: it knows us, we do not know it."""
KEPT_AWAY_WALL_S = 900.0
"""How long a station is remembered that has disconnected; it may have gone to another process."""


class Sessions(DeviceHost):
    """A ``session.Registry`` and an ``acceptor.Host``.

    Args:
        clock: Dates what is reported.
        known: Stations that have connected.
        batcher: Takes what is reported.
        context: What all endpoints share.
        dialects: The dialect of each version.
        delivery: Instructions to the stations.
        policy: Time limits and rates.
        listener: Notified of every session.
        open_sessions: The open session of every station, shared with ``delivery``.
    """

    realm = ADAPTER

    def __init__(
        self,
        *,
        clock: Clock,
        known: KnownStations,
        batcher: Batcher,
        context: SessionContext,
        dialects: Mapping[Version, Dialect],
        delivery: InstructionDelivery,
        policy: SessionPolicy,
        listener: SessionListener,
        open_sessions: dict[str, Session],
    ) -> None:
        super().__init__(batcher, clock, context.poller)
        self.call_retries = policy.call_retries
        self.delivery = delivery
        self.setups = SetupQueue(policy.setups_per_s)
        self._clock = clock
        self._known = known
        self._context = context
        context.registry = self
        self._dialects = dialects
        self._settle_wall_s = policy.settle_wall_s
        self._silence_wall_s = max(clock.wall(SILENT_INTERVALS * policy.boot_interval_s), LEAST_SILENCE_WALL_S)
        self._listener = listener
        self._sessions = open_sessions
        self._epoch = 0
        self._away: deque[tuple[float, StationState]] = deque()
        self._tick: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def up(self) -> int:
        """Number of stations that are connected and have booted."""
        return sum(session.up for session in self._sessions.values())

    def get(self, name: str) -> Session | None:
        """Return the session of a station."""
        return self._sessions.get(name)

    def rise(self, epoch: int) -> None:
        """Number sessions above ``epoch`` from now on, which another process has given out (Lamport 1978)."""
        self._epoch = max(self._epoch, epoch)

    def start(self) -> None:
        """Begin to tick, in the running loop."""
        self._on_tick()

    def stop(self) -> None:
        """Stop ticking."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def assign(self, index: FleetIndex) -> None:
        """Take another state of the fleet; connected stations are set up anew, those without a row are let go."""
        changed, gone = self._known.assign(index)
        for station in changed:
            session = self._sessions.get(station.id)
            if session is not None and session.up:
                self._report_connected(station)
                self.setups.add(session)
        for station in gone:
            session = self._sessions.get(station.id)
            if session is not None:
                self.end(session, CloseCode.GOING_AWAY)
            self._known.forget(station)

    def end(self, session: Session, code: CloseCode) -> None:
        """End a session of our own accord; its unfinished instructions come back as unreachable."""
        station = session.station
        session.retire(code)
        self._forget(session)
        self._sessions.pop(station.id, None)
        station.online = False
        self.delivery.drop_pending(station)

    # Registry.

    def opened(self, session: Session) -> None:
        """Take a new connection; the newest of a station wins, a half-open one must not keep it out (ocpp-go#314)."""
        station = session.station
        before = self._sessions.get(station.id)
        self._sessions[station.id] = session
        if before is not None:
            self.setups.discard(before)
            before.retire()
        self._listener(station.id, session.epoch, True)  # noqa: FBT003 - began
        if station.booted:  # it need not boot again to come back
            self._come_up(session)
        now = self._context.poller.now
        session.expect(now + min(BOOT_PATIENCE_WALL_S, self._silence_wall_s / SILENT_INTERVALS))

    def spoke(self, session: Session, *, booted: bool) -> None:
        """See ``session.Registry``; a first call other than a boot counts as one: the station knows us from before."""
        if not session.up:
            self._come_up(session)
        if booted:
            # Nothing is sent while it takes the answer to its boot; then it gets what it may have lost by it.
            session.hold_off(self._settle_wall_s)
            session.station.rebooted()
            self.delivery.restate(session.station)
        if booted or session not in self.setups:
            self.setups.add(session)
            self.setups.start_due(self._context.poller.now, speaking=session)

    def silent(self, session: Session, now: float) -> float:
        """See ``session.Registry``: ping a quiet station, cut a dead one, ask one that has sent nothing to boot."""
        quiet, ping_after = now - session.last_frame, self._silence_wall_s / SILENT_INTERVALS
        if quiet >= self._silence_wall_s:
            session.cut()
            return math.inf
        if quiet >= BOOT_PATIENCE_WALL_S and not session.up:
            session.add(_single_call(Call("TriggerMessage", {"requestedMessage": "BootNotification"})))
            session.pump()
            return now + ping_after
        if quiet >= ping_after and session.connection is not None:
            session.connection.ping()
            return session.last_frame + self._silence_wall_s
        return session.last_frame + (ping_after if session.up else min(BOOT_PATIENCE_WALL_S, ping_after))

    def closed(self, session: Session) -> None:
        """See ``session.Registry``; the late close of a replaced connection changes nothing (ts-ocpp#19)."""
        station = session.station
        self._forget(session)
        if self._sessions.get(station.id) is not session:
            return
        del self._sessions[station.id]
        self.delivery.drop_pending(station)
        self._away.append((self._context.poller.now, station))
        self._listener(station.id, session.epoch, False)  # noqa: FBT003 - ended
        if station.online:
            station.online, station.lost_s = False, self._clock.now_s()
            self._report_connected(station)
            _log.info("station lost", station=station.id)

    # Host.

    def knows(self, device: str) -> bool:
        """See ``acceptor.Host``."""
        return self._known.knows(device)

    def has_retired(self, device: str) -> bool:
        """See ``acceptor.Host``."""
        return self._known.has_retired(device)

    def has_priority(self, device: str) -> bool:
        """See ``acceptor.Host``: stations that take part in a request do not wait."""
        return self._known.in_event(device, self._clock.now_s())

    def choose_subprotocol(self, offered: Sequence[str]) -> str | None:
        """See ``acceptor.Host``."""
        return choose_version(offered)

    def connected(self, connection: WebSocketConnection, device: str, subprotocol: str) -> None:
        """See ``acceptor.Host``."""
        station = self._known.enter(device)
        if station is None:
            connection.close(CloseCode.PROTOCOL_ERROR)
            return
        self.setups.rush.arrived()
        self._epoch = max(self._epoch + 1, int(self._clock.now_s() * 1e6))
        session = Session(
            station=station,
            dialect=self._dialects[Version(subprotocol)],
            context=self._context,
            epoch=self._epoch,
        )
        session.begin(connection)

    # Private.

    def _come_up(self, session: Session) -> None:
        station = session.station
        session.up = True
        if station.abilities.version != session.version.value:
            station.take_version(session.version.value)
        if not station.online:
            station.online = True
            self._report_connected(station)
            if math.isnan(station.lost_s):
                for row in station.rows.values():
                    station.troubles.report(row)
            else:
                away_s = round(self._clock.now_s() - station.lost_s)
                _log.info("station back", station=station.id, away_s=away_s)
        self.setups.add(session)

    def _forget(self, session: Session) -> None:
        self.delivery.forget_session(session)
        self.setups.discard(session)

    def _report_connected(self, station: StationState) -> None:
        self._batcher.presence(station.rows.values(), self._clock.now_s(), connected=station.online)

    def _on_tick(self) -> None:
        now = asyncio.get_running_loop().time()
        # Scheduled first: whatever fails below, there is a next tick.
        self._tick = asyncio.get_running_loop().call_later(TICK_WALL_S, self._on_tick)
        self._context.poller.now = now
        self.delivery.tick(self._clock.now_s())
        self.setups.tick(now)
        while self._away and self._away[0][0] <= now - KEPT_AWAY_WALL_S:
            _, station = self._away.popleft()
            if station.id not in self._sessions:
                self._known.forget(station)


def _single_call(call: Call) -> Script:
    yield call
    return ACCEPTED
