"""The sessions of a central system: who is connected, what each waits for, and when each is looked after."""

import asyncio
import heapq
import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

from adapters.kit.admission import Rush
from adapters.kit.batching import Batcher
from adapters.kit.websocket.connection import WebSocketConnection
from adapters.kit.websocket.frames import CloseCode
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.central_system.refused_stations import RefusedStations
from adapters.ocpp.central_system.session import Session
from adapters.ocpp.central_system.session_policy import SessionPolicy
from adapters.ocpp.control.instructions import again
from adapters.ocpp.control.pacing import Pacer
from adapters.ocpp.control.scripts import ACCEPTED, EXPIRED, NOT_CONNECTED, Dialect, Script, Verdict
from adapters.ocpp.control.waking import Waker
from adapters.ocpp.messages.ocpp_j import Call, Version
from adapters.ocpp.messages.rpc import Hub
from adapters.ocpp.profiles.nameplates import Nameplates
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState
from vpp.domain.fleet import FleetIndex
from vpp.domain.setpoint import OutcomeStatus
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble
from vpp.ports import Clock

log = logging.getLogger(__name__)

TICK_WALL_S = 0.1
PUMPED_AT_ONCE = 100
"""Stations that get their instruction before the loop turns to its sockets again."""
SILENT_INTERVALS = 2.5
"""Heartbeat intervals without a frame before a connection counts as dead; at one it is pinged."""
BOOT_PATIENCE_WALL_S = 10.0
"""A station that has not spoken so long after connecting is asked to boot: it knows us, we do not know it."""
KEPT_AWAY_WALL_S = 900.0
"""How long a station is remembered that has gone; it may have come to another process."""


class Leases:
    """When dispatch values lapse, the earliest first."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, int]] = []

    def keep(self, until_s: float, row: int) -> None:
        """Have a dispatch value lapse here when it lapses at its station."""
        heapq.heappush(self._ends, (until_s, row))

    def lapsed(self, now_s: float) -> Iterator[int]:
        """Iterate the rows whose value has come to its end; a newer one may have taken its place."""
        while self._ends and self._ends[0][0] <= now_s:
            yield heapq.heappop(self._ends)[1]


class Sessions:
    """A ``session.Registry`` and a ``acceptor.Host``.

    Args:
        dialects: The words of each version.
        leases: Dispatch values in force.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        plates: Nameplates,
        roster: KnownStations,
        coalescer: Batcher,
        hub: Hub,
        dialects: Mapping[Version, Dialect],
        leases: Leases,
        manners: SessionPolicy,
    ) -> None:
        self.call_retries = manners.call_retries
        self._clock = clock
        self._plates = plates
        self._roster = roster
        self._coalescer = coalescer
        self._hub = hub
        self._dialects = dialects
        self._manners = manners
        self._epoch = 0
        self._rush = Rush()
        self._sessions: dict[str, Session] = {}
        self._leases = leases
        self._pacer = Pacer(manners.profile_interval_s)
        self._waker = Waker(manners.wake, plates.site)
        self._away: deque[tuple[float, StationState]] = deque()
        self._to_pump: dict[Session, None] = {}
        self._to_set_up: dict[Session, None] = {}
        self._refused_connections = RefusedStations(coalescer, clock, hub.poller)
        self._tick: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def up(self) -> int:
        """Number of stations that are connected and have booted."""
        return sum(session.up for session in self._sessions.values())

    @property
    def waiting_setups(self) -> int:
        """Number of stations that have not been asked yet what follows a boot."""
        return len(self._to_set_up)

    def get(self, station: str) -> Session | None:
        """Return the session of a station."""
        return self._sessions.get(station)

    def rise(self, epoch: int) -> None:
        """Number sessions above ``epoch`` from now on, which another process has given out (Lamport 1978)."""
        self._epoch = max(self._epoch, epoch)

    def start(self) -> None:
        """Begin to look after sessions, in the running loop."""
        self._on_tick()

    def stop(self) -> None:
        """Look after them no more."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def grow(self, index: FleetIndex) -> None:
        """Take rows that are new; stations that are here are told of theirs."""
        for charger in self._roster.grow(index):
            session = self._sessions.get(charger.id)
            if session is not None and session.up:
                self._tell_connected(charger)
                self._set_up(session)

    # Instructions.

    def queue(self, charger: StationState, command: Command) -> None:
        """Have an instruction sent as soon as its station is free; it replaces one that has not left yet."""
        replaced = charger.pending.pop(command.slot, None) or self._pacer.take_back(command.slot)
        if replaced is not None:
            self.ended(replaced, EXPIRED)
        now_s = self._clock.now_s()
        due_s = self._pacer.due_s(charger, command, now_s)
        if math.isinf(due_s) and due_s > 0.0:
            self._pacer.owe(charger, command)
            self.ended(command, ACCEPTED)
        elif due_s > now_s:
            self._pacer.hold(command, due_s)
        else:
            self._hand_over(charger, command)

    def _hand_over(self, charger: StationState, command: Command) -> None:
        charger.pending[command.slot] = command
        session = self._sessions.get(charger.id)
        if session is not None:
            if not self._to_pump:
                asyncio.get_running_loop().call_soon(self._pump_some)
            self._to_pump[session] = None

    def _pump_some(self) -> None:
        for session in list(islice(self._to_pump, PUMPED_AT_ONCE)):
            self._to_pump.pop(session, None)
            self._pump(session)
        if self._to_pump:
            asyncio.get_running_loop().call_soon(self._pump_some)

    @staticmethod
    def _pump(session: Session) -> None:
        """Have a session send what is next; where that fails, it alone pays for it."""
        try:
            session.pump()
        except Exception as error:  # noqa: BLE001 - as in the poller
            session.crashed(error)

    def _drop_pending(self, charger: StationState) -> None:
        for slot in [(row, default) for row in charger.rows.values() for default in (False, True)]:
            command = charger.pending.pop(slot, None) or self._pacer.take_back(slot)
            if command is not None:
                self.ended(command, NOT_CONNECTED)

    def end(self, session: Session, code: CloseCode) -> None:
        """End a session of our own accord; what it has not done comes back as unreachable."""
        charger = session.charger
        session.retire(code)
        self._to_pump.pop(session, None)
        self._to_set_up.pop(session, None)
        self._sessions.pop(charger.id, None)
        charger.online = False
        self._drop_pending(charger)

    # Registry.

    def opened(self, session: Session) -> None:
        """Take a new connection; the newest of a station wins, a half-open one must not keep it out (ocpp-go#314)."""
        charger = session.charger
        before = self._sessions.get(charger.id)
        self._sessions[charger.id] = session
        if before is not None:
            self._to_set_up.pop(before, None)
            before.retire()
        if self._manners.on_session is not None:
            self._manners.on_session(charger.id, session.epoch, True)  # noqa: FBT003 - began
        if charger.booted:  # it need not boot again to come back
            self._come_up(session)
        now = self._hub.poller.now
        session.expect(now + min(BOOT_PATIENCE_WALL_S, self._manners.silence_wall_s / SILENT_INTERVALS))

    def spoke(self, session: Session, *, booted: bool) -> None:
        """See ``session.Registry``; a first call that is no boot is as good: the station knows us from before."""
        session.charger.booted = True
        if not session.up:
            self._come_up(session)
        if booted:
            self._restate(session)
        if booted or session not in self._to_set_up:
            self._set_up(session)
            self._set_up_some(speaking=session)

    def _restate(self, session: Session) -> None:
        """Leave a station in peace while it takes the answer to its boot; then give it what it may have lost by it."""
        charger = session.charger
        session.hold_off(self._manners.settle_wall_s)
        charger.rebooted()
        for connector, lease in charger.leases_by_connector().items():
            command = again(lease, connector, charger.rows[connector])
            charger.restated_s = self._clock.now_s()
            if command.slot not in charger.pending:
                self._hand_over(charger, command)

    def silent(self, session: Session, now: float) -> float:
        """See ``session.Registry``: ping the quiet, drop the dead, ask who has said nothing yet who it is."""
        quiet, ping_after = now - session.heard, self._manners.silence_wall_s / SILENT_INTERVALS
        if quiet >= self._manners.silence_wall_s:
            session.cut()
            return math.inf
        if quiet >= BOOT_PATIENCE_WALL_S and not session.up:
            session.add(_told(Call("TriggerMessage", {"requestedMessage": "BootNotification"})))
            session.pump()
            return now + ping_after
        if quiet >= ping_after and session.channel is not None:
            session.channel.ping()
            return session.heard + self._manners.silence_wall_s
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
        if self._manners.on_session is not None:
            self._manners.on_session(charger.id, session.epoch, False)  # noqa: FBT003 - ended
        if charger.online:
            charger.online, charger.lost_s = False, self._clock.now_s()
            self._tell_connected(charger)
            log.info("station %s lost", charger.id)

    def ended(self, command: Command, verdict: Verdict) -> None:
        """See ``session.Registry``."""
        if command.quiet:
            self._ended_quietly(command, verdict)
            return
        self._coalescer.outcome(command.id, command.row, verdict.status, verdict.reason, self._clock.now_s())

    def _ended_quietly(self, command: Command, verdict: Verdict) -> None:
        """Take note that a station refuses to take a value again: what it holds now is not that value."""
        charger = self._roster.find(command.row)
        if charger is not None and command.again and verdict.status is OutcomeStatus.REJECTED and verdict != EXPIRED:
            charger.released(command.row)

    # Host.

    def knows(self, station: str) -> bool:
        """See ``acceptor.Host``."""
        return bool(station) and (station in self._roster.chargers or bool(self._plates.rows_of(station)))

    def is_prior(self, station: str) -> bool:
        """See ``acceptor.Host``."""
        return self._plates.in_event(station, self._clock.now_s())

    def welcome(self, channel: WebSocketConnection, station: str, subprotocol: str) -> None:
        """See ``acceptor.Host``."""
        charger = self._roster.come(station)
        if charger is None:
            channel.close(CloseCode.PROTOCOL_ERROR)
            return
        self._rush.came()
        self._epoch = max(self._epoch + 1, int(self._clock.now_s() * 1e6))
        session = Session(
            charger=charger,
            dialect=self._dialects[Version(subprotocol)],
            registry=self,
            hub=self._hub,
            epoch=self._epoch,
        )
        session.begin(channel)

    def turned_away(self, reason: str) -> None:
        """See ``acceptor.Host``."""
        self._coalescer.rejected(reason)

    def connection_refused(self, name: str, peer: str, reason: str) -> None:
        """See ``acceptor.Host``."""
        self._refused_connections.take(name, peer, reason)

    # The rest.

    def _come_up(self, session: Session) -> None:
        charger = session.charger
        session.up = True
        if charger.abilities.version != session.version.value:
            charger.spoken(session.version.value)
        if not charger.online:
            charger.online = True
            self._tell_connected(charger)
            if math.isnan(charger.lost_s):
                for row in charger.rows.values():
                    charger.troubles.tell(row)
            else:
                log.info("station %s back after %.0f s", charger.id, self._clock.now_s() - charger.lost_s)
        self._set_up(session)

    def _set_up(self, session: Session) -> None:
        """Have a station asked and told all that a boot calls for, when its turn comes; the next tick at the latest."""
        self._to_set_up[session] = None

    def _set_up_some(self, speaking: Session | None = None) -> None:
        """Begin with those whose turn it is; one that is ``speaking`` is answered first and pumps by itself."""
        now = self._hub.poller.now
        while self._to_set_up and not self._rush.lasts(now) and self._manners.setups.take(now):
            session = next(iter(self._to_set_up))
            del self._to_set_up[session]
            session.add(session.dialect.setup(session.charger))
            if session is not speaking:
                self._pump(session)

    def _tell_connected(self, charger: StationState) -> None:
        now_s = self._clock.now_s()
        for row in charger.rows.values():
            self._coalescer.sample(row, Quantity.CONNECTED, float(charger.online), now_s)

    def troubled(self, row: int, trouble: Trouble, present: bool) -> None:  # noqa: FBT001 - see Troubles.noticed
        """Hear of a trouble that has come or gone."""
        self._waker.noticed(row, trouble, self._clock.now_s(), present=present)

    def _wake(self, now_s: float) -> None:
        for row in self._waker.due(now_s):
            charger = self._roster.find(row)
            command = None if charger is None else self._waker.next(charger, row, now_s)
            waiting = None if charger is None or command is None else charger.pending.get(command.slot)
            if charger is not None and command is not None and (waiting is None or waiting.quiet):
                log.info("station %s: waking the car at connector %d", charger.id, command.connector)
                self._hand_over(charger, command)

    def _send_what_waited(self, now_s: float) -> None:
        for command in self._pacer.due(now_s):
            charger = self._roster.find(command.row)
            if charger is not None and command.slot not in charger.pending:
                self._hand_over(charger, command)
            elif charger is None:
                self.ended(command, NOT_CONNECTED)

    def _on_tick(self) -> None:
        now_s, now = self._clock.now_s(), asyncio.get_running_loop().time()
        # Seen to first: whatever goes wrong below, there is a next time.
        self._tick = asyncio.get_running_loop().call_later(TICK_WALL_S, self._on_tick)
        self._hub.poller.now = now
        for row in self._leases.lapsed(now_s):
            charger = self._roster.find(row)
            if charger is not None:
                charger.expire(row)
        self._send_what_waited(now_s)
        self._wake(now_s)
        self._rush.tick(now)
        self._set_up_some()
        while self._away and self._away[0][0] <= now - KEPT_AWAY_WALL_S:
            _, charger = self._away.popleft()
            if charger.id not in self._sessions:
                self._roster.forget(charger)


def _told(call: Call) -> Script:
    yield call
    return ACCEPTED
