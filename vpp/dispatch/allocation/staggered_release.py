"""Staggered release: never every device at once, and in an order that cannot be predicted or influenced."""

from functools import lru_cache
from hashlib import sha256

import numpy as np

from numerics.spread import GOLDEN_WORD, mixed
from optimizer.allocate import merit_order
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE

_NOTHING_KW = 0.05
_LEFTOVER = "home"
"""Seeds the lots of the second release. Lots of their own: the first ones are why these rows, and no others, are still
held. A word of old journals' replays; it must stay."""


@lru_cache(maxsize=8)
def release_lots(seed: str, count: int) -> FloatArray:
    """Return each row's lot in ``[0, 1)``, read-only, ``(count,)``: the same for a seed and row, now and in a replay.

    Args:
        seed: The request's id, or another name.
        count: Rows.
    """
    first = int.from_bytes(sha256(seed.encode()).digest()[:8], "big")
    with np.errstate(over="ignore"):
        words = mixed(np.arange(1, count + 1, dtype=np.uint64) * GOLDEN_WORD + np.uint64(first))
    drawn = np.asarray((words >> np.uint64(11)).astype(np.float64) / 2.0**53)
    drawn.flags.writeable = False
    return drawn


def returned_kw(
    activated_kw: FloatArray,
    lot: FloatArray,
    *,
    held_kw: float,
    times: PhaseTimes,
    now_s: float,
    headroom_kw: float,
    forced: bool = True,
) -> tuple[FloatArray, BoolArray]:
    """Return how much of its activation each row takes back now, and the rows that are released altogether.

    What is still held follows a straight line from ``held_kw`` to 0 over the release; the rows return in the order of
    their lots, the one at the margin partly. Where returning would lift net load above its cap it waits, until the last
    stretch of the rebound watch releases all rows along a second line.

    Args:
        activated_kw: Activation that is left of each row, at least 0, NaN where it is not assigned, ``(n_resources,)``.
        lot: Order of return, shape ``(n_resources,)``.
        held_kw: Sum of the activations when the release began.
        times: Phases of the request.
        now_s: Epoch seconds.
        headroom_kw: By how much net load may rise; infinite without a cap.
        forced: Every row is released within the watch, whatever the headroom.
    """
    part = ~np.isnan(activated_kw)
    activated = np.where(part, activated_kw, 0.0)
    share = times.release_share(now_s)
    last_s = (times.watched_s - now_s) / max(times.released_s - times.end_s, SECONDS_PER_MINUTE)
    due_kw = float(activated.sum()) - held_kw * share
    forced_kw = float(activated.sum()) - held_kw * min(1.0, max(0.0, last_s - 0.1))
    amount_kw = max(min(due_kw, headroom_kw), forced_kw if forced else 0.0, 0.0)
    back = merit_order(amount_kw, activated, lot)
    idle = (activated <= _NOTHING_KW) & (lot <= 1.0 - share)
    released = part & (idle | ((activated > _NOTHING_KW) & (back >= activated - _NOTHING_KW)))
    return back, released


def leftover_due_s(request_id: str, rows: RowArray, count: int, *, now_s: float, stretch_s: float) -> FloatArray:
    """Return when ``rows`` that a rebound cap still holds at the end of the watch are released, shape ``(len(rows),)``.

    Args:
        request_id: The request that ended.
        rows: Its rows.
        count: Rows of the fleet.
        now_s: Epoch seconds.
        stretch_s: Time over which they are spread.
    """
    return now_s + stretch_s * release_lots(f"{request_id} {_LEFTOVER}", count)[rows]
