"""Warm start: multipliers and schedule from an earlier answer, and for the next."""

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import City, Fleet, Floats, Ints, Previous, Prices, Schedule, Singles
from optimizer.decomposition.devices.reserve import note_held
from optimizer.decomposition.fleet import in_cells
from optimizer.decomposition.lagrangian.prices import make_feasible, opening_prices
from optimizer.decomposition.market import FAR, UNKNOWN
from optimizer.feasibility_projection import realise_flexible
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Warm
from optimizer.problem.validation import PowerArray


def warm_of(prices: Prices, power_kw: PowerArray) -> Warm:
    """Return what a next solve may start from."""
    return Warm(
        total_price=prices.peak + prices.above - prices.below,
        node_import_price=prices.up,
        node_export_price=prices.down,
        regulation_price=np.stack([prices.regulate_up, prices.regulate_down]),
        hold_price=prices.hold,
        power_kw=power_kw,
    )


def warm_prices(fleet: Fleet, warm: Warm | None) -> Prices:
    """Return the multipliers of ``warm``, made feasible here; what does not fit begins as without."""
    prices = opening_prices(fleet)
    if warm is None:
        return prices
    if warm.total_price.shape == prices.peak.shape:
        _share(fleet.city, warm.total_price, prices)
    if warm.node_import_price.shape == prices.up.shape:
        prices.up[...] = np.clip(warm.node_import_price, 0.0, fleet.tree.roof)
    if warm.node_export_price.shape == prices.down.shape:
        prices.down[...] = np.clip(warm.node_export_price, 0.0, fleet.tree.roof)
    if warm.regulation_price.shape == (2, fleet.steps) and fleet.city.regulation_price.any():
        prices.regulate_up[...], prices.regulate_down[...] = np.maximum(warm.regulation_price, 0.0)
    if warm.hold_price is not None and warm.hold_price.shape == prices.hold.shape:
        prices.hold[...] = np.clip(warm.hold_price, 0.0, fleet.holds.price)
    make_feasible(fleet.city, prices)
    return prices


def _share(city: City, total: Floats, prices: Prices) -> None:
    """Split one price of the total: what the peak's own could be stays with it, the rest is the band's."""
    positive = np.maximum(total, 0.0)
    banded = city.upper < FAR
    prices.peak[...] = positive
    excess = positive.sum() - city.peak_price
    if excess > 0.0 and banded.any():
        moved = np.where(banded, positive, 0.0)
        moved *= min(excess / max(float(moved.sum()), 1e-300), 1.0)
        prices.above[...] = np.minimum(moved, city.band_price)
        prices.peak[...] -= moved
    prices.below[...] = np.where(city.lower > -FAR, np.clip(-total, 0.0, city.band_price), 0.0)


def start_at_previous(fleet: Fleet, previous: Previous, plan: Schedule) -> None:
    """Fill ``plan`` with the powers of the last plan, in place, clipped into their bounds."""
    if previous.price <= 0.0:
        return
    cars, stores = fleet.cars, fleet.stores
    _fill_cells(cars.cell, np.zeros_like(cars.p_max), cars.p_max, previous.cars, plan.car)
    plan.store[...] = 0.0
    _fill_cells(stores.cell, -stores.discharge, stores.charge, previous.stores, plan.store)
    used = previous.panels.reshape(plan.used.shape)
    plan.used[...] = np.where(used > 0.5 * UNKNOWN, np.clip(used, 0.0, fleet.panels.available), plan.used)
    if not fleet.loads.rebound.any():
        net = previous.loads.reshape(plan.cut.shape)
        plan.cut[...] = np.where(net > 0.5 * UNKNOWN, np.clip(-net, 0.0, fleet.loads.most), plan.cut)


@njit()
def _fill_cells(cell: Ints, least: Floats, most: Floats, past: Singles, power: Singles) -> None:
    for i in range(len(least)):
        for c in range(cell[i], cell[i + 1]):
            if not np.isnan(past[c]):
                power[c] = min(max(float(past[c]), least[i]), most[i])


def warm_plan(problem: Problem, fleet: Fleet, plan: Schedule, warm: Warm | None) -> bool:
    """Fill ``plan`` with the schedule of ``warm``, in place; return whether there was one that fits.

    Powers are only clipped into their bounds here: the first sweep gives every device its energy.
    """
    if warm is None or warm.power_kw is None or warm.power_kw.shape != (problem.devices, fleet.steps):
        return False
    charging, storing, solar, flexible = problem.parts
    power, rows = warm.power_kw, fleet.rows
    if not np.isfinite(power).all():
        return False
    plan.car[...] = in_cells(power[charging], rows.cars, fleet.cars.arrive, fleet.cars.depart)
    plan.store[...] = in_cells(power[storing], rows.stores, fleet.stores.arrive, fleet.stores.depart)
    length = np.diff(fleet.cars.cell)
    np.clip(plan.car, 0.0, np.repeat(fleet.cars.p_max, length).astype(np.float32), out=plan.car)
    able = np.flatnonzero(rows.panel >= 0)
    plan.used[...] = 0.0
    np.add.at(plan.used, rows.panel[able], -power[solar][able].astype(np.float64))
    np.clip(plan.used, 0.0, fleet.panels.available, out=plan.used)
    plan.cut[...] = realise_flexible(problem.flexible, power[flexible].copy(), problem.step_h)[rows.loads]
    note_held(fleet.stores, fleet.holds, plan.store, plan.hold)
    return True
