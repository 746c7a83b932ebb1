"""What every row should do when nobody dispatches it: the plan, or what a running request was measured against."""

from collections.abc import Sequence

import numpy as np

from vpp.dispatch.columns import CommandTable
from vpp.dispatch.law import BaselineCurve
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray


def default_values(
    state: FleetState,
    commands: CommandTable,
    schedule: Schedule | None,
    frozen: Sequence[tuple[BoolArray, BaselineCurve | None]],
    settings: DispatchSettings,
) -> FloatArray:
    """Return the default value of every row, NaN where we set none, shape ``(n_resources,)``.

    A car that is short of time charges at full power whatever was planned.

    Args:
        state: The snapshot.
        commands: The last default values; they stay where there is no plan.
        schedule: The plan in force.
        frozen: Portfolio and baseline of every running request: its stores keep the schedule frozen at acceptance.
        settings: Which classes carry the plan.
    """
    index, rows = state.index, state.index.rows_of(*settings.plan_classes)
    # A cycle early, so that a step of the plan is in force when it begins.
    due_s = state.at_s + settings.cycle_s
    default = commands.default_kw.copy()
    if schedule is not None:
        default[:] = np.nan
        default[rows] = padded(schedule.at(due_s), len(index))[rows]
    for portfolio, curve in frozen:
        if curve is not None:
            kept = rows[curve.steps[rows] & portfolio[rows]]
            default[kept] = curve.some_kw(due_s, kept)
    cars = index.rows_of(ResourceClass.V2G)
    hurried = cars[_short_of_time(state, settings)[cars] & state.plugged[cars]]
    default[hurried] = index.p_max_kw[hurried]
    known = np.flatnonzero(~np.isnan(default))
    default[known] = np.clip(default[known], index.p_min_kw[known], index.p_max_kw[known])
    return default


def padded(values: FloatArray, count: int) -> FloatArray:
    """Return ``values`` lengthened with NaN for rows that were added later, as doubles side by side."""
    return np.concatenate((values[:count], np.full(max(0, count - len(values)), np.nan)))


def _short_of_time(state: FleetState, settings: DispatchSettings) -> BoolArray:
    cars = state.index.rows_of(ResourceClass.V2G)
    short = np.zeros(len(state), dtype=np.bool_)
    short[cars] = state.laxity_of(cars, state.index.p_max_kw[cars]) < 2.0 * settings.laxity_margin_s
    return short
