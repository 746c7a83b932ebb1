"""A message that comes in fragments, put together (RFC 6455, 5.4)."""

from adapters.kit.websocket.frames import MAX_MESSAGE_BYTES, Opcode

MAX_FRAGMENTS = 16 * 1024
"""Fragments of one message, empty ones too: what they cost grows with their number, and that is bounded."""


class Fragments:
    """What of one message has come so far.

    Attributes:
        kind: What its first frame said it is, text or binary.
        message: Its bytes.
    """

    __slots__ = ("_count", "kind", "message")

    def __init__(self, kind: Opcode) -> None:
        self.kind = kind
        self.message = bytearray()
        self._count = 0

    def add(self, payload: bytes) -> bool:
        """Take one more; tell whether the message may still become one."""
        self._count += 1
        self.message += payload
        return len(self.message) <= MAX_MESSAGE_BYTES and self._count <= MAX_FRAGMENTS
