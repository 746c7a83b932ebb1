"""Rows that a transformer's cap holds, and how they return when there is room again."""

import numpy as np

from optimizer.jit import njit
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetState
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray

_NOTHING_KW = 0.05
_MOST_RAISED = 200
"""Rows that may return from a cap in one cycle."""


def lift_caps(
    roster: RosterTable,
    tree: FeederTree,
    state: FleetState,
    *,
    free_kw: FloatArray,
    kept: BoolArray,
    order: FloatArray,
    settings: DispatchSettings,
) -> bool:
    """Let rows return whose transformers have room again, a few at a time, urgent sessions first; say if any did.

    Args:
        roster: Whose ``cap_kw`` and ``returning_s`` are changed.
        tree: The transformers.
        state: The snapshot.
        free_kw: Power each row would take if it were free, shape ``(n_resources,)``.
        kept: Rows whose driver must not be touched, shape ``(n_resources,)``.
        order: Merit of being cut, the last to be cut return first, shape ``(n_resources,)``.
        settings: Share of a limit below which rows return.
    """
    capped = np.flatnonzero(~np.isnan(roster.cap_kw))
    if not len(capped):
        return False
    expected = np.where(np.isnan(roster.returning_s), np.nan_to_num(state.power_kw), free_kw)
    expected[capped] = np.fmin(roster.cap_kw[capped], roster.setpoint_kw[capped])
    waiting = capped[np.lexsort((-order[capped], ~kept[capped]))][:_MOST_RAISED]
    lifted = _lifted(
        tree.node[waiting],
        np.fmin(free_kw[waiting], roster.setpoint_kw[waiting]) - expected[waiting],
        tree.parent,
        tree.loads_kw(expected),
        tree.limit_kw * settings.cap_release_ratio,
    )
    back = waiting[lifted]
    roster.cap_kw[back] = np.nan
    free = back[np.isnan(roster.setpoint_kw[back])]
    roster.returning_s[free] = state.at_s
    return bool(len(back))


@njit()
def _lifted(
    node: IdArray, rise_kw: FloatArray, parent: RowArray, loads_kw: FloatArray, ceiling_kw: FloatArray
) -> BoolArray:
    """Return which rows may rise, one after the other, so that no node above them comes over its ceiling."""
    lifted = np.zeros(len(node), dtype=np.bool_)
    for place in range(len(node)):
        fits, above = True, node[place]
        while above >= 0:
            fits &= not loads_kw[above] + rise_kw[place] > ceiling_kw[above]
            above = parent[above]
        if rise_kw[place] > _NOTHING_KW and not fits:
            continue
        lifted[place] = True
        above = node[place]
        while above >= 0:
            loads_kw[above] += rise_kw[place]
            above = parent[above]
    return lifted
