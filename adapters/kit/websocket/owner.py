"""Who hears of a connection: first whoever deals with its HTTP head, then whoever speaks on it."""

from typing import TYPE_CHECKING, Protocol

from adapters.kit.websocket.frames import Opcode

if TYPE_CHECKING:
    from adapters.kit.websocket.connection import WebSocketConnection


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

    def greet(self, channel: "WebSocketConnection", head: bytes) -> None:
        """Answer a whole head: open the channel or close it."""
        ...

    def overlong(self, channel: "WebSocketConnection") -> None:
        """Refuse a head that is longer than any should be."""
        ...

    def crashed(self, error: Exception) -> None:
        """Hear that greeting ended in an exception; the connection is cut next."""
        ...

    def ungreeted(self, channel: "WebSocketConnection") -> None:
        """Hear that a connection ended before its head was there."""
        ...
