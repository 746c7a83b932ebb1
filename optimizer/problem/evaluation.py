"""Evaluation of a schedule: consequences and cost, recomputed from its powers and its contracts alone."""

from dataclasses import dataclass, replace

import numpy as np

from numerics.arrays import BoolArray, FloatArray
from optimizer.feasibility_projection import (
    node_sum_kw,
    realise_charging,
    realise_flexible,
    realise_solar,
    realise_storing,
)
from optimizer.problem.devices import present_kw
from optimizer.problem.problem import Problem
from optimizer.problem.reserves import held_kw
from optimizer.problem.validation import PowerArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Consequences of a schedule; see ``Solution`` for shapes.

    Attributes:
        cost_cny: Everything, regulation's income taken off.
        gross_cny: Without that income.
    """

    power_kw: PowerArray
    cost_cny: float
    gross_cny: float
    overload_kw: FloatArray
    unserved_kwh: FloatArray
    excess_kw: FloatArray
    regulation_kw: FloatArray
    reserve_kw: FloatArray
    contracts: BoolArray


def evaluate(problem: Problem, power_kw: PowerArray, contracts: BoolArray | None = None) -> Evaluation:
    """Return what a schedule leads to; regulation and reserve are the greatest it leaves room for.

    Args:
        problem: What is asked.
        power_kw: Net power in device order, single or double precision, not changed; what a device cannot do is
            narrowed to what it can (``optimizer.feasibility_projection``), shape ``(n, T)``.
        contracts: Those bought, shape ``(c,)``; left out, none.
    """
    charging, storing, solar, flexible = problem.parts
    power = np.array(power_kw, order="C")
    unserved = np.zeros(len(power))
    unserved[charging] = realise_charging(problem.charging, power[charging], problem.step_h)
    unserved[storing] = realise_storing(problem.storing, power[storing], problem.step_h)
    realise_solar(problem.solar, power[solar])
    cut = realise_flexible(problem.flexible, power[flexible], problem.step_h)
    bought = _bought(problem, contracts)
    moved, own = _own_kw(problem, power, bought)
    flow, total = problem.network.summed_kw(own)
    total += problem.fixed_kw
    overload = np.maximum(flow - problem.network.limit_kw, -problem.network.export_limit_kw - flow)
    found = Evaluation(
        power_kw=power,
        cost_cny=np.nan,
        gross_cny=np.nan,
        overload_kw=np.maximum(overload, 0.0),
        unserved_kwh=unserved,
        excess_kw=excess_kw(problem, total),
        regulation_kw=sold_kw(problem, moved, -power[solar].sum(0, dtype=np.float64)),
        reserve_kw=held_kw(problem, power[storing]),
        contracts=bought,
    )
    gross = _market_cny(problem, total, found) + _devices_cny(problem, found, cut) + _churn_cny(problem, power)
    return replace(found, cost_cny=gross - _income_cny(problem, found.regulation_kw), gross_cny=gross)


def excess_kw(problem: Problem, total_kw: FloatArray) -> FloatArray:
    """Return how far ``total_kw`` lies beyond the band, shape ``(T,)``."""
    if problem.band is None:
        return np.zeros(problem.steps)
    over = np.maximum(total_kw - problem.band.upper_kw, problem.band.lower_kw - total_kw)
    return np.maximum(over, 0.0)


def sold_kw(problem: Problem, moved_kw: FloatArray, solar_kw: FloatArray) -> FloatArray:
    """Return the greatest regulation capacity that fits a schedule, shape ``(T,)``.

    Args:
        problem: What is asked.
        moved_kw: Net load of charging and storing, shape ``(T,)``.
        solar_kw: Solar power used, positive, shape ``(T,)``.
    """
    if problem.regulation is None:
        return np.zeros(problem.steps)
    up, down = plugged_kw(problem)
    return problem.regulation.sold_kw(np.minimum(up + moved_kw, down - moved_kw + solar_kw))


def plugged_kw(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return the discharge powers and the charge powers of all that are plugged, shape ``(T,)`` each."""
    cars, stores = problem.charging, problem.storing
    up = present_kw(stores.arrive, stores.depart, -stores.p_min_kw, problem.steps)
    down = stores.plugged_charge_kw(problem.steps)
    return up, down + present_kw(cars.arrive, cars.depart, cars.p_max_kw, problem.steps)


def _bought(problem: Problem, contracts: BoolArray | None) -> BoolArray:
    count = 0 if problem.contracts is None else len(problem.contracts)
    return np.zeros(count, dtype=np.bool_) if contracts is None else np.array(contracts, dtype=np.bool_)


def _own_kw(problem: Problem, power: PowerArray, bought: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the net load of charging and storing, ``(T,)``, and that of each node itself, ``(m, T)``."""
    _, storing, solar, _ = problem.parts
    nodes, node = len(problem.network), problem.transformer
    moved = node_sum_kw(power[: storing.stop], node[: storing.stop], nodes)
    own = moved + node_sum_kw(power[solar.start :], node[solar.start :], nodes) + problem.network.base_kw
    if problem.contracts is not None:
        np.subtract.at(own, problem.contracts.node[bought], problem.contracts.cut_kw[bought])
    return moved.sum(0), own


def _market_cny(problem: Problem, total_kw: FloatArray, found: Evaluation) -> float:
    h = problem.step_h
    cost = h * float(problem.price_cny_per_kwh @ total_kw)
    cost += problem.peak_price_cny_per_kw * max(float(total_kw.max()), 0.0)
    cost += h * problem.network.overload_price_cny_per_kwh * float(found.overload_kw.sum())
    if problem.band is not None:
        cost += h * problem.band.price_cny_per_kwh * float(found.excess_kw.sum())
    if problem.reserve is not None:
        missing = np.maximum(problem.reserve.need_kw - found.reserve_kw, 0.0)
        cost += float(problem.reserve.prices_cny_per_kw @ missing)
    if problem.contracts is not None:
        cost += float(problem.contracts.price_cny[found.contracts].sum())
    return cost


def _income_cny(problem: Problem, sold: FloatArray) -> float:
    if problem.regulation is None:
        return 0.0
    return problem.step_h * float(problem.regulation.price_cny_per_kw_h @ sold)


def _devices_cny(problem: Problem, found: Evaluation, cut_kw: FloatArray) -> float:
    _, storing, solar, _ = problem.parts
    discharged = -np.minimum(found.power_kw[storing], 0.0).sum(1, dtype=np.float64)
    curtailed = problem.solar.available_kw.sum() + found.power_kw[solar].sum(dtype=np.float64)
    cost = problem.step_h * float(problem.storing.wear_price_cny_per_kwh @ discharged)
    cost += problem.step_h * problem.solar.price_cny_per_kwh * max(float(curtailed), 0.0)
    cost += problem.step_h * float(problem.flexible.price_cny_per_kwh @ cut_kw.sum(1))
    return cost + problem.unserved_price_cny_per_kwh * float(found.unserved_kwh.sum())


def _churn_cny(problem: Problem, power_kw: PowerArray) -> float:
    if problem.churn is None:
        return 0.0
    step, total = np.arange(problem.steps), 0.0
    charging, storing, solar, flexible = problem.parts
    previous = problem.churn.previous_kw
    blocks: list[tuple[slice, BoolArray]] = [
        (part, (block.arrive[:, None] <= step) & (step < block.depart[:, None]))
        for part, block in ((charging, problem.charging), (storing, problem.storing))
    ]
    blocks += [(solar, (problem.solar.curtailable != 0)[:, None]), (flexible, np.ones((1, 1), dtype=np.bool_))]
    for part, counted in blocks:
        difference = np.abs(power_kw[part] - previous[part])
        where = np.broadcast_to(counted, difference.shape)
        total += float(np.nansum(difference, where=where, dtype=np.float64))
    return total * problem.churn.price_cny_per_kwh * problem.step_h
