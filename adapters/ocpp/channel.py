"""One connection: a non-blocking socket, what of a frame has come so far, and what the peer has not taken yet.

A connection that sleeps holds its socket and a dozen references, no buffer. A peer that does not read is not read
either until it does, and is dropped once what waits for it passes ``backlog_bytes``.
"""

import logging
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from adapters.ocpp.frames import (
    FIN,
    MASKED,
    MAX_MESSAGE_BYTES,
    RESERVED_BITS,
    WHOLE_TEXT,
    CloseCode,
    Opcode,
    apply_mask,
    closing,
    control,
    is_utf8,
    masked,
    span,
    text,
)
from adapters.ocpp.heap import Leftovers
from adapters.ocpp.poller import READ, WRITE, Poller
from adapters.ocpp.wheel import Wheel

log = logging.getLogger(__name__)

RECEIVE_BYTES = 16 * 1024
BACKLOG_BYTES = 64 * 1024
LONGEST_HEAD = 8 * 1024
LINGER_WALL_S = 1.0
"""How long a peer may take to close after our farewell; closing at once could destroy what it has not read."""
CRASHED = "crash"
"""What an exception that nobody expected is counted as."""
_HEAD_END = b"\r\n\r\n"


class Owner(Protocol):
    """Who speaks on an open channel."""

    def take(self, raw: bytes) -> None:
        """Deal with one whole text message."""
        ...

    def stirred(self, kind: Opcode) -> None:
        """Hear a sign of life that is no message, or a binary message, which is dropped."""
        ...

    def rejected(self, reason: str) -> None:
        """Count something that was dropped."""
        ...

    def crashed(self, error: Exception) -> None:
        """Hear that dealing with the peer ended in an exception; the connection is cut next."""
        ...

    def gone(self) -> None:
        """Hear that the connection is over."""
        ...


class Greeter(Protocol):
    """Who deals with the HTTP head that comes first."""

    def greet(self, channel: "Channel", head: bytes) -> None:
        """Answer a whole head: open the channel or close it."""
        ...

    def crashed(self, error: Exception) -> None:
        """Hear that greeting ended in an exception; the connection is cut next."""
        ...

    def ungreeted(self, channel: "Channel") -> None:
        """Hear that a connection ended before its head was there."""
        ...


@dataclass(slots=True, kw_only=True)
class Switchboard:
    """What all channels of a process share.

    Attributes:
        handshake_wall_s: How long a peer may take for its head.
        backlog_bytes: What may wait for a peer that does not read.
        rsv_tolerated: A reserved bit without an extension is a firmware's fault (ocpp-go#358) and is looked through.
        lingering: Those that have said farewell and wait for the peer's.
        leftovers: Hears of TLS handshakes.
    """

    poller: Poller
    wheel: Wheel
    handshake_wall_s: float = 20.0
    backlog_bytes: int = BACKLOG_BYTES
    rsv_tolerated: bool = True
    lingering: "set[Channel]" = field(default_factory=set)
    leftovers: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        self.leftovers = Leftovers(self.wheel)


class Channel:
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
        self._rest = b""
        self._backlog = bytearray() if mask else b""
        self._parts: list[bytes] | None = None
        self._deadline = board.poller.now + board.handshake_wall_s
        board.wheel.look(self, self._deadline)
        board.poller.add(self._fd, self, WRITE if mask else READ)

    # Outgoing.

    def open(self, owner: Owner) -> None:
        """Begin with messages."""
        self.greeter, self.owner, self._deadline = None, owner, math.inf

    @property
    def congested(self) -> bool:
        """The peer has not taken what was sent."""
        return bool(self._backlog)

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

    def close(self, code: CloseCode = CloseCode.OK) -> None:
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
        """See ``wheel.Timed``: the head, or the peer's own farewell, is overdue."""
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

    def _take(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self.owner is not None:
            self._take_frames(data)
        elif self.greeter is not None:
            self._take_head(data)

    def _take_head(self, data: bytes) -> None:
        end = data.find(_HEAD_END)
        if end < 0 and len(data) <= LONGEST_HEAD:
            self._rest = data
        elif end < 0 or end > LONGEST_HEAD:
            self.cut()
        elif self.greeter is not None:
            rest = data[end + len(_HEAD_END) :]
            self.greeter.greet(self, data[:end])
            if rest and self.owner is not None:
                self._take_frames(rest)

    def _take_frames(self, data: bytes) -> None:
        at, end = 0, len(data)
        while self.owner is not None:
            body, stop = span(data, at)
            if stop - body > MAX_MESSAGE_BYTES:
                self._fail("too_long", CloseCode.MESSAGE_TOO_BIG)
            elif stop == 0 or stop > end:
                self._rest = data[at:] if at else data
                return
            elif data[at + 1] & MASKED:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                self._take_frame(data[at], payload)
            elif self.mask:
                self._take_frame(data[at], data[body:stop])
            else:  # a client's frame must be masked
                self._fail("unmasked", CloseCode.PROTOCOL_ERROR)
            at = stop

    def _take_frame(self, first: int, payload: bytes) -> None:
        owner = self.owner
        if owner is None:
            return
        if first == WHOLE_TEXT:
            self._take_text(owner, payload)
        else:
            self._take_other(owner, first, payload)

    def _take_other(self, owner: Owner, first: int, payload: bytes) -> None:
        """Deal with everything that is not a whole text message."""
        if first & RESERVED_BITS:
            owner.rejected("reserved_bits")
            if not self._board.rsv_tolerated:
                self.close(CloseCode.PROTOCOL_ERROR)
                return
        kind = first & 0x0F
        if kind == Opcode.TEXT and first & FIN:
            self._take_text(owner, payload)
        elif kind in (Opcode.TEXT, Opcode.CONTINUATION):
            self._take_part(owner, payload, last=bool(first & FIN))
        elif kind == Opcode.PING:
            self._control(Opcode.PONG, payload[:125])
            owner.stirred(Opcode.PING)
        elif kind == Opcode.CLOSE:
            self.close(CloseCode.OK)
        elif kind in (Opcode.PONG, Opcode.BINARY):
            owner.stirred(Opcode(kind))
        else:
            self._fail("opcode", CloseCode.PROTOCOL_ERROR)

    def _take_part(self, owner: Owner, payload: bytes, *, last: bool) -> None:
        parts = self._parts = [*(self._parts or ()), payload]
        if sum(map(len, parts)) > MAX_MESSAGE_BYTES:
            self._fail("too_long", CloseCode.MESSAGE_TOO_BIG)
        elif last:
            self._parts = None
            self._take_text(owner, b"".join(parts))

    def _take_text(self, owner: Owner, message: bytes) -> None:
        if is_utf8(message):
            owner.take(message)
        else:
            self._fail("utf8", CloseCode.NOT_CONSISTENT)

    def _fail(self, reason: str, code: CloseCode) -> None:
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
        self.owner, self.greeter, self._rest = None, None, b""
        if owner is not None:
            owner.gone()
        elif greeter is not None:
            greeter.ungreeted(self)


class TlsChannel(Channel):
    """A channel inside TLS; the handshake happens as its parts arrive, a client's once it is connected.

    Args:
        wrap: Puts TLS around the socket.
    """

    __slots__ = ("_shaken", "_wrap")

    def __init__(
        self,
        board: Switchboard,
        sock: socket.socket,
        greeter: Greeter,
        *,
        wrap: Callable[[socket.socket], ssl.SSLSocket],
        mask: bytes = b"",
    ) -> None:
        self._shaken = False
        self._wrap: Callable[[socket.socket], ssl.SSLSocket] | None = wrap
        super().__init__(board, sock, greeter, mask=mask)

    def ready(self, mask: int) -> None:
        """See ``poller.Watched``; what OpenSSL holds decrypted is no event of the socket's, so all of it is read."""
        if not self._shaken and not self._shake():
            return
        super().ready(mask)
        while isinstance(self.sock, ssl.SSLSocket) and not self._backlog and self.sock.pending():
            super().ready(READ)

    def _shake(self) -> bool:
        """Go on with the handshake; tell whether it is complete."""
        try:
            if self._wrap is not None and self.sock is not None:
                self.sock, self._wrap = self._wrap(self.sock), None
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._board.poller.change(self._fd, READ)
            return False
        except ssl.SSLWantWriteError:
            self._board.poller.change(self._fd, WRITE)
            return False
        except (OSError, ValueError):
            self.cut()
            return False
        self._shaken = True
        self._board.leftovers.shaken(self._board.poller.now)
        self._board.poller.change(self._fd, WRITE if self._backlog else READ)
        return True

    def _receive(self) -> bytes | None:
        try:
            return self.sock.recv(RECEIVE_BYTES) if self.sock is not None else None
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError):
            return b""

    def _send(self, data: bytes | bytearray) -> int:
        """See ``Channel``; before the handshake is complete nothing is taken."""
        if self.sock is None:
            return len(data)
        if not self._shaken:
            return 0
        try:
            return self.sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except (OSError, ValueError):
            return len(data)
