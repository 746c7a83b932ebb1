"""What a schedule does and costs, recomputed from its powers alone, and the way back to the problem's own rows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.decomposition.arrays import Fleet, Floats, Flows, Holds, Ints, Memory, Schedule, Singles, Stores
from optimizer.decomposition.flows import flows_of
from optimizer.decomposition.market import FAR, UNKNOWN
from optimizer.decomposition.repair import overload_kw
from optimizer.decomposition.reserving import held_kw
from optimizer.jit import njit
from optimizer.problem import Problem


class Outcome(NamedTuple):
    """Consequences of a schedule; names and units as in ``optimizer.solution.Solution``, rows as in the fleet."""

    objective_cny: float
    gross_cny: float
    overload_kw: Floats
    car_missing: Floats
    store_missing: Floats
    excess_kw: Floats
    regulation_kw: Floats
    reserve_kw: Floats
    total_kw: Floats


def outcome_of(problem: Problem, fleet: Fleet, memory: Memory, plan: Schedule) -> Outcome:
    """Return what ``plan`` leads to."""
    flows = flows_of(fleet, plan)
    city, h = fleet.city, problem.step_h
    over = overload_kw(fleet.tree, flows)
    car_missing = np.maximum(fleet.cars.need - _charged(fleet.cars.cell, plan.car), 0.0)
    end, wear, reserve = _store_ends(fleet.stores, fleet.holds, plan.store)
    store_missing = np.maximum(fleet.stores.due - end, 0.0)
    excess = np.maximum(np.where(city.upper < FAR, flows.total - city.upper, 0.0), 0.0)
    excess += np.maximum(np.where(city.lower > -FAR, city.lower - flows.total, 0.0), 0.0)
    capacity = sold_kw(problem, fleet, flows)
    gross = float(city.price @ flows.total) + city.peak_price * max(float(flows.total.max()), 0.0)
    gross += wear + city.unserved_price * float(car_missing.sum() + store_missing.sum())
    gross += fleet.tree.roof * float(over.sum()) + city.band_price * float(excess.sum())
    gross += fleet.panels.price * float((fleet.panels.available - plan.used).sum())
    gross += float(fleet.loads.price @ plan.cut.sum(1)) + float(fleet.deals.price @ plan.deal)
    gross += fleet.holds.price * float(np.maximum(fleet.holds.need - reserve, 0.0).sum())
    gross += memory.price * _difference(fleet, memory, plan)
    return Outcome(
        objective_cny=gross - float(city.regulation_price @ capacity),
        gross_cny=gross,
        overload_kw=over,
        car_missing=car_missing * h,
        store_missing=store_missing * h,
        excess_kw=excess,
        regulation_kw=capacity,
        reserve_kw=reserve,
        total_kw=flows.total,
    )


def sold_kw(problem: Problem, fleet: Fleet, flows: Flows) -> Floats:
    """Return the regulation capacity the flows can back, in the market's blocks and units, shape ``(T,)``."""
    if problem.regulation is None:
        return np.zeros(fleet.steps)
    city = fleet.city
    return problem.regulation.sold_kw(
        np.minimum(flows.moved + city.room_up, city.room_down - flows.moved + flows.solar)
    )


@njit()
def _charged(cell: Ints, power: Singles) -> Floats:
    """Return the energy of each car, kW-steps."""
    energy = np.zeros(len(cell) - 1)
    for i in range(len(energy)):
        for c in range(cell[i], cell[i + 1]):
            energy[i] += float(power[c])
    return energy


@njit()
def _store_ends(stores: Stores, holds: Holds, power: Singles) -> tuple[Floats, float, Floats]:
    """Return the energy of each store at its departure, the cost of wear, and the reserve of each window."""
    count, windows = len(stores.due), len(holds.need)
    end, reserve, wear = np.zeros(count), np.zeros(windows), 0.0
    for i in range(count):
        eta, energy = stores.efficiency[i], stores.begin[i]
        for c in range(stores.cell[i], stores.cell[i + 1]):
            y = float(power[c])
            energy += eta * max(y, 0.0) - max(-y, 0.0) / eta
            wear += stores.wear[i] * max(-y, 0.0)
        end[i] = energy
        if stores.reserving[i]:
            for w in range(windows):
                reserve[w] += held_kw(stores, i, holds.first[w], holds.last[w], power)
    return end, wear, reserve


def _difference(fleet: Fleet, memory: Memory, plan: Schedule) -> float:
    """Return the sum of all differences from what is remembered, kW-steps."""
    if memory.price <= 0.0:
        return 0.0
    total = _apart(plan.car, memory.cars) + _apart(plan.store, memory.stores)
    back = memory.panels.reshape(plan.used.shape)
    total += float(np.where(back > 0.5 * UNKNOWN, np.abs(plan.used - back), 0.0).sum())
    before = memory.loads.reshape(plan.cut.shape)
    return total + float(np.where(before > 0.5 * UNKNOWN, np.abs(net_cut(fleet, plan) - before), 0.0).sum())


def _apart(power: Singles, back: Singles) -> float:
    return float(np.nansum(np.abs(power.astype(np.float64) - back)))


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
