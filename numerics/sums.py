"""Sums of rows by code, without a copy of the rows."""

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray, Powers
from numerics.jit import njit
from numerics.views import read_only


def grouped(values: npt.NDArray[np.floating], code: npt.NDArray[np.integer], count: int) -> FloatArray:
    """Return the sums of ``values`` over rows of equal ``code``; NaN stays NaN.

    Args:
        values: Shape ``(n,)`` or ``(n, steps)``.
        code: Group of every row, below 0 for none, shape ``(n,)``.
        count: Number of groups.

    Returns:
        Shape ``(count,)`` or ``(count, steps)``.
    """
    return _grouped(values, code, count, known=False)


def grouped_known(values: npt.NDArray[np.floating], code: npt.NDArray[np.integer], count: int) -> FloatArray:
    """Return the sums of ``values`` over rows of equal ``code``, leaving out NaN.

    Args:
        values: Shape ``(n,)`` or ``(n, steps)``.
        code: Group of every row, below 0 for none, shape ``(n,)``.
        count: Number of groups.

    Returns:
        Shape ``(count,)`` or ``(count, steps)``.
    """
    return _grouped(values, code, count, known=True)


def _grouped(values: npt.NDArray[np.floating], code: npt.NDArray[np.integer], count: int, *, known: bool) -> FloatArray:
    total = np.zeros((count, *values.shape[1:]))
    group = code.astype(np.int64, copy=False)
    if values.ndim == 1:
        _add(read_only(values), read_only(group), total, known)
    else:
        _add_rows(values, group, total, known)
    return total


@njit()
def _add(values: Powers, code: npt.NDArray[np.int64], total: FloatArray, known: bool) -> None:  # noqa: FBT001 - a kernel takes arguments by position
    for row in range(values.shape[0]):
        if code[row] >= 0 and not (known and np.isnan(values[row])):
            total[code[row]] += values[row]


@njit()
def _add_rows(values: Powers, code: npt.NDArray[np.int64], total: FloatArray, known: bool) -> None:  # noqa: FBT001 - a kernel takes arguments by position
    for row in range(values.shape[0]):
        group = code[row]
        if group >= 0:
            for step in range(values.shape[1]):
                if not (known and np.isnan(values[row, step])):
                    total[group, step] += values[row, step]
