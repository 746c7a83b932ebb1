"""Connections of a swarm: sockets on one epoll, from the TCP handshake to the WebSocket upgrade and back again."""

import heapq
import select
import socket
import ssl
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from os import urandom

from adapters.kit.poller import READ, WRITE
from adapters.kit.websocket import handshake
from adapters.kit.websocket.client_connect import IP_BIND_ADDRESS_NO_PORT
from adapters.ocpp.messages.ocpp_j import Version
from adapters.ocpp.simulated.load.swarm_station import (
    BOOTING,
    NOT_CONNECTED,
    READY,
    TLS_HANDSHAKE,
    UPGRADE,
    SwarmStation,
    Tally,
)

RECEIVE_BYTES = 16 * 1024
_MOST_EVENTS = 1024
_LEAST_RETRY_S = 0.2

Received = Callable[[SwarmStation, bytes], None]
"""Receives a station and bytes that are no longer part of the handshake."""


class SwarmConnections:
    """One connection a station; a lost one is made again until it is closed.

    Args:
        address: Host and port of the central system.
        stations: All stations, by number.
        tally: Counters to update.
        sources: Local addresses to connect from, in turn.
        at_once: Greatest number of stations between connecting and being ready.
        tls: Client side and port of TLS, for the stations that use it.
        upgraded: Called once a connection is upgraded, with the bytes that came after.
        received: Called with the bytes that arrive afterwards.
    """

    def __init__(
        self,
        address: tuple[str, int],
        stations: Sequence[SwarmStation],
        tally: Tally,
        *,
        sources: Sequence[str],
        at_once: int,
        tls: tuple[ssl.SSLContext, int] | None,
        upgraded: Received,
        received: Received,
    ) -> None:
        self._address = address
        self._stations = stations
        self._tally = tally
        self._sources = tuple(sources)
        self._at_once = at_once
        self._tls = tls
        self._upgraded = upgraded
        self._received = received
        self._nonce = b64encode(urandom(16))
        self._epoll = select.epoll()
        self._by_fd: dict[int, SwarmStation] = {}
        self._to_dial: deque[SwarmStation] = deque()
        self._retries: list[tuple[float, int]] = []
        self._connecting = 0

    def connect(self, stations: Iterable[SwarmStation]) -> None:
        """Connect stations, as many at a time as ``at_once`` allows."""
        self._to_dial.extend(stations)

    def cancel(self) -> None:
        """Forget the stations that wait to be connected."""
        self._to_dial.clear()
        self._retries.clear()

    def connect_due(self, now: float) -> None:
        """Connect the stations whose time has come."""
        while self._retries and self._retries[0][0] <= now:
            self._to_dial.append(self._stations[heapq.heappop(self._retries)[1]])
        while self._to_dial and self._connecting < self._at_once:
            self._dial(self._to_dial.popleft())

    def poll(self, timeout_s: float) -> None:
        """Handle what happens on the sockets within ``timeout_s``."""
        for fd, mask in self._epoll.poll(timeout_s, _MOST_EVENTS):
            station = self._by_fd.get(fd)
            if station is not None:
                self._on_event(station, mask)

    def ready(self, station: SwarmStation) -> None:
        """Count a station as ready: another one may connect in its place."""
        station.state = READY
        self._connecting -= 1
        self._tally.ready += 1

    def write(self, station: SwarmStation, data: bytes) -> None:
        """Send; a station sends so little that its socket takes all of it, or is broken."""
        try:
            sent = station.sock.send(data) if station.sock is not None else 0
        except OSError:
            sent = 0
        if sent != len(data) and station.sock is not None:
            self.lost(station)

    def lost(self, station: SwarmStation) -> None:
        """Close a lost connection and connect again."""
        if station.state == READY:
            self._tally.lost += 1
        self._fail(station, _LEAST_RETRY_S)

    def close(self, station: SwarmStation) -> None:
        """Cut a connection."""
        sock, station.sock = station.sock, None
        if sock is None:
            return
        if self._by_fd.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())
        sock.close()
        if station.state == READY:
            self._tally.ready -= 1
        elif station.state != NOT_CONNECTED:
            self._connecting -= 1
        station.state, station.unread, station.call_id = NOT_CONNECTED, b"", b""

    def end(self) -> None:
        """Free the epoll; every connection must be closed."""
        self._epoll.close()

    def _dial(self, station: SwarmStation) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._sources:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._sources[station.number % len(self._sources)], 0))
        self._connecting += 1
        station.sock, station.state = sock, TLS_HANDSHAKE if station.secure else UPGRADE
        station.unread, station.call_id = b"", b""
        try:
            sock.connect((self._address[0], self._tls[1]) if station.secure and self._tls else self._address)
        except BlockingIOError:
            pass
        except OSError:
            self._fail(station, _LEAST_RETRY_S)
            return
        self._by_fd[sock.fileno()] = station
        self._epoll.register(sock.fileno(), WRITE)

    def _handshake_tls(self, station: SwarmStation) -> None:
        """Begin or continue the TLS handshake; request the upgrade once it is complete."""
        try:
            if station.sock is not None and self._tls is not None and not isinstance(station.sock, ssl.SSLSocket):
                station.sock = self._tls[0].wrap_socket(
                    station.sock, do_handshake_on_connect=False, session=station.ticket
                )
            if isinstance(station.sock, ssl.SSLSocket):
                station.sock.do_handshake()
                self._tally.resumed += bool(station.sock.session_reused)
        except ssl.SSLWantReadError:
            self._watch(station, READ)
        except ssl.SSLWantWriteError:
            self._watch(station, WRITE)
        except OSError:
            self.lost(station)
        else:
            station.state = UPGRADE
            self._request_upgrade(station)

    def _watch(self, station: SwarmStation, mask: int) -> None:
        if station.sock is not None:
            self._epoll.modify(station.sock.fileno(), mask)

    def _request_upgrade(self, station: SwarmStation) -> None:
        host = f"{self._address[0]}:{self._address[1]}"
        request = handshake.request(
            host=host,
            path=f"/ocpp/{station.name}",
            key=self._nonce,
            subprotocol=Version.V16,
            authorization=handshake.basic(station.name, station.key),
        )
        self._watch(station, READ)
        self.write(station, request)

    def _fail(self, station: SwarmStation, wait_s: float) -> None:
        self._tally.retried += 1
        self.close(station)
        heapq.heappush(self._retries, (time.perf_counter() + wait_s, station.number))

    def _on_event(self, station: SwarmStation, mask: int) -> None:
        if station.sock is None:
            return
        if station.state == TLS_HANDSHAKE:
            self._handshake_tls(station)
            return
        if mask & WRITE and station.state == UPGRADE:
            self._request_upgrade(station)
            return
        try:
            data = station.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self.lost(station)
            return
        data = station.unread + data if station.unread else data
        station.unread = b""
        if station.state == UPGRADE:
            self._take_response(station, data)
        else:
            self._received(station, data)

    def _take_response(self, station: SwarmStation, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            station.unread = data
        elif handshake.is_accepted(data[:end], self._nonce):
            station.state = BOOTING
            if isinstance(station.sock, ssl.SSLSocket):
                station.ticket = station.sock.session  # with TLS 1.3 it has come with the first bytes
            self._upgraded(station, data[end + 4 :])
        else:
            self._fail(station, max(handshake.retry_after_s(data[:end]), _LEAST_RETRY_S))
