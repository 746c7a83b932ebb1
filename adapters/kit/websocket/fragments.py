"""Reassembly of a message from its fragments (RFC 6455, 5.4)."""

from adapters.kit.websocket.frames import MAX_MESSAGE_BYTES, Opcode

MAX_FRAGMENTS = 16 * 1024
"""Fragments of one message, empty ones included: their cost grows with their number, so it is bounded."""


class Fragments:
    """The part of one message that has come so far.

    Attributes:
        kind: Opcode of its first frame, text or binary.
        message: Its bytes.
    """

    __slots__ = ("_count", "kind", "message")

    def __init__(self, kind: Opcode) -> None:
        self.kind = kind
        self.message = bytearray()
        self._count = 0

    def add(self, payload: bytes) -> bool:
        """Append a fragment; tell whether the message is within bounds."""
        self._count += 1
        self.message += payload
        return len(self.message) <= MAX_MESSAGE_BYTES and self._count <= MAX_FRAGMENTS
