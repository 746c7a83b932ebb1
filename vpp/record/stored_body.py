"""Stored form of a journal body: canonical JSON while it is short, else JSON and columns compressed together.

An array anywhere in a body becomes a column (`vpp.record.column_codec`). A packed body is one byte of version, the
size of its content (uint32, little-endian) and the content by Zstandard: the size of the JSON text (uint32), the text,
the columns. In the text a column is ``{"$column": [dtype, shape, form, first byte, bytes]}``.
"""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from vpp.domain.errors import FrameError, InputError
from vpp.record.column_codec import decoded, encoded

PACKED = "null"
"""Text of a body whose content is packed."""
_VERSION = 1
_HEAD = struct.Struct("<BI")
_SIZE = struct.Struct("<I")
_COLUMN = "$column"
_LISTED_BYTES = 1024
"""A longer text is packed."""
_ZSTD = pa.Codec("zstd", compression_level=1)
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


class StoredBody(NamedTuple):
    """A body as it is stored and hashed.

    Attributes:
        text: Canonical JSON; ``null`` where the content is packed.
        packed: The packed content, empty where the text says everything.
    """

    text: str
    packed: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.text) + len(self.packed)


def stored_body(body: Mapping[str, object]) -> StoredBody:
    """Return a body as it is stored; floats that JSON lacks are ``null``, except in arrays, which keep every bit.

    Raises:
        InputError: It holds a value that JSON lacks.
    """
    columns = _Columns()
    try:
        text = orjson.dumps(body, option=_CANONICAL, default=columns.plain)
    except TypeError as error:
        raise InputError("body", type(body).__name__, f"JSON-like content ({error})") from error
    if not columns.content and len(text) <= _LISTED_BYTES:
        return StoredBody(text.decode())
    content = b"".join((_SIZE.pack(len(text)), text, *columns.content))
    return StoredBody(PACKED, _HEAD.pack(_VERSION, len(content)) + bytes(_ZSTD.compress(content, asbytes=True)))


def read_body(text: str, packed: bytes | None = None) -> dict[str, object]:
    """Return the body that ``stored_body`` was given, arrays as arrays.

    Raises:
        FrameError: Text or bytes cannot be read, or hold no object.
    """
    try:
        body = _with_columns(*_unpacked(packed)) if packed else orjson.loads(text)
    except (ValueError, OSError, TypeError, struct.error) as error:
        raise FrameError(f"a body of {len(text) + len(packed or b'')} bytes cannot be read: {error}") from error
    if not isinstance(body, dict):
        raise FrameError("a body holds no object")
    return body


class _Columns:
    """Columns of one body, in the order in which the text names them."""

    def __init__(self) -> None:
        self.content: list[bytes] = []
        self._size = 0

    def plain(self, value: object) -> object:
        """Return the JSON form of what JSON lacks; an array goes to the columns."""
        if isinstance(value, np.ndarray):
            return self._column(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"{type(value).__name__} has no JSON form")

    def _column(self, array: np.ndarray[Any, np.dtype[Any]]) -> object:
        form, content = encoded(array)
        first, self._size = self._size, self._size + len(content)
        self.content.append(content)
        return {_COLUMN: [array.dtype.str.replace(">", "<"), list(array.shape), int(form), first, len(content)]}


def _unpacked(packed: bytes) -> tuple[object, memoryview]:
    """Return the JSON content and the bytes of the columns, which are tens of megabytes in a city's and not copied."""
    version, size = _HEAD.unpack_from(packed)
    if version != _VERSION:
        raise FrameError(
            f"a packed body of version {version} was written by a newer service; this one reads version {_VERSION}"
        )
    content = memoryview(_ZSTD.decompress(memoryview(packed)[_HEAD.size :], decompressed_size=size, asbytes=True))
    (length,) = _SIZE.unpack_from(content)
    end = _SIZE.size + length
    if len(content) < end:
        raise FrameError(f"a packed body ends after {len(content)} of {end} bytes")
    return orjson.loads(content[_SIZE.size : end]), content[end:]


def _with_columns(value: object, content: memoryview) -> object:
    if isinstance(value, list):
        return [_with_columns(one, content) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_COLUMN}:
        return _column_of(value[_COLUMN], content)
    return {name: _with_columns(one, content) for name, one in value.items()}


def _column_of(described: Any, content: memoryview) -> np.ndarray[Any, np.dtype[Any]]:  # noqa: ANN401 - JSON
    dtype, shape, form, first, size = described
    if not 0 <= first <= first + size <= len(content):
        raise FrameError(f"a column from byte {first} to {first + size} lies outside {len(content)} bytes")
    return decoded(form, content[first : first + size], dtype, int(np.prod(shape, dtype=np.int64))).reshape(shape)
