"""WebSocket frames and their faults (RFC 6455, 5); extensions are never agreed on."""

from enum import IntEnum
from typing import Protocol

MAX_MESSAGE_BYTES = 256 * 1024
_SMALL = 126
_MEDIUM = 1 << 16
_MASKED = 0x80
_FIN = 0x80
_SHORTEST_HEAD = 2
MAX_CONTROL_BYTES = 125
_CONTROL = 0x8
"""The opcodes from here on are control frames."""
_CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
"""Codes that may stand in a close frame (RFC 6455, 7.4, and the IANA registry)."""


class _Unmask(Protocol):
    def __call__(self, data: bytes | bytearray, mask: bytes | bytearray, /) -> bytes: ...


class Opcode(IntEnum):
    """Low four bits of a frame's first byte."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Reasons for closing a connection (RFC 6455, 7.4.1, and the IANA registry)."""

    OK = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NOT_CONSISTENT = 1007
    MESSAGE_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013


_OPCODES = frozenset(Opcode)
WHOLE_TEXT = _FIN | Opcode.TEXT
"""First byte of a message in one frame, as of nearly every frame."""
RESERVED_BITS = 0x70
FIN = _FIN
MASKED = _MASKED


def xor(data: bytes | bytearray, mask: bytes | bytearray, /) -> bytes:
    """Return ``data`` with a four-byte mask applied, in pure Python."""
    size = len(data)
    whole = mask * (size // 4 + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole[:size], "big")).to_bytes(size, "big")


def _fastest() -> _Unmask:
    try:
        from websockets.speedups import apply_mask  # noqa: PLC0415 - an extra; pure Python does the same, 2 us slower
    except ImportError:
        return xor
    unmask: _Unmask = apply_mask
    return unmask


apply_mask: _Unmask = _fastest()
_HEADS = tuple(bytes((WHOLE_TEXT, size)) for size in range(_SMALL))


def text(payload: bytes) -> bytes:
    """Return a server's text message in one frame."""
    size = len(payload)
    if size < _SMALL:
        return _HEADS[size] + payload
    return _head(WHOLE_TEXT, size, 0) + payload


def control(opcode: Opcode, payload: bytes = b"") -> bytes:
    """Return a server's control frame; a payload has at most 125 bytes."""
    return bytes((_FIN | opcode, len(payload))) + payload


def masked(opcode: Opcode, payload: bytes, mask: bytes) -> bytes:
    """Return a client's frame, masked (RFC 6455, 5.3)."""
    return _head(_FIN | opcode, len(payload), _MASKED) + mask + apply_mask(payload, mask)


def span(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``at`` begins, after its mask, and ends, perhaps beyond the data.

    Both are 0 while the head is not complete.
    """
    end = len(data)
    if end - at < _SHORTEST_HEAD:
        return 0, 0
    second = data[at + 1]
    size, body = second & 0x7F, at + _SHORTEST_HEAD
    if size >= _SMALL:
        body += 2 if size == _SMALL else 8
        if body > end:
            return 0, 0
        size = int.from_bytes(data[at + _SHORTEST_HEAD : body], "big")
    if second & _MASKED:
        body += 4
    return body, body + size


def is_utf8(data: bytes) -> bool:
    """Tell whether a text message is one (RFC 6455, 8.1); nearly all are plain ASCII, which costs 20 ns a kB."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def closing(code: int) -> bytes:
    """Return the payload of a close frame."""
    return code.to_bytes(2, "big")


def head_fault(first: int, size: int, *, amid: bool) -> str:
    """Return the fault of a frame's head, an empty string where there is none.

    Args:
        first: Its first byte; reserved bits are not judged here.
        size: Bytes of its payload.
        amid: A fragmented message is under way.
    """
    kind = first & 0x0F
    if kind not in _OPCODES:
        return "opcode"
    if kind & _CONTROL:
        return "" if first & _FIN and size <= MAX_CONTROL_BYTES else "control"  # 5.5
    return "" if (kind == Opcode.CONTINUATION) == amid else "fragment"  # 5.4


def close_fault(payload: bytes) -> CloseCode | None:
    """Return the code to answer a malformed close frame with, ``None`` for a valid one (5.5.1, 7.4, 8.1)."""
    if not payload:
        return None
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not any(code in codes for codes in _CLOSE_CODES):
        return CloseCode.PROTOCOL_ERROR
    return None if is_utf8(payload[2:]) else CloseCode.NOT_CONSISTENT


def _head(first: int, size: int, masked_bit: int) -> bytes:
    if size < _SMALL:
        return bytes((first, masked_bit | size))
    if size < _MEDIUM:
        return bytes((first, masked_bit | _SMALL)) + size.to_bytes(2, "big")
    return bytes((first, masked_bit | 127)) + size.to_bytes(8, "big")
