"""One language for plan, operator, request and guard: a preferred power inside bounds, merged by authority.

Whoever comes later may only narrow (architecture.md, rule 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray, RowArray


class Authority(IntEnum):
    """Who outranks whom; the lower number is heard first."""

    DEVICE_SAFETY = 0
    TRANSFORMER_CAP = 1
    PROMISE = 2
    EMERGENCY = 3
    REGULATION = 4
    PEAK_SHAVING = 5
    TARIFF = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one voice would like of some rows; shape ``(n,)`` each, load positive.

    Attributes:
        source: Who speaks, e.g. ``"plan"`` or a request id.
        priority: How much weight it has.
        rows: Fleet rows, each at most once.
        preferred_kw: Power it would like, NaN where it only bounds.
        low_kw: Least power it accepts, ``-inf`` where it does not care.
        high_kw: Greatest power it accepts, ``inf`` where it does not care.
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
    """What is left when all have spoken; shape ``(n_resources,)`` each.

    Attributes:
        power_kw: Preferred power of the highest voice that named one, inside the bounds; NaN where nobody did.
        low_kw: Least power.
        high_kw: Greatest power, at or above ``low_kw``.
        voice: Position in the given proposals of the voice that prevailed, -1 where nobody named a power.
    """

    power_kw: FloatArray
    low_kw: FloatArray
    high_kw: FloatArray
    voice: RowArray


def voice(source: str, authority: Authority, preferred_kw: FloatArray) -> Proposal:
    """Return the proposal of one voice that speaks for the rows where it prefers a power, unbounded.

    Args:
        source: Who speaks.
        authority: With what weight.
        preferred_kw: Power it would like, NaN in rows it does not speak for, shape ``(n_resources,)``.
    """
    rows = np.flatnonzero(~np.isnan(preferred_kw)).astype(np.int32)
    return spoken(source, authority, rows, preferred_kw[rows])


def spoken(source: str, authority: Authority, rows: RowArray, preferred_kw: FloatArray) -> Proposal:
    """Return the proposal of one voice for ``rows``, unbounded; NaN where it only bounds, shape ``(len(rows),)``."""
    return Proposal(
        source=source,
        priority=authority,
        rows=rows,
        preferred_kw=preferred_kw,
        low_kw=np.full(len(rows), -np.inf),
        high_kw=np.full(len(rows), np.inf),
    )


def merge(proposals: Sequence[Proposal], low_kw: FloatArray, high_kw: FloatArray) -> Merged:
    """Merge proposals in the order of authority inside the device bounds.

    Bounds that do not meet those of a higher voice collapse to the nearest point the higher ones allow, so the result
    always keeps to the device and to every higher voice that can be kept to. Equals are heard in the order given.

    Args:
        proposals: Any number, in any order.
        low_kw: Least power each device can take, shape ``(n_resources,)``.
        high_kw: Greatest power each device can take, shape ``(n_resources,)``.
    """
    low, high = low_kw.copy(), high_kw.copy()
    preferred = np.full(low.shape, np.nan)
    voice = np.full(low.shape, -1, dtype=np.int32)
    for position in sorted(range(len(proposals)), key=lambda i: proposals[i].priority):
        proposal = proposals[position]
        rows = proposal.rows
        floor, ceiling = low[rows], high[rows]
        low[rows] = np.clip(proposal.low_kw, floor, ceiling)
        high[rows] = np.clip(np.maximum(proposal.high_kw, proposal.low_kw), floor, ceiling)
        heard = np.isnan(preferred[rows]) & ~np.isnan(proposal.preferred_kw)
        preferred[rows[heard]] = proposal.preferred_kw[heard]
        voice[rows[heard]] = position
    return Merged(power_kw=np.clip(preferred, low, high), low_kw=low, high_kw=high, voice=voice)
