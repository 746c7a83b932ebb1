"""From problem to plan: build with Pyomo, solve with HiGHS, prove the gap."""

import time
from collections.abc import Mapping
from dataclasses import replace

import highspy
import numpy as np

from optimizer.certificate import lower_bound_cny
from optimizer.evaluation import evaluate
from optimizer.matrix import LinearProgram, linear_program
from optimizer.model import PlanModel, build
from optimizer.problem import Problem
from optimizer.solution import Solution, Status
from optimizer.validation import ProblemError

Option = bool | int | float | str
OPTIONS: Mapping[str, Option] = {"output_flag": False, "log_to_console": False, "threads": 1, "solver": "choose"}
_TIME_RATIO = 0.9
"""Share of what is left of the deadline that HiGHS gets; the rest is for reading the result."""


def solve(problem: Problem, *, deadline_s: float, options: Mapping[str, Option] | None = None) -> Solution:
    """Return the cheapest plan that can be found within ``deadline_s`` wall seconds.

    Raises:
        ProblemError: An option that HiGHS does not know or does not take.
    """
    began = time.perf_counter()
    model = build(problem)
    program = linear_program(model.pyomo)
    left_s = max(deadline_s - (time.perf_counter() - began), 0.0) * _TIME_RATIO
    highs = configured({**OPTIONS, **(options or {}), "time_limit": left_s})
    highs.passModel(_highs_lp(program))
    highs.run()
    solution = _read(problem, model, program, highs)
    return replace(solution, solve_s=time.perf_counter() - began)


def configured(options: Mapping[str, Option]) -> highspy.Highs:
    """Return a solver whose options are read back, because HiGHS only logs those it does not know.

    Raises:
        ProblemError: Names the option.
    """
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy ships no annotations
    highs.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's own signature
    for name, value in options.items():
        status = highs.setOptionValue(name, value)
        if status != highspy.HighsStatus.kOk:
            raise ProblemError(f"option {name}", value, "an option and value that HiGHS knows")
        _, held = highs.getOptionValue(name)
        if held != value:
            raise ProblemError(f"option {name}", held, f"{value} to be read back")
    return highs


def _highs_lp(program: LinearProgram) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.cost), len(program.row_low)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.low, program.high
    lp.row_lower_, lp.row_upper_ = program.row_low, program.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = program.start, program.column, program.value
    return lp


def _read(problem: Problem, model: PlanModel, program: LinearProgram, highs: highspy.Highs) -> Solution:
    optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    feasible = highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    reason = "" if optimal else f"highs: {highs.modelStatusToString(highs.getModelStatus())}"
    if not (optimal or feasible):
        return _nothing(problem, reason)
    values = highs.getSolution()
    program.load(np.clip(np.asarray(values.col_value), program.low, program.high))
    found = evaluate(problem, model.power_kw())
    weights = np.asarray(values.row_dual) if values.dual_valid else np.zeros(len(program.row_low))
    bound = lower_bound_cny(program, weights)
    return Solution(
        status=Status.OPTIMAL if optimal else Status.FEASIBLE,
        reason=reason,
        power_kw=found.power_kw,
        objective_cny=found.cost_cny,
        lower_bound_cny=bound,
        gap_ratio=(found.cost_cny - bound) / max(1.0, abs(found.cost_cny)),
        overload_kw=found.overload_kw,
        unserved_kwh=found.unserved_kwh,
        shortfall_kw=found.shortfall_kw,
        solve_s=0.0,
    )


def _nothing(problem: Problem, reason: str) -> Solution:
    devices, nodes, steps = len(problem.transformer), len(problem.network.parent), problem.steps
    return Solution(
        status=Status.NONE,
        reason=reason,
        power_kw=np.full((devices, steps), np.nan),
        objective_cny=np.nan,
        lower_bound_cny=np.nan,
        gap_ratio=np.nan,
        overload_kw=np.full((nodes, steps), np.nan),
        unserved_kwh=np.full(devices, np.nan),
        shortfall_kw=np.full(steps, np.nan),
        solve_s=0.0,
    )
