"""Delivery of instructions: one waiting per connector and layer, paced, handed to the session, ended exactly once."""

import asyncio
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import structlog

from adapters.kit.batching import Batcher
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.central_system.session import Session
from adapters.ocpp.control.instructions import restoration_of
from adapters.ocpp.control.pacing import Pacer
from adapters.ocpp.control.scripts import ACCEPTED, EXPIRED, NOT_CONNECTED, Verdict
from adapters.ocpp.control.waking import Waker, WakeRule
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import OutcomeStatus
from vpp.domain.trouble import Trouble
from vpp.ports import Clock

_log = structlog.get_logger(__name__)

PUMPED_AT_ONCE = 100
"""Stations that are sent their instruction before the loop turns to its sockets again."""


class LeaseEnds:
    """Ends of the leases of installed dispatch values, the earliest first.

    A row waits once, however often its value is renewed: whoever is due and holds a later one is entered again.
    """

    def __init__(self) -> None:
        self._ends: list[tuple[float, int]] = []
        self._first: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, until_s: float, row: int) -> None:
        """Note when a dispatch value of a row ends."""
        if until_s < self._first.get(row, math.inf):
            self._first[row] = until_s
            heapq.heappush(self._ends, (until_s, row))

    def due(self, now_s: float) -> Iterator[int]:
        """Iterate the rows of which a value may have come to its end; a newer one may have taken its place."""
        while self._ends and self._ends[0][0] <= now_s:
            until_s, row = heapq.heappop(self._ends)
            if self._first.get(row) == until_s:
                del self._first[row]
                yield row


class InstructionDelivery:
    """Instructions on their way to stations.

    Args:
        clock: Ends leases and dates outcomes.
        batcher: Takes the outcomes.
        known: The stations that have connected.
        sessions: The open session of every station, kept by ``Sessions``.
        lease_ends: Ends of the leases of installed values.
        least_interval_s: See ``ProfilePolicy``.
        wake: Where sleeping cars are woken.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        batcher: Batcher,
        known: KnownStations,
        sessions: Mapping[str, Session],
        lease_ends: LeaseEnds,
        least_interval_s: float,
        wake: Sequence[WakeRule],
    ) -> None:
        self._clock = clock
        self._batcher = batcher
        self._known = known
        self._sessions = sessions
        self._lease_ends = lease_ends
        self._pacer = Pacer(least_interval_s)
        self._waker = Waker(wake, known.site)
        self._to_pump: dict[Session, None] = {}

    def queue(self, station: StationState, command: Command) -> None:
        """Send an instruction as soon as its station is free; it replaces one that has not left yet."""
        replaced = station.dequeue(command.slot) or self._pacer.take_back(command.slot)
        if replaced is not None:
            self.ended(replaced, EXPIRED)
        now_s = self._clock.now_s()
        due_s = self._pacer.due_s(station, command, now_s)
        if math.isinf(due_s) and due_s > 0.0:
            self._pacer.renew_later(station, command)
            self.ended(command, ACCEPTED)
        elif due_s > now_s:
            self._pacer.hold(command, due_s)
        else:
            self._hand_over(station, command)

    def ended(self, command: Command, verdict: Verdict) -> None:
        """Report the outcome of an instruction; the link's own have none."""
        if command.quiet:
            self._ended_quietly(command, verdict)
            return
        self._batcher.outcome(command.id, command.row, verdict.status, verdict.reason, self._clock.now_s())

    def restate(self, station: StationState) -> None:
        """Give a station that has booted the dispatch values again that it may have lost by it."""
        for connector, profile in installed_profiles.by_connector(station).items():
            command = restoration_of(profile, connector, station.rows[connector])
            station.note(restated_s=self._clock.now_s())
            if command.slot not in station.pending:
                self._hand_over(station, command)

    def forget_session(self, session: Session) -> None:
        """Hand nothing more to a session that has ended."""
        self._to_pump.pop(session, None)

    def drop_pending(self, station: StationState) -> None:
        """End as unreachable what has not left for a station."""
        for slot in [(row, default) for row in station.rows.values() for default in (False, True)]:
            command = station.dequeue(slot) or self._pacer.take_back(slot)
            if command is not None:
                self.ended(command, NOT_CONNECTED)

    def trouble_changed(self, row: int, trouble: Trouble, present: bool) -> None:  # noqa: FBT001 - see StationTroubles
        """Take note that a row has or has no longer a trouble: a sleeping car may be woken."""
        self._waker.trouble_changed(row, trouble, self._clock.now_s(), present=present)

    def tick(self, now_s: float) -> None:
        """Let leases end, and send what has waited for its time."""
        for row in self._lease_ends.due(now_s):
            station = self._known.find(row)
            if station is not None:
                installed_profiles.expire(station, row)
                for profile in installed_profiles.at_row(station, row):
                    self._lease_ends.add(profile.until_s, row)
        self._send_due(now_s)
        self._wake(now_s)

    def _hand_over(self, station: StationState, command: Command) -> None:
        station.enqueue(command)
        session = self._sessions.get(station.id)
        if session is not None:
            if not self._to_pump:
                asyncio.get_running_loop().call_soon(self._pump_some)
            self._to_pump[session] = None

    def _pump_some(self) -> None:
        for session in list(islice(self._to_pump, PUMPED_AT_ONCE)):
            self._to_pump.pop(session, None)
            session.pump_safely()
        if self._to_pump:
            asyncio.get_running_loop().call_soon(self._pump_some)

    def _ended_quietly(self, command: Command, verdict: Verdict) -> None:
        """Take note that a station refuses a value it is given again: it does not hold that value now."""
        station = self._known.find(command.row)
        if station is not None and command.again and verdict.status is OutcomeStatus.REJECTED and verdict != EXPIRED:
            installed_profiles.clear(station, command.row)

    def _wake(self, now_s: float) -> None:
        for row in self._waker.due(now_s):
            station = self._known.find(row)
            command = None if station is None else self._waker.next(station, row, now_s)
            waiting = None if station is None or command is None else station.pending.get(command.slot)
            if station is not None and command is not None and (waiting is None or waiting.quiet):
                _log.info("waking a car", station=station.id, connector=command.connector)
                self._hand_over(station, command)

    def _send_due(self, now_s: float) -> None:
        for command in self._pacer.due(now_s):
            station = self._known.find(command.row)
            if station is not None and command.slot not in station.pending:
                self._hand_over(station, command)
            elif station is None:
                self.ended(command, NOT_CONNECTED)
