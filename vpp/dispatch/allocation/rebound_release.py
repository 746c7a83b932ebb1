"""The way back under a cap: nobody is let go before there is room for what he will want more than usual.

A building that was held back wants its coolness back, a car its energy. Without a cap rows return in stages and take
what they like. With one, buildings are held at the power they would have taken without the request until the room
under the cap is large enough for the rebound each of them is expected to show; where cars or others lift net load above
what is aimed at, rows give again. Whoever is still held when the watch ends goes home by lot, one after the other.
"""

from dataclasses import dataclass, replace

import numpy as np

from vpp.dispatch.allocation.staggered_release import lots, returned_kw
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class ReboundRelease:
    """One cycle of the way back.

    Attributes:
        give_kw: What each row still gives, NaN where it has no part, shape ``(n_resources,)``.
        gone: Rows that are let go, shape ``(n_resources,)``.
        excess_kw: By how much net load is above what is aimed at under the cap.
    """

    give_kw: FloatArray
    gone: BoolArray
    memory: Tracking
    excess_kw: float


def bring_home(
    state: FleetState,
    roster: RosterTable,
    seen: FlexibilityScan,
    memory: Tracking,
    *,
    request_id: str,
    number: int,
    timetable: PhaseTimes,
    expected_kw: float,
    cap_kw: float | None,
    debt_kwh: FloatArray,
    settings: DispatchSettings,
) -> ReboundRelease:
    """Let the rows of a request return in stages.

    Args:
        state: The snapshot.
        roster: Who works for the request.
        seen: The survey.
        memory: Of the request.
        request_id: Seeds the lots.
        number: The request.
        timetable: Of the request.
        expected_kw: Delivery a moment from now; below 0 it is net load above the baseline.
        cap_kw: Greatest net load above the baseline, ``None`` for no cap.
        debt_kwh: What each building has deferred, shape ``(n_resources,)``.
        settings: How near to the cap is aimed.
    """
    give = seen.give_kw
    if np.isnan(memory.release_kw):
        memory = replace(memory, release_kw=float(np.nansum(give)))
    lot = lots(request_id, len(give))
    aim_kw = np.inf if cap_kw is None else settings.rebound_aim_ratio * cap_kw
    rebound_kw = debt_kwh * (SECONDS_PER_HOUR / settings.rebound_s)
    coming = ~np.isnan(roster.returning_s) & (roster.owner != number)
    headroom = max(0.0, aim_kw + expected_kw - float(rebound_kw[coming].sum()))
    back, gone = returned_kw(
        give,
        lot,
        held_kw=memory.release_kw,
        timetable=timetable,
        now_s=state.at_s,
        headroom_kw=headroom,
        forced=cap_kw is None,
    )
    left = give - back
    if cap_kw is not None:
        headroom = max(0.0, headroom - float(np.nansum(back)))
        gone = _held_back(state, gone, left, lot=lot, rebound_kw=rebound_kw, headroom=headroom)
    return ReboundRelease(give_kw=left, gone=gone, memory=memory, excess_kw=-(aim_kw + expected_kw))


def _held_back(
    state: FleetState,
    gone: BoolArray,
    left: FloatArray,
    *,
    lot: FloatArray,
    rebound_kw: FloatArray,
    headroom: float,
) -> BoolArray:
    """Return who is let go after all: of the buildings only those whose rebound fits under the cap."""
    buildings = state.index.rows_of(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    ready = buildings[left[buildings] <= NOTHING_KW]
    ready = ready[np.lexsort((lot[ready], np.round(rebound_kw[ready], 1)))]
    fits = np.cumsum(rebound_kw[ready]) <= headroom
    allowed = gone.copy()
    allowed[buildings] = False
    allowed[ready[fits]] = True
    return allowed
