"""Shortfall of a running request: missing power, its cause and its expected end (domain.md, section 8, 6)."""

from collections.abc import Callable

import numpy as np

from vpp.dispatch.code_sets import among
from vpp.dispatch.flexibility.unavailability import Unavailability
from vpp.dispatch.settings import ShortfallThresholds
from vpp.domain.request import Shortfall
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.domain.timegrid import instant
from vpp.fleet.index import CLASSES, FleetIndex

_NAMED = (
    Unavailability.DISCONNECTED,
    Unavailability.UNREACHABLE,
    Unavailability.STALE,
    Unavailability.REFUSED,
    Unavailability.IGNORED,
    Unavailability.PROMISED,
    Unavailability.OUT_OF_SERVICE,
)

_LOSSES = tuple(why for why in _NAMED if why is not Unavailability.PROMISED)


def assess(
    *,
    previous: Shortfall | None,
    target_kw: float,
    lacking_kw: float,
    metered_kw: float,
    low_cycles: int,
    cause: Callable[[], str],
    expected_end_s: Callable[[], float],
    thresholds: ShortfallThresholds,
) -> Shortfall | None:
    """Return the shortfall flag of a request; one that changed little stays as it is.

    Args:
        previous: The flag it carries.
        target_kw: Power due now.
        lacking_kw: Power due that no row has available.
        metered_kw: Delivered power by the meters.
        low_cycles: Cycles in a row in which that was far too little.
        cause: Returns the causes, counted.
        expected_end_s: Returns when rows may help again, infinite where it is not known.
        thresholds: Of the flag.
    """
    metered_missing_kw = target_kw - metered_kw if low_cycles > thresholds.cycles else 0.0
    missing_kw = max(lacking_kw, metered_missing_kw, 0.0)
    least_kw = thresholds.missing_ratio * target_kw * (1.0 if previous is None else 0.5)
    if missing_kw <= least_kw:
        return None
    step_kw = thresholds.step_ratio * target_kw
    if previous is not None and abs(previous.missing_kw - missing_kw) <= step_kw:
        return previous
    end_s = expected_end_s()
    ends = instant(end_s) if np.isfinite(end_s) else None
    return Shortfall(missing_kw=missing_kw, cause=cause(), expected_end_at=ends)


def cause_of(index: FleetIndex, unavailability: CodeArray, portfolio: BoolArray) -> str:
    """Return the unavailable devices in words, counted by class and reason.

    Args:
        index: The fleet.
        unavailability: Code of every row, shape ``(n_resources,)``.
        portfolio: Rows that count, likewise.
    """
    parts = []
    for kind in CLASSES:
        rows = index.rows_of(kind)
        tally = np.bincount(unavailability[rows[portfolio[rows]]], minlength=len(Unavailability))
        counts = [(int(tally[why]), why.name.lower()) for why in _NAMED]
        parts += [f"{count} {kind.value} {why}" for count, why in counts if count]
    return ", ".join((*parts, "no other row has room"))


def lost_rows(unavailability: CodeArray, enlisted: BoolArray) -> dict[str, RowArray]:
    """Return the enlisted rows that are unavailable, by the name of the reason; what drivers need is no loss."""
    codes = unavailability[enlisted]
    tally = np.bincount(codes, minlength=len(Unavailability))
    if not any(tally[why] for why in _LOSSES):
        return {}
    rows = np.flatnonzero(enlisted).astype(np.int32)
    return {why.name.lower(): rows[codes == why] for why in _LOSSES if tally[why]}


def next_help_s(blocked_s: FloatArray, unavailability: CodeArray, portfolio: BoolArray) -> float:
    """Return when the first row that refused or ignored a command is tried again, infinite where none did."""
    waiting = portfolio & among(unavailability, (Unavailability.REFUSED, Unavailability.IGNORED))
    return float(np.min(blocked_s[waiting], initial=np.inf))
