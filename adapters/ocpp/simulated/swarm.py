"""Stations by the ten thousand in one process: enough of OCPP 1.6 to load a central system, and no more.

They connect with a key, boot, tell their status, meter, and take every profile. There is no physical model and no
event loop behind them, one epoll and a few hundred bytes a station; for stations that behave there is ``stations``.
"""

import heapq
import math
import os
import select
import socket
import ssl
import time
from array import array
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.kit.poller import READ, WRITE
from adapters.kit.websocket import handshake
from adapters.kit.websocket.client_connect import IP_BIND_ADDRESS_NO_PORT
from adapters.kit.websocket.frames import Opcode, masked
from adapters.ocpp.messages.ocpp_j import Version, stamp

RECEIVE_BYTES = 16 * 1024
_HARVEST = 1024
_POLL_S = 0.05
_BEAT_S = 0.01
"""Least pause between two who meter: a process that wakes for each of them takes the core from those it loads."""
_LEAST_RETRY_S = 0.2
_STAMP_S = 0.5
_NOT_CONNECTED, _SHAKING, _GREETING, _BOOTING, _TELLING, _READY = range(6)
_BOOT = (
    b'"BootNotification",{"chargePointVendor":"VPP","chargePointModel":"Swarm","chargePointSerialNumber":"%b",'
    b'"firmwareVersion":"1.0"}]'
)
_STATUS = b'"StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"%b"}]'
_METER = (
    b'"MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d","context":"Sample.Periodic","format":"Raw","measurand":"Energy.Active.Import.Register",'
    b'"location":"Outlet","unit":"Wh"},'
    b'{"value":"%d.0","context":"Sample.Periodic","format":"Raw","measurand":"Power.Active.Import",'
    b'"location":"Outlet","unit":"W"},'
    b'{"value":"%d.4","context":"Sample.Periodic","format":"Raw","measurand":"Current.Import","phase":"L1",'
    b'"location":"Outlet","unit":"A"},'
    b'{"value":"221.7","context":"Sample.Periodic","format":"Raw","measurand":"Voltage","phase":"L1-N",'
    b'"location":"Outlet","unit":"V"}]}]}]'
)
_CONFIGURATION = (
    b'{"configurationKey":[{"key":"ChargingScheduleAllowedChargingRateUnit","readonly":true,"value":"Current,Power"},'
    b'{"key":"ChargeProfileMaxStackLevel","readonly":true,"value":"8"}%b]}'
)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a swarm has seen since it was last asked.

    Attributes:
        ready: Stations that are booted and have told their status.
        lost: Connections that ended although nobody wanted it.
        retried: Connections that came to nothing and were tried again, 503 among them.
        results: CALLRESULTs.
        errors: CALLERRORs.
        wrong_ids: Answers whose message id is not the one asked with.
        profiles: Charging profiles taken.
        calls: Calls answered.
        resumed: TLS handshakes that a ticket of an earlier one cut short.
        latency_s: Time from MeterValues to its answer.
    """

    ready: int = 0
    lost: int = 0
    retried: int = 0
    results: int = 0
    errors: int = 0
    wrong_ids: int = 0
    profiles: int = 0
    calls: int = 0
    resumed: int = 0
    latency_s: "array[float]" = field(default_factory=lambda: array("d"))


class Member:
    """One station of a swarm.

    Attributes:
        secure: It speaks TLS.
        ticket: What cuts its next handshake short.
    """

    __slots__ = (
        *("asked", "configured", "key", "meter", "name", "number"),
        *("rest", "secure", "since", "sock", "state", "ticket"),
    )

    def __init__(self, name: str, number: int, key: str, *, secure: bool) -> None:
        self.name = name
        self.number = number
        self.key = key
        self.secure = secure
        self.ticket: ssl.SSLSession | None = None
        self.sock: socket.socket | None = None
        self.state = _NOT_CONNECTED
        self.rest = b""
        self.asked = b""
        self.since = 0.0
        self.meter = 0
        self.configured = False


class Swarm:
    """Stations on one epoll, driven by ``run`` from outside.

    Args:
        address: Host and port of the central system.
        keys: ``(station, key)`` of every member.
        sources: Local addresses to connect from, in turn.
        at_once: Stations between dialling and being ready.
        now_s: Epoch seconds, for stamps.
        tls: Client side and port of TLS, for a share of the members; the others speak plain text.
        tls_share: How many of them, 0 to 1.
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
        self.members = [
            Member(name, number, key, secure=int((number + 1) * share) > int(number * share))
            for number, (name, key) in enumerate(keys)
        ]
        self.tally = Tally()
        self._address = address
        self._tls = tls
        self._wanted = 0
        self._sources = tuple(sources)
        self._at_once = at_once
        self._now_s = now_s
        self._mask = os.urandom(4)
        self._nonce = b64encode(os.urandom(16))
        self._epoll = select.epoll()
        self._by_fd: dict[int, Member] = {}
        self._to_dial: deque[Member] = deque()
        self._retries: list[tuple[float, int]] = []
        self._coming = 0
        self._busy = 0
        self._next_due = 0.0
        self._next_number = 0
        self._sequence = 0
        self._stamp = b""
        self._stamp_at = -math.inf

    # What the swarm can be told to do.

    def connect(self, *, secure: bool | None = None) -> None:
        """Have stations that are not connected connect, and come back whenever they are lost.

        Args:
            secure: Those that speak TLS, those that do not, or all.
        """
        chosen = [m for m in self.members if m.sock is None and secure in (None, m.secure)]
        self._to_dial.extend(chosen)
        self._wanted += len(chosen)

    def drop(self, *, secure: bool | None = None) -> None:
        """Drop connections at once, without a word, and stay away; ``secure`` as in ``connect``."""
        self._to_dial.clear()
        self._retries.clear()
        for member in self.members:
            if member.sock is not None and secure in (None, member.secure):
                self._close(member)
                self._wanted -= 1

    def run(self, wall_s: float, *, busy: int = 0, every_s: float = 0.0, until_ready: bool = False) -> None:
        """Let the stations live for a while, on the wall's clock.

        Args:
            wall_s: How long.
            busy: So many stations meter without pause: the next follows on the answer.
            every_s: Every station meters once in so many seconds.
            until_ready: End early once every station that was to connect is ready.
        """
        now = time.perf_counter()
        end = now + wall_s
        self._begin_metering(now, busy)
        while now < end and not (until_ready and self.tally.ready == self._wanted):
            self._dial_some(now)
            pause = self._meter_due(now, every_s) if every_s else _POLL_S
            for fd, mask in self._epoll.poll(max(0.0, min(pause, end - now)), _HARVEST):
                member = self._by_fd.get(fd)
                if member is not None:
                    self._ready(member, mask)
            now = time.perf_counter()
        self._busy = 0

    def close(self) -> None:
        """Drop everything for good."""
        self.drop()
        self._epoll.close()

    # Connecting.

    def _dial_some(self, now: float) -> None:
        while self._retries and self._retries[0][0] <= now:
            self._to_dial.append(self.members[heapq.heappop(self._retries)[1]])
        while self._to_dial and self._coming < self._at_once:
            self._dial(self._to_dial.popleft())

    def _dial(self, member: Member) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._sources:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._sources[member.number % len(self._sources)], 0))
        self._coming += 1
        member.sock, member.state = sock, _SHAKING if member.secure else _GREETING
        member.rest, member.asked = b"", b""
        try:
            sock.connect((self._address[0], self._tls[1]) if member.secure and self._tls else self._address)
        except BlockingIOError:
            pass
        except OSError:
            self._fail(member, _LEAST_RETRY_S)
            return
        self._by_fd[sock.fileno()] = member
        self._epoll.register(sock.fileno(), WRITE)

    def _shake(self, member: Member) -> None:
        """Begin with TLS or go on with it; ask for the upgrade once it is there."""
        try:
            if member.sock is not None and self._tls is not None and not isinstance(member.sock, ssl.SSLSocket):
                member.sock = self._tls[0].wrap_socket(
                    member.sock, do_handshake_on_connect=False, session=member.ticket
                )
            if isinstance(member.sock, ssl.SSLSocket):
                member.sock.do_handshake()
                self.tally.resumed += bool(member.sock.session_reused)
        except ssl.SSLWantReadError:
            self._watch(member, READ)
        except ssl.SSLWantWriteError:
            self._watch(member, WRITE)
        except OSError:
            self._lost(member)
        else:
            member.state = _GREETING
            self._greet(member)

    def _watch(self, member: Member, mask: int) -> None:
        if member.sock is not None:
            self._epoll.modify(member.sock.fileno(), mask)

    def _greet(self, member: Member) -> None:
        host = f"{self._address[0]}:{self._address[1]}"
        request = handshake.request(
            host=host,
            path=f"/ocpp/{member.name}",
            key=self._nonce,
            subprotocol=Version.V16,
            authorization=handshake.basic(member.name, member.key),
        )
        self._watch(member, READ)
        self._write(member, request)

    def _fail(self, member: Member, wait_s: float) -> None:
        self.tally.retried += 1
        self._close(member)
        heapq.heappush(self._retries, (time.perf_counter() + wait_s, member.number))

    def _close(self, member: Member) -> None:
        sock, member.sock = member.sock, None
        if sock is None:
            return
        if self._by_fd.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())
        sock.close()
        if member.state == _READY:
            self.tally.ready -= 1
        elif member.state != _NOT_CONNECTED:
            self._coming -= 1
        member.state, member.rest, member.asked = _NOT_CONNECTED, b"", b""

    # Hearing.

    def _ready(self, member: Member, mask: int) -> None:
        if member.sock is None:
            return
        if member.state == _SHAKING:
            self._shake(member)
            return
        if mask & WRITE and member.state == _GREETING:
            self._greet(member)
            return
        try:
            data = member.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost(member)
            return
        data = member.rest + data if member.rest else data
        member.rest = b""
        if member.state == _GREETING:
            self._greeted(member, data)
        else:
            self._frames(member, data)

    def _lost(self, member: Member) -> None:
        if member.state == _READY:
            self.tally.lost += 1
        self._fail(member, _LEAST_RETRY_S)

    def _greeted(self, member: Member, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            member.rest = data
        elif handshake.is_accepted(data[:end], self._nonce):
            member.state = _BOOTING
            if isinstance(member.sock, ssl.SSLSocket):
                member.ticket = member.sock.session  # with TLS 1.3 it has come with the first words
            self._ask(member, _BOOT % member.name.encode())
            if len(data) > end + 4:
                self._frames(member, data[end + 4 :])
        else:
            self._fail(member, max(handshake.retry_after_s(data[:end]), _LEAST_RETRY_S))

    def _frames(self, member: Member, data: bytes) -> None:
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
                self._message(member, payload)
            elif kind == Opcode.PING:
                self._write(member, masked(Opcode.PONG, payload, self._mask))
            elif kind == Opcode.CLOSE:
                self._lost(member)
            if member.sock is None:
                return
        member.rest = data[at:] if at < end else b""

    def _message(self, member: Member, payload: bytes) -> None:
        kind = payload[1:2]
        close = payload.find(b'"', 4)
        name = payload[4:close]
        if kind == b"2":
            self.tally.calls += 1
            body = self._response(member, payload[close + 3 : payload.find(b'"', close + 3)], payload)
            self._send(member, b'[3,"' + name + b'",' + body + b"]")
            return
        if name != member.asked:
            self.tally.wrong_ids += 1
            return
        member.asked = b""
        if kind == b"3":
            self.tally.results += 1
        else:
            self.tally.errors += 1
        self._go_on(member, payload)

    def _go_on(self, member: Member, payload: bytes) -> None:
        """Ask what comes after an answer."""
        if member.state == _READY:
            self.tally.latency_s.append(time.perf_counter() - member.since)
            if member.number < self._busy:
                self._meter(member)
        elif member.state == _BOOTING:
            member.state = _TELLING
            self._ask(member, _STATUS % self._now())
        else:
            self._introduce(member, payload)

    def _introduce(self, member: Member, payload: bytes) -> None:  # noqa: ARG002 - for stations with more to tell
        """Say what is to be said after the status; ``payload`` is the answer to what was said last."""
        member.state = _READY
        self._coming -= 1
        self.tally.ready += 1

    def _response(self, member: Member, action: bytes, payload: bytes) -> bytes:  # noqa: ARG002 - as above
        """Return the body of the answer to a call, ``payload`` being all of the call."""
        if action == b"SetChargingProfile":
            self.tally.profiles += 1
        elif action == b"GetConfiguration":
            return _CONFIGURATION % (_configured() if member.configured else b"")
        elif action == b"ChangeConfiguration":
            member.configured = True
        elif action == b"TriggerMessage":
            return b'{"status":"NotImplemented"}'
        return b'{"status":"Accepted"}'

    # Speaking.

    def _begin_metering(self, now: float, busy: int) -> None:
        self._busy, self._next_due, self._next_number = busy, now, 0
        for member in self.members[:busy]:
            if member.state == _READY and not member.asked:
                self._meter(member)

    def _meter_due(self, now: float, every_s: float) -> float:
        """Have those meter whose turn it is, evenly over ``every_s``; return the seconds until the next."""
        step_s = every_s / len(self.members)
        while self._next_due <= now:
            member = self.members[self._next_number % len(self.members)]
            if member.state == _READY and not member.asked:
                self._meter(member)
            self._next_number += 1
            self._next_due += step_s
        return max(self._next_due - now, _BEAT_S)

    def _meter(self, member: Member) -> None:
        member.meter += 1
        watts = 3000 + member.number * 7 % 8000
        member.since = time.perf_counter()
        self._ask(member, _METER % (self._now(), 1_000_000 + 10 * member.meter, watts, 6 + member.number % 26))

    def _ask(self, member: Member, rest: bytes) -> None:
        self._sequence += 1
        name = b"%08x-%04x-4000-8000-%012x" % (self._sequence, member.number & 0xFFFF, member.number)
        member.asked = name
        self._send(member, b'[2,"' + name + b'",' + rest)

    def _send(self, member: Member, payload: bytes) -> None:
        self._write(member, masked(Opcode.TEXT, payload, self._mask))

    def _write(self, member: Member, data: bytes) -> None:
        """Send; a station says so little that its socket always takes all of it, or is broken."""
        try:
            sent = member.sock.send(data) if member.sock is not None else 0
        except OSError:
            sent = 0
        if sent != len(data) and member.sock is not None:
            self._lost(member)

    def _now(self) -> bytes:
        now = time.perf_counter()
        if now - self._stamp_at > _STAMP_S:
            self._stamp, self._stamp_at = stamp(self._now_s()).encode(), now
        return self._stamp


def _configured() -> bytes:
    """Return the settings a station has taken before, as it tells them."""
    wanted = "Power.Active.Import,Energy.Active.Import.Register,SoC"
    values = {"MeterValueSampleInterval": "60", "ClockAlignedDataInterval": "60"}
    values |= {"MeterValuesSampledData": wanted, "MeterValuesAlignedData": wanted}
    entries = (f',{{"key":"{key}","readonly":false,"value":"{value}"}}' for key, value in values.items())
    return "".join(entries).encode()
