"""Default powers: what a row takes undispatched, by the plan or by what a running request is measured against."""

from collections.abc import Sequence

import numpy as np

from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.settings import DeviceRules
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_WANTS_KWH = 0.5
"""A car that wants less than this may never show what it can take."""


def default_values(
    state: FleetState,
    in_force_kw: FloatArray,
    schedule: Schedule | None,
    frozen: Sequence[tuple[BoolArray, BaselineCurve | None]],
    *,
    car_kw: FloatArray,
    devices: DeviceRules,
    cycle_s: float,
) -> FloatArray:
    """Return the default value of every row that carries the plan, in the order of ``FleetIndex.rows_of``.

    NaN where there is none. A car that is short of time charges at full power whatever was planned; so does the next
    one that comes to an empty station, until it is known how long it stays and what it takes.

    Args:
        state: The snapshot.
        in_force_kw: Default values in force, NaN for none, shape ``(n_resources,)``; they stay without a plan.
        schedule: The plan in force.
        frozen: Portfolio and baseline of every running request: its stores keep the schedule frozen at acceptance.
        car_kw: Greatest power every car has shown, NaN where none was seen, shape ``(n_resources,)``.
        devices: Classes that carry the plan.
        cycle_s: Time between two cycles.
    """
    index, rows = state.index, state.index.rows_of(*devices.plan_classes)
    # A cycle early, so that a step of the plan is in force when it begins.
    due_s = state.at_s + cycle_s
    default = in_force_kw[rows] if schedule is None else schedule.some_at(due_s, rows)
    for portfolio, curve in frozen:
        if curve is not None:
            kept = curve.steps[rows] & portfolio[rows]
            default[kept] = curve.some_kw(due_s, rows[kept])
    station = index.is_class(ResourceClass.V2G)[rows]
    car = station & state.plugged[rows]
    # The car may take less than its station gives.
    stated_kw = np.where(state.available_max_kw[rows] > 0.0, state.available_max_kw[rows], np.nan)
    power = np.fmin(np.fmin(index.nameplate.p_max_kw[rows], stated_kw), car_kw[rows])
    hurried = car & (state.laxity_of(rows, power) < 2.0 * index.limits.promise_margin_s[rows])
    unseen = car & np.isnan(car_kw[rows]) & (state.need_kwh[rows] > _WANTS_KWH)
    first = hurried | unseen | (station & ~car & ~np.isnan(default))
    default[first] = index.nameplate.p_max_kw[rows[first]]
    most_kw = np.fmin(index.nameplate.p_max_kw[rows], index.nameplate.share_kw[rows])
    return np.clip(default, np.minimum(index.nameplate.p_min_kw[rows], most_kw), most_kw)


def resting_values(index: FleetIndex, rows: RowArray, in_force_kw: FloatArray) -> FloatArray:
    """Return the default value with which each of ``rows``, out of service, is left, shape ``(len(rows),)``.

    A store at rest, a charging point of cars at what its nameplate has; NaN, no wish, where the plan set nothing.

    Args:
        index: The fleet.
        rows: Rows that are not in service.
        in_force_kw: Default values in force, NaN for none, shape ``(n_resources,)``.
    """
    storage, station = index.is_class(ResourceClass.STORAGE)[rows], index.is_class(ResourceClass.V2G)[rows]
    rest = np.where(storage, 0.0, np.where(station, index.nameplate.default_kw[rows], np.nan))
    return np.where(np.isnan(in_force_kw[rows]), np.nan, rest)
