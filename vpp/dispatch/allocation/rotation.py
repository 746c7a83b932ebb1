"""Taking turns: who was shed for long is let go, and somebody who was spared takes the place."""

import numpy as np

from optimizer.allocate import merit_order
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE


def rotate(
    state: FleetState,
    roster: RosterTable,
    seen: FlexibilityScan,
    give: FloatArray,
    *,
    cost: FloatArray,
    number: int,
    settings: DispatchSettings,
) -> FloatArray:
    """Return the gives after some chargers have changed places; their sum stays.

    Args:
        state: The snapshot.
        roster: Who has worked for the request since when.
        seen: The survey.
        give: What each row gives, NaN where it has no part, shape ``(n_resources,)``.
        cost: Merit order, shape ``(n_resources,)``.
        number: The request.
        settings: After how long, and how many at once.
    """
    chargers = state.index.rows_of(ResourceClass.EV)
    tired = _tired(state, roster, seen, give, mine=chargers[roster.owner[chargers] == number], settings=settings)
    if not len(tired):
        return give
    fresh = chargers[(roster.owner[chargers] < 0) & np.isnan(roster.returning_s[chargers])]
    fresh = fresh[(seen.room_kw[fresh] > NOTHING_KW) & np.isnan(give[fresh])]
    spare_kw = float(seen.room_kw[fresh].sum())
    tired = tired[np.cumsum(give[tired]) <= 0.5 * spare_kw]
    share = merit_order(float(give[tired].sum()), seen.room_kw[fresh], cost[fresh])
    taken = share >= settings.resend_kw
    changed = give.copy()
    changed[tired] = np.nan
    changed[fresh[taken]] = share[taken]
    return changed


def _tired(
    state: FleetState,
    roster: RosterTable,
    seen: FlexibilityScan,
    give: FloatArray,
    *,
    mine: RowArray,
    settings: DispatchSettings,
) -> RowArray:
    """Return those who have been shed for longest, no more than may change at once."""
    long_ago_s = state.at_s - settings.rotate_minutes * SECONDS_PER_MINUTE
    shed = (give[mine] > NOTHING_KW) & seen.settled[mine] & np.isnan(roster.paused_s[mine])
    rows = mine[shed & (roster.taken_s[mine] <= long_ago_s)]
    most = max(1, int(settings.rotation_ratio * len(state)))
    return rows[np.argsort(roster.taken_s[rows], kind="stable")][:most]
