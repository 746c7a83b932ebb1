"""How far every row can be moved in each interval of a hold, backed by energy over the whole of it.

Upwards is a cut of net load, downwards a raise; both are numbers at or above 0 for a row that helps. A car that would
have finished within the hold but is kept on its floor instead may count below 0 towards the end.
"""

from dataclasses import dataclass, field

import numpy as np

from optimizer.validation import IntArray
from vpp.domain.request import Direction
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.forecasting import charging_power_kw, promised_cars
from vpp.planning.outlook import Outlook, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What can be moved.

    Attributes:
        kw: By row and interval, shape ``(n_resources, len(window))``.
        lost_kw: What each named cause takes away, shape ``(len(window),)`` each.
    """

    kw: FloatArray
    lost_kw: dict[str, FloatArray] = field(default_factory=dict)


def room(outlook: Outlook, direction: Direction, window: Window, chosen: BoolArray) -> Room:
    """Return what the rows of ``chosen``, shape ``(n_resources,)``, can be moved in ``direction`` over ``window``."""
    up = direction is Direction.UP
    result = Room(kw=np.zeros((len(outlook.state), len(window))))
    cars = outlook.rows(chosen, ResourceClass.EV)
    (_shed_cars if up else _raise_cars)(outlook, window, cars, result)
    for resource_class in (ResourceClass.V2G, ResourceClass.STORAGE):
        rows = outlook.rows(chosen, resource_class)
        (_discharge if up else _charge)(outlook, window, rows, resource_class, result)
    for resource_class in (ResourceClass.HVAC, ResourceClass.INDUSTRY):
        rows = outlook.rows(chosen, resource_class)
        _loads(outlook, window, rows, resource_class, result, up=up)
    return result


def _shed_cars(outlook: Outlook, window: Window, rows: IntArray, result: Room) -> None:
    """Plugged-in cars go down to their floor, those still to come by a share of their expected load."""
    state, grid, h = outlook.state, outlook.grid, outlook.grid.step_h
    reference = outlook.reference_kw[rows, window.steps]
    inside = _inside(outlook, window, rows)
    willing = (promised_cars(state) & state.sheddable)[rows]
    need = _need_at(outlook, window, rows)
    floor = np.minimum(state.index.floor_kw[rows], charging_power_kw(state)[rows])
    held = np.minimum(floor[:, None], np.maximum(need[:, None] / h - floor[:, None] * np.arange(len(window)), 0.0))
    change = np.where(inside, reference - held, 0.0)
    owed = need - np.where(inside, held, 0.0).sum(axis=1) * h
    end_s = grid.start_s + grid.step_s * window.last
    left_h = np.maximum(state.departure_s[rows] - end_s, 0.0) / SECONDS_PER_HOUR * outlook.policy.recovery_ratio
    excess = np.nan_to_num(owed - charging_power_kw(state)[rows] * left_h)
    shed_kwh = change.sum(axis=1) * h
    share = np.clip(1.0 - np.divide(excess, shed_kwh, out=np.ones_like(shed_kwh), where=shed_kwh > 0.0), 0.0, 1.0)
    share = np.where((shed_kwh > 0.0) & willing, share, 0.0)
    sheddable = np.maximum(reference - floor[:, None], 0.0) * inside
    coming = np.where(_coming(outlook, window, rows), reference * outlook.policy.future_share, 0.0)
    result.kw[rows] = change * share[:, None] + coming
    result.lost_kw["driver deadlines and opt-outs"] = (sheddable * (1.0 - share[:, None])).sum(axis=0)


def _raise_cars(outlook: Outlook, window: Window, rows: IntArray, result: Room) -> None:
    """Cars that the reference holds back can take what they still need earlier."""
    h = outlook.grid.step_h
    reference = outlook.reference_kw[rows, window.steps]
    willing = (promised_cars(outlook.state) & outlook.state.sheddable)[rows]
    inside = _inside(outlook, window, rows) & willing[:, None]
    more = np.where(inside, np.maximum(charging_power_kw(outlook.state)[rows, None] - reference, 0.0), 0.0)
    budget = np.maximum(_need_at(outlook, window, rows)[:, None] - np.cumsum(reference, axis=1) * h, 0.0)
    share = _share(more, budget, h)
    result.kw[rows] = more * share[:, None]
    result.lost_kw["cars need no more energy"] = (more * (1.0 - share[:, None])).sum(axis=0)


def _discharge(outlook: Outlook, window: Window, rows: IntArray, kind: ResourceClass, result: Room) -> None:
    """Batteries go from their schedule down to full discharge, as far as the charge above its floor lasts."""
    state, index, h = outlook.state, outlook.state.index, outlook.grid.step_h
    reference = outlook.reference_kw[rows, window.steps]
    least = np.fmax(index.p_min_kw[rows], state.available_min_kw[rows])
    more = np.maximum(reference - least[:, None], 0.0) * _present(outlook, window, rows, kind)
    spare = _stored_kwh(outlook, window, rows) - _floor_kwh(outlook, window, rows, kind)[:, None]
    budget = np.maximum(np.nan_to_num(spare), 0.0) * index.efficiency[rows, None]
    share = _share(more, budget, h)
    result.kw[rows] = more * share[:, None]
    result.lost_kw[f"{kind} energy"] = (more * (1.0 - share[:, None])).sum(axis=0)


def _charge(outlook: Outlook, window: Window, rows: IntArray, kind: ResourceClass, result: Room) -> None:
    """Batteries go from their schedule up to full charge, as far as there is space."""
    state, index, h = outlook.state, outlook.state.index, outlook.grid.step_h
    reference = outlook.reference_kw[rows, window.steps]
    most = np.fmin(index.p_max_kw[rows], state.available_max_kw[rows])
    more = np.maximum(most[:, None] - reference, 0.0) * _present(outlook, window, rows, kind)
    ceiling = (outlook.policy.ceiling_soc * index.capacity_kwh[rows])[:, None]
    space = np.maximum(np.nan_to_num(ceiling - _stored_kwh(outlook, window, rows)), 0.0)
    share = _share(more, space / index.efficiency[rows, None], h)
    result.kw[rows] = more * share[:, None]
    result.lost_kw[f"{kind} space"] = (more * (1.0 - share[:, None])).sum(axis=0)


def _loads(outlook: Outlook, window: Window, rows: IntArray, kind: ResourceClass, result: Room, *, up: bool) -> None:
    """Buildings and plants move within contract and present ability; beyond their sustain time the average falls."""
    state, index = outlook.state, outlook.state.index
    reference = outlook.reference_kw[rows, window.steps]
    # Present ability is a share of present load, and keeps that share as the load changes over the day.
    present = np.where(state.power_kw[rows] > 0.0, state.power_kw[rows], np.nan)
    scale = np.clip(np.nan_to_num(reference / present[:, None], nan=1.0), 0.5, 2.0)
    if up:
        able = reference - np.fmax(state.available_min_kw[rows], index.p_min_kw[rows])[:, None] * scale
        declared = index.declared_up_kw[rows]
    else:
        able = np.fmin(state.available_max_kw[rows], index.p_max_kw[rows])[:, None] - reference
        declared = index.declared_down_kw[rows]
    more = np.clip(np.nan_to_num(able), 0.0, declared[:, None])
    hold_minutes = len(window) * outlook.grid.step_h * 60.0
    share = np.minimum(index.sustain_minutes[rows] / hold_minutes, 1.0)
    result.kw[rows] = more * share[:, None]
    shortest = float(index.sustain_minutes[rows].min(initial=np.inf))
    if shortest < hold_minutes:
        result.lost_kw[f"{kind} sustain {shortest:g} min"] = (more * (1.0 - share[:, None])).sum(axis=0)


def _share(more_kw: FloatArray, budget_kwh: FloatArray, step_h: float) -> FloatArray:
    """Return the share of ``more_kw`` that the energy lasts for in every interval, shape ``(rows,)``.

    Args:
        more_kw: Wanted movement, shape ``(rows, steps)``.
        budget_kwh: Energy that may have been used by the end of each interval, shape ``(rows, steps)``.
        step_h: Length of an interval.
    """
    used = np.cumsum(more_kw, axis=1) * step_h
    ratio = np.divide(budget_kwh, used, out=np.ones_like(used), where=used > 0.0)
    return np.asarray(np.clip(ratio.min(axis=1, initial=1.0), 0.0, 1.0))


def _inside(outlook: Outlook, window: Window, rows: IntArray) -> BoolArray:
    """Return the intervals in which the car that is plugged in now is there to the end, ``(rows, steps)``."""
    ends_s = outlook.grid.starts_s()[window.steps] + outlook.grid.step_s
    promised = promised_cars(outlook.state)[rows]
    return np.asarray(promised[:, None] & (ends_s <= outlook.state.departure_s[rows, None]))


def _coming(outlook: Outlook, window: Window, rows: IntArray) -> BoolArray:
    """Return the intervals that belong to cars that have not come yet, ``(rows, steps)``."""
    starts_s = outlook.grid.starts_s()[window.steps]
    gone = promised_cars(outlook.state)[rows, None] & (starts_s >= outlook.state.departure_s[rows, None])
    return np.asarray(gone | ~outlook.state.plugged[rows, None])


def _present(outlook: Outlook, window: Window, rows: IntArray, kind: ResourceClass) -> BoolArray:
    if kind not in CHARGING:
        return np.ones((len(rows), len(window)), dtype=np.bool_)
    return _inside(outlook, window, rows) & outlook.state.sheddable[rows, None]


def _need_at(outlook: Outlook, window: Window, rows: IntArray) -> FloatArray:
    """Return the energy each car still lacks when the window begins, at least 0, shape ``(rows,)``."""
    before = outlook.reference_kw[rows, : window.first].sum(axis=1) * outlook.grid.step_h
    return np.asarray(np.maximum(np.nan_to_num(outlook.state.need_kwh[rows]) - before, 0.0))


def _stored_kwh(outlook: Outlook, window: Window, rows: IntArray) -> FloatArray:
    """Return the energy stored at the end of every interval when the schedule is kept, ``(rows, steps)``."""
    index = outlook.state.index
    efficiency = index.efficiency[rows, None]
    power = outlook.reference_kw[rows, : window.last]
    gained = np.where(power > 0.0, power * efficiency, power / efficiency) * outlook.grid.step_h
    start = outlook.state.soc[rows] * index.capacity_kwh[rows]
    stored = np.minimum(start[:, None] + np.cumsum(gained, axis=1), index.capacity_kwh[rows, None])
    return np.asarray(stored[:, window.first :])


def _floor_kwh(outlook: Outlook, window: Window, rows: IntArray, kind: ResourceClass) -> FloatArray:
    """Return the energy that must stay in each battery, for a car what it could not catch up on, shape ``(rows,)``."""
    state, index, policy = outlook.state, outlook.state.index, outlook.policy
    capacity = index.capacity_kwh[rows]
    if kind not in CHARGING:
        return np.asarray(policy.storage_floor_soc * capacity)
    end_s = outlook.grid.start_s + outlook.grid.step_s * window.last
    left_h = np.maximum(state.departure_s[rows] - end_s, 0.0) / SECONDS_PER_HOUR * policy.recovery_ratio
    due = state.soc[rows] * capacity + np.maximum(state.need_kwh[rows], 0.0) * index.efficiency[rows]
    caught_up = charging_power_kw(state)[rows] * left_h * index.efficiency[rows]
    return np.fmax(policy.v2g_floor_soc * capacity, np.nan_to_num(np.minimum(due, capacity) - caught_up))
