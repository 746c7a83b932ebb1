"""Release from a transformer's cap: rows return when there is headroom again."""

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import CapMargins
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray
from vpp.fleet.feeders import FeederTree
from vpp.fleet.fleet_state import FleetState

_NOTHING_KW = 0.05
_MOST_RAISED = 200
"""Rows that may return from a cap in one cycle."""
_HEADROOM_LEFT = 0.1
"""Part of the headroom above what is not ours that returning rows leave; a limit's own share may exceed it."""


def lift_caps(
    assignments: Assignments,
    tree: FeederTree,
    state: FleetState,
    *,
    accounted: AccountedLoad,
    uncontrolled_kw: FloatArray,
    kept: BoolArray,
    order: FloatArray,
    caps: CapMargins,
) -> bool:
    """Lift the caps of rows whose transformers have headroom, a few at a time; return whether any was lifted.

    Sessions that must not be reduced return first.

    Args:
        assignments: State of the rows.
        tree: The transformers.
        state: The snapshot.
        accounted: Load every row is accounted with.
        uncontrolled_kw: Power each row would take undispatched, shape ``(n_resources,)``.
        kept: Sessions that must not be reduced, shape ``(n_resources,)``.
        order: Merit of being cut, the last to be cut return first, shape ``(n_resources,)``.
        caps: Share of a limit below which rows return.
    """
    held = assignments.columns
    capped = np.flatnonzero(~np.isnan(held.cap_kw))
    if not len(capped):
        return False
    staying = np.isnan(held.returning_s)
    expected = np.where(staying, accounted.most_kw, uncontrolled_kw)
    lowest = np.where(staying, accounted.least_kw, uncontrolled_kw)
    held_kw = np.fmin(held.cap_kw[capped], held.setpoint_kw[capped])
    expected[capped] = lowest[capped] = within_reach(held_kw, state.available_min_kw[capped])
    waiting = capped[np.lexsort((-order[capped], ~kept[capped]))][:_MOST_RAISED]
    lifted = _lifted(
        tree.of_row[waiting],
        np.fmin(uncontrolled_kw[waiting], held.setpoint_kw[waiting]) - expected[waiting],
        kept[waiting],
        tree.parent,
        tree.load_kw(expected),
        tree.load_kw(lowest),
        return_kw(tree, caps),
        -tree.export_limit_kw * caps.release_ratio,
        tree.limit_kw * caps.promise_ratio,
    )
    assignments.uncap(waiting[lifted], state.at_s)
    return bool(lifted.any())


def return_kw(tree: FeederTree, caps: CapMargins) -> FloatArray:
    """Return the load below which rows return to every transformer, shape ``(n_transformers,)``."""
    aim_kw = tree.limit_kw * caps.aim_ratio
    headroom_kw = np.maximum(aim_kw - tree.base_kw, 0.0)
    return np.maximum(tree.limit_kw * caps.release_ratio, aim_kw - _HEADROOM_LEFT * headroom_kw)


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
