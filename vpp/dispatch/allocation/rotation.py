"""Rotation of shed cars: one that was shed for long is released, and one that was spared takes its place."""

import numpy as np

from optimizer.allocate import merit_order
from vpp.dispatch.flexibility.device_rows import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.rows.assignments import NOBODY, AssignmentColumns
from vpp.dispatch.settings import Rotation
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState


def rotate(
    state: FleetState,
    held: AssignmentColumns,
    seen: FlexibilityScan,
    activated: FloatArray,
    *,
    cost: FloatArray,
    number: int,
    rotation: Rotation,
    least_kw: float,
) -> FloatArray:
    """Return the activations after some chargers have changed places; their sum stays.

    Args:
        state: The snapshot.
        held: Assignment of every row.
        seen: The scan.
        activated: Activation of every row, NaN where it is not assigned, shape ``(n_resources,)``.
        cost: Merit order, shape ``(n_resources,)``.
        number: The request.
        rotation: After how long, and how many at once.
        least_kw: Least activation that is worth a command to a charger.
    """
    chargers = state.index.rows_of(ResourceClass.EV)
    mine = chargers[held.owner[chargers] == number]
    relieved = _longest_shed(state, held, seen, activated, mine=mine, rotation=rotation)
    if not len(relieved):
        return activated
    spared = chargers[(held.owner[chargers] == NOBODY) & np.isnan(held.returning_s[chargers])]
    spared = spared[(seen.available_kw[spared] > NOTHING_KW) & np.isnan(activated[spared])]
    spare_kw = float(seen.available_kw[spared].sum())
    relieved = relieved[np.cumsum(activated[relieved]) <= 0.5 * spare_kw]
    share = merit_order(float(activated[relieved].sum()), seen.available_kw[spared], cost[spared])
    taking = share >= least_kw
    changed = activated.copy()
    changed[relieved] = np.nan
    changed[spared[taking]] = share[taking]
    return changed


def _longest_shed(
    state: FleetState,
    held: AssignmentColumns,
    seen: FlexibilityScan,
    activated: FloatArray,
    *,
    mine: RowArray,
    rotation: Rotation,
) -> RowArray:
    """Return the rows that have been shed for longest, no more than may change at once."""
    before_s = state.at_s - rotation.after_minutes * SECONDS_PER_MINUTE
    shed = (activated[mine] > NOTHING_KW) & seen.settled[mine] & np.isnan(held.paused_s[mine])
    rows = mine[shed & (held.assigned_s[mine] <= before_s)]
    most = max(1, int(rotation.ratio * len(state)))
    return rows[np.argsort(held.assigned_s[rows], kind="stable")][:most]
