"""Between the fleet and the optimizer, both directions side by side."""

from dataclasses import dataclass

import numpy as np

from optimizer.problem import Charging, Flexible, Network, Problem, Solar, Storing
from optimizer.solution import Solution
from optimizer.validation import IntArray
from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.forecasting import Forecast, charging_power_kw, promised_cars
from vpp.planning.tariff import Tariff
from vpp.planning.tree import leaves_first, named_overload, overload_kw, own_base_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningPolicy:
    """Settings of the plan.

    Attributes:
        move_everything: Let the plan move cars, buildings and plants everywhere; otherwise only behind transformers
            that would be overloaded, and everybody else follows the driver or the site.
        v2g_floor_soc: Least state of charge of a car.
        storage_soc_min: Least state of charge of stationary storage.
        storage_soc_max: Greatest.
        storage_soc_end: Due at the end of the horizon, so that a plan does not live on what it leaves empty.
        cut_price_cny_per_kwh: Price of a cut of buildings and plants.
    """

    move_everything: bool = False
    v2g_floor_soc: float = 0.3
    storage_soc_min: float = 0.1
    storage_soc_max: float = 0.95
    storage_soc_end: float = 0.5
    storage_wear_cny_per_kwh: float = 0.1
    v2g_wear_cny_per_kwh: float = 0.25
    cut_price_cny_per_kwh: float = 2.0
    unserved_price_cny_per_kwh: float = 10.0
    overload_price_cny_per_kwh: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A problem, and which fleet row each of its devices is.

    Attributes:
        rows: Fleet row of every device in device order, shape ``(n,)``.
        fixed_kw: Power that the problem does not decide, shape ``(n_resources, count)``.
    """

    problem: Problem
    grid: TimeGrid
    rows: IntArray
    fixed_kw: FloatArray


def to_problem(
    state: FleetState,
    *,
    forecast: Forecast,
    tariff: Tariff,
    policy: PlanningPolicy,
    count: int,
    in_force: Schedule | None = None,
    kept_until_s: float | None = None,
) -> Translation:
    """Return the planning problem of the first ``count`` steps of the forecast.

    Args:
        state: The picture it starts from.
        forecast: Expected power of every row; at least ``count`` steps.
        tariff: Prices.
        policy: Settings.
        count: Number of steps.
        in_force: The plan in force; its storage and V2G powers are kept until ``kept_until_s``, so that a request is
            measured against the schedule it was quoted on.
        kept_until_s: Epoch seconds; ``None`` keeps nothing.

    Raises:
        ProblemError: A number in the picture makes no sense.
    """
    grid = TimeGrid(start_at=forecast.grid.start_at, step_s=forecast.grid.step_s, count=count)
    fixed = forecast.expected_kw[:, :count].copy()
    storing, rows = _storing(state, grid, fixed, policy=policy, in_force=in_force, kept_until_s=kept_until_s)
    movable = _movable(state.index, fixed, policy)
    charging, cars = _charging(state, movable, grid)
    solar, panels = _solar(state.index, movable, fixed)
    flexible, loads = _flexible(state, movable, fixed, grid, policy)
    fixed[np.concatenate([cars, panels, loads])] = 0.0
    problem = Problem(
        step_h=grid.step_h,
        price_cny_per_kwh=tariff.price_cny_per_kwh(grid),
        peak_price_cny_per_kw=tariff.peak_cny_per_kw_day,
        unserved_price_cny_per_kwh=policy.unserved_price_cny_per_kwh,
        fixed_kw=np.zeros(count),
        network=_network(state.index, fixed, policy),
        charging=charging,
        storing=storing,
        solar=solar,
        flexible=flexible,
    )
    return Translation(problem=problem, grid=grid, rows=np.concatenate([cars, rows, panels, loads]), fixed_kw=fixed)


def to_schedule(translation: Translation, solution: Solution, index: FleetIndex) -> Schedule:
    """Return the schedule of a solved problem."""
    power = translation.fixed_kw.copy()
    power[translation.rows] += solution.power_kw
    worst = solution.overload_kw.max(axis=1, initial=0.0)
    return Schedule(
        grid=translation.grid,
        power_kw=power,
        rung=Rung.OPTIMAL,
        objective_cny=solution.objective_cny,
        gap_ratio=solution.gap_ratio,
        solve_s=solution.solve_s,
        reason=solution.reason,
        overload_kw=named_overload(index, worst),
    )


def _network(index: FleetIndex, fixed_kw: FloatArray, policy: PlanningPolicy) -> Network:
    base = np.repeat(own_base_kw(index)[:, None], fixed_kw.shape[1], axis=1)
    np.add.at(base, index.transformer_code, fixed_kw)
    return Network(
        parent=index.parent_code.astype(np.int64),
        limit_kw=np.broadcast_to(index.transformer_limit_kw[:, None], base.shape),
        export_limit_kw=np.broadcast_to(index.transformer_export_kw[:, None], base.shape),
        base_kw=base,
        overload_price_cny_per_kwh=policy.overload_price_cny_per_kwh,
    )


def _movable(index: FleetIndex, fixed_kw: FloatArray, policy: PlanningPolicy) -> BoolArray:
    """Return rows behind a transformer that would be overloaded if nobody moved, shape ``(n_resources,)``."""
    if policy.move_everything:
        return np.ones(len(index), dtype=np.bool_)
    tight: BoolArray = np.asarray((overload_kw(index, fixed_kw) > 0.0).any(axis=1))
    for node in leaves_first(index)[::-1].tolist():
        above = index.parent_code[node]
        tight[node] |= above >= 0 and tight[above]
    return np.asarray(tight[index.transformer_code])


def _departure_step(state: FleetState, rows: IntArray, grid: TimeGrid) -> IntArray:
    """Return the first step in which each car is no longer there for all of it, at least 1, shape ``(len(rows),)``."""
    steps = np.floor((state.departure_s[rows] - grid.start_s) / grid.step_s)
    return np.asarray(np.clip(np.nan_to_num(steps, nan=grid.count), 1, grid.count), dtype=np.int64)


def _nodes(index: FleetIndex, rows: IntArray) -> IntArray:
    return np.asarray(index.transformer_code[rows], dtype=np.int64)


def _charging(state: FleetState, movable: BoolArray, grid: TimeGrid) -> tuple[Charging, IntArray]:
    cars = promised_cars(state) & state.sheddable & state.index.is_class(ResourceClass.EV)
    rows = np.flatnonzero(cars & movable & state.connected)
    depart = _departure_step(state, rows, grid)
    power = charging_power_kw(state)[rows]
    # What cannot be charged before the horizon ends is left to the next plan.
    later_h = np.maximum(state.departure_s[rows] - grid.end_s, 0.0) / SECONDS_PER_HOUR
    block = Charging(
        transformer=_nodes(state.index, rows),
        arrive=np.zeros(len(rows), dtype=np.int64),
        depart=depart,
        p_max_kw=power,
        need_kwh=np.maximum(state.need_kwh[rows] - power * later_h, 0.0),
    )
    return block, rows


def _solar(index: FleetIndex, movable: BoolArray, fixed_kw: FloatArray) -> tuple[Solar, IntArray]:
    rows = np.flatnonzero(index.is_class(ResourceClass.PV) & movable)
    block = Solar(
        transformer=_nodes(index, rows),
        available_kw=np.maximum(-fixed_kw[rows], 0.0),
        curtailable=np.ones(len(rows), dtype=np.int64),
    )
    return block, rows


def _flexible(
    state: FleetState, movable: BoolArray, fixed_kw: FloatArray, grid: TimeGrid, policy: PlanningPolicy
) -> tuple[Flexible, IntArray]:
    index = state.index
    rows = np.flatnonzero(index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY) & movable & state.connected)
    declared = index.declared_up_kw[rows]
    hours = np.minimum(index.sustain_minutes[rows] / 60.0, grid.step_h * grid.count)
    block = Flexible(
        transformer=_nodes(index, rows),
        baseline_kw=fixed_kw[rows],
        max_cut_kw=np.clip(fixed_kw[rows], 0.0, declared[:, None]),
        max_cut_kwh=declared * hours,
        price_cny_per_kwh=np.full(len(rows), policy.cut_price_cny_per_kwh),
    )
    return block, rows


def storing_rows(state: FleetState) -> BoolArray:
    """Return rows a plan decides: storage and promised V2G with a known charge, shape ``(n_resources,)``."""
    index = state.index
    known = state.connected & np.isfinite(state.soc) & (index.capacity_kwh > 0.0)
    cars = index.is_class(ResourceClass.V2G) & promised_cars(state) & state.sheddable
    return np.asarray(known & (index.is_class(ResourceClass.STORAGE) | cars))


def _storing(
    state: FleetState,
    grid: TimeGrid,
    fixed_kw: FloatArray,
    *,
    policy: PlanningPolicy,
    in_force: Schedule | None,
    kept_until_s: float | None,
) -> tuple[Storing, IntArray]:
    """Return the block and its rows; their ``fixed_kw`` becomes what they keep of the plan in force, else 0."""
    rows = np.flatnonzero(storing_rows(state))
    depart = np.where(state.index.is_class(ResourceClass.V2G)[rows], _departure_step(state, rows, grid), grid.count)
    soc, kept = np.clip(state.soc[rows], 0.0, 1.0), 0
    inside = np.arange(grid.count) < depart[:, None]
    fixed_kw[rows] = np.where(inside, 0.0, fixed_kw[rows])
    if in_force is not None and kept_until_s is not None and len(in_force.power_kw) > rows.max(initial=-1):
        kept = int(np.clip(np.ceil((kept_until_s - grid.start_s) / grid.step_s), 0, grid.count))
        power, soc = _kept(state.index, rows, soc, in_force=in_force, grid=grid, kept=kept)
        fixed_kw[rows, :kept] += np.where(inside[:, :kept], power, 0.0)
    free = depart > kept
    rows, soc, depart = rows[free], soc[free], depart[free]
    return _storing_block(
        state, rows, soc=soc, arrive=np.full(len(rows), kept), depart=depart, grid=grid, policy=policy
    ), rows


def _kept(
    index: FleetIndex, rows: IntArray, soc: FloatArray, *, in_force: Schedule, grid: TimeGrid, kept: int
) -> tuple[FloatArray, FloatArray]:
    """Return the power kept, narrowed to what the charge allows, ``(len(rows), kept)``, and the charge after it."""
    capacity, efficiency = index.capacity_kwh[rows], index.efficiency[rows]
    power = np.zeros((len(rows), kept))
    for step, at_s in enumerate(grid.starts_s()[:kept].tolist()):
        most = (1.0 - soc) * capacity / (efficiency * grid.step_h)
        least = -soc * capacity * efficiency / grid.step_h
        power[:, step] = np.clip(in_force.at(at_s)[rows], least, most)
        gained = np.where(power[:, step] > 0.0, power[:, step] * efficiency, power[:, step] / efficiency)
        soc = np.clip(soc + gained * grid.step_h / capacity, 0.0, 1.0)
    return power, soc


def _storing_block(
    state: FleetState,
    rows: IntArray,
    *,
    soc: FloatArray,
    arrive: IntArray,
    depart: IntArray,
    grid: TimeGrid,
    policy: PlanningPolicy,
) -> Storing:
    index = state.index
    car = index.is_class(ResourceClass.V2G)[rows]
    due = np.where(car, due_soc(state, grid)[rows], np.fmin(policy.storage_soc_end, policy.storage_soc_max))
    floor = np.where(car, policy.v2g_floor_soc, policy.storage_soc_min)
    return Storing(
        transformer=_nodes(index, rows),
        arrive=arrive.astype(np.int64),
        depart=depart.astype(np.int64),
        p_min_kw=np.minimum(index.p_min_kw[rows], 0.0),
        p_max_kw=np.maximum(index.p_max_kw[rows], 0.0),
        capacity_kwh=index.capacity_kwh[rows],
        soc_start=soc,
        soc_min=floor,
        soc_max=np.where(car, 1.0, policy.storage_soc_max),
        soc_end=due,
        efficiency=index.efficiency[rows],
        wear_price_cny_per_kwh=np.where(car, policy.v2g_wear_cny_per_kwh, policy.storage_wear_cny_per_kwh),
    )


def due_soc(state: FleetState, grid: TimeGrid) -> FloatArray:
    """Return the charge every promised car must have at the grid's end or its departure, the earlier of them.

    What can still be charged between the grid's end and the departure is left for later; 0 in rows without a promise.
    Shape ``(n_resources,)``.
    """
    index = state.index
    later_h = np.maximum(state.departure_s - grid.end_s, 0.0) / SECONDS_PER_HOUR
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (state.need_kwh - index.p_max_kw * later_h) * index.efficiency / index.capacity_kwh
    return np.clip(np.nan_to_num(state.soc + gain, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)
