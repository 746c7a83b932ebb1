"""Re-dispatch: a second plan beside the baseline plan that meets the requests committed to.

Rows that may move in the areas called are free; all others do as expected. The total must come down by what is due,
must not come back above the rebound ceiling, and every kW moved off the reference has a small price, so that no row is
moved without need. The baseline plan is not touched: requests are settled against it (docs/adr/0002).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from numerics.arrays import IntArray, Powers
from numerics.sums import grouped
from optimizer.problem.problem import Band, Churn, Flexible, Problem, Storing
from optimizer.problem.solution import Solution
from vpp.domain.request import Direction
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.planning.feeder_flow import named_overload
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy, usable_rows
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.rebound import ClassPrices
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.device_blocks import (
    charging_block,
    departure_step,
    flexible_block,
    solar_block,
    storing_block,
    storing_rows,
)
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.translate import NO_ROW, Translation, followed, network_of
from vpp.planning.tariff import Tariff

BAND_CNY_PER_KWH = 8.0
"""Missing a kWh of a request costs less than a driver's unserved one and far less than an overload."""
CHURN_CNY_PER_KWH = 0.02
PRICE_SHARE = 0.01
"""The tariff and the wear of batteries only say which of equal moves to prefer: shifting a kWh leaves the reference
twice and so costs twice the churn, which no spread of prices makes up for. No row is moved for the price because
another was asked for power, and no battery leaves out what the plan discharges for the wear it saves.
"""
_AFTER_STEPS = 16
"""Steps planned beyond the last watch, in which energy is recovered."""
_NEWCOMERS_RETURN = 1.0


def horizon(commitments: Sequence[Commitment], count: int) -> int:
    """Return how many steps are planned: to the end of the last watch and four hours beyond, at most ``count``."""
    last = 0
    for commitment in commitments:
        busy = np.flatnonzero(commitment.watched | (commitment.target_kw > 0.0))
        last = max(last, int(busy[-1]) + 1 if len(busy) else 0)
    return min(count, last + _AFTER_STEPS)


def to_redispatch_problem(
    state: FleetState,
    *,
    forecast: Forecast,
    plan: Schedule,
    commitments: Sequence[Commitment],
    tariff: Tariff,
    policy: PlanningPolicy,
    count: int,
    flexibility: FlexibilityPolicy | None = None,
    prices: ClassPrices | None = None,
) -> Translation:
    """Return the problem of meeting every commitment from the plan.

    Args:
        state: Snapshot it starts from.
        forecast: Expected power of every row; its grid begins as those of the commitments.
        plan: The baseline plan; batteries are measured against it.
        commitments: Requests to be met. Where two areas are called at once, one may give for the other.
        tariff: Prices.
        policy: Settings of the plan.
        count: Greatest number of steps.
        flexibility: Policy for cars that have not come yet.
        prices: Price of a cut by class.

    Raises:
        ProblemError: A number of the snapshot makes no sense.
    """
    count = horizon(commitments, min(count, forecast.grid.count, commitments[0].grid.count))
    grid = TimeGrid(start_at=forecast.grid.start_at, step_s=forecast.grid.step_s, count=count)
    index, prices = state.index, prices or ClassPrices()
    movable = usable_rows(state) & np.logical_or.reduce([commitment.rows for commitment in commitments])
    down = any(commitment.direction is Direction.DOWN for commitment in commitments)
    fixed = forecast.expected_kw[:, :count].copy()
    reference_stores = _stores_reference(state, plan, grid, fixed)
    storing, stores = _storing(state, movable, grid, plan)
    charging, cars = charging_block(state, movable, grid)
    solar, panels = solar_block(index, movable & down, fixed, price=prices.pv)
    price = prices.by_class()[index.class_code]
    flexible, loads = flexible_block(state, movable, fixed, grid, price)
    share = (flexibility or FlexibilityPolicy()).future_share
    newcomers = _newcomers(state, movable, forecast.expected_kw[:, :count], grid.step_h, share=share, price=price)
    rows = np.concatenate([cars, stores, panels, loads])
    previous = np.concatenate(
        [
            fixed[cars].astype(np.float64),
            reference_stores[np.searchsorted(np.flatnonzero(storing_rows(state)), stores)],
            fixed[panels].astype(np.float64),
            fixed[loads].astype(np.float64),
            newcomers.baseline_kw,
        ]
    )
    fixed[rows] = 0.0
    base = index.feeders.own_kw(fixed)
    np.subtract.at(base, newcomers.transformer, newcomers.baseline_kw)
    total = base.sum(axis=0) + previous.sum(axis=0)
    band = band_of(commitments, total)
    problem = Problem(
        step_h=grid.step_h,
        price_cny_per_kwh=PRICE_SHARE * tariff.price_cny_per_kwh(grid),
        peak_price_cny_per_kw=0.0,
        unserved_price_cny_per_kwh=policy.penalties.unserved_cny_per_kwh,
        fixed_kw=np.zeros(count),
        network=network_of(index, base, policy),
        charging=charging,
        storing=_relieved(storing, flexible, commitments, band=band, total_kw=total, grid=grid),
        solar=solar,
        flexible=_joined(flexible, newcomers),
        band=band,
        churn=Churn(previous_kw=previous, price_cny_per_kwh=CHURN_CNY_PER_KWH),
    )
    several = NO_ROW - 1 - newcomers.transformer
    return Translation(problem=problem, grid=grid, rows=np.concatenate([rows, several]), fixed_kw=fixed)


def to_intended(translation: Translation, solution: Solution, state: FleetState) -> Schedule:
    """Return preferred powers of the rows that may move, NaN for all others, as a schedule."""
    power = np.full(translation.fixed_kw.shape, np.nan, dtype=np.float32)
    known = translation.rows >= 0
    power[translation.rows[known]] = solution.power_kw[known]
    worst = solution.overload_kw.max(axis=1, initial=0.0)
    missing = float(solution.excess_kw.max(initial=0.0))
    return Schedule(
        grid=translation.grid,
        power_kw=power,
        rung=Rung.OPTIMAL,
        objective_cny=solution.objective_cny,
        gap_ratio=solution.gap_ratio,
        solve_s=solution.solve_s,
        reason=solution.reason or (f"{missing:.0f} kW beyond the band" if missing >= 1.0 else ""),
        overload_kw=named_overload(state.index, worst),
    )


def band_of(commitments: Sequence[Commitment], total_kw: FloatArray, *, bounded: int | None = None) -> Band:
    """Return the bounds of the total: on target within the tolerance while due, under the rebound ceiling otherwise.

    It also stays below the peak that the reference has anyway: charging up before a request, and again after it, must
    not raise the peak, nor come faster than what may come back.

    Args:
        commitments: Requests to be met.
        total_kw: The reference, shape ``(count,)``.
        bounded: Steps beyond which nothing is bounded; all are if not given.
    """
    count = len(total_kw)
    change, slack = np.zeros(count), np.zeros(count)
    due_up, due_down = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    ceiling = total_kw.max(initial=-np.inf) - total_kw
    for commitment in commitments:
        target = commitment.target_kw[:count]
        change += target if commitment.direction is Direction.UP else -target
        slack += commitment.tolerance_ratio * target
        due_up |= (target > 0.0) & (commitment.direction is Direction.UP)
        due_down |= (target > 0.0) & (commitment.direction is Direction.DOWN)
        if commitment.rebound_cap_kw is not None:
            ceiling = np.where(target <= 0.0, np.minimum(ceiling, commitment.rebound_cap_kw), ceiling)
    if bounded is not None:
        ceiling[bounded:] = np.inf
    upper = np.where(due_up, 0.0, np.where(due_down, slack, ceiling)) + total_kw - change
    lower = np.where(due_down, 0.0, np.where(due_up, -slack, -np.inf)) + total_kw - change
    return Band(upper_kw=upper, lower_kw=lower, price_cny_per_kwh=BAND_CNY_PER_KWH)


def _stores_reference(state: FleetState, plan: Schedule, grid: TimeGrid, fixed_kw: Powers) -> FloatArray:
    """Put every battery on the plan in ``fixed_kw``; return what that is for those a plan decides."""
    rows = np.flatnonzero(storing_rows(state))
    rows = rows[rows < len(plan.power_kw)]
    soc = np.clip(state.soc[rows], 0.0, 1.0)
    power, _ = followed(state.index, rows, soc, in_force=plan, grid=grid, count=grid.count)
    inside = np.arange(grid.count) < _leaves(state, rows, grid)[:, None]
    fixed_kw[rows] = np.where(inside, power, fixed_kw[rows])
    return np.asarray(fixed_kw[np.flatnonzero(storing_rows(state))].astype(np.float64))


def _leaves(state: FleetState, rows: IntArray, grid: TimeGrid) -> IntArray:
    car = state.index.is_class(*CHARGING)[rows]
    return np.where(car, departure_step(state, rows, grid), grid.count)


def _relieved(
    storing: Storing,
    flexible: Flexible,
    commitments: Sequence[Commitment],
    *,
    band: Band,
    total_kw: FloatArray,
    grid: TimeGrid,
) -> Storing:
    """Return the block without what stationary batteries must give and cannot have won back by the end.

    Were it due, missing it would cost more than missing the request, and the request would be missed. What buildings
    and plants can give they need not.
    """
    fixed = storing.reserving
    capacity_kwh = storing.capacity_kwh[fixed]
    cuts = [commitment.target_kw[: grid.count] for commitment in commitments if commitment.direction is Direction.UP]
    asked_kw = np.sum(cuts, axis=0) if cuts else np.zeros(grid.count)
    due = np.flatnonzero(asked_kw > 0.0)
    if not len(due) or not capacity_kwh.any():
        return storing
    others_kwh = np.minimum(grid.step_h * flexible.max_cut_kw[:, due].sum(axis=1), flexible.max_cut_kwh).sum()
    after = slice(int(due[-1]) + 1, grid.count)
    room_kwh = grid.step_h * float(np.maximum(band.upper_kw - total_kw, 0.0)[after].sum())
    lost_kwh = max(grid.step_h * float(asked_kw.sum()) - float(others_kwh) - room_kwh, 0.0)
    soc_end = storing.soc_end.copy()
    lost_soc = lost_kwh / capacity_kwh.sum() / storing.efficiency[fixed]
    soc_end[fixed] = np.maximum(soc_end[fixed] - lost_soc, 0.0)
    return replace(storing, soc_end=soc_end)


def _storing(state: FleetState, movable: BoolArray, grid: TimeGrid, plan: Schedule) -> tuple[Storing, IntArray]:
    """Return batteries that may move; at the end each must hold what the plan would have left it with."""
    rows = np.flatnonzero(storing_rows(state) & movable)
    soc = np.clip(state.soc[rows], 0.0, 1.0)
    known = rows < len(plan.power_kw)
    due = soc.copy()
    _, due[known] = followed(state.index, rows[known], soc[known], in_force=plan, grid=grid, count=grid.count)
    block = storing_block(
        state,
        rows,
        soc=soc,
        arrive=np.zeros(len(rows), dtype=np.int64),
        depart=_leaves(state, rows, grid),
        grid=grid,
        soc_end=due,
    )
    return replace(block, wear_price_cny_per_kwh=PRICE_SHARE * block.wear_price_cny_per_kwh), rows


def _newcomers(
    state: FleetState, movable: BoolArray, expected_kw: Powers, step_h: float, *, share: float, price: FloatArray
) -> Flexible:
    """Return cars that have not come yet as one load a transformer that can be cut by a share and returns it all."""
    index = state.index
    idle = movable & index.is_class(ResourceClass.EV) & ~state.plugged
    code = np.where(idle, index.transformer_code, -1)
    expected = np.maximum(grouped(expected_kw, code, len(index.transformers)), 0.0)
    nodes = np.flatnonzero(expected.any(axis=1)).astype(np.int64)
    baseline = expected[nodes]
    mean = float(price[idle].mean()) if idle.any() else 0.0
    return Flexible(
        transformer=nodes,
        baseline_kw=baseline,
        max_cut_kw=share * baseline,
        max_cut_kwh=share * baseline.sum(axis=1) * step_h,
        price_cny_per_kwh=np.full(len(nodes), mean),
        rebound_ratio=np.full(len(nodes), _NEWCOMERS_RETURN),
        rebound_steps=4,
    )


def _joined(one: Flexible, other: Flexible) -> Flexible:
    names = ("transformer", "baseline_kw", "max_cut_kw", "max_cut_kwh", "price_cny_per_kwh", "rebound_ratio")
    columns = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return Flexible(**columns, rebound_steps=one.rebound_steps)
