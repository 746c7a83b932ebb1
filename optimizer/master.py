"""The market's side of the decomposition: which mixture of the fleet's schedules to take, and what to sell with it.

A Dantzig-Wolfe restricted master. Every column is what one zone does in one of the kept schedules; a convex mixture of
schedules of a zone is again one its devices can follow, and costs no more than the mixture of their costs. What couples
the zones is decided here exactly: peak, band, regulation with indivisible bids, reserve, contracts. See Dantzig and
Wolfe, Decomposition principle for linear programs, 1960.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import BoolArray, FloatArray
from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.exact.blocks.contracts import ContractsBlock
from optimizer.exact.blocks.market import MarketBlock
from optimizer.exact.blocks.regulation import RegulationBlock
from optimizer.exact.highs import OPTIONS, Option, configured, feasible, highs_lp, optimal, point, row_dual
from optimizer.exact.matrix import LinearProgram, linear_program
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Status
from optimizer.problem.validation import ProblemError, finite, shaped

_GAP_RATIO = 1e-5
_SEARCH_RATIO = 0.8
"""Share of the deadline for whole numbers; the rest is for the prices that go with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What ``z`` zones do in each of ``k`` schedules.

    Attributes:
        moved_kw: Net load of charging and storing, shape ``(k, z, T)``.
        solar_kw: Solar power used, positive, with that which cannot be curtailed, shape ``(k, z, T)``.
        flexible_kw: Net load of what can be cut, baseline and rebound included, shape ``(k, z, T)``.
        cost_cny: All local costs: wear, unserved, curtailed, cuts, overload, churn, shape ``(k, z)``.
        reserve_kw: Reserve held in each window, shape ``(k, z, w)``.

    Raises:
        ProblemError: Shapes that do not fit each other, or unknown numbers.
    """

    moved_kw: FloatArray
    solar_kw: FloatArray
    flexible_kw: FloatArray
    cost_cny: FloatArray
    reserve_kw: FloatArray

    def __post_init__(self) -> None:
        count, zones = self.cost_cny.shape
        if not count or not zones:
            raise ProblemError("columns.cost_cny", f"shape {self.cost_cny.shape}", "at least one column of one zone")
        steps = self.moved_kw.shape[-1]
        for name in ("moved_kw", "solar_kw", "flexible_kw"):
            finite(f"columns.{name}", shaped(f"columns.{name}", getattr(self, name), (count, zones, steps)))
        finite("columns.cost_cny", self.cost_cny)
        windows = self.reserve_kw.shape[-1]
        finite("columns.reserve_kw", shaped("columns.reserve_kw", self.reserve_kw, (count, zones, windows)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The best mixture.

    Attributes:
        status: ``NONE`` if time was too short; then the weights take the last column and the numbers are NaN.
        weights: At least 0, they sum to 1 for every zone, shape ``(k, z)``.
        objective_cny: Cost as the master sees it; the mixture itself costs no more.
        regulation_kw: Capacity sold, shape ``(T,)``.
        contracts: Those bought, shape ``(c,)``.
        total_price: Multipliers of peak and band with whole numbers held fast, CNY per kW and step, shape ``(T,)``.
        regulation_price: Of the room upwards and downwards, CNY per kW and step, shape ``(2, T)``.
    """

    status: Status
    weights: FloatArray
    objective_cny: float
    regulation_kw: FloatArray
    contracts: BoolArray
    total_price: FloatArray
    regulation_price: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Master:
    """The model with the blocks that can read its result."""

    pyomo: pyo.ConcreteModel
    weights: Variables
    regulation: RegulationBlock | None
    contracts: ContractsBlock | None


def recombine(
    problem: Problem, columns: Columns, *, deadline_s: float = 10.0, options: Mapping[str, Option] | None = None
) -> Mixture:
    """Return the cheapest mixture of ``columns`` that can be found within ``deadline_s`` wall seconds.

    Args:
        problem: Requirements on the sum; of its devices only the plug-in windows count.
        columns: At least one schedule.
        deadline_s: Wall seconds.
        options: Of HiGHS.

    Raises:
        ProblemError: The columns do not fit the problem, or an option that HiGHS does not know.
    """
    began = time.perf_counter()
    _fit(problem, columns)
    highs = configured({**OPTIONS, "mip_rel_gap": _GAP_RATIO, **(options or {})})
    master = _built(problem, columns)
    program = linear_program(master.pyomo)
    left_s = max(deadline_s - (time.perf_counter() - began), 0.0)
    highs.setOptionValue("time_limit", left_s * _SEARCH_RATIO)
    highs.passModel(highs_lp(program))
    highs.run()
    if not (optimal(highs) or feasible(highs)):
        return _last(problem, columns)
    best = point(highs, program)
    program.load(best)
    duals = row_dual(highs, program)
    if program.integral.any():
        left_s = max(deadline_s - (time.perf_counter() - began), 0.0)
        duals = _fixed_duals(program, best, {**OPTIONS, **(options or {}), "time_limit": left_s})
    return replace(
        _read(problem, master, program, duals),
        status=Status.OPTIMAL if optimal(highs) else Status.FEASIBLE,
        objective_cny=float(program.cost @ best),
    )


def _fit(problem: Problem, columns: Columns) -> None:
    steps, windows = columns.moved_kw.shape[-1], columns.reserve_kw.shape[-1]
    wanted = 0 if problem.reserve is None else len(problem.reserve)
    if (steps, windows) != (problem.steps, wanted):
        raise ProblemError("columns", f"{steps} steps and {windows} windows", f"{problem.steps} and {wanted}")


def _built(problem: Problem, columns: Columns) -> _Master:
    model = pyo.ConcreteModel()
    base = problem.network.base_kw.sum(axis=0) + problem.fixed_kw
    balances = Balances(base[np.newaxis])
    weights = _weights(model, columns, balances)
    balances.moved = _mixed(weights, columns.moved_kw)
    balances.solar = _mixed(weights, columns.solar_kw)
    total = balances.node[0]
    net = _mixed(weights, columns.moved_kw - columns.solar_kw + columns.flexible_kw)
    for account, mixed in zip(total, net, strict=True):
        account.take(mixed)
    contracts = None
    if problem.contracts is not None:
        at_the_top = replace(problem.contracts, node=np.zeros_like(problem.contracts.node))
        contracts = ContractsBlock(model, at_the_top, balances)
    regulation = None
    if problem.regulation is not None:
        regulation = RegulationBlock(model, problem, problem.regulation, balances)
    if problem.reserve is not None:
        _reserve(model, problem, columns, weights, balances)
    MarketBlock(model, problem, balances, total)
    model.cost_cny = pyo.Objective(expr=balances.cost.expression())
    return _Master(pyomo=model, weights=weights, regulation=regulation, contracts=contracts)


def _weights(model: pyo.ConcreteModel, columns: Columns, balances: Balances) -> Variables:
    """Add the weights, column by column and zone by zone, and the rows that make them a mixture."""
    count, zones = columns.cost_cny.shape
    model.columns = block = pyo.Block()
    weights = Variables.on(block, "weight", np.zeros(count * zones), np.ones(count * zones))
    balances.price(columns.cost_cny.ravel(), weights)
    rows: list[Row] = [
        (1.0, LinearExpression(linear_coefs=[1.0] * count, linear_vars=weights.data[zone::zones]), 1.0)
        for zone in range(zones)
    ]
    constrain(block, "convexity", rows)
    return weights


def _mixed(weights: Variables, power_kw: FloatArray) -> list[Account]:
    """Return the mixture of ``power_kw``, shape ``(k, z, T)``, as one account a step."""
    steps = power_kw.shape[-1]
    coefficients = power_kw.reshape(power_kw.shape[0] * power_kw.shape[1], steps).T.tolist()  # also of no step
    low, high = power_kw.min(axis=0).sum(axis=0).tolist(), power_kw.max(axis=0).sum(axis=0).tolist()
    return [Account(0.0, coefficients[t], list(weights.data), low[t], high[t]) for t in range(steps)]


def _reserve(
    model: pyo.ConcreteModel, problem: Problem, columns: Columns, weights: Variables, balances: Balances
) -> None:
    reserve = problem.reserve
    if reserve is None:
        return
    model.reserve = block = pyo.Block()
    missing = Variables.on(block, "missing_kw", np.zeros(len(reserve)), reserve.need_kw)
    balances.price(reserve.prices_cny_per_kw, missing)
    rows: list[Row] = []
    for w, held in enumerate(_mixed(weights, columns.reserve_kw)):
        held.add(1.0, missing.data[w], 0.0, 0.0)
        rows.append((float(reserve.need_kw[w]), held.expression(), None))
    constrain(block, "need", rows)


def _fixed_duals(program: LinearProgram, best: FloatArray, options: Mapping[str, Option]) -> FloatArray:
    """Return the dual values of the rows when the whole numbers stay what they are."""
    low = np.where(program.integral, best, program.low)
    high = np.where(program.integral, best, program.high)
    highs = configured(options)
    highs.passModel(highs_lp(replace(program, low=low, high=high), relaxed=True))
    highs.run()
    return row_dual(highs, program)


def _read(problem: Problem, master: _Master, program: LinearProgram, duals: FloatArray) -> Mixture:
    """Return the mixture without its status and cost."""
    count = len(master.weights.data)
    zones = len(master.pyomo.columns.convexity)
    weights = np.maximum(master.weights.values().reshape(count // zones, zones), 0.0)
    # The balance's weight is minus what one more kW of the total costs: its energy, and peak and band with it.
    total_price = -program.duals_of(master.pyomo.market.balance, duals) - problem.price_cny_per_kwh * problem.step_h
    room = np.zeros((2, problem.steps))
    if master.regulation is not None:
        room = -program.duals_of(master.pyomo.regulation.room, duals).reshape(problem.steps, 2).T
    nothing_sold = np.zeros(problem.steps)
    return Mixture(
        status=Status.NONE,
        weights=weights / weights.sum(axis=0),
        objective_cny=np.nan,
        regulation_kw=nothing_sold if master.regulation is None else master.regulation.sold_kw(),
        contracts=np.zeros(0, dtype=np.bool_) if master.contracts is None else master.contracts.bought(),
        total_price=total_price,
        regulation_price=room,
    )


def _last(problem: Problem, columns: Columns) -> Mixture:
    weights = np.zeros(columns.cost_cny.shape)
    weights[-1] = 1.0
    return Mixture(
        status=Status.NONE,
        weights=weights,
        objective_cny=np.nan,
        regulation_kw=np.full(problem.steps, np.nan),
        contracts=np.zeros(0 if problem.contracts is None else len(problem.contracts), dtype=np.bool_),
        total_price=np.full(problem.steps, np.nan),
        regulation_price=np.full((2, problem.steps), np.nan),
    )
