"""Saying at once what is missing and why (domain.md, section 8, 6)."""

from collections.abc import Callable

import numpy as np

from vpp.dispatch.code_sets import among
from vpp.dispatch.columns import CommandTable
from vpp.dispatch.flexibility.device_flexibility import Hold
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import CLASSES, FleetIndex
from vpp.domain.request import Shortfall
from vpp.domain.telemetry import BoolArray, CodeArray, RowArray
from vpp.domain.timegrid import instant

_TOLD = (
    Hold.DISCONNECTED,
    Hold.UNREACHABLE,
    Hold.STALE,
    Hold.REFUSED,
    Hold.IGNORED,
    Hold.PROMISED,
    Hold.OUT_OF_SERVICE,
)

_LOSSES = tuple(why for why in _TOLD if why is not Hold.PROMISED)


def assess(
    *,
    previous: Shortfall | None,
    target_kw: float,
    lacking_kw: float,
    metered_kw: float,
    low_cycles: int,
    cause: Callable[[], str],
    expected_end_s: Callable[[], float],
    settings: DispatchSettings,
) -> Shortfall | None:
    """Return the flag a request should carry; one that changed little is left as it was told.

    Args:
        previous: The flag it carries.
        target_kw: Power due now.
        lacking_kw: Power that no row has room for.
        metered_kw: Delivered power by the meters.
        low_cycles: Cycles in a row in which that was far too little.
        cause: Tells why, counted.
        expected_end_s: Tells when rows may help again, infinite where nobody knows.
        settings: Thresholds.
    """
    metered_missing_kw = target_kw - metered_kw if low_cycles > settings.shortfall_cycles else 0.0
    missing_kw = max(lacking_kw, metered_missing_kw, 0.0)
    least_kw = settings.shortfall_room_ratio * target_kw * (1.0 if previous is None else 0.5)
    if missing_kw <= least_kw:
        return None
    step_kw = settings.shortfall_step_ratio * target_kw
    if previous is not None and abs(previous.missing_kw - missing_kw) <= step_kw:
        return previous
    end_s = expected_end_s()
    ends = instant(end_s) if np.isfinite(end_s) else None
    return Shortfall(missing_kw=missing_kw, cause=cause(), expected_end_at=ends)


def cause_of(index: FleetIndex, hold: CodeArray, portfolio: BoolArray) -> str:
    """Return who cannot give and why, counted by class and reason."""
    parts = []
    for kind in CLASSES:
        rows = index.rows_of(kind)
        tally = np.bincount(hold[rows[portfolio[rows]]], minlength=len(Hold))
        counts = [(int(tally[why]), why.name.lower()) for why in _TOLD]
        parts += [f"{count} {kind.value} {why}" for count, why in counts if count]
    return ", ".join((*parts, "no other row has room"))


def lost_rows(hold: CodeArray, enlisted: BoolArray) -> dict[str, RowArray]:
    """Return the enlisted rows that cannot be called, by the name of the reason; what drivers need is no loss."""
    codes = hold[enlisted]
    tally = np.bincount(codes, minlength=len(Hold))
    if not any(tally[why] for why in _LOSSES):
        return {}
    rows = np.flatnonzero(enlisted).astype(np.int32)
    return {why.name.lower(): rows[codes == why] for why in _LOSSES if tally[why]}


def next_help_s(commands: CommandTable, hold: CodeArray, portfolio: BoolArray) -> float:
    """Return when the first row that refused or ignored a command is asked again, infinite where none did."""
    waiting = portfolio & among(hold, (Hold.REFUSED, Hold.IGNORED))
    return float(np.min(commands.blocked_s[waiting], initial=np.inf))
