"""Load generator of site gateways: ten thousands in one process, with just enough of MQTT 3.1.1.

Each has a connection of its own and publishes with QoS 1, one message at a time: the next follows the broker's
acknowledgement. What was acknowledged must arrive; the energy registers count messages, so that a loss is visible.
"""

import contextlib
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from adapters.mqtt.topics import Leaf, topic
from vpp.domain.timegrid import instant

RECEIVE_BYTES = 4096
_MOST_EVENTS = 1024
_POLL_S = 0.05
_AT_ONCE = 200
_CONNECT, _CONNACK, _PUBLISH_1, _PUBACK = 0x10, 0x20, 0x32, 0x40
_KEEPALIVE_S = 3600
_SEVEN_BITS = 7
_NOT_CONNECTED, _CONNECTING, _READY = range(3)


class Site:
    """One site gateway."""

    __slots__ = ("count", "name", "number", "owed", "since", "sock", "state", "unread")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.sock: socket.socket | None = None
        self.state = _NOT_CONNECTED
        self.unread = b""
        self.count = 0
        self.owed = False
        self.since = 0.0


class SiteSwarm:
    """Site gateways on one epoll, driven by ``run`` from outside.

    Args:
        address: Host and port of the broker.
        names: The sites.
        devices: Names of the devices every site has.
        sources: Local addresses to connect from, in turn.
        now_s: Epoch seconds, for stamps.

    Attributes:
        receipts: Messages the broker has acknowledged.
        lost: Connections that ended unexpectedly.
    """

    def __init__(
        self,
        address: tuple[str, int],
        names: Sequence[str],
        *,
        devices: Sequence[str],
        sources: Sequence[str],
        now_s: Callable[[], float],
    ) -> None:
        self.sites = [Site(name, number) for number, name in enumerate(names)]
        self.receipts = 0
        self.lost = 0
        self.ready = 0
        self._address = address
        self._devices = tuple(devices)
        self._sources = tuple(sources)
        self._now_s = now_s
        self._epoll = select.epoll()
        self._by_fd: dict[int, Site] = {}
        self._to_connect = deque(self.sites)
        self._connecting = 0
        self._busy = 0
        self._next_due = 0.0
        self._next_number = 0
        self.latency_s: list[float] = []

    def run(self, wall_s: float, *, busy: int = 0, every_s: float = 0.0, until_ready: bool = False) -> None:
        """Run the sites for some seconds of wall-clock time.

        Args:
            wall_s: Duration.
            busy: Number of sites that publish without pause.
            every_s: Period of every site, spread evenly; 0 for none.
            until_ready: End early once every site is connected.
        """
        now = time.perf_counter()
        end, self._busy, self._next_due, self._next_number = now + wall_s, busy, now, 0
        for site in self.sites[:busy]:
            self._publish(site)
        while now < end and not (until_ready and self.ready == len(self.sites)):
            while self._to_connect and self._connecting < _AT_ONCE:
                self._connect(self._to_connect.popleft())
            pause_s = self._due(now, every_s) if every_s else _POLL_S
            for fd, mask in self._epoll.poll(max(0.0, min(pause_s, end - now)), _MOST_EVENTS):
                if fd in self._by_fd:
                    self._on_event(self._by_fd[fd], mask)
            now = time.perf_counter()
        self._busy = 0

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many messages of each site were acknowledged, shape ``(n_sites,)``."""
        return np.array([site.count - site.owed for site in self.sites], dtype=np.int64)

    def owed(self) -> int:
        """Return how many messages are not acknowledged yet."""
        return sum(site.owed for site in self.sites)

    def close(self) -> None:
        """Cut all connections for good."""
        for sock in [site.sock for site in self.sites if site.sock is not None]:
            sock.close()
        self._epoll.close()

    def _due(self, now: float, every_s: float) -> float:
        """Publish what is due; return the seconds until the next."""
        step_s = every_s / len(self.sites)
        while self._next_due <= now:
            self._publish(self.sites[self._next_number % len(self.sites)])
            self._next_number += 1
            self._next_due += step_s
        return self._next_due - now

    def _connect(self, site: Site) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._sources:
            sock.bind((self._sources[site.number % len(self._sources)], 0))
        self._connecting += 1
        site.sock, site.state = sock, _CONNECTING
        with contextlib.suppress(BlockingIOError):
            sock.connect(self._address)
        self._by_fd[sock.fileno()] = site
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _on_event(self, site: Site, mask: int) -> None:
        if site.sock is None:
            return
        if mask & select.EPOLLOUT:
            self._epoll.modify(site.sock.fileno(), select.EPOLLIN)
            self._send(site, _packet(_CONNECT, _connect_body(site.name)))
            return
        try:
            data = site.unread + site.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(site)
            return
        # A broker sends nothing longer than four bytes here: CONNACK and PUBACK.
        whole = len(data) // 4 * 4
        site.unread = data[whole:]
        for at in range(0, whole, 4):
            self._take(site, data[at])

    def _take(self, site: Site, kind: int) -> None:
        if kind == _CONNACK:
            site.state = _READY
            self._connecting -= 1
            self.ready += 1
        elif kind == _PUBACK:
            site.owed = False
            self.receipts += 1
            self.latency_s.append(time.perf_counter() - site.since)
            if site.number < self._busy:
                self._publish(site)

    def _publish(self, site: Site) -> None:
        if site.state != _READY or site.owed:
            return
        site.count += 1
        site.owed, site.since = True, time.perf_counter()
        name = topic(site.name, Leaf.TELEMETRY).encode()
        body = _report(instant(self._now_s()).isoformat(), self._devices, site)
        number = (site.count % 0xFFFF + 1).to_bytes(2, "big")
        self._send(site, _packet(_PUBLISH_1, len(name).to_bytes(2, "big") + name + number + body))

    def _send(self, site: Site, data: bytes) -> None:
        """Send; a site sends so little that its socket takes all of it, or is broken."""
        try:
            sent = site.sock.send(data) if site.sock is not None else 0
        except OSError:
            sent = 0
        if sent != len(data):
            self._lose(site)

    def _lose(self, site: Site) -> None:
        sock, site.sock = site.sock, None
        if sock is None:
            return
        self.lost += 1
        self.ready -= site.state == _READY
        self._connecting -= site.state == _CONNECTING
        site.state, site.unread = _NOT_CONNECTED, b""
        del self._by_fd[sock.fileno()]
        self._epoll.unregister(sock.fileno())
        sock.close()


def _report(at: str, devices: Sequence[str], site: Site) -> bytes:
    power_kw = 10.0 + site.count % 7
    shown = ",".join(
        f'{{"id":"{device}","power_kw":{power_kw},"energy_kwh":{site.count}.0,"p_min_kw":0.0,"p_max_kw":60.0}}'
        for device in devices
    )
    return f'{{"at":"{at}","devices":[{shown}]}}'.encode()


def _connect_body(name: str) -> bytes:
    """Return the rest of a CONNECT (MQTT 3.1.1, section 3.1): a clean session, no will, no password."""
    identifier = f"load-{name}".encode()
    return b"\x00\x04MQTT\x04\x02" + _KEEPALIVE_S.to_bytes(2, "big") + len(identifier).to_bytes(2, "big") + identifier


def _packet(kind: int, body: bytes) -> bytes:
    """Return a packet with its length as a variable byte integer (section 2.2.3)."""
    length, size = bytearray(), len(body)
    for left in range(max(math.ceil(size.bit_length() / _SEVEN_BITS), 1), 0, -1):
        length.append(size & 0x7F | (0x80 if left > 1 else 0))
        size >>= _SEVEN_BITS
    return bytes((kind,)) + bytes(length) + body
