"""Rows that a transformer's cap holds, and how they return when there is room again."""

import numpy as np

from vpp.dispatch.columns import RosterTable
from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetState
from vpp.domain.telemetry import BoolArray, FloatArray

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
) -> None:
    """Let rows return whose transformers have room again, a few at a time, urgent sessions first.

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
        return
    expected = np.where(np.isnan(roster.returning_s), np.nan_to_num(state.power_kw), free_kw)
    expected[capped] = np.fmin(roster.cap_kw[capped], roster.setpoint_kw[capped])
    ceiling = tree.limit_kw * settings.cap_release_ratio
    loads = tree.loads_kw(expected)
    for row in capped[np.lexsort((-order[capped], ~kept[capped]))][:_MOST_RAISED]:
        rise_kw = np.fmin(free_kw[row], roster.setpoint_kw[row]) - expected[row]
        above = tree.above(int(row))
        if rise_kw > _NOTHING_KW and np.any(loads[above] + rise_kw > ceiling[above]):
            continue
        loads[above] += rise_kw
        roster.cap_kw[row] = np.nan
        if np.isnan(roster.setpoint_kw[row]):
            roster.returning_s[row] = state.at_s
