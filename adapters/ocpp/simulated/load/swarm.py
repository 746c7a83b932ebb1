"""Load generator of charging stations: ten thousands in one process, with just enough of OCPP 1.6.

They connect with a key, boot, send their status and meter values, and accept every charging profile. There is no
physical model and no event loop behind them, one epoll and a few hundred bytes a station; ``stations`` has stations
with physics.
"""

import math
import os
import ssl
import time
from collections.abc import Callable, Sequence

from adapters.kit.websocket.frames import Opcode, masked
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.simulated.load.connections import SwarmConnections
from adapters.ocpp.simulated.load.frames import BOOT, METER_VALUES, STATUS, configuration
from adapters.ocpp.simulated.load.swarm_station import (
    BOOTING,
    READY,
    STATUS_SENT,
    SwarmStation,
    Tally,
)

_POLL_S = 0.05
_LEAST_PAUSE_S = 0.01
"""Least pause between two meter values: waking for each would take the core from the system under load."""
_TIMESTAMP_S = 0.5


class Swarm:
    """Stations on one epoll, driven by ``run`` from outside.

    Args:
        address: Host and port of the central system.
        keys: ``(station, key)`` of every station.
        sources: Local addresses to connect from, in turn.
        at_once: Greatest number of stations between connecting and being ready.
        now_s: Epoch seconds, for stamps.
        tls: Client side and port of TLS, for a share of the stations; the others use plain text.
        tls_share: That share, 0 to 1.
    """

    def __init__(
        self,
        address: tuple[str, int],
        keys: Sequence[tuple[str, str]],
        *,
        sources: Sequence[str],
        now_s: Callable[[], float],
        at_once: int = 256,
        tls: tuple[ssl.SSLContext, int] | None = None,
        tls_share: float = 0.0,
    ) -> None:
        share = 0.0 if tls is None else tls_share
        self.stations = [
            SwarmStation(name, number, key, secure=int((number + 1) * share) > int(number * share))
            for number, (name, key) in enumerate(keys)
        ]
        self.tally = Tally()
        self._connections = SwarmConnections(
            address,
            self.stations,
            self.tally,
            sources=sources,
            at_once=at_once,
            tls=tls,
            upgraded=self._upgraded,
            received=self._frames,
        )
        self._expected = 0
        self._now_s = now_s
        self._mask = os.urandom(4)
        self._busy = 0
        self._next_due = 0.0
        self._next_number = 0
        self._sequence = 0
        self._timestamp_bytes = b""
        self._timestamp_at = -math.inf

    # Control.

    def connect(self, *, secure: bool | None = None) -> None:
        """Connect the stations that are not connected, and reconnect them whenever they are lost.

        Args:
            secure: Those that use TLS, those that do not, or all.
        """
        chosen = [m for m in self.stations if m.sock is None and secure in (None, m.secure)]
        self._connections.connect(chosen)
        self._expected += len(chosen)

    def drop(self, *, secure: bool | None = None) -> None:
        """Cut connections without closing them and stay away; ``secure`` as in ``connect``."""
        self._connections.cancel()
        for station in self.stations:
            if station.sock is not None and secure in (None, station.secure):
                self._connections.close(station)
                self._expected -= 1

    def run(self, wall_s: float, *, busy: int = 0, every_s: float = 0.0, until_ready: bool = False) -> None:
        """Run the stations for some seconds of wall-clock time.

        Args:
            wall_s: Duration.
            busy: Number of stations that send meter values without pause, the next upon the answer.
            every_s: Period of the meter values of every station, 0 for none.
            until_ready: End early once every station that is to connect is ready.
        """
        now = time.perf_counter()
        end = now + wall_s
        self._begin_metering(now, busy)
        while now < end and not (until_ready and self.tally.ready == self._expected):
            self._connections.connect_due(now)
            pause = self._meter_due(now, every_s) if every_s else _POLL_S
            self._connections.poll(max(0.0, min(pause, end - now)))
            now = time.perf_counter()
        self._busy = 0

    def close(self) -> None:
        """Cut all connections for good."""
        self.drop()
        self._connections.end()

    # Receiving.

    def _upgraded(self, station: SwarmStation, data: bytes) -> None:
        self._call(station, BOOT % station.name.encode())
        if data:
            self._frames(station, data)

    def _frames(self, station: SwarmStation, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= 2:  # noqa: PLR2004 - the shortest head
            size, body = data[at + 1], at + 2
            if size == 126:  # noqa: PLR2004 - RFC 6455, 5.2; a central system sends nothing of 64 KB
                body += 2
                if body > end:
                    break
                size = int.from_bytes(data[at + 2 : body], "big")
            stop = body + size
            if stop > end:
                break
            kind, payload, at = data[at] & 0x0F, data[body:stop], stop
            if kind == Opcode.TEXT:
                self._message(station, payload)
            elif kind == Opcode.PING:
                self._connections.write(station, masked(Opcode.PONG, payload, self._mask))
            elif kind == Opcode.CLOSE:
                self._connections.lost(station)
            if station.sock is None:
                return
        station.unread = data[at:] if at < end else b""

    def _message(self, station: SwarmStation, payload: bytes) -> None:
        kind = payload[1:2]
        close = payload.find(b'"', 4)
        name = payload[4:close]
        if kind == b"2":
            self.tally.calls += 1
            body = self._answer(station, payload[close + 3 : payload.find(b'"', close + 3)], payload)
            self._send(station, b'[3,"' + name + b'",' + body + b"]")
            return
        if name != station.call_id:
            self.tally.wrong_ids += 1
            return
        station.call_id = b""
        if kind == b"3":
            self.tally.results += 1
        else:
            self.tally.errors += 1
        self._answered(station, payload)

    def _answered(self, station: SwarmStation, payload: bytes) -> None:
        """Send what follows an answer."""
        if station.state == READY:
            self.tally.latency_s.append(time.perf_counter() - station.called_at)
            if station.number < self._busy:
                self._meter(station)
        elif station.state == BOOTING:
            station.state = STATUS_SENT
            self._call(station, STATUS % self._timestamp())
        else:
            self._status_answered(station, payload)

    def _status_answered(self, station: SwarmStation, payload: bytes) -> None:  # noqa: ARG002 - for stations with more to send
        """Continue after the status notification; ``payload`` is the answer to the last call."""
        self._connections.ready(station)

    def _answer(self, station: SwarmStation, action: bytes, payload: bytes) -> bytes:  # noqa: ARG002 - as above
        """Return the body of the answer to a call, ``payload`` being all of the call."""
        if action == b"SetChargingProfile":
            self.tally.profiles += 1
        elif action == b"GetConfiguration":
            return configuration(configured=station.configured)
        elif action == b"ChangeConfiguration":
            station.configured = True
        elif action == b"TriggerMessage":
            return b'{"status":"NotImplemented"}'
        return b'{"status":"Accepted"}'

    # Sending.

    def _begin_metering(self, now: float, busy: int) -> None:
        self._busy, self._next_due, self._next_number = busy, now, 0
        for station in self.stations[:busy]:
            if station.state == READY and not station.call_id:
                self._meter(station)

    def _meter_due(self, now: float, every_s: float) -> float:
        """Send the meter values that are due, evenly over ``every_s``; return the seconds until the next."""
        step_s = every_s / len(self.stations)
        while self._next_due <= now:
            station = self.stations[self._next_number % len(self.stations)]
            if station.state == READY and not station.call_id:
                self._meter(station)
            self._next_number += 1
            self._next_due += step_s
        return max(self._next_due - now, _LEAST_PAUSE_S)

    def _meter(self, station: SwarmStation) -> None:
        station.meter += 1
        watts = 3000 + station.number * 7 % 8000
        station.called_at = time.perf_counter()
        self._call(
            station, METER_VALUES % (self._timestamp(), 1_000_000 + 10 * station.meter, watts, 6 + station.number % 26)
        )

    def _call(self, station: SwarmStation, body: bytes) -> None:
        self._sequence += 1
        name = b"%08x-%04x-4000-8000-%012x" % (self._sequence, station.number & 0xFFFF, station.number)
        station.call_id = name
        self._send(station, b'[2,"' + name + b'",' + body)

    def _send(self, station: SwarmStation, payload: bytes) -> None:
        self._connections.write(station, masked(Opcode.TEXT, payload, self._mask))

    def _timestamp(self) -> bytes:
        now = time.perf_counter()
        if now - self._timestamp_at > _TIMESTAMP_S:
            self._timestamp_bytes, self._timestamp_at = stamp(self._now_s()).encode(), now
        return self._timestamp_bytes
