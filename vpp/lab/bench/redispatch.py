"""``vpp bench redispatch``: re-dispatch after the acceptance of a two-hour cut with ramps and a rebound cap.

Two problems as the service states them (a band on the total, a price on deviating from the plan, a hundredth of the
tariff, the same accepted gap), without a warm start:

- ``service``: the rows of the benchmark city at half past eleven, 1 GW in 276,000 rows from one to three o'clock, from
  the snapshot on. Most chargers are empty then and enter through the forecast.
- ``plugged``: a reference day in which every one of the charging points has a car that may move, 250 W each cut from
  eleven at night to one in the morning, from the day-ahead plan on.

The figures of the JSON object are the worse of the two; each one's own are under its name. Schedules are evaluated by
``optimizer.problem.evaluation``, which shares no code with the solver.
"""

import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import orjson
from rich.console import Console

from optimizer.decomposition.fleet import compiled
from optimizer.decomposition.lagrangian.repair import reachable
from optimizer.decomposition.warmup import warm_up
from optimizer.heap import keep_freed_memory
from optimizer.problem.evaluation import evaluate
from optimizer.problem.problem import Churn, Problem
from optimizer.problem.solution import Solution
from optimizer.problem.validation import PowerArray
from optimizer.solve import solve
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.lab.bench.instance import generated, problem_of
from vpp.lab.bench.synthetic_city import MODEL_ROWS, CityMeter, city, plan_of, snapshot
from vpp.planning.forecast.load_forecast import forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.planner import INTENDED_GAP_RATIO
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.redispatch import CHURN_CNY_PER_KWH, PRICE_SHARE, band_of, to_redispatch_problem
from vpp.planning.tariff import Tariff

_DEADLINE_S = 120.0
_STEPS = 96
_HISTORY_DAYS = 2
_HOLD_STEPS, _WATCH_STEPS = 8, 8
_TOLERANCE_RATIO, _REBOUND_RATIO = 0.03, 0.1
_CITY_TARGET_KW, _CITY_FIRST = 1e6, 6
_CUT_KW_PER_POINT, _POINTS_FIRST = 0.25, 44
_NOON = datetime(2026, 7, 15, 4, tzinfo=UTC)

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A problem, and the CPU seconds of stating it from the snapshot."""

    problem: Problem
    stated_cpu_s: float


def run_redispatch(*, devices: int, seed: int, as_json: bool) -> int:
    """Re-dispatch ``devices`` rows of the city and as many charging points."""
    console = Console(stderr=True)
    keep_freed_memory()
    console.print(f"kernels ready after {warm_up():.1f} s")
    worst: dict[str, Figures] = {}
    for name, stated in (("service", _service), ("plugged", _plugged)):
        console.print(f"{name}: drawing {devices} devices")
        case = stated(devices, seed)
        console.print(f"{name}: planning {case.problem.devices} that may move")
        worst[name] = _measured(case)
    names = ("cpu_s", "gap_ratio", "event_gap_ratio", "excess_kw", "avoidable_overload_kw")
    body: dict[str, object] = {"devices": devices}
    body |= {name: max(figures[name] for figures in worst.values()) for name in names}
    body |= worst
    sys.stdout.write(orjson.dumps(body).decode() + "\n" if as_json else _table(worst))
    return 0


def _measured(case: _Case) -> Figures:
    """Solve, and evaluate the schedule."""
    problem = case.problem
    began, wall = time.process_time(), time.perf_counter()
    found = solve(problem, deadline_s=_DEADLINE_S, method="decomposition", gap_ratio=INTENDED_GAP_RATIO)
    cpu_s, wall_s = time.process_time() - began, time.perf_counter() - wall
    return {"cpu_s": cpu_s + case.stated_cpu_s, "solve_cpu_s": cpu_s, "solve_wall_s": wall_s, **_read(problem, found)}


def _read(problem: Problem, found: Solution) -> Figures:
    assert problem.churn is not None  # noqa: S101 - both cases have one
    known = np.nan_to_num(problem.churn.previous_kw)
    before = evaluate(replace(problem, band=None), known)
    after = evaluate(problem, found.power_kw, found.contracts)
    goal = reachable(compiled(problem))
    flow, _ = problem.network.summed_kw(_own_kw(problem, after.power_kw))
    gap_cny = found.objective_cny - found.lower_bound_cny
    return {
        "movable": problem.devices,
        "gap_ratio": found.gap_ratio,
        "gap_cny": gap_cny,
        "event_cost_cny": after.cost_cny - before.cost_cny,
        "event_gap_ratio": gap_cny / max(after.cost_cny - before.cost_cny, 1.0),
        "excess_kw": float(after.excess_kw.max()),
        "avoidable_overload_kw": float(np.maximum(flow - goal.most, goal.least - flow).max(initial=0.0)),
        "overload_kw": float(after.overload_kw.max(initial=0.0)),
        "unserved_kwh": float(after.unserved_kwh.sum()),
        "unserved_before_kwh": float(before.unserved_kwh.sum()),
        "moved_kwh": float(np.abs(after.power_kw - known).sum(dtype=np.float64) * problem.step_h),
    }


def _own_kw(problem: Problem, power_kw: PowerArray) -> FloatArray:
    """Return the net load of each node itself, shape ``(m, T)``."""
    own = problem.network.base_kw.copy()
    np.add.at(own, problem.transformer, power_kw)
    return own


def _event(rows: BoolArray, grid: TimeGrid, first: int, target_kw: float) -> Commitment:
    """Return a two-hour cut from step ``first`` on, a step of ramp on either side, and two hours of rebound watch."""
    target, watched = np.zeros(grid.count), np.zeros(grid.count, dtype=np.bool_)
    last = first + _HOLD_STEPS
    target[first:last] = target_kw
    target[[first - 1, last]] = 0.5 * target_kw
    watched[last : last + _WATCH_STEPS] = True
    return Commitment(
        rows=rows,
        direction=Direction.UP,
        grid=grid,
        target_kw=target,
        tolerance_ratio=_TOLERANCE_RATIO,
        rebound_cap_kw=_REBOUND_RATIO * target_kw,
        watched=watched,
    )


def _service(rows: int, seed: int) -> _Case:
    """Return the service's problem when a request of the whole city is accepted."""
    made = city(rows)
    state = snapshot(made, seed=seed)
    predicted = forecast(state, CityMeter(made=made, seed=seed), load_history=LoadHistory(days=_HISTORY_DAYS))
    plan = plan_of(state, predicted)
    everybody = np.ones(len(state), dtype=np.bool_)
    event = _event(everybody, predicted.grid, _CITY_FIRST, _CITY_TARGET_KW * rows / MODEL_ROWS)
    began = time.process_time()
    translation = to_redispatch_problem(
        state,
        forecast=predicted,
        plan=plan,
        commitments=[event],
        tariff=Tariff(),
        policy=PlanningPolicy(),
        count=_STEPS,
    )
    return _Case(problem=translation.problem, stated_cpu_s=time.process_time() - began)


def _plugged(points: int, seed: int) -> _Case:
    """Return a reference day, planned ahead, in which all cars and batteries answer an accepted request."""
    day = problem_of(generated(points, seed))
    plan = solve(day, deadline_s=_DEADLINE_S, method="decomposition")
    total = day.network.base_kw.sum(axis=0) + day.fixed_kw + plan.power_kw.sum(axis=0, dtype=np.float64)
    grid = TimeGrid(start_at=_NOON, count=_STEPS)
    event = _event(np.ones(day.devices, dtype=np.bool_), grid, _POINTS_FIRST, _CUT_KW_PER_POINT * points)
    policy = PlanningPolicy()
    problem = replace(
        day,
        storing=replace(day.storing, wear_price_cny_per_kwh=PRICE_SHARE * day.storing.wear_price_cny_per_kwh),
        price_cny_per_kwh=PRICE_SHARE * day.price_cny_per_kwh,
        peak_price_cny_per_kw=0.0,
        unserved_price_cny_per_kwh=policy.penalties.unserved_cny_per_kwh,
        # Cars must be full by the morning; the rebound after the watch is unbounded.
        band=band_of([event], total, bounded=_POINTS_FIRST + _HOLD_STEPS + _WATCH_STEPS),
        regulation=None,
        churn=Churn(previous_kw=plan.power_kw.astype(np.float64), price_cny_per_kwh=CHURN_CNY_PER_KWH),
    )
    return _Case(problem=problem, stated_cpu_s=0.0)


def _table(worst: dict[str, Figures]) -> str:
    names = list(next(iter(worst.values())))
    lines = [f"{'':>22}" + "".join(f"{case:>14}" for case in worst)]
    lines += [f"{name:>22}" + "".join(f"{figures[name]:>14.6g}" for figures in worst.values()) for name in names]
    return "\n".join(lines) + "\n"
