"""Duty cycling of chargers below their floor: where 6 A is not low enough, some pause, never long and never too often.

A charger cannot take less than its floor, so less is reached by switching: each pauses for ``pause_s`` and charges for
``resume_s`` at least in between, and the one whose last pause is longest ago is next.
"""

import numpy as np

from vpp.dispatch.flexibility.device_rows import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.flexibility.unavailability import Unavailability
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import DutyCycle
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState


def end_pauses(assignments: Assignments, number: int, at_s: float, duty: DutyCycle) -> None:
    """Resume the chargers of request ``number`` whose pause is over."""
    held = assignments.columns
    paused = np.flatnonzero(~np.isnan(held.paused_s))
    over = (held.owner[paused] != number) | (at_s - held.paused_s[paused] >= duty.pause_s)
    assignments.resume(paused[over], at_s)


def begin_pauses(
    state: FleetState,
    assignments: Assignments,
    seen: FlexibilityScan,
    activated: FloatArray,
    *,
    missing_kw: float,
    number: int,
    duty: DutyCycle,
) -> float:
    """Pause chargers until ``missing_kw`` is made up for; return how much is.

    Args:
        state: The snapshot.
        assignments: State of the rows.
        seen: The scan.
        activated: Activation of every row; raised for those that pause, shape ``(n_resources,)``.
        missing_kw: Power due that no row has available, above 0.
        number: The request.
        duty: Lengths of pauses, and the slack they need.
    """
    held, rows = assignments.columns, state.index.rows_of(ResourceClass.EV)
    mine = (held.owner[rows] == number) & (seen.unavailability[rows] == Unavailability.NONE)
    rows = rows[mine & np.isnan(held.paused_s[rows])]
    floor = state.index.nameplate.floor_kw[rows]
    at_floor = (seen.available_kw[rows] - activated[rows] <= NOTHING_KW) & (floor > 0.0)
    at_floor &= seen.uncontrolled_kw[rows] >= floor
    rested = state.at_s - held.resumed_s[rows] >= duty.resume_s
    with np.errstate(divide="ignore", invalid="ignore"):
        needed_s = SECONDS_PER_HOUR * state.need_kwh[rows] / seen.uncontrolled_kw[rows]
        lax_s = state.departure_s[rows] - state.at_s - needed_s
    lax = lax_s > state.index.limits.promise_margin_s[rows] + duty.margin_s
    rows = rows[at_floor & rested & lax]
    rows = rows[np.argsort(held.resumed_s[rows], kind="stable")]
    gained = np.cumsum(state.index.nameplate.floor_kw[rows])
    rows = rows[: int(np.searchsorted(gained, missing_kw)) + 1]
    assignments.pause(rows, state.at_s)
    activated[rows] = seen.uncontrolled_kw[rows]
    return float(state.index.nameplate.floor_kw[rows].sum())
