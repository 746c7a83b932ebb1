"""Stored energy that is promised at other hours: what earlier and later calls leave for one more.

Stores stay on the plan that a call was quoted on, so what one call takes is not recharged before the next unless the
plan does so. Of each promise stores owe what all other rows do not give at p10, shared as they could give it.
"""

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.planning.flexibility.deliverable import correlated_variance
from vpp.planning.flexibility.error_law import Z10
from vpp.planning.flexibility.flexibility_basis import STORAGE, V2G, FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import FlexibilityEnvelope, flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.flexibility.transformer_headroom import limited_by_feeders


def promised_elsewhere(called_kw: FloatArray, window: Window) -> tuple[Window, ...]:
    """Return the runs of steps outside ``window`` in which power is promised.

    Args:
        called_kw: Power promised to calls by step of the grid, shape ``(grid.count,)``.
        window: Steps that are asked for.
    """
    promised = called_kw > 0.0
    promised[window.steps] = False
    edges = np.flatnonzero(np.diff(promised.astype(np.int8), prepend=0, append=0))
    return tuple(Window(first=int(first), last=int(last)) for first, last in edges.reshape(-1, 2))


def spare_energy_kwh(
    basis: FlexibilityBasis,
    direction: Direction,
    window: Window,
    *,
    chosen: BoolArray,
    called_kw: FloatArray,
    owed: dict[Window, FloatArray],
) -> FloatArray | None:
    """Return what every store can spend in a window beside the promises at other hours; ``None`` where there are none.

    Args:
        basis: Basis of the fleet.
        direction: Cut or raise, of the promises as well.
        window: Steps that are asked for.
        chosen: Groups of the area, shape ``(C,)``.
        called_kw: Power promised to calls by step of the basis' grid, shape ``(grid.count,)``.
        owed: What stores owe to each run of promises, as far as it is known; what is found is added.

    Returns:
        Energy at the meter, at least 0, shape ``(len(basis.stores.members.rows),)``.
    """
    runs = promised_elsewhere(called_kw, window)
    if not runs:
        return None
    for run in runs:
        if run not in owed:
            owed[run] = _owed_kwh(basis, direction, run, chosen, called_kw[run.steps])
    owed_kwh = sum(owed[run] for run in runs)
    steps = np.r_[window.steps, *(run.steps for run in runs if run.first >= window.last)]
    return np.asarray(np.maximum(_room_kwh(basis, direction, steps) - owed_kwh, 0.0))


def others_p10_kw(
    basis: FlexibilityBasis,
    first: int,
    last: int,
    *,
    direction: Direction = Direction.UP,
    chosen: BoolArray | None = None,
    found: FlexibilityEnvelope | None = None,
) -> FloatArray:
    """Return the p10 of the movement of all rows but storage and V2G, shape ``(last - first,)``.

    Args:
        basis: Basis of the fleet.
        first: First step.
        last: Step after the last.
        direction: Cut or raise.
        chosen: Groups that count, shape ``(C,)``; all if not given.
        found: The envelope of these steps, where it is known already.
    """
    begin, length = np.array([first]), np.array([last - first])
    found = found or flexibility_envelope(basis, direction, begin, length, named=False)
    others = ~np.isin(basis.groups.class_code, (STORAGE, V2G))
    others = others if chosen is None else others & chosen
    share = limited_by_feeders(
        basis, direction, begin, np.where(others[:, None, None], found.sums.potential_kw, 0.0)
    ).share
    scale = share[basis.groups.node, 0] * others[:, None]
    mean = found.sums.mean_kw[:, 0] * scale
    total = mean.sum(axis=0)
    variance = (found.sums.variance[:, 0] * scale**2).sum(axis=0) + correlated_variance(basis, mean)
    variance += (basis.inputs.policy.common_error_ratio * total) ** 2
    return np.asarray(np.maximum(total - Z10 * np.sqrt(variance), 0.0))


def _owed_kwh(
    basis: FlexibilityBasis, direction: Direction, run: Window, chosen: BoolArray, promised_kw: FloatArray
) -> FloatArray:
    """Return what every store owes to a promise, energy at the meter, shape ``(k,)``."""
    found = flexibility_envelope(basis, direction, np.array([run.first]), np.array([len(run)]), named=False)
    others_kw = others_p10_kw(basis, run.first, run.last, direction=direction, chosen=chosen, found=found)
    owed_kwh = float(np.maximum(promised_kw - others_kw, 0.0).sum()) * basis.inputs.grid.step_h
    able_kw = np.where(chosen[basis.stores.members.group], np.maximum(found.stores_kw[:, 0], 0.0), 0.0)
    whole_kw = float(able_kw.sum())
    return able_kw * (owed_kwh / whole_kw) if whole_kw > 0.0 else np.zeros_like(able_kw)


def _room_kwh(basis: FlexibilityBasis, direction: Direction, steps: IntArray) -> FloatArray:
    """Return what every store could give or take at its meter beside its schedule by the least of some steps."""
    limits, stored_kwh = basis.stores.limits, basis.stores.schedule.stored_kwh[:, steps]
    if direction is Direction.UP:
        return np.asarray((stored_kwh.min(axis=1) - limits.floor_kwh) * limits.efficiency)
    return np.asarray((limits.ceiling_kwh - stored_kwh.max(axis=1)) / limits.efficiency)
