"""Merit order: contribution of each row when the cheapest go first.

Only the rows at the margin need to be put in order: a histogram of room over the key finds them, again and again
within its own bin, so that hundreds of thousands of rows are shared out in one or two passes.
"""

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray
from numerics.jit import njit
from numerics.views import read_only
from optimizer.problem.validation import finite, shaped

_BINS = 512
_FEW = 2048
"""So many rows are simply sorted."""


def merit_order(amount_kw: float, room_kw: FloatArray, key: FloatArray) -> FloatArray:
    """Fill rows in order of their key, lowest first; the last one partially.

    Args:
        amount_kw: Power that is wanted; at or below 0 no row gives any.
        room_kw: How much each row can give; negative and NaN count as none, shape ``(n,)``.
        key: Priority, lower first, rows of equal key in row order, shape ``(n,)``.

    Returns:
        Share of each row in ``[0, room_kw]``, summing to ``min(amount_kw, sum of room)``, shape ``(n,)``.

    Raises:
        ProblemError: ``amount_kw`` or a key is unknown, or the shapes differ.
    """
    finite("amount_kw", amount_kw)
    finite("key", shaped("key", key, room_kw.shape))
    return _filled(
        amount_kw, read_only(room_kw.astype(np.float64, copy=False)), read_only(key.astype(np.float64, copy=False))
    )


@njit()
def _filled(amount_kw: float, room_kw: FloatArray, key: FloatArray) -> FloatArray:
    share = np.zeros(len(room_kw))
    rows = np.empty(len(room_kw), dtype=np.int64)
    count = 0
    for row in range(len(room_kw)):
        if room_kw[row] > 0.0:
            rows[count] = row
            count += 1
    left_kw, rows = amount_kw, rows[:count]
    while left_kw > 0.0 and len(rows) > 0:
        low, high = _range(rows, key)
        if len(rows) <= _FEW or not low < high:
            _fill_in_order(left_kw, rows, room_kw, key, share)
            break
        left_kw, rows = _fill_below_margin(left_kw, rows, room_kw, key, share, low, high)
    return share


@njit()
def _range(rows: npt.NDArray[np.int64], key: FloatArray) -> tuple[float, float]:
    low = high = key[rows[0]]
    for row in rows:
        low, high = min(low, key[row]), max(high, key[row])
    return low, high


@njit()
def _bin(value: float, low: float, high: float) -> int:
    return min(int((value - low) / (high - low) * _BINS), _BINS - 1)


@njit()
def _fill_below_margin(  # noqa: PLR0917 - a kernel takes arguments by position
    amount_kw: float,
    rows: npt.NDArray[np.int64],
    room_kw: FloatArray,
    key: FloatArray,
    share: FloatArray,
    low: float,
    high: float,
) -> tuple[float, npt.NDArray[np.int64]]:
    """Fill every row whose bin lies below the margin; return what is left for the rows of the bin at the margin."""
    offered_kw = np.zeros(_BINS)
    for row in rows:
        offered_kw[_bin(key[row], low, high)] += room_kw[row]
    margin, left_kw = 0, amount_kw
    while margin < _BINS and left_kw > offered_kw[margin]:
        left_kw -= offered_kw[margin]
        margin += 1
    count = 0
    at_margin = np.empty(len(rows), dtype=np.int64)
    for row in rows:
        place = _bin(key[row], low, high)
        if place < margin:
            share[row] = room_kw[row]
        elif place == margin:
            at_margin[count] = row
            count += 1
    return left_kw, at_margin[:count]


@njit()
def _fill_in_order(
    amount_kw: float, rows: npt.NDArray[np.int64], room_kw: FloatArray, key: FloatArray, share: FloatArray
) -> None:
    left_kw = amount_kw
    for place in np.argsort(key[rows], kind="mergesort"):
        row = rows[place]
        share[row] = min(room_kw[row], left_kw)
        left_kw -= share[row]
        if left_kw <= 0.0:
            break
