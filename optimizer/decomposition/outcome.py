"""Outcome of a schedule: consequences and cost, recomputed from its powers alone, on the problem's own rows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from optimizer.decomposition.arrays import Cars, Fleet, Floats, Flows, Holds, Ints, Previous, Schedule, Singles, Stores
from optimizer.decomposition.devices.reserve import held_kw
from optimizer.decomposition.lagrangian.repair import overload_kw, owner
from optimizer.decomposition.market import FAR, UNKNOWN
from optimizer.problem.problem import Problem


class Outcome(NamedTuple):
    """Consequences of a schedule; names and units as in ``optimizer.problem.solution``, rows as in the fleet."""

    objective_cny: float
    gross_cny: float
    overload_kw: Floats
    car_missing: Floats
    store_missing: Floats
    excess_kw: Floats
    regulation_kw: Floats
    reserve_kw: Floats


def outcome_of(problem: Problem, fleet: Fleet, previous: Previous, plan: Schedule, flows: Flows) -> Outcome:
    """Return what ``plan`` leads to, given its sums, computed afresh."""
    city, h = fleet.city, problem.step_h
    over = overload_kw(fleet.tree, flows)
    excess = np.maximum(np.where(city.upper < FAR, flows.total - city.upper, 0.0), 0.0)
    excess += np.maximum(np.where(city.lower > -FAR, city.lower - flows.total, 0.0), 0.0)
    capacity = sold_kw(problem, fleet, flows)
    reserve = reserve_of(fleet.stores, fleet.holds, plan.store)
    devices = devices_of(fleet, previous, plan)
    gross = float(city.price @ flows.total) + city.peak_price * max(float(flows.total.max()), 0.0)
    gross += float(devices.cost_cny.sum() + fleet.contracts.price @ plan.contract)
    gross += fleet.tree.roof * float(over.sum()) + city.band_price * float(excess.sum())
    gross += float(fleet.holds.price @ np.maximum(fleet.holds.need - reserve.sum(0), 0.0))
    return Outcome(
        objective_cny=gross - float(city.regulation_price @ capacity),
        gross_cny=gross,
        overload_kw=over,
        car_missing=devices.car_missing * h,
        store_missing=devices.store_missing * h,
        excess_kw=excess,
        regulation_kw=capacity,
        reserve_kw=reserve.sum(0),
    )


class Devices(NamedTuple):
    """What devices miss and cost by themselves.

    Attributes:
        car_missing: Energy each car lacks at its departure, kW-steps, shape ``(n,)``.
        store_missing: The same of each store.
        cost_cny: Wear, cuts, curtailing, churn and what is unserved, by node, shape ``(m,)``.
    """

    car_missing: Floats
    store_missing: Floats
    cost_cny: Floats


def devices_of(fleet: Fleet, previous: Previous, plan: Schedule) -> Devices:
    """Return what the devices miss and cost by themselves."""
    unserved = fleet.city.unserved_price
    car_missing, car_cost = _cars(fleet.cars, previous, plan.car)
    store_missing, store_cost = _stores(fleet.stores, previous, plan.store)
    curtailed = fleet.panels.price * (fleet.panels.available - plan.used).sum(1)
    cut = fleet.loads.price * plan.cut.sum(1)
    if previous.price > 0.0:
        curtailed += previous.price * _apart(plan.used, previous.panels)
        cut += previous.price * _apart(net_cut(fleet, plan), previous.loads)
    cost = np.zeros(len(fleet.base))
    for first, own in (
        (fleet.cars.first, car_cost + unserved * car_missing),
        (fleet.stores.first, store_cost + unserved * store_missing),
        (fleet.panels.first, curtailed),
        (fleet.loads.first, cut),
    ):
        cost += np.bincount(owner(first), weights=own, minlength=len(cost))
    return Devices(car_missing, store_missing, cost)


@njit()
def _cars(cars: Cars, previous: Previous, power: Singles) -> tuple[Floats, Floats]:
    """Return what each car misses, kW-steps, and what it costs to leave its past."""
    count = len(cars.need)
    missing, cost = np.zeros(count), np.zeros(count)
    for i in range(count):
        energy = 0.0
        for c in range(cars.cell[i], cars.cell[i + 1]):
            energy += float(power[c])
        missing[i] = max(cars.need[i] - energy, 0.0)
        if previous.price > 0.0:
            cost[i] = previous.price * _moved(power, previous.cars, cars.cell[i], cars.cell[i + 1])
    return missing, cost


@njit()
def _stores(stores: Stores, previous: Previous, power: Singles) -> tuple[Floats, Floats]:
    """Return what each store misses, kW-steps, and what wear and leaving its past cost."""
    count = len(stores.due)
    missing, cost = np.zeros(count), np.zeros(count)
    for i in range(count):
        eta, energy, drawn = stores.efficiency[i], stores.begin[i], 0.0
        for c in range(stores.cell[i], stores.cell[i + 1]):
            y = float(power[c])
            energy += eta * max(y, 0.0) - max(-y, 0.0) / eta
            drawn += max(-y, 0.0)
        missing[i], cost[i] = max(stores.due[i] - energy, 0.0), stores.wear[i] * drawn
        if previous.price > 0.0:
            cost[i] += previous.price * _moved(power, previous.stores, stores.cell[i], stores.cell[i + 1])
    return missing, cost


@njit()
def _moved(power: Singles, back: Singles, begin: int, end: int) -> float:
    """Return the sum of the differences from the last plan, kW-steps."""
    total = 0.0
    for c in range(begin, end):
        if not np.isnan(back[c]):
            total += abs(float(power[c]) - float(back[c]))
    return total


def _apart(power: Floats, back: Singles) -> Floats:
    """Return the sum of each row's differences from the last plan, kW-steps."""
    known = back.reshape(power.shape)
    apart: Floats = np.where(known > 0.5 * UNKNOWN, np.abs(power - known), 0.0).sum(1)
    return apart


def sold_kw(problem: Problem, fleet: Fleet, flows: Flows) -> Floats:
    """Return the regulation capacity the flows can back, in the market's blocks and units, shape ``(T,)``."""
    if problem.regulation is None:
        return np.zeros(fleet.steps)
    city = fleet.city
    return problem.regulation.sold_kw(
        np.minimum(flows.moved + city.room_up, city.room_down - flows.moved + flows.solar)
    )


@njit()
def reserve_of(stores: Stores, holds: Holds, power: Singles) -> Floats:
    """Return what each node's stores hold in each window, kW, shape ``(m, w)``."""
    reserve = np.zeros((len(stores.first) - 1, len(holds.need)))
    for k in range(reserve.shape[0]):
        for i in range(stores.first[k], stores.first[k + 1]):
            if stores.reserving[i]:
                for w in range(reserve.shape[1]):
                    reserve[k, w] += held_kw(stores, i, holds, w, power)
    return reserve


def net_cut(fleet: Fleet, plan: Schedule) -> Floats:
    """Return what cutting and rebounding add to each load, mostly negative, shape ``(n, T)``."""
    net = -plan.cut
    share = (fleet.loads.rebound / fleet.loads.rebound_steps)[:, None]
    for later in range(1, min(fleet.loads.rebound_steps, fleet.steps - 1) + 1):
        net[:, later:] += share * plan.cut[:, :-later]
    return net


def power_kw(problem: Problem, fleet: Fleet, plan: Schedule) -> npt.NDArray[np.float32]:
    """Return the net power of every device in the problem's order, shape ``(n, T)``."""
    sizes = [len(problem.charging), len(problem.storing), len(problem.solar), len(problem.flexible)]
    ends = np.cumsum(sizes)
    power = np.zeros((int(ends[-1]), fleet.steps), dtype=np.float32)
    _spread(fleet.rows.cars, fleet.cars.cell, fleet.cars.arrive, plan.car, power[: ends[0]])
    _spread(fleet.rows.stores, fleet.stores.cell, fleet.stores.arrive, plan.store, power[ends[0] : ends[1]])
    power[ends[1] : ends[2]] = _solar(problem, fleet, plan)
    net = net_cut(fleet, plan) + problem.flexible.baseline_kw[fleet.rows.loads]
    power[ends[2] : ends[3]][fleet.rows.loads] = net
    return power


def _solar(problem: Problem, fleet: Fleet, plan: Schedule) -> Floats:
    """Return the solar rows: each gives the same share of what it could as the others of its node."""
    available = problem.solar.available_kw
    power = -available
    able = np.flatnonzero(fleet.rows.panel >= 0)
    if len(able):
        whole = fleet.panels.available
        share = np.divide(plan.used, whole, out=np.ones_like(whole), where=whole > 0.0)
        power[able] *= share[fleet.rows.panel[able]]
    return power


@njit()
def _spread(
    rows: Ints, cell: Ints, arrive: npt.NDArray[np.int32], cells: Singles, power: npt.NDArray[np.float32]
) -> None:
    for i in range(len(rows)):
        row, begin = rows[i], arrive[i] - cell[i]
        for c in range(cell[i], cell[i + 1]):
            power[row, begin + c] = cells[c]
