"""Proposals of plan, requests, promises and caps: a preferred power inside bounds, merged by authority.

A proposal of lower authority may only narrow (architecture.md, rule 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray, RowArray


class Authority(IntEnum):
    """Order of authority; the lower number prevails."""

    DEVICE_SAFETY = 0
    TRANSFORMER_CAP = 1
    PROMISE = 2
    EMERGENCY = 3
    REGULATION = 4
    PEAK_SHAVING = 5
    TARIFF = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Preferred power and bounds for some rows; shape ``(n,)`` each, load positive.

    Attributes:
        source: Its origin, e.g. ``"plan"`` or a request id.
        priority: Its authority.
        rows: Fleet rows, each at most once.
        preferred_kw: Preferred power, NaN where only bounds are proposed.
        low_kw: Least power, ``-inf`` for no bound.
        high_kw: Greatest power, ``inf`` for no bound.
    """

    source: str
    priority: Authority
    rows: RowArray
    preferred_kw: FloatArray
    low_kw: FloatArray
    high_kw: FloatArray

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.rows, self.preferred_kw, self.low_kw, self.high_kw)}
        if len(shapes) != 1:
            raise InputError("Proposal", sorted(shapes), "four arrays of one shape (n,)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Result of a merge; shape ``(n_resources,)`` each.

    Attributes:
        power_kw: Preferred power of the highest authority that named one, inside the bounds; NaN where none did.
        low_kw: Least power.
        high_kw: Greatest power, at or above ``low_kw``.
    """

    power_kw: FloatArray
    low_kw: FloatArray
    high_kw: FloatArray


def preference(source: str, authority: Authority, preferred_kw: FloatArray) -> Proposal:
    """Return an unbounded proposal for the rows where a power is preferred.

    Args:
        source: Its origin.
        authority: Its authority.
        preferred_kw: Preferred power, NaN in rows without a preference, shape ``(n_resources,)``.
    """
    rows = np.flatnonzero(~np.isnan(preferred_kw)).astype(np.int32)
    return Proposal(
        source=source,
        priority=authority,
        rows=rows,
        preferred_kw=preferred_kw[rows],
        low_kw=np.full(len(rows), -np.inf),
        high_kw=np.full(len(rows), np.inf),
    )


def merge(proposals: Sequence[Proposal], low_kw: FloatArray, high_kw: FloatArray) -> Merged:
    """Merge proposals in the order of authority inside the device bounds.

    Bounds that do not meet those of a higher authority collapse to the nearest point the higher ones allow, so the
    result always keeps to the device and to every higher authority that can be kept to. Equals count as given.

    Args:
        proposals: Any number, in any order.
        low_kw: Least power each device can take, shape ``(n_resources,)``.
        high_kw: Greatest power each device can take, shape ``(n_resources,)``.
    """
    low, high = low_kw.copy(), high_kw.copy()
    preferred = np.full(low.shape, np.nan)
    for position in sorted(range(len(proposals)), key=lambda i: proposals[i].priority):
        proposal = proposals[position]
        rows = proposal.rows
        floor, ceiling = low[rows], high[rows]
        low[rows] = np.clip(proposal.low_kw, floor, ceiling)
        high[rows] = np.clip(np.maximum(proposal.high_kw, proposal.low_kw), floor, ceiling)
        named = np.isnan(preferred[rows]) & ~np.isnan(proposal.preferred_kw)
        preferred[rows[named]] = proposal.preferred_kw[named]
    return Merged(power_kw=np.clip(preferred, low, high), low_kw=low, high_kw=high)
