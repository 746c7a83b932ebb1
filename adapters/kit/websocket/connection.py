"""One connection: a non-blocking socket, what of a frame has come so far, and what the peer has not taken yet.

A connection that sleeps holds its socket and a dozen references, no buffer. A peer that does not read is not read
either until it does, and is dropped once what waits for it passes ``backlog_bytes``.
"""

import logging
import math
import socket
from dataclasses import dataclass, field

from adapters.kit.poller import READ, WRITE, Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.tls_memory import TlsMemory
from adapters.kit.websocket.fragments import Fragments
from adapters.kit.websocket.frames import (
    FIN,
    MASKED,
    MAX_MESSAGE_BYTES,
    RESERVED_BITS,
    WHOLE_TEXT,
    CloseCode,
    Opcode,
    apply_mask,
    close_fault,
    closing,
    control,
    head_fault,
    is_utf8,
    masked,
    span,
    text,
)
from adapters.kit.websocket.owner import Greeter, Owner

log = logging.getLogger(__name__)

RECEIVE_BYTES = 16 * 1024
BACKLOG_BYTES = 64 * 1024
LONGEST_HEAD = 8 * 1024
LINGER_WALL_S = 1.0
"""How long a peer may take to close after our farewell; closing at once could destroy what it has not read."""
CRASHED = "crash"
"""What an exception that nobody expected is counted as."""
_HEAD_END = b"\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class Switchboard:
    """What all channels of a process share.

    Attributes:
        handshake_wall_s: How long a peer may take for its head.
        backlog_bytes: What may wait for a peer that does not read.
        rsv_tolerated: A reserved bit without an extension is a firmware's fault (ocpp-go#358) and is looked through.
        ungreeted: Those whose head has not come yet, the oldest first.
        lingering: Those that have said farewell and wait for the peer's.
        leftovers: Hears of TLS handshakes.
    """

    poller: Poller
    wheel: TimingWheel
    handshake_wall_s: float = 20.0
    backlog_bytes: int = BACKLOG_BYTES
    rsv_tolerated: bool = True
    ungreeted: "dict[WebSocketConnection, None]" = field(default_factory=dict)
    lingering: "set[WebSocketConnection]" = field(default_factory=set)
    leftovers: TlsMemory = field(init=False)

    def __post_init__(self) -> None:
        self.leftovers = TlsMemory(self.wheel)


class WebSocketConnection:
    """See the module. A server's channel until ``mask`` is set.

    Attributes:
        sock: The socket, ``None`` once closed.
        greeter: Who takes the head; ``None`` once the channel is open.
        owner: Who takes messages; ``None`` before the channel is open and once it is over.
        mask: A client's masking key.
    """

    __slots__ = (
        "_backlog",
        "_board",
        "_deadline",
        "_fd",
        "_parts",
        "_rest",
        "alarm",
        "greeter",
        "mask",
        "owner",
        "sock",
    )

    def __init__(self, board: Switchboard, sock: socket.socket, greeter: Greeter, *, mask: bytes = b"") -> None:
        self.sock: socket.socket | None = sock
        self.owner: Owner | None = None
        self.greeter: Greeter | None = greeter
        self.mask = mask
        self.alarm = math.inf
        self._board = board
        self._fd = sock.fileno()
        self._rest: bytes | bytearray = b""
        self._backlog = bytearray() if mask else b""
        self._parts: Fragments | None = None
        self._deadline = board.poller.now + board.handshake_wall_s
        board.wheel.look(self, self._deadline)
        board.ungreeted[self] = None
        board.poller.add(self._fd, self, WRITE if mask else READ)

    # Outgoing.

    def open(self, owner: Owner) -> None:
        """Begin with messages."""
        self.greeter, self.owner, self._deadline = None, owner, math.inf
        self._board.ungreeted.pop(self, None)

    @property
    def congested(self) -> bool:
        """The peer has not taken what was sent."""
        return bool(self._backlog)

    def peer_address(self) -> str:
        """Return the address of the other end, empty where there is none (any more)."""
        try:
            return "" if self.sock is None else str(self.sock.getpeername()[0])
        except (OSError, IndexError):
            return ""

    def send(self, payload: bytes) -> None:
        """Send a text message."""
        self.write(masked(Opcode.TEXT, payload, self.mask) if self.mask else text(payload))

    def ping(self) -> None:
        """Send a ping."""
        self._control(Opcode.PING, b"")

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._backlog:
            self._backlog += data
            if len(self._backlog) > self._board.backlog_bytes:
                self._too_slow()
            return
        sent = self._send(data)
        if sent < len(data) and self.sock is not None:
            self._backlog = bytearray(data[sent:])
            self._board.poller.change(self._fd, WRITE)

    def close(self, code: int = CloseCode.OK) -> None:
        """Say farewell and close; the owner hears of it now."""
        if self.sock is None or self in self._board.lingering:
            return
        if self.greeter is None:
            self._control(Opcode.CLOSE, closing(code))
        self._linger()

    def cut(self) -> None:
        """Close without a word."""
        sock, self.sock = self.sock, None
        if sock is not None:
            self._board.poller.drop(self._fd)
            self._board.lingering.discard(self)
            sock.close()
            self._tell_gone()

    # Incoming.

    def ready(self, mask: int) -> None:
        """See ``poller.Watched``."""
        if mask & WRITE and not self._flush():
            return
        if mask & ~WRITE and self.sock is not None:
            data = self._receive()
            if data:
                self._take(data)
            elif data is not None:
                self.cut()

    def crashed(self, error: Exception) -> None:
        """See ``poller.Watched``: cut this connection, and no other."""
        heard = self.owner or self.greeter
        try:
            if heard is not None:
                heard.crashed(error)
            else:
                log.error("an exception after a connection's end", exc_info=error)
        finally:
            self.cut()

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: the head, or the peer's own farewell, is overdue."""
        if now >= self._deadline and self.sock is not None:
            self.cut()
        return self._deadline if self.sock is not None else math.inf

    # What differs over TLS.

    def _receive(self) -> bytes | None:
        """Return what has come, empty at the end, ``None`` if nothing has."""
        if self.sock is None:
            return None
        try:
            return self.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def _send(self, data: bytes | bytearray) -> int:
        """Return how many bytes were taken; a broken connection takes all and is found out by reading."""
        if self.sock is None:
            return len(data)
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)

    # The rest.

    def _take(self, data: bytes | bytearray) -> None:
        if self._rest:
            # In place: a frame in a thousand pieces is not copied a thousand times.
            self._rest += data
            data, self._rest = self._rest, b""
        if self.owner is not None:
            self._take_frames(data)
        elif self.greeter is not None:
            self._take_head(data)

    def _keep(self, data: bytes | bytearray) -> None:
        self._rest = bytearray(data) if isinstance(data, bytes) else data

    def _take_head(self, data: bytes | bytearray) -> None:
        end = data.find(_HEAD_END)
        if end < 0 and len(data) <= LONGEST_HEAD:
            self._keep(data)
        elif self.greeter is None:
            return
        elif end < 0 or end > LONGEST_HEAD:
            self.greeter.overlong(self)
        else:
            rest = data[end + len(_HEAD_END) :]
            self.greeter.greet(self, bytes(data[:end]))
            if rest and self.owner is not None:
                self._take_frames(rest)

    def _take_frames(self, data: bytes | bytearray) -> None:
        """Take whole frames; nearly all are masked text messages in one piece, in ASCII, and pass in a microsecond."""
        at, end = 0, len(data)
        while at < end and self.owner is not None:
            body, stop = span(data, at)
            whole = 0 < stop <= end and stop - body <= MAX_MESSAGE_BYTES
            if whole and data[at] == WHOLE_TEXT and self._parts is None and data[at + 1] & MASKED:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                if payload.isascii():
                    self.owner.take(payload)
                else:
                    self._take_text(self.owner, payload)
            elif not self._take_unusual(data, at, body, stop):
                self._keep(data[at:] if at else data)
                return
            at = stop

    def _take_unusual(self, data: bytes | bytearray, at: int, body: int, stop: int) -> bool:
        """Take any other frame; false while it is not all there. Its head is judged as soon as that is."""
        if stop == 0:
            return False
        first, is_masked, size = data[at], bool(data[at + 1] & MASKED), stop - body
        fault = head_fault(first, size, amid=self._parts is not None)
        if fault:
            self._fail(fault, CloseCode.PROTOCOL_ERROR)
        elif size > MAX_MESSAGE_BYTES:
            self._fail("too_long", CloseCode.MESSAGE_TOO_BIG)
        elif not is_masked and not self.mask:  # a client's frame must be masked
            self._fail("unmasked", CloseCode.PROTOCOL_ERROR)
        elif stop > len(data):
            return False
        elif self.owner is not None:
            payload = apply_mask(data[body:stop], data[body - 4 : body]) if is_masked else bytes(data[body:stop])
            self._take_other(self.owner, first, payload)
        return True

    def _take_other(self, owner: Owner, first: int, payload: bytes) -> None:
        """Deal with everything that is not a whole text message."""
        if first & RESERVED_BITS:
            owner.rejected("reserved_bits")
            if not self._board.rsv_tolerated:
                self.close(CloseCode.PROTOCOL_ERROR)
                return
        kind = Opcode(first & 0x0F)
        match kind:
            case Opcode.PING:
                self._control(Opcode.PONG, payload)
                owner.stirred(Opcode.PING)
            case Opcode.PONG:
                owner.stirred(Opcode.PONG)
            case Opcode.CLOSE:
                self._take_close(payload)
            case _ if first & FIN and self._parts is None:
                self._take_message(owner, kind, payload)
            case _:
                self._take_part(owner, kind, payload, last=bool(first & FIN))

    def _take_close(self, payload: bytes) -> None:
        """Answer a farewell with its own code, one that is none with what is wrong with it."""
        fault = close_fault(payload)
        if fault is not None:
            self._fail("close", fault)
        else:
            self.close(int.from_bytes(payload[:2], "big") if payload else CloseCode.OK)

    def _take_part(self, owner: Owner, kind: Opcode, payload: bytes, *, last: bool) -> None:
        parts = self._parts = self._parts or Fragments(kind)
        if not parts.add(payload):
            self._fail("too_long", CloseCode.MESSAGE_TOO_BIG)
        elif last:
            self._parts = None
            self._take_message(owner, parts.kind, bytes(parts.message))

    def _take_message(self, owner: Owner, kind: Opcode, message: bytes) -> None:
        if kind is Opcode.TEXT:
            self._take_text(owner, message)
        else:
            owner.stirred(Opcode.BINARY)

    def _take_text(self, owner: Owner, message: bytes) -> None:
        if is_utf8(message):
            owner.take(message)
        else:
            self._fail("utf8", CloseCode.NOT_CONSISTENT)

    def _fail(self, reason: str, code: int) -> None:
        if self.owner is not None:
            self.owner.rejected(reason)
        self.close(code)

    def _control(self, kind: Opcode, payload: bytes) -> None:
        self.write(masked(kind, payload, self.mask) if self.mask else control(kind, payload))

    def _flush(self) -> bool:
        """Send what waits; tell whether all of it is gone."""
        if self._backlog:
            del self._backlog[: self._send(self._backlog)]  # type: ignore[union-attr]  # empty bytes never get here
            if self._backlog:
                return False
        self._backlog = b""
        if self.sock is None:
            return False
        self._board.poller.change(self._fd, READ)
        if self in self._board.lingering:
            self._half_close()
        elif self.owner is not None:
            self.owner.stirred(Opcode.PONG)  # it has read what waited
        return True

    def _too_slow(self) -> None:
        if self.owner is not None:
            self.owner.rejected("slow_reader")
        self.cut()

    def _linger(self) -> None:
        """Let the peer read our last words: no more from us, and nothing heard, until it closes or time is up."""
        self._tell_gone()
        if self.sock is None:
            return
        self._board.lingering.add(self)
        self._deadline = self._board.poller.now + LINGER_WALL_S
        self._board.wheel.look(self, self._deadline)
        if not self._backlog:
            self._half_close()

    def _half_close(self) -> None:
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.cut()

    def _tell_gone(self) -> None:
        owner, greeter = self.owner, self.greeter
        self._board.ungreeted.pop(self, None)
        self.owner, self.greeter, self._rest, self._parts = None, None, b"", None
        if owner is not None:
            owner.gone()
        elif greeter is not None:
            greeter.ungreeted(self)
