"""The way back: never everyone at once, and in an order nobody can predict or influence."""

from functools import lru_cache
from hashlib import sha256

import numpy as np

from optimizer.allocate import merit_order
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE

_NOTHING_KW = 0.05
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@lru_cache(maxsize=8)
def lots(request_id: str, count: int) -> FloatArray:
    """Return each row's lot in ``[0, 1)``, read-only: the same for the same request and row, today and in a replay.

    SplitMix64 (Steele, Lea, Flood 2014) seeded with the request's id.
    """
    seed = int.from_bytes(sha256(request_id.encode()).digest()[:8], "big")
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * _MIX[0]
        z = (z ^ (z >> np.uint64(27))) * _MIX[1]
        z ^= z >> np.uint64(31)
    drawn = np.asarray((z >> np.uint64(11)).astype(np.float64) / 2.0**53)
    drawn.flags.writeable = False
    return drawn


def returned_kw(
    give_kw: FloatArray,
    lot: FloatArray,
    *,
    held_kw: float,
    timetable: PhaseTimes,
    now_s: float,
    headroom_kw: float,
    forced: bool = True,
) -> tuple[FloatArray, BoolArray]:
    """Return how much of its give each row takes back now, and which rows are let go altogether.

    What is still held follows a straight line from ``held_kw`` to 0 over the release; the rows return in the order of
    their lots, the one at the margin partly. Where returning would lift net load above its cap it waits, until the last
    stretch of the rebound watch brings everybody home along a second line.

    Args:
        give_kw: What each row of the request still gives, at least 0, NaN where it has no part, ``(n_resources,)``.
        lot: Order of return.
        held_kw: Sum of the gives when the release began.
        timetable: Of the request.
        now_s: Epoch seconds.
        headroom_kw: By how much net load may rise; infinite without a cap.
        forced: Everybody comes home within the watch, whatever the headroom.
    """
    part = ~np.isnan(give_kw)
    give = np.where(part, give_kw, 0.0)
    share = timetable.release_share(now_s)
    last_s = (timetable.watched_s - now_s) / max(timetable.released_s - timetable.end_s, SECONDS_PER_MINUTE)
    due_kw = float(give.sum()) - held_kw * share
    forced_kw = float(give.sum()) - held_kw * min(1.0, max(0.0, last_s - 0.1))
    amount_kw = max(min(due_kw, headroom_kw), forced_kw if forced else 0.0, 0.0)
    back = merit_order(amount_kw, give, lot)
    idle = (give <= _NOTHING_KW) & (lot <= 1.0 - share)
    gone = part & (idle | ((give > _NOTHING_KW) & (back >= give - _NOTHING_KW)))
    return back, gone
