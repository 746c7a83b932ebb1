"""State trees as bytes: nested mappings and lists of text, numbers and arrays, exactly, both directions side by side.

Layout: ``VS``, version (uint8), size of the content (uint64, little-endian), then the content, MessagePack compressed
by Zstandard. An array is an extension of type 1: the code of its type (``<f8``, ``|b1`` …, 3 bytes), number of
dimensions (uint8), its shape (int64 each), then its values, little-endian. NaN and infinities keep their bits.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vpp.domain.errors import FrameError

VERSION = 1
StateTree = dict[str, Any]
"""Nested mappings (keys: text or whole numbers) and lists of text, numbers, ``None`` and arrays."""

_MAGIC = b"VS"
_HEADER = struct.Struct("<2sBQ")
_ARRAY = struct.Struct("<3sB")
_ARRAY_TYPE = 1
_KINDS = frozenset("biuf")
_ZSTD = pa.Codec("zstd")
_LEVELS = 3
"""Levels of mappings that are written item by item: a city's state is never whole in memory a second time."""


def encode_state(tree: StateTree) -> bytes:
    """Return a state tree as bytes.

    Raises:
        FrameError: It holds something that is no part of a state tree.
    """
    packed, size = pa.BufferOutputStream(), 0
    try:
        with pa.CompressedOutputStream(packed, "zstd") as content:
            for part in _parts(tree, _LEVELS):
                content.write(part)
                size += len(part)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"a state holds what cannot be kept: {error}") from error
    return b"".join((_HEADER.pack(_MAGIC, VERSION, size), memoryview(packed.getvalue())))


def decode_state(content: bytes) -> StateTree:
    """Return the state tree that ``encode_state`` was given; its arrays are read-only.

    Raises:
        FrameError: These are not the bytes of a state, or of a version that is not known.
    """
    if len(content) < _HEADER.size:
        raise FrameError(f"a state has at least {_HEADER.size} bytes, got {len(content)}")
    magic, version, size = _HEADER.unpack_from(content)
    if magic != _MAGIC or version != VERSION:
        raise FrameError(f"expected a state of version {VERSION}, got {magic!r} version {version}")
    try:
        plain = _ZSTD.decompress(memoryview(content)[_HEADER.size :], decompressed_size=size, asbytes=True)
        tree = msgspec.msgpack.decode(plain, ext_hook=_array)
    except (OSError, ValueError, TypeError, struct.error, msgspec.DecodeError) as error:
        raise FrameError(f"a state of {len(content)} bytes cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise FrameError(f"a state is a mapping, got {type(tree).__name__}")
    return tree


def _parts(value: object, levels: int) -> Iterator[bytes]:
    """Yield the MessagePack form of a value, mappings of so many levels item by item."""
    if levels and isinstance(value, dict):
        yield _map_head(len(value))
        for name, item in value.items():
            yield msgspec.msgpack.encode(name)
            yield from _parts(item, levels - 1)
    else:
        yield msgspec.msgpack.encode(value, enc_hook=_extension)


def _map_head(count: int) -> bytes:
    """Return what stands before the items of a mapping: fixmap, map 16 or map 32 of the MessagePack specification."""
    if count < 1 << 4:
        return bytes((0x80 | count,))
    return struct.pack(">BH", 0xDE, count) if count < 1 << 16 else struct.pack(">BI", 0xDF, count)


def _extension(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        plain = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        head = _ARRAY.pack(plain.dtype.str.encode(), plain.ndim) + struct.pack(f"<{plain.ndim}q", *value.shape)
        return msgspec.msgpack.Ext(_ARRAY_TYPE, head + plain.tobytes())
    raise TypeError(f"{type(value).__name__} has no place in a state")


def _array(code: int, content: memoryview) -> npt.NDArray[Any]:
    if code != _ARRAY_TYPE:
        raise ValueError(f"extension {code} is not known")
    kind, dimensions = _ARRAY.unpack_from(content)
    shape = struct.unpack_from(f"<{dimensions}q", content, _ARRAY.size)
    start = _ARRAY.size + 8 * dimensions
    values = np.frombuffer(content, dtype=np.dtype(kind.decode()), offset=start).reshape(shape)
    values.flags.writeable = False
    return values
