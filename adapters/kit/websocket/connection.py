"""One WebSocket connection: a non-blocking socket, the incomplete frame received, and the backlog to be sent.

An idle connection holds its socket and a dozen references, no buffer. A peer that does not read is not read either
until it does, and is cut once its backlog passes ``backlog_bytes``.
"""

import math
import socket
from dataclasses import dataclass, field
from functools import partial

import structlog

from adapters.kit.admission import TokenBucket
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
from adapters.kit.websocket.handlers import HeadHandler, MessageHandler

_log = structlog.get_logger(__name__)

RECEIVE_BYTES = 16 * 1024
BACKLOG_BYTES = 64 * 1024
LONGEST_HEAD = 8 * 1024
LINGER_WALL_S = 1.0
"""How long a peer may take to close after our close frame; closing at once could destroy what it has not read."""
CRASHED = "crash"
"""Reason under which an unexpected exception is counted."""
_HEAD_END = b"\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class ConnectionContext:
    """What all connections of a process share.

    Attributes:
        handshake_wall_s: Longest time from connecting to a complete HTTP head.
        backlog_bytes: Most bytes that wait for a peer that does not read.
        rsv_tolerated: A reserved bit without an extension is a fault of firmware (ocpp-go#358) and is ignored.
        awaiting_head: Connections whose head is not complete yet, the oldest first.
        lingering: Connections that have sent their close frame and wait for the peer to close.
        crash_lines: Bounds the log lines of unexpected exceptions.
        tls_memory: Counts TLS handshakes.
    """

    poller: Poller
    timers: TimingWheel
    handshake_wall_s: float = 20.0
    backlog_bytes: int = BACKLOG_BYTES
    rsv_tolerated: bool = True
    awaiting_head: "dict[WebSocketConnection, None]" = field(default_factory=dict)
    lingering: "set[WebSocketConnection]" = field(default_factory=set)
    crash_lines: TokenBucket = field(default_factory=partial(TokenBucket, 0.2, 20.0))
    tls_memory: TlsMemory = field(init=False)

    def __post_init__(self) -> None:
        self.tls_memory = TlsMemory(self.timers)


class WebSocketConnection:
    """See the module; a server's end unless ``mask`` is set.

    One object with all its methods: an object for frames beside it would cost memory a connection and a call a frame.

    Attributes:
        sock: The socket, ``None`` once closed.
        head_handler: Receives the head; ``None`` once the connection is open.
        handler: Receives messages; ``None`` before the connection is open and once it is over.
        mask: A client's masking key.
    """

    __slots__ = (
        *("_backlog", "_context", "_deadline", "_parts", "_rest", "alarm"),
        *("handler", "head_handler", "mask", "sock"),
    )

    def __init__(
        self, context: ConnectionContext, sock: socket.socket, head_handler: HeadHandler, *, mask: bytes = b""
    ) -> None:
        self.sock: socket.socket | None = sock
        self.handler: MessageHandler | None = None
        self.head_handler: HeadHandler | None = head_handler
        self.mask = mask
        self.alarm = math.inf
        self._context = context
        self._rest: bytes | bytearray = b""
        self._backlog = bytearray() if mask else b""
        self._parts: Fragments | None = None
        self._deadline = context.poller.now + context.handshake_wall_s
        context.timers.schedule(self, self._deadline)
        context.awaiting_head[self] = None
        context.poller.add(sock.fileno(), self, WRITE if mask else READ)

    # Outgoing.

    def open(self, handler: MessageHandler) -> None:
        """Pass messages to ``handler`` from now on."""
        self.head_handler, self.handler, self._deadline = None, handler, math.inf
        self._context.awaiting_head.pop(self, None)

    @property
    def congested(self) -> bool:
        """The peer has not taken what was sent."""
        return bool(self._backlog)

    def peer_address(self) -> str:
        """Return the address of the other end, empty once it is gone."""
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
            if len(self._backlog) > self._context.backlog_bytes:
                self._too_slow()
            return
        sent = self._send(data)
        if sent < len(data) and self.sock is not None:
            self._backlog = bytearray(data[sent:])
            self._context.poller.change(self._fd, WRITE)

    def close(self, code: int = CloseCode.OK) -> None:
        """Send a close frame and close; the handler is notified now."""
        if self.sock is None or self in self._context.lingering:
            return
        if self.head_handler is None:
            self._control(Opcode.CLOSE, closing(code))
        self._linger()

    def cut(self) -> None:
        """Close without a close frame."""
        fd, sock, self.sock = self._fd, self.sock, None
        if sock is not None:
            self._context.poller.drop(fd)
            self._context.lingering.discard(self)
            sock.close()
            self._notify_closed()

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
        receiver = self.handler or self.head_handler
        try:
            if receiver is not None:
                receiver.crashed(error)
            else:
                _log.error("exception after a connection's end", exc_info=error)
        finally:
            self.cut()

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: the head, or the peer's close, is overdue."""
        if now >= self._deadline and self.sock is not None:
            self.cut()
        return self._deadline if self.sock is not None else math.inf

    # What differs over TLS.

    @property
    def _fd(self) -> int:
        """The descriptor; asked of the socket, for a number kept beside it would cost memory a connection."""
        return -1 if self.sock is None else self.sock.fileno()

    def _receive(self) -> bytes | None:
        """Return the bytes received, empty at the end of the stream, ``None`` if none are there."""
        if self.sock is None:
            return None
        try:
            return self.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def _send(self, data: bytes | bytearray) -> int:
        """Return how many bytes were taken; a broken connection takes all and is found by reading."""
        if self.sock is None:
            return len(data)
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)

    def _take(self, data: bytes | bytearray) -> None:
        if self._rest:
            # In place: a frame in a thousand pieces is not copied a thousand times.
            self._rest += data
            data, self._rest = self._rest, b""
        if self.handler is not None:
            self._take_frames(data)
        elif self.head_handler is not None:
            self._take_head(data)

    def _keep(self, data: bytes | bytearray) -> None:
        self._rest = bytearray(data) if isinstance(data, bytes) else data

    def _take_head(self, data: bytes | bytearray) -> None:
        end = data.find(_HEAD_END)
        if end < 0 and len(data) <= LONGEST_HEAD:
            self._keep(data)
        elif self.head_handler is None:
            return
        elif end < 0 or end > LONGEST_HEAD:
            self.head_handler.head_too_long(self)
        else:
            rest = data[end + len(_HEAD_END) :]
            self.head_handler.head_received(self, bytes(data[:end]))
            if rest and self.handler is not None:
                self._take_frames(rest)

    def _take_frames(self, data: bytes | bytearray) -> None:
        """Take whole frames; nearly all are masked text messages in one piece, in ASCII, and pass in a microsecond."""
        at, end = 0, len(data)
        while at < end and self.handler is not None:
            body, stop = span(data, at)
            whole = 0 < stop <= end and stop - body <= MAX_MESSAGE_BYTES
            if whole and data[at] == WHOLE_TEXT and self._parts is None and data[at + 1] & MASKED:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                if payload.isascii():
                    self.handler.message_received(payload)
                else:
                    self._take_text(self.handler, payload)
            elif not self._take_unusual(data, at, body, stop):
                self._keep(data[at:] if at else data)
                return
            at = stop

    def _take_unusual(self, data: bytes | bytearray, at: int, body: int, stop: int) -> bool:
        """Take any other frame; false while it is incomplete. Its head is judged as soon as that is complete."""
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
        elif self.handler is not None:
            payload = apply_mask(data[body:stop], data[body - 4 : body]) if is_masked else bytes(data[body:stop])
            self._take_other(self.handler, first, payload)
        return True

    def _take_other(self, handler: MessageHandler, first: int, payload: bytes) -> None:
        """Handle everything that is not a whole text message."""
        if first & RESERVED_BITS:
            handler.rejected("reserved_bits")
            if not self._context.rsv_tolerated:
                self.close(CloseCode.PROTOCOL_ERROR)
                return
        kind = Opcode(first & 0x0F)
        match kind:
            case Opcode.PING:
                self._control(Opcode.PONG, payload)
                handler.control_received(Opcode.PING)
            case Opcode.PONG:
                handler.control_received(Opcode.PONG)
            case Opcode.CLOSE:
                self._take_close(payload)
            case _ if first & FIN and self._parts is None:
                self._take_message(handler, kind, payload)
            case _:
                self._take_part(handler, kind, payload, last=bool(first & FIN))

    def _take_close(self, payload: bytes) -> None:
        """Answer a close frame with its own code, a malformed one with the code of its fault."""
        fault = close_fault(payload)
        if fault is not None:
            self._fail("close", fault)
        else:
            self.close(int.from_bytes(payload[:2], "big") if payload else CloseCode.OK)

    def _take_part(self, handler: MessageHandler, kind: Opcode, payload: bytes, *, last: bool) -> None:
        parts = self._parts = self._parts or Fragments(kind)
        if not parts.add(payload):
            self._fail("too_long", CloseCode.MESSAGE_TOO_BIG)
        elif last:
            self._parts = None
            self._take_message(handler, parts.kind, bytes(parts.message))

    def _take_message(self, handler: MessageHandler, kind: Opcode, message: bytes) -> None:
        if kind is Opcode.TEXT:
            self._take_text(handler, message)
        else:
            handler.control_received(Opcode.BINARY)

    def _take_text(self, handler: MessageHandler, message: bytes) -> None:
        if is_utf8(message):
            handler.message_received(message)
        else:
            self._fail("utf8", CloseCode.NOT_CONSISTENT)

    def _fail(self, reason: str, code: int) -> None:
        if self.handler is not None:
            self.handler.rejected(reason)
        self.close(code)

    def _control(self, kind: Opcode, payload: bytes) -> None:
        self.write(masked(kind, payload, self.mask) if self.mask else control(kind, payload))

    def _flush(self) -> bool:
        """Send the backlog; tell whether all of it is sent."""
        if self._backlog:
            del self._backlog[: self._send(self._backlog)]  # type: ignore[union-attr]  # empty bytes never get here
            if self._backlog:
                return False
        self._backlog = b""
        if self.sock is None:
            return False
        self._context.poller.change(self._fd, READ)
        if self in self._context.lingering:
            self._half_close()
        elif self.handler is not None:
            self.handler.control_received(Opcode.PONG)  # it has read its backlog
        return True

    def _too_slow(self) -> None:
        if self.handler is not None:
            self.handler.rejected("slow_reader")
        self.cut()

    def _linger(self) -> None:
        """Let the peer read what was sent: nothing more is sent or received until it closes or time is up."""
        self._notify_closed()
        if self.sock is None:
            return
        self._context.lingering.add(self)
        self._deadline = self._context.poller.now + LINGER_WALL_S
        self._context.timers.schedule(self, self._deadline)
        if not self._backlog:
            self._half_close()

    def _half_close(self) -> None:
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.cut()

    def _notify_closed(self) -> None:
        handler, head_handler = self.handler, self.head_handler
        self._context.awaiting_head.pop(self, None)
        self.handler, self.head_handler, self._rest, self._parts = None, None, b"", None
        if handler is not None:
            handler.closed()
        elif head_handler is not None:
            head_handler.closed_early(self)
