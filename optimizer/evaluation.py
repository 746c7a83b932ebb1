"""What a schedule really does and costs, recomputed from its powers alone."""

from dataclasses import dataclass

import numpy as np

from optimizer.blocks.storing import energy_bounds_kwh
from optimizer.problem import Problem
from optimizer.validation import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Consequences of a schedule; see ``Solution`` for shapes."""

    power_kw: FloatArray
    cost_cny: float
    overload_kw: FloatArray
    unserved_kwh: FloatArray
    shortfall_kw: FloatArray


def evaluate(problem: Problem, power_kw: FloatArray) -> Evaluation:
    """Return what ``power_kw``, shape ``(n, T)``, leads to.

    Battery power is first narrowed to what the state of charge allows: a linear model may charge and discharge in one
    step to burn energy at a negative price, a battery cannot.
    """
    first = len(problem.charging)
    last = first + len(problem.storing)
    stored, storing_kw = _realised(problem, power_kw[first:last])
    power = np.concatenate([power_kw[:first], storing_kw, power_kw[last:]])
    total, overload = _flows(problem, power)
    unserved = np.zeros(len(power))
    unserved[:first] = np.maximum(problem.charging.need_kwh - power[:first].sum(1) * problem.step_h, 0.0)
    due = problem.storing.soc_end * problem.storing.capacity_kwh
    unserved[first:last] = np.maximum(due - stored, 0.0)
    shortfall = _shortfall(problem, total)
    cost = _cost(problem, power, total, overload, shortfall)
    cost += problem.unserved_price_cny_per_kwh * float(unserved.sum())
    return Evaluation(
        power_kw=power, cost_cny=cost, overload_kw=overload, unserved_kwh=unserved, shortfall_kw=shortfall
    )


def _realised(problem: Problem, power_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return stored energy at the end, shape ``(n,)``, and the power that kept it in bounds, shape ``(n, T)``."""
    batteries, h = problem.storing, problem.step_h
    low, high = energy_bounds_kwh(batteries)
    stored = batteries.soc_start * batteries.capacity_kwh
    power = np.empty_like(power_kw)
    for step in range(problem.steps):
        most = np.maximum(high - stored, 0.0) / (batteries.efficiency * h)
        least = -np.maximum(stored - low, 0.0) * batteries.efficiency / h
        power[:, step] = np.clip(power_kw[:, step], least, most)
        charge, discharge = np.maximum(power[:, step], 0.0), np.maximum(-power[:, step], 0.0)
        stored = stored + (batteries.efficiency * charge - discharge / batteries.efficiency) * h
    return stored, power


def _flows(problem: Problem, power_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the total, shape ``(T,)``, and the overload of every node, shape ``(m, T)``."""
    network = problem.network
    flow = network.base_kw.copy()
    np.add.at(flow, problem.transformer, power_kw)
    total = problem.fixed_kw.copy()
    for node in network.leaves_first().tolist():
        above = network.parent[node]
        (total if above < 0 else flow[above])[...] += flow[node]
    over = np.maximum(flow - network.limit_kw, -network.export_limit_kw - flow)
    return total, np.maximum(over, 0.0)


def _shortfall(problem: Problem, total_kw: FloatArray) -> FloatArray:
    if problem.cut is None:
        return np.zeros(problem.steps)
    goal = problem.cut.reference_kw - problem.cut.cut_kw
    return np.maximum(np.sign(problem.cut.cut_kw) * (total_kw - goal), 0.0)


def _cost(
    problem: Problem, power_kw: FloatArray, total_kw: FloatArray, overload_kw: FloatArray, shortfall_kw: FloatArray
) -> float:
    h = problem.step_h
    ends = np.cumsum([len(problem.charging), len(problem.storing), len(problem.solar)])
    _, storing, solar, flexible = np.split(power_kw, ends)
    wear = problem.storing.wear_price_cny_per_kwh @ np.maximum(-storing, 0.0).sum(1)
    curtailed = (problem.solar.available_kw + solar).sum() * problem.solar.price_cny_per_kwh
    cut = problem.flexible.price_cny_per_kwh @ (problem.flexible.baseline_kw - flexible).sum(1)
    energy = problem.price_cny_per_kwh @ total_kw
    overload = overload_kw.sum() * problem.network.overload_price_cny_per_kwh
    missing = 0.0 if problem.cut is None else shortfall_kw.sum() * problem.cut.shortfall_price_cny_per_kwh
    peak = problem.peak_price_cny_per_kw * max(float(total_kw.max()), 0.0)
    return float((energy + wear + curtailed + cut + overload + missing) * h + peak)
