"""Merit order: who contributes how much when the cheapest go first."""

import numpy as np

from optimizer.validation import FloatArray, finite, shaped


def merit_order(amount_kw: float, room_kw: FloatArray, key: FloatArray) -> FloatArray:
    """Fill rows in order of their key, lowest first; the last one partially.

    Args:
        amount_kw: How much is wanted; at or below 0 nobody gives anything.
        room_kw: How much each row can give; negative and NaN count as none, shape ``(n,)``.
        key: Priority, lower first, rows of equal key in row order, shape ``(n,)``.

    Returns:
        Share of each row in ``[0, room_kw]``, summing to ``min(amount_kw, sum of room)``, shape ``(n,)``.

    Raises:
        ProblemError: ``amount_kw`` or a key is unknown, or the shapes differ.
    """
    finite("amount_kw", amount_kw)
    finite("key", shaped("key", key, room_kw.shape))
    room = np.fmax(room_kw, 0.0)
    order = np.argsort(key, kind="stable")
    ordered = room[order]
    before = np.concatenate(([0.0], np.cumsum(ordered)[:-1])) if len(ordered) else ordered
    share = np.empty_like(room)
    share[order] = np.clip(amount_kw - before, 0.0, ordered)
    return share
