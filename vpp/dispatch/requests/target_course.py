"""Course of the power due from a request that was revised under way: straight lines from corner to corner."""

from bisect import bisect_right
from collections.abc import Sequence

from vpp.domain.request import Revision
from vpp.domain.units import SECONDS_PER_MINUTE

Corner = tuple[float, float]
"""Epoch seconds and kW."""


def due_at(corners: Sequence[Corner], now_s: float) -> float:
    """Return the power at ``now_s``: nothing before the first corner, the last one's after it."""
    place = bisect_right(corners, (now_s, float("inf"))) - 1
    if place < 0:
        return 0.0
    (from_s, from_kw), last = corners[place], place == len(corners) - 1
    if last:
        return from_kw
    until_s, until_kw = corners[place + 1]
    return from_kw + (until_kw - from_kw) * (now_s - from_s) / (until_s - from_s)


def course(revisions: Sequence[Revision], *, ramp_s: float, start_s: float, ramp_minutes: float) -> tuple[Corner, ...]:
    """Return the corners of ramp and hold with the changes in force, the end left open.

    A change in the hold is reached by a ramp as steep as the request's own from nothing to its larger power; one in the
    ramp is due at the start, or as soon after it as such a ramp allows.

    Args:
        revisions: Those in force, in the order in which they came into force; at least one.
        ramp_s: Epoch seconds at which the ramp begins.
        start_s: Epoch seconds from which the full power is due.
        ramp_minutes: Length of the request's own ramp.
    """
    corners: list[Corner] = [(ramp_s, 0.0), (start_s, revisions[0].before_kw or 0.0)]
    for revision in revisions:
        at_s = revision.accepted_at.timestamp() if revision.accepted_at else start_s
        target_kw = revision.accepted_kw or 0.0
        if at_s <= ramp_s:
            corners = [(ramp_s, 0.0), (start_s, target_kw)]
            continue
        now_kw, before_kw = due_at(corners, at_s), revision.before_kw or 0.0
        steep = abs(target_kw - now_kw) / max(target_kw, before_kw, 1e-9)
        reached_s = max(at_s + SECONDS_PER_MINUTE * ramp_minutes * steep, start_s)
        corners = [*(corner for corner in corners if corner[0] < at_s), (at_s, now_kw), (reached_s, target_kw)]
    return tuple(corners)
