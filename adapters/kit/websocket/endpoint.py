"""A protocol's end of one WebSocket connection, with everything but the protocol itself."""

import math
from typing import Protocol

import structlog

from adapters.kit.admission import TokenBucket
from adapters.kit.poller import Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.connection import CRASHED, WebSocketConnection
from adapters.kit.websocket.frames import CloseCode, Opcode

_log = structlog.get_logger(__name__)


class SharedContext(Protocol):
    """What all endpoints of a process share; a ``ConnectionContext`` is one.

    Attributes:
        crash_lines: Bounds the log lines of unexpected exceptions.
    """

    poller: Poller
    timers: TimingWheel
    crash_lines: TokenBucket


class WebSocketEndpoint:
    """A ``handlers.MessageHandler`` and a ``timing_wheel.Timed`` to derive a protocol's connection from.

    A subclass implements ``message_received`` and ``rejected``; ``lost`` and ``due`` where it waits for something.

    Args:
        context: What all endpoints of the process share; also for the subclass.

    Attributes:
        connection: The connection, ``None`` before it is open and once it is over.
        alarm: See ``timing_wheel.Timed``.
    """

    __slots__ = ("_context", "alarm", "connection")

    def __init__(self, context: SharedContext) -> None:
        self._context = context
        self.connection: WebSocketConnection | None = None
        self.alarm = math.inf

    # For subclasses.

    @property
    def peer(self) -> str:
        """Id of the device, for the log."""
        return ""

    def message_received(self, raw: bytes) -> None:
        """See ``handlers.MessageHandler``."""
        raise NotImplementedError

    def rejected(self, reason: str) -> None:
        """See ``handlers.MessageHandler``."""
        raise NotImplementedError

    def opened(self) -> None:
        """Take note that the connection is open."""

    def lost(self) -> None:
        """Take note that the connection is over, whichever side ended it."""

    def due(self, now: float) -> float:  # noqa: ARG002 - nothing is waited for
        """See ``timing_wheel.Timed``."""
        return math.inf

    # For use.

    def begin(self, connection: WebSocketConnection) -> None:
        """Take over a connection whose upgrade is complete."""
        self.connection = connection
        connection.open(self)
        self.opened()

    def send(self, message: bytes) -> None:
        """Send a text message; without effect once the connection is over."""
        if self.connection is not None:
            self.connection.send(message)

    def hang_up(self, code: CloseCode = CloseCode.OK) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close(code)

    def cut(self) -> None:
        """Close the connection without a close frame."""
        if self.connection is not None:
            self.connection.cut()

    # For the kit.

    def control_received(self, kind: Opcode) -> None:
        """See ``handlers.MessageHandler``."""
        if kind is Opcode.BINARY:
            self.rejected("binary")

    def crashed(self, error: Exception) -> None:
        """See ``handlers.MessageHandler`` and ``timing_wheel.Timed``: it costs this connection alone."""
        context = self._context
        if context.crash_lines.take(context.poller.now):  # a peer that causes one can cause thousands
            _log.error("unexpected exception, connection cut", peer=self.peer, exc_info=error)
        try:
            self.rejected(CRASHED)
        finally:
            self.cut()

    def closed(self) -> None:
        """See ``handlers.MessageHandler``."""
        self.connection = None
        self.lost()
