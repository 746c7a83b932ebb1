"""Buffer of a gateway's uplink: what links hear, gathered into messages for the leader.

Order is kept where it matters: an event of a charging session never passes a sample of its row, nor the reverse. One
message is in flight at a time; what comes meanwhile makes the next one longer, so a slow bus means fewer, longer
messages. While no leader takes them, samples wait up to a bound, above which the oldest are dropped and counted;
outcomes, device sessions and charging sessions are never dropped.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vpp.bus.device_sessions import HeldSessions
from vpp.bus.messages.codec import Kind, encode
from vpp.bus.messages.frames import (
    age_frame,
    car_frames,
    claim_frames,
    outcome_frames,
    refused_connection_frames,
    tally_frame,
    telemetry_frames,
)
from vpp.bus.transport.subjects import MAX_MESSAGE_BYTES
from vpp.domain.refused_connection import RefusedConnection, RefusedConnections
from vpp.domain.session import SessionEvent, SessionPromised
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.ports import Clock

_HEAD_BYTES = 400
"""Room for the head of a message and for the lengths of its frames."""


@dataclass(slots=True)
class _Stretch:
    """A stretch that may be sent in this order: samples, device sessions, charging sessions, outcomes."""

    samples: list[TelemetryBatch] = field(default_factory=list)
    claims: list[bytes] = field(default_factory=list)
    cars: list[SessionEvent] = field(default_factory=list)
    car_rows: set[int] = field(default_factory=set)
    outcomes: list[OutcomeBatch] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Nothing is here to be sent."""
        return not (self.samples or self.claims or self.cars or self.outcomes)

    def frames(self) -> list[bytes]:
        """Return all of it as frames."""
        made = list(telemetry_frames(TelemetryBatch.joined(self.samples))) if self.samples else []
        made += self.claims
        made += car_frames(self.cars)
        return made + [frame for batch in self.outcomes for frame in outcome_frames(batch)]


class Uplink:
    """A gateway's `vpp.ports.LinkSink`.

    Args:
        sessions: The sessions of devices at this gateway.
        clock: The only source of time.
        most_samples: How many samples may wait.

    Attributes:
        work: Set while something waits.
        appeared: Rows whose device was found connected, for `CardReports`.
    """

    def __init__(self, sessions: HeldSessions, clock: Clock, *, most_samples: int = 3_000_000) -> None:
        self.work = asyncio.Event()
        self.appeared: deque[int] = deque()
        self._sessions = sessions
        self._clock = clock
        self._most_samples = most_samples
        self._stretches: deque[_Stretch] = deque([_Stretch()])
        self._tallies = {kind: Counter[tuple[str, str]]() for kind in (Kind.REJECTED, Kind.HEALED)}
        self._refused_connections = RefusedConnections()
        self._ages: dict[str, float] = {}
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._rows = 0

    @property
    def empty(self) -> bool:
        """Nothing waits."""
        waiting = (self._frames, self._refused_connections, self._ages, *self._tallies.values())
        return not any(waiting) and all(one.empty for one in self._stretches)

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows."""
        self._rows = count
        self._sessions.resize(count)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """See ``LinkSink``; samples of ``Quantity.CONNECTED`` travel as the begin or end of a device session."""
        inside = (batch.rows >= 0) & (batch.rows < self._rows)
        session = inside & (batch.quantities == Quantity.CONNECTED)
        samples = batch.take(np.flatnonzero(inside & ~session))
        if len(samples):
            last = self._stretches[-1]
            if last.car_rows and not last.car_rows.isdisjoint(samples.rows.tolist()):
                last = self._open()
            last.samples.append(samples)
            self._waiting += len(samples)
            self._bound()
        if session.any():
            self._claim(_last_of_each(batch.take(np.flatnonzero(session))))
        self.work.set()

    def outcomes(self, batch: OutcomeBatch) -> None:
        """See ``LinkSink``."""
        self._stretches[-1].outcomes.append(batch)
        self.work.set()

    def session(self, event: SessionEvent) -> None:
        """See ``LinkSink``."""
        last = self._stretches[-1]
        last.cars.append(event)
        if not isinstance(event, SessionPromised):
            last.car_rows.add(event.row)
        self.work.set()

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """See ``LinkSink``."""
        self._tallies[Kind.REJECTED][adapter, reason] += 1
        self.work.set()

    def healed(self, adapter: str, kind: str) -> None:
        """See ``LinkSink``."""
        self._tallies[Kind.HEALED][adapter, kind] += 1
        self.work.set()

    def connection_refused(self, refused: RefusedConnection) -> None:
        """See ``LinkSink``."""
        self._refused_connections.take(refused)
        self.work.set()

    def aged(self, ages: Mapping[str, float]) -> None:
        """State how many wall seconds ago each link's poller last turned; only the latest statement is sent."""
        self._ages = dict(ages)
        self.work.set()

    def began(self, rows: Sequence[int], number: int) -> None:
        """Take the number of a connection that has begun; see ``DialledLink``."""
        inside = [row for row in rows if row < self._rows]
        claims = self._sessions.began(inside, number, self._clock.now_s())
        if len(claims):
            self._stretches[-1].claims += claim_frames(claims)
            self.work.set()

    def claim_all(self) -> None:
        """Claim every device session here, for a leader that does not know of them."""
        self._stretches[-1].claims += claim_frames(self._sessions.all(self._clock.now_s()))
        self.work.set()

    def cards(self, rows: list[int], cards: list[str]) -> None:
        """Report capability cards, JSON, of the devices in ``rows``."""
        self._stretches[-1].claims.append(encode(Kind.CARDS, {"rows": rows, "card": cards}))
        self.work.set()

    def take(self) -> list[bytes]:
        """Return the frames of the next message, at most ``MAX_MESSAGE_BYTES`` in all, and keep them no longer."""
        if not self._frames:
            self._cut()
        chosen: list[bytes] = []
        left = MAX_MESSAGE_BYTES - _HEAD_BYTES
        while self._frames and (not chosen or len(self._frames[0]) + 4 <= left):
            frame = self._frames.popleft()
            left -= len(frame) + 4
            chosen.append(frame)
        if not self._frames and self.empty:
            self.work.clear()
        return chosen

    def _cut(self) -> None:
        stretches, self._stretches, self._waiting = self._stretches, deque([_Stretch()]), 0
        for one in stretches:
            self._frames.extend(one.frames())
        for kind, counts in self._tallies.items():
            if counts:
                self._frames.append(tally_frame(kind, counts))
                counts.clear()
        self._frames.extend(refused_connection_frames(self._refused_connections.drain()))
        if self._ages:
            self._frames.append(age_frame(self._ages))
            self._ages = {}

    def _claim(self, batch: TelemetryBatch) -> None:
        up = batch.values > 0.0
        claims = self._sessions.note(batch.rows, up, batch.at_s, self._clock.now_s())
        self._stretches[-1].claims += claim_frames(claims)
        self.appeared.extend(batch.rows[up].tolist())

    def _open(self) -> _Stretch:
        self._stretches.append(_Stretch())
        return self._stretches[-1]

    def _bound(self) -> None:
        """Drop the oldest samples above the bound; everything else stays."""
        for one in self._stretches if self._waiting > self._most_samples else ():
            while one.samples and self._waiting > self._most_samples:
                dropped = len(one.samples.pop(0))
                self._waiting -= dropped
                self._tallies[Kind.REJECTED]["bus", "overflow"] += dropped


def _last_of_each(batch: TelemetryBatch) -> TelemetryBatch:
    """Return the last sample of each row."""
    _, from_end = np.unique(batch.rows[::-1], return_index=True)
    return batch.take(np.sort(len(batch) - 1 - from_end))
