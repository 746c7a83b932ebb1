"""Staged release under a rebound cap: a device is released only when headroom covers its expected rebound.

A building that was held back wants its coolness back, a car its energy. Without a cap rows return in stages and take
what they like. With one, buildings are held at their uncontrolled power until the headroom under the cap is large
enough for the rebound each of them is expected to show; where cars or others lift net load above what is aimed at, rows
are activated again. Whatever is still held when the watch ends is released in the order of lots, one after the other.
"""

from dataclasses import dataclass, replace

import numpy as np

from vpp.dispatch.allocation.staggered_release import release_lots, returned_kw
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.flexibility.device_rows import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.dispatch.settings import ReboundRules
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasing:
    """Request whose rows are being released.

    Attributes:
        request_id: Seeds the lots.
        number: The ``owner`` of its rows.
        times: Its phases.
        cap_kw: Greatest net load above the baseline, ``None`` for no cap.
    """

    request_id: str
    number: int
    times: PhaseTimes
    cap_kw: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReboundRelease:
    """One cycle of a staged release.

    Attributes:
        activated_kw: Activation that is left of each row, NaN where it is not assigned, shape ``(n_resources,)``.
        released: Rows that are released, shape ``(n_resources,)``.
        memory: Of the request.
        excess_kw: By how much net load is above what is aimed at under the cap.
    """

    activated_kw: FloatArray
    released: BoolArray
    memory: Tracking
    excess_kw: float


def release_rows(
    state: FleetState,
    held: AssignmentColumns,
    seen: FlexibilityScan,
    memory: Tracking,
    *,
    releasing: Releasing,
    expected_kw: float,
    debt_kwh: FloatArray,
    rebound: ReboundRules,
) -> ReboundRelease:
    """Return the rows of a request that are released now, in stages.

    Args:
        state: The snapshot.
        held: Assignment of every row.
        seen: The scan.
        memory: Of the request.
        releasing: The request.
        expected_kw: Delivery a moment from now; below 0 it is net load above the baseline.
        debt_kwh: Energy each building has deferred, shape ``(n_resources,)``.
        rebound: How near to the cap is aimed, and how fast buildings recover.
    """
    activated, cap_kw = seen.activated_kw, releasing.cap_kw
    if np.isnan(memory.release_kw):
        memory = replace(memory, release_kw=float(np.nansum(activated)))
    lot = release_lots(releasing.request_id, len(activated))
    aim_kw = np.inf if cap_kw is None else rebound.aim_ratio * cap_kw
    rebound_kw = debt_kwh * (SECONDS_PER_HOUR / rebound.recovery_s)
    coming = ~np.isnan(held.returning_s) & (held.owner != releasing.number)
    headroom = max(0.0, aim_kw + expected_kw - float(rebound_kw[coming].sum()))
    back, released = returned_kw(
        activated,
        lot,
        held_kw=memory.release_kw,
        times=releasing.times,
        now_s=state.at_s,
        headroom_kw=headroom,
        forced=cap_kw is None,
    )
    left = activated - back
    if cap_kw is not None:
        headroom = max(0.0, headroom - float(np.nansum(back)))
        released = _fitting(state, released, left, lot=lot, rebound_kw=rebound_kw, headroom=headroom)
    return ReboundRelease(activated_kw=left, released=released, memory=memory, excess_kw=-(aim_kw + expected_kw))


def _fitting(
    state: FleetState,
    released: BoolArray,
    left: FloatArray,
    *,
    lot: FloatArray,
    rebound_kw: FloatArray,
    headroom: float,
) -> BoolArray:
    """Return the rows that are released after all: of the buildings only those whose rebound fits under the cap."""
    buildings = state.index.rows_of(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    ready = buildings[left[buildings] <= NOTHING_KW]
    ready = ready[np.lexsort((lot[ready], np.round(rebound_kw[ready], 1)))]
    fits = np.cumsum(rebound_kw[ready]) <= headroom
    allowed = released.copy()
    allowed[buildings] = False
    allowed[ready[fits]] = True
    return allowed
