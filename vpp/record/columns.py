"""Columns of arrays in journal bodies: short ones as readable lists, long ones as arrays, old ones as text."""

import base64
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import FrameError

Scalar = TypeVar("Scalar", bound=np.generic)
_RAW = "r"
"""Begins a text of plain bytes; any other is deflated, bytes by significance."""
_LISTED = 32
"""Values up to which a column stays a readable list."""


def unpacked(text: str, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return the array of ``dtype`` in a text of journals before packed bodies: base64 of its little-endian bytes.

    Raises:
        FrameError: This is no such text.
    """
    order = np.dtype(dtype).newbyteorder("<")
    try:
        content = base64.b64decode(text[1:], validate=True)
        if text[:1] == _RAW:
            return np.frombuffer(content, dtype=order).astype(dtype)
        planes = np.frombuffer(zlib.decompress(content), dtype=np.uint8).reshape(order.itemsize, -1)
    except (ValueError, zlib.error) as error:
        raise FrameError(f"a packed column of {len(text)} characters cannot be read: {error}") from error
    return np.ascontiguousarray(planes.T).view(order).reshape(-1).astype(dtype)


def column_body(column: npt.NDArray[Any]) -> npt.NDArray[Any] | list[Any]:
    """Return a column for a journal body: a short one as a readable list, a long one as it is, to be packed.

    In a list a number that JSON lacks is ``None``.
    """
    if len(column) > _LISTED:
        return column
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [value if known else None for value, known in zip(column.tolist(), np.isfinite(column), strict=True)]


def column_of(content: str | Sequence[Any] | npt.NDArray[Any], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return the column that ``column_body`` wrote, now or as text by an earlier version.

    ``None`` in such a list is a number that JSON lacks; it comes back as NaN.

    Raises:
        FrameError: This is no text of a column, or a value has no place in one of that type.
    """
    if isinstance(content, str):
        return unpacked(content, dtype)
    if isinstance(content, np.ndarray):
        return content.astype(dtype)
    values = np.array([np.nan if value is None else value for value in content])
    try:
        with np.errstate(invalid="raise"):
            return values.astype(dtype)
    except FloatingPointError as error:
        raise FrameError(f"a column of {np.dtype(dtype).name} holds {content!r}") from error
