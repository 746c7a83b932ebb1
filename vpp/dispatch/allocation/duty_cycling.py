"""Below the floor by turns: where chargers at 6 A are not enough, some of them pause, never long and never too often.

A charger cannot take less than its floor, so less is realised by switching: each pauses for ``pause_s`` and charges for
``resume_s`` at least in between, and whose last pause is longest ago is next.
"""

import numpy as np

from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW, Hold
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray


def end_pauses(roster: RosterTable, number: int, at_s: float, settings: DispatchSettings) -> None:
    """Let the chargers of request ``number`` go on whose pause is over."""
    paused = np.flatnonzero(~np.isnan(roster.paused_s))
    over = paused[(roster.owner[paused] != number) | (at_s - roster.paused_s[paused] >= settings.pause_s)]
    roster.paused_s[over] = np.nan
    roster.resumed_s[over] = at_s


def begin_pauses(
    state: FleetState,
    roster: RosterTable,
    seen: FlexibilityScan,
    give: FloatArray,
    *,
    lacking_kw: float,
    number: int,
    settings: DispatchSettings,
) -> float:
    """Let chargers pause until ``lacking_kw`` is made up for; return how much is.

    Args:
        state: The snapshot.
        roster: Whose ``paused_s`` is changed.
        seen: The survey.
        give: What each row gives; raised for those that pause, shape ``(n_resources,)``.
        lacking_kw: What no row has room for, above 0.
        number: The request.
        settings: Times of a pause.
    """
    rows = state.index.rows_of(ResourceClass.EV)
    rows = rows[(roster.owner[rows] == number) & (seen.hold[rows] == Hold.NONE) & np.isnan(roster.paused_s[rows])]
    floor = state.index.nameplate.floor_kw[rows]
    at_floor = (seen.room_kw[rows] - give[rows] <= NOTHING_KW) & (seen.free_kw[rows] >= floor) & (floor > 0.0)
    rested = state.at_s - roster.resumed_s[rows] >= settings.resume_s
    with np.errstate(divide="ignore", invalid="ignore"):
        lax_s = state.departure_s[rows] - state.at_s - 3600.0 * state.need_kwh[rows] / seen.free_kw[rows]
    rows = rows[at_floor & rested & (lax_s > settings.laxity_margin_s + settings.pause_margin_s)]
    rows = rows[np.argsort(roster.resumed_s[rows], kind="stable")]
    gained = np.cumsum(state.index.nameplate.floor_kw[rows])
    rows = rows[: int(np.searchsorted(gained, lacking_kw)) + 1]
    roster.paused_s[rows] = state.at_s
    gained_kw = float(state.index.nameplate.floor_kw[rows].sum())
    give[rows] = seen.free_kw[rows]
    return gained_kw
