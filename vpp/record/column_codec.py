"""Lossless codec of arrays: each column as few bytes of low entropy, to be compressed together with its neighbours.

A column is first reduced by the form that fits its values, then shuffled: all first bytes before all second bytes, as
by the shuffle filter of HDF5. Every form gives back every bit, the sign of zero and the payload of a NaN included.
"""

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import FrameError

Column = npt.NDArray[Any]
_KINDS = "biuf"
_SCALES = (1.0, 10.0, 100.0, 1000.0)
_PROBED = 512
"""Values that are tried before a whole column is converted."""
_NAN, _MINUS_ZERO = np.int32(-(2**31)), np.int32(-(2**31) + 1)
_MOST = float(2**31 - 2)


class Form(IntEnum):
    """Form of a column's bytes; the numbers stand in journals."""

    PLAIN = 0
    """The values."""
    CONSTANT = 1
    """One value for all."""
    NARROW = 2
    """Integers in the fewest bytes that hold them."""
    DIFFERENCES = 3
    """Integers: the first in 8 bytes, then differences in the fewest bytes that hold them."""
    SINGLE = 4
    """Doubles that are single-precision values."""
    DECIMAL = 5
    """Doubles with at most three decimals: the scale, then integers in the fewest bytes that hold them."""


def encoded(column: Column) -> tuple[Form, bytes]:
    """Return form and bytes of an array of booleans, integers or floats of any shape.

    Raises:
        FrameError: It holds anything else.
    """
    if column.dtype.kind not in _KINDS:
        raise FrameError(f"a column holds booleans, integers or floats, not {column.dtype}")
    flat = np.ascontiguousarray(column).reshape(-1)
    flat = flat.view(np.uint8) if flat.dtype.kind == "b" else flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    if len(flat) and flat[0] == flat[-1] and _same_bits(flat, np.broadcast_to(flat[0], flat.shape)):
        return Form.CONSTANT, flat[:1].tobytes()
    if flat.dtype.kind in "iu":
        return _integers(flat)
    return _doubles(flat) if flat.dtype.itemsize == np.dtype(np.float64).itemsize else (Form.PLAIN, _shuffled(flat))


def decoded(form: int, content: bytes | memoryview, dtype: str, count: int) -> Column:
    """Return the ``count`` values that ``encoded`` was given, shape ``(count,)``.

    Raises:
        FrameError: The bytes were not written by ``encoded``.
    """
    kind = np.dtype(dtype)
    stored = np.dtype(np.uint8) if kind.kind == "b" else kind.newbyteorder("<")
    try:
        values = _decoded(Form(form), content, stored, count)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise FrameError(f"a column of {len(content)} bytes cannot be read: {error}") from error
    if values.shape != (count,):
        raise FrameError(f"a column of {len(content)} bytes holds {len(values)} values, not {count}")
    return values.view(np.bool_) if kind.kind == "b" else values.astype(kind, copy=False)


def _decoded(form: Form, content: bytes | memoryview, stored: np.dtype[Any], count: int) -> Column:
    if form is Form.CONSTANT:
        return np.repeat(np.frombuffer(content, dtype=stored), count)
    if form is Form.NARROW:
        return _narrow(content, count).astype(stored)
    if form is Form.DIFFERENCES:
        steps = np.concatenate((np.frombuffer(content[:8], dtype="<i8"), _narrow(content[8:], count - 1)))
        return np.cumsum(steps, dtype=np.int64).astype(stored)
    if form is Form.SINGLE:
        return _unshuffled(content, np.dtype("<f4")).astype(stored)
    if form is Form.DECIMAL:
        return _from_decimal(_narrow(content[1:], count).astype(np.int32), _SCALES[content[0]])
    return _unshuffled(content, stored)


def _integers(flat: Column) -> tuple[Form, bytes]:
    """Return integers by value or by difference, whichever needs fewer bytes a value."""
    wide = flat.astype(np.int64, copy=False)  # the largest unsigned values wrap, and wrap back
    narrow = _narrowed(wide)
    with np.errstate(over="ignore"):
        steps = _narrowed(np.diff(wide))
    if steps.dtype.itemsize < narrow.dtype.itemsize or _rises_evenly(steps):
        return Form.DIFFERENCES, wide[:1].astype("<i8").tobytes() + _shuffled(steps)
    return Form.NARROW, _shuffled(narrow)


def _rises_evenly(steps: Column) -> bool:
    return bool(len(steps)) and bool((steps == steps[0]).all())


def _doubles(flat: Column) -> tuple[Form, bytes]:
    for code, scale in enumerate(_SCALES):
        if _decimal(flat[:_PROBED], scale) is not None:
            whole = _decimal(flat, scale)
            if whole is not None:
                return Form.DECIMAL, bytes([code]) + _shuffled(_narrowed(whole))
    if _is_single(flat[:_PROBED]) and _is_single(flat):
        return Form.SINGLE, _shuffled(flat.astype("<f4"))
    return Form.PLAIN, _shuffled(flat)


def _decimal(flat: Column, scale: float) -> npt.NDArray[np.int32] | None:
    """Return ``scale`` times the values as integers, NaN and -0.0 as the two lowest, ``None`` if a bit is lost."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(flat * scale)
        unknown = np.isnan(flat)
        if not (np.abs(scaled[~unknown]) < _MOST).all():
            return None
        whole = np.where(unknown, float(_NAN), scaled).astype(np.int32)
    whole[(flat == 0.0) & np.signbit(flat)] = _MINUS_ZERO
    return whole if _same_bits(_from_decimal(whole, scale), flat) else None


def _from_decimal(whole: npt.NDArray[np.int32], scale: float) -> Column:
    values = whole / scale
    values[whole == _NAN] = np.nan
    values[whole == _MINUS_ZERO] = -0.0
    return values


def _is_single(flat: Column) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return _same_bits(flat.astype("<f4").astype("<f8"), flat)


def _same_bits(one: Column, other: Column) -> bool:
    bits = f"<u{one.dtype.itemsize}"
    return np.array_equal(np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits))


def _narrowed(wide: Column) -> Column:
    low, high = int(wide.min(initial=0)), int(wide.max(initial=0))
    for dtype in ("<i1", "<i2", "<i4"):
        bounds = np.iinfo(dtype)
        if bounds.min <= low and high <= bounds.max:
            return wide.astype(dtype)
    return wide.astype("<i8")


def _narrow(content: bytes | memoryview, count: int) -> Column:
    """Return what ``_narrowed`` and ``_shuffled`` wrote; the width follows from the number of values."""
    width = len(content) // count if count else 1
    if width not in {1, 2, 4, 8} or width * count != len(content):
        raise FrameError(f"{len(content)} bytes are no column of {count} integers")
    return _unshuffled(content, np.dtype(f"<i{width}"))


def _shuffled(flat: Column) -> bytes:
    return np.ascontiguousarray(flat).view(np.uint8).reshape(len(flat), flat.dtype.itemsize).T.tobytes()


def _unshuffled(content: bytes | memoryview, dtype: np.dtype[Any]) -> Column:
    planes = np.frombuffer(content, dtype=np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
