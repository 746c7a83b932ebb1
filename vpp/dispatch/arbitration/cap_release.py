"""Rows that a transformer's cap holds, and how they return when there is room again."""

import numpy as np

from numerics.jit import njit
from vpp.dispatch.arbitration.feeder_loads import FeederTree
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet_state import FleetState
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray

_NOTHING_KW = 0.05
_MOST_RAISED = 200
"""Rows that may return from a cap in one cycle."""
_LEFT_OF_ROOM = 0.1
"""Part of the room above what is not ours that returning rows leave; a limit's own share may be more than there is."""


def lift_caps(
    roster: RosterTable,
    tree: FeederTree,
    state: FleetState,
    *,
    shown_kw: FloatArray,
    free_kw: FloatArray,
    kept: BoolArray,
    order: FloatArray,
    settings: DispatchSettings,
    least_kw: FloatArray | None = None,
) -> bool:
    """Let rows return whose transformers have room again, a few at a time, urgent sessions first; say if any did.

    Args:
        roster: Whose ``cap_kw`` and ``returning_s`` are changed.
        tree: The transformers.
        state: The snapshot.
        shown_kw: What each row counts for, the most it may take, shape ``(n_resources,)``.
        free_kw: Power each row would take if it were free, shape ``(n_resources,)``.
        kept: Rows whose driver must not be touched, shape ``(n_resources,)``.
        order: Merit of being cut, the last to be cut return first, shape ``(n_resources,)``.
        settings: Share of a limit below which rows return.
        least_kw: The least each row may take; ``shown_kw`` where nothing is in doubt.
    """
    capped = np.flatnonzero(~np.isnan(roster.cap_kw))
    if not len(capped):
        return False
    staying = np.isnan(roster.returning_s)
    expected = np.where(staying, shown_kw, free_kw)
    lowest = np.where(staying, shown_kw if least_kw is None else least_kw, free_kw)
    held_kw = np.fmin(roster.cap_kw[capped], roster.setpoint_kw[capped])
    expected[capped] = lowest[capped] = within_reach(held_kw, state.available_min_kw[capped])
    waiting = capped[np.lexsort((-order[capped], ~kept[capped]))][:_MOST_RAISED]
    lifted = _lifted(
        tree.node[waiting],
        np.fmin(free_kw[waiting], roster.setpoint_kw[waiting]) - expected[waiting],
        kept[waiting],
        tree.parent,
        tree.loads_kw(expected),
        tree.loads_kw(lowest),
        return_kw(tree, settings),
        -tree.export_kw * settings.cap_release_ratio,
        tree.limit_kw * settings.cap_promise_ratio,
    )
    back = waiting[lifted]
    roster.cap_kw[back] = np.nan
    free = back[np.isnan(roster.setpoint_kw[back])]
    roster.returning_s[free] = state.at_s
    return bool(len(back))


def return_kw(tree: FeederTree, settings: DispatchSettings) -> FloatArray:
    """Return the load below which rows return to every transformer, shape ``(n_transformers,)``."""
    aim_kw = tree.limit_kw * settings.cap_ratio
    room_kw = np.maximum(aim_kw - tree.base_kw, 0.0)
    return np.maximum(tree.limit_kw * settings.cap_release_ratio, aim_kw - _LEFT_OF_ROOM * room_kw)


def within_reach(power_kw: FloatArray, least_kw: FloatArray) -> FloatArray:
    """Return powers without the production and discharge that a device says it has not got now, shape ``(n,)``."""
    return np.where(power_kw < 0.0, np.fmax(power_kw, least_kw), power_kw)


@njit()
def _lifted(  # noqa: PLR0917 - a kernel takes arguments by position
    node: IdArray,
    rise_kw: FloatArray,
    kept: BoolArray,
    parent: RowArray,
    loads_kw: FloatArray,
    least_loads_kw: FloatArray,
    ceiling_kw: FloatArray,
    floor_kw: FloatArray,
    promise_kw: FloatArray,
) -> BoolArray:
    """Return which rows may return, one after the other, so that no node above them leaves its floor and ceiling.

    A row whose production returns lowers the loads above it; ``floor_kw`` is the export below which it may.
    """
    lifted = np.zeros(len(node), dtype=np.bool_)
    for place in range(len(node)):
        fits, above = True, node[place]
        while above >= 0:
            most_kw = promise_kw[above] if kept[place] else ceiling_kw[above]
            if rise_kw[place] > _NOTHING_KW:
                fits &= not loads_kw[above] + rise_kw[place] > most_kw
            elif rise_kw[place] < -_NOTHING_KW:
                fits &= not least_loads_kw[above] + rise_kw[place] < floor_kw[above]
            above = parent[above]
        if not fits:
            continue
        lifted[place] = True
        above = node[place]
        while above >= 0:
            loads_kw[above] += rise_kw[place]
            least_loads_kw[above] += rise_kw[place]
            above = parent[above]
    return lifted
