"""Receivers of what happens on a connection: the HTTP head first, messages afterwards."""

from typing import TYPE_CHECKING, Protocol

from adapters.kit.websocket.frames import Opcode

if TYPE_CHECKING:
    from adapters.kit.websocket.connection import WebSocketConnection


class MessageHandler(Protocol):
    """A protocol's end of an open connection."""

    def message_received(self, raw: bytes) -> None:
        """Take one whole text message, valid UTF-8."""
        ...

    def control_received(self, kind: Opcode) -> None:
        """Take a sign of life that is no message; also called for a binary message, which is dropped."""
        ...

    def rejected(self, reason: str) -> None:
        """Count something that was dropped."""
        ...

    def crashed(self, error: Exception) -> None:
        """Take note that handling the peer ended in an exception; the connection is cut next."""
        ...

    def closed(self) -> None:
        """Take note that the connection is over."""
        ...


class HeadHandler(Protocol):
    """Receiver of the HTTP head that comes first."""

    def head_received(self, connection: "WebSocketConnection", head: bytes) -> None:
        """Answer a whole head: open the connection or close it."""
        ...

    def head_too_long(self, connection: "WebSocketConnection") -> None:
        """Refuse a head that is longer than any should be."""
        ...

    def crashed(self, error: Exception) -> None:
        """Take note that answering ended in an exception; the connection is cut next."""
        ...

    def closed_early(self, connection: "WebSocketConnection") -> None:
        """Take note that a connection ended before its head was complete."""
        ...
