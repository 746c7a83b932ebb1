"""Translation of the fleet to the optimizer's problem, and of its solution to a schedule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from numerics.arrays import IntArray, Powers
from optimizer.problem.problem import Network, Problem, Reserve, Storing
from optimizer.problem.solution import Solution
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.feeder_flow import named_overload, overload_kw
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.schedule.device_blocks import (
    charging_block,
    departure_step,
    flexible_block,
    solar_block,
    storing_block,
    storing_rows,
)
from vpp.planning.schedule.energy_recovery import EnergyRecovery, charge_limit_kw, recovery_floor
from vpp.planning.schedule.identical_batteries import joined
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.regulation_headroom import narrowed
from vpp.planning.schedule.reserve_energy import ReserveRequirement, reserve_hours
from vpp.planning.tariff import Tariff

NO_ROW = -1
"""Fleet row of a device that stands for many and is another one in every problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Rows that another device of a problem stands for; shape ``(k,)`` each.

    Attributes:
        rows: Theirs in the fleet.
        device: Device that stands for each.
        share: Part of its power that is theirs.
    """

    rows: IntArray
    device: IntArray
    share: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A problem, and the fleet row of each of its devices.

    Attributes:
        rows: Fleet row of every device in device order, below 0 for one that stands for many: ``NO_ROW`` if it is
            another one in every problem, else a number of its own below that, shape ``(n,)``.
        members: Those that others stand for.
        fixed_kw: Power that the problem does not decide, shape ``(n_resources, count)``.
        kept: Steps for which storage and V2G stay on the plan in force.
    """

    problem: Problem
    grid: TimeGrid
    rows: IntArray
    fixed_kw: Powers
    kept: int = 0
    members: Members | None = None


def to_problem(
    state: FleetState,
    *,
    forecast: Forecast,
    tariff: Tariff,
    policy: PlanningPolicy,
    count: int,
    in_force: Schedule | None = None,
    kept_until_s: float | None = None,
    recoveries: Sequence[EnergyRecovery] = (),
    before: Schedule | None = None,
) -> Translation:
    """Return the planning problem of the first ``count`` steps of the forecast.

    Args:
        state: Snapshot it starts from.
        forecast: Expected power of every row; at least ``count`` steps.
        tariff: Prices.
        policy: Settings.
        count: Number of steps.
        in_force: The plan in force; its storage and V2G powers are kept until ``kept_until_s``, so that a request is
            measured against the schedule it was quoted on.
        kept_until_s: Epoch seconds; ``None`` keeps nothing.
        recoveries: Requests whose energy is recovered.
        before: The plan before them.

    Raises:
        ProblemError: A number of the snapshot makes no sense.
    """
    grid = TimeGrid(start_at=forecast.grid.start_at, step_s=forecast.grid.step_s, count=count)
    fixed = forecast.expected_kw[:, :count].copy()
    kept = _kept_steps(grid, in_force, kept_until_s, rows=len(state))
    storing, rows = _storing(state, grid, fixed, policy=policy, in_force=in_force, kept=kept)
    storing = narrowed(storing, policy.regulation_kw)
    storing = _slowed(storing, rows, recoveries=recoveries, before=before, policy=policy, grid=grid)
    movable = _movable(state.index, fixed, policy)
    charging, cars = charging_block(state, movable, grid)
    solar, panels = solar_block(state.index, movable, fixed)
    price = np.full(len(state), policy.penalties.cut_cny_per_kwh)
    flexible, loads = flexible_block(state, movable, fixed, grid, price)
    moved = np.concatenate([cars, panels, loads])
    moved_kw = fixed[moved].sum(axis=0, dtype=np.float64)
    fixed[moved] = 0.0
    base = state.index.feeders.own_kw(fixed)
    band = recovery_floor(recoveries, before=before, rows=rows, expected_kw=base.sum(axis=0) + moved_kw, grid=grid)
    problem = Problem(
        step_h=grid.step_h,
        price_cny_per_kwh=tariff.price_cny_per_kwh(grid),
        peak_price_cny_per_kw=tariff.peak_cny_per_kw_day,
        unserved_price_cny_per_kwh=policy.penalties.unserved_cny_per_kwh,
        fixed_kw=np.zeros(count),
        network=network_of(state.index, base, policy),
        charging=charging,
        storing=storing,
        solar=solar,
        flexible=flexible,
        band=band,
    )
    problem, batteries, members = _with_cohorts(problem, rows)
    known = np.concatenate([cars, batteries, panels, loads])
    return Translation(problem=problem, grid=grid, rows=known, fixed_kw=fixed, kept=kept, members=members)


def with_reserve(
    translation: Translation, requirements: Sequence[ReserveRequirement], policy: PlanningPolicy
) -> Translation:
    """Return the translation with reserve windows, disjoint and in order.

    Those that begin while a plan is kept are left out.
    """
    windows = [window for window in requirements if window.first >= translation.kept]
    reserve = reserve_of(windows, policy.reserve.price_cny_per_kw, translation.grid.count)
    return replace(translation, problem=replace(translation.problem, reserve=reserve))


def to_schedule(translation: Translation, solution: Solution, index: FleetIndex) -> Schedule:
    """Return the schedule of a solved problem."""
    power = translation.fixed_kw.copy()
    known = translation.rows >= 0
    power[translation.rows[known]] += solution.power_kw[known]
    members = translation.members
    if members is not None:
        power[members.rows] += solution.power_kw[members.device] * members.share[:, None]
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


def network_of(index: FleetIndex, base_kw: FloatArray, policy: PlanningPolicy) -> Network:
    """Return the tree with its limits and what hangs on each node besides the devices, shape ``(m, count)``."""
    return Network(
        parent=index.feeders.parent.astype(np.int64),
        limit_kw=np.broadcast_to(index.feeders.limit_kw[:, None], base_kw.shape),
        export_limit_kw=np.broadcast_to(index.feeders.export_limit_kw[:, None], base_kw.shape),
        base_kw=base_kw,
        overload_price_cny_per_kwh=policy.penalties.overload_cny_per_kwh,
    )


def reserve_of(requirements: Sequence[ReserveRequirement], price_cny_per_kw: float, count: int) -> Reserve | None:
    """Return reserve windows as the optimizer takes them, ``None`` for none.

    The optimizer keeps, at every step of a window, the energy to deliver from there to the window's end. What is
    delivered is counted beyond the plan, so the plan may not spend that energy meanwhile: each window is followed by
    an echo of the same length, as far as the next one and the horizon allow, at whose beginning the energy for a
    delivery over the whole of the window is still there. A window that says for how long its power has to last keeps
    that energy to its end by itself.

    Args:
        requirements: Windows, disjoint and in order.
        price_cny_per_kw: Price of a missing kW in windows that state none.
        count: Steps of the plan.
    """
    if not requirements:
        return None
    begins = [*(window.first for window in requirements[1:]), count]
    spans: list[tuple[int, int, float, float, int]] = []
    for window, begin in zip(requirements, begins, strict=True):
        price = price_cny_per_kw if window.price_cny_per_kw is None else window.price_cny_per_kw
        spans.append((window.first, window.last, window.need_kw, price, window.sustain_steps))
        echo = min(2 * window.last - window.first, begin)
        if echo > window.last and not window.sustain_steps:
            spans.append((window.last, echo, window.need_kw, price, 0))
    first, last, need_kw, prices, sustain = zip(*spans, strict=True)
    return Reserve(
        first=np.array(first, dtype=np.int64),
        last=np.array(last, dtype=np.int64),
        need_kw=np.array(need_kw, dtype=np.float64),
        price_cny_per_kw=np.array(prices, dtype=np.float64),
        sustain_steps=np.minimum(np.array(sustain, dtype=np.int64), count),
    )


def _with_cohorts(problem: Problem, rows: IntArray) -> tuple[Problem, IntArray, Members]:
    """Return the problem with every cohort of identical batteries as one device.

    Args:
        problem: With one battery a row.
        rows: Theirs in the fleet.

    Returns:
        The problem; the fleet row of every battery in it, ``NO_ROW`` where it is a cohort; the members of the cohorts.
    """
    before = len(problem.charging)
    problem, cohorts = joined(problem)
    alone = cohorts.share == 1.0
    single = np.full(len(problem.storing), NO_ROW, dtype=np.int64)
    single[cohorts.device[alone]] = rows[alone]
    members = Members(
        rows=rows[~alone], device=before + cohorts.device[~alone], share=cohorts.share[~alone].astype(np.float32)
    )
    return problem, single, members


def _movable(index: FleetIndex, fixed_kw: Powers, policy: PlanningPolicy) -> BoolArray:
    """Return rows in service behind a transformer that would be overloaded if none moved, ``(n_resources,)``."""
    if policy.move_everything:
        return index.in_service
    tight: BoolArray = np.asarray((overload_kw(index, fixed_kw) > 0.0).any(axis=1))
    return np.asarray(index.feeders.with_all_below(tight)[index.transformer_code] & index.in_service)


def _kept_steps(grid: TimeGrid, in_force: Schedule | None, kept_until_s: float | None, *, rows: int) -> int:
    """Return for how many steps storage and V2G stay on the plan in force."""
    if in_force is None or kept_until_s is None or len(in_force.power_kw) > rows:
        return 0
    until_s = min(kept_until_s, in_force.grid.end_s)
    return int(np.clip(np.ceil((until_s - grid.start_s) / grid.step_s), 0, grid.count))


def _storing(
    state: FleetState,
    grid: TimeGrid,
    fixed_kw: Powers,
    *,
    policy: PlanningPolicy,
    in_force: Schedule | None,
    kept: int,
) -> tuple[Storing, IntArray]:
    """Return the block and its rows; their ``fixed_kw`` becomes what they keep of the plan in force, else 0."""
    rows = np.flatnonzero(storing_rows(state))
    car = state.index.is_class(ResourceClass.V2G)[rows]
    depart = np.where(car, departure_step(state, rows, grid), grid.count)
    soc = np.clip(state.soc[rows], 0.0, 1.0)
    inside = np.arange(grid.count) < depart[:, None]
    fixed_kw[rows] = np.where(inside, 0.0, fixed_kw[rows])
    if in_force is not None and kept and len(in_force.power_kw) > rows.max(initial=-1):
        power, soc = followed(state.index, rows, soc, in_force=in_force, grid=grid, count=kept)
        fixed_kw[rows, :kept] += np.where(inside[:, :kept], power, 0.0)
    else:
        kept = 0
    free = depart > kept
    rows, soc, depart = rows[free], soc[free], depart[free]
    block = storing_block(
        state,
        rows,
        soc=soc,
        arrive=np.full(len(rows), kept),
        depart=depart,
        grid=grid,
        soc_end=np.full(len(rows), policy.soc_end),
    )
    return block, rows


def _slowed(
    storing: Storing,
    rows: IntArray,
    *,
    recoveries: Sequence[EnergyRecovery],
    before: Schedule | None,
    policy: PlanningPolicy,
    grid: TimeGrid,
) -> Storing:
    """Return the block with the recovery of stationary batteries bounded; cars charge for their drivers."""
    fixed = storing.reserving
    limit_kw = charge_limit_kw(
        recoveries,
        before=before,
        rows=rows[fixed],
        most_kw=storing.p_max_kw[fixed],
        reserved=reserve_hours(policy.reserve.windows, grid),
        grid=grid,
    )
    if limit_kw is None:
        return storing
    whole_kw = storing.most_charge_kw(grid.count).copy()
    whole_kw[fixed] = limit_kw
    return replace(storing, charge_limit_kw=whole_kw)


def followed(
    index: FleetIndex, rows: IntArray, soc: FloatArray, *, in_force: Schedule, grid: TimeGrid, count: int
) -> tuple[FloatArray, FloatArray]:
    """Return the power of batteries that follow a schedule as far as their charge allows, and their charge after it.

    Args:
        index: The fleet.
        rows: Theirs.
        soc: State of charge at the grid's begin, shape ``(len(rows),)``.
        in_force: The schedule.
        grid: The steps.
        count: How many of them.

    Returns:
        Power, shape ``(len(rows), count)``, and state of charge, shape ``(len(rows),)``.
    """
    capacity, efficiency = index.nameplate.capacity_kwh[rows], index.nameplate.efficiency[rows]
    power = np.zeros((len(rows), count))
    for step, at_s in enumerate(grid.starts_s()[:count].tolist()):
        most = (1.0 - soc) * capacity / (efficiency * grid.step_h)
        least = -soc * capacity * efficiency / grid.step_h
        power[:, step] = np.clip(in_force.at(at_s)[rows], least, most)
        gained = np.where(power[:, step] > 0.0, power[:, step] * efficiency, power[:, step] / efficiency)
        soc = np.clip(soc + gained * grid.step_h / capacity, 0.0, 1.0)
    return power, soc
