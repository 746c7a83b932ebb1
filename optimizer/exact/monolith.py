"""The whole problem as one Pyomo model, solved by HiGHS: exact, and the truth the decomposition is checked against."""

import time
from collections.abc import Mapping
from dataclasses import replace

import highspy
import numpy as np

from optimizer.exact.branching import proven_bound_cny
from optimizer.exact.certificate import lower_bound_cny
from optimizer.exact.highs import OPTIONS, Option, configured, feasible, highs_lp, optimal, point, row_dual
from optimizer.exact.matrix import LinearProgram, linear_program
from optimizer.exact.model import PlanModel, build
from optimizer.problem.evaluation import evaluate
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Solution, Status, gap_ratio

_TIME_RATIO = 0.9
"""Share of what is left of the deadline that HiGHS gets; the rest is for reading the result."""
_SEARCH_RATIO = 0.6
"""The same where there are whole numbers, and their bound is to be proven as well."""
_MOST_ROUNDS = 8
"""Rounds in which cells that burn energy are found and forbidden; what remains shows as gap."""
_BUILD_S_PER_COLUMN = 1e-5
"""Pyomo builds a column on no machine faster: a deadline is not spent on a model that cannot be solved in time."""


def solve_monolith(problem: Problem, *, deadline_s: float, options: Mapping[str, Option] | None = None) -> Solution:
    """Return the cheapest plan that can be found within ``deadline_s`` wall seconds.

    Raises:
        ProblemError: An option that HiGHS does not know or does not take.
    """
    began = time.perf_counter()
    configured({**OPTIONS, **(options or {})})
    columns = estimated_columns(problem)
    if columns * _BUILD_S_PER_COLUMN > deadline_s:
        return nothing(problem, f"monolith: Time limit too short to build {columns} columns")
    model = build(problem)
    give_up_at = began + deadline_s * _TIME_RATIO
    found = _solved(problem, model, give_up_at=give_up_at, options=options or {})
    for _ in range(_MOST_ROUNDS):
        if found.status is Status.NONE or time.perf_counter() >= give_up_at or not model.storing.forbid_burning():
            break
        again = _solved(problem, model, give_up_at=give_up_at, options=options or {})
        if again.status is Status.NONE:
            break
        found = _better(found, again)
    return replace(found, solve_s=time.perf_counter() - began)


def _solved(problem: Problem, model: PlanModel, *, give_up_at: float, options: Mapping[str, Option]) -> Solution:
    program = linear_program(model.pyomo)
    left_s = max(give_up_at - time.perf_counter(), 0.0)
    if program.integral.any():
        left_s *= _SEARCH_RATIO
    highs = configured({**OPTIONS, **options, "time_limit": left_s})
    highs.passModel(highs_lp(program))
    highs.run()
    if not (optimal(highs) or feasible(highs)):
        return nothing(problem, _reason(highs))
    return _read(problem, model, program, highs, give_up_at=give_up_at, options=options)


def _better(one: Solution, other: Solution) -> Solution:
    """Return the cheaper schedule with the higher bound: both bound the same problem."""
    best = min(one, other, key=lambda found: found.objective_cny)
    bound = max(one.lower_bound_cny, other.lower_bound_cny)
    gap = gap_ratio(objective_cny=best.objective_cny, lower_bound_cny=bound, gross_cny=best.gross_cny)
    return replace(best, lower_bound_cny=bound, gap_ratio=gap)


def estimated_columns(problem: Problem) -> int:
    """Return about how many columns the model of ``problem`` has."""
    cars, stores = problem.charging, problem.storing
    cells = int((cars.depart - cars.arrive).sum()) + 3 * int((stores.depart - stores.arrive).sum())
    return (
        cells + int(np.count_nonzero(problem.solar.available_kw)) + int(np.count_nonzero(problem.flexible.max_cut_kw))
    )


def nothing(problem: Problem, reason: str) -> Solution:
    """Return the answer that there is none, and why."""
    devices, nodes, steps = problem.devices, len(problem.network), problem.steps
    return Solution(
        status=Status.NONE,
        reason=reason,
        power_kw=np.full((devices, steps), np.nan),
        objective_cny=np.nan,
        lower_bound_cny=np.nan,
        gross_cny=np.nan,
        gap_ratio=np.nan,
        overload_kw=np.full((nodes, steps), np.nan),
        unserved_kwh=np.full(devices, np.nan),
        excess_kw=np.full(steps, np.nan),
        regulation_kw=np.full(steps, np.nan),
        reserve_kw=np.full(0 if problem.reserve is None else len(problem.reserve), np.nan),
        contracts=np.zeros(0 if problem.contracts is None else len(problem.contracts), dtype=np.bool_),
        solve_s=0.0,
        method="monolith",
    )


def _read(
    problem: Problem,
    model: PlanModel,
    program: LinearProgram,
    highs: highspy.Highs,
    *,
    give_up_at: float,
    options: Mapping[str, Option],
) -> Solution:
    """Return what a run found, with its certificate."""
    best = point(highs, program)
    program.load(best)
    found = evaluate(problem, model.power_kw(), model.bought())
    if program.integral.any():
        bound = _searched(program, goal_cny=float(program.cost @ best), give_up_at=give_up_at, options=options)
    else:
        bound = lower_bound_cny(program, row_dual(highs, program))
    gap = gap_ratio(objective_cny=found.cost_cny, lower_bound_cny=bound, gross_cny=found.gross_cny)
    return Solution(
        status=Status.OPTIMAL if optimal(highs) else Status.FEASIBLE,
        reason="" if optimal(highs) else _reason(highs),
        power_kw=found.power_kw,
        objective_cny=found.cost_cny,
        lower_bound_cny=bound,
        gross_cny=found.gross_cny,
        gap_ratio=gap,
        overload_kw=found.overload_kw,
        unserved_kwh=found.unserved_kwh,
        excess_kw=found.excess_kw,
        regulation_kw=found.regulation_kw,
        reserve_kw=found.reserve_kw,
        contracts=found.contracts,
        solve_s=0.0,
        method="monolith",
    )


def _searched(program: LinearProgram, *, goal_cny: float, give_up_at: float, options: Mapping[str, Option]) -> float:
    """Return the bound of a program with whole numbers, within the time that is left."""
    left_s = max(give_up_at - time.perf_counter(), 0.0)
    relaxation = configured({**OPTIONS, **options, "time_limit": left_s})
    relaxation.passModel(highs_lp(program, relaxed=True))
    return proven_bound_cny(program, relaxation, goal_cny=goal_cny, give_up_at=give_up_at)


def _reason(highs: highspy.Highs) -> str:
    return f"highs: {highs.modelStatusToString(highs.getModelStatus())}"
