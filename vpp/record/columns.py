"""Lossless columns of arrays as text, for journal bodies."""

import base64
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import FrameError

Scalar = TypeVar("Scalar", bound=np.generic)
_RAW, _DEFLATED = "r", "z"
_SHORT_BYTES = 128
"""Shorter columns are not worth deflating."""
_LISTED = 256
"""Values up to which a column stays a readable list."""


def packed(column: npt.NDArray[Any]) -> str:
    """Return a one-dimensional array as text that gives back every bit: bytes by significance, deflated, base64."""
    plain = np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False)
    raw = plain.tobytes()
    if len(raw) < _SHORT_BYTES:
        return _RAW + base64.b64encode(raw).decode("ascii")
    planes = plain.view(np.uint8).reshape(len(plain), plain.itemsize).T.tobytes()
    return _DEFLATED + base64.b64encode(zlib.compress(planes, 1)).decode("ascii")


def unpacked(text: str, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return the array of ``dtype`` that ``packed`` was given.

    Raises:
        FrameError: The text was not written by ``packed``.
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


def column_body(column: npt.NDArray[Any]) -> str | list[Any]:
    """Return a column for a journal body: a short one as a readable list, a long one packed.

    In a list a number that JSON lacks is ``None``.
    """
    if len(column) > _LISTED:
        return packed(column)
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [value if known else None for value, known in zip(column.tolist(), np.isfinite(column), strict=True)]


def column_of(content: str | Sequence[Any], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return the column that ``column_body`` wrote.

    ``None`` in such a list is a number that JSON lacks; it comes back as NaN.

    Raises:
        FrameError: The text was not written by ``packed``.
    """
    if isinstance(content, str):
        return unpacked(content, dtype)
    return np.array([np.nan if value is None else value for value in content]).astype(dtype)
