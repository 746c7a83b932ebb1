"""Sums of rows by code, without a copy of the rows."""

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray, Powers
from numerics.jit import njit


def grouped(values: npt.NDArray[np.floating], code: npt.NDArray[np.integer], count: int) -> FloatArray:
    """Return the sums of ``values`` over rows of equal ``code``, shape ``(count, steps)``; NaN stays NaN.

    Args:
        values: Shape ``(n, steps)``.
        code: Group of every row, below 0 for none, shape ``(n,)``.
        count: Number of groups.
    """
    total = np.zeros((count, values.shape[1]))
    _add_rows(values, code.astype(np.int64), total)
    return total


@njit()
def _add_rows(values: Powers, code: npt.NDArray[np.int64], total: FloatArray) -> None:
    for row in range(values.shape[0]):
        group = code[row]
        if group >= 0:
            for step in range(values.shape[1]):
                total[group, step] += values[row, step]
