"""Lower bound: every feasible set of multipliers proves a cost below which no schedule lies.

The Lagrangian splits into one small problem per device. Charge-only cars are filled greedily in the order of their
node's prices, solar by sign, loads by a fractional knapsack, contracts one by one: all exact. A battery's problem is
bounded by its own dual: any path of energy values proves a bound, the optimal one (of a hardly smoothed problem) the
exact one. Weak duality makes the sum a bound whatever the multipliers are (Bertsekas, Nonlinear Programming, ch. 5).
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    BACK,
    CASE_ROWS,
    DOWN,
    FLOOR,
    INERTIA,
    KINK,
    PRICE,
    UP,
    VALUE,
    Cars,
    City,
    Fleet,
    Floats,
    Holds,
    Ints,
    Panels,
    Previous,
    Prices,
    Schedule,
    Singles,
    Stores,
    Tree,
)
from optimizer.decomposition.devices.battery import Battery, corner
from optimizer.decomposition.devices.battery_path import best_path
from optimizer.decomposition.devices.flexible import loads_bound
from optimizer.decomposition.devices.reserve import holding_proof
from optimizer.decomposition.devices.working_rows import battery_of, bounds, fill_previous
from optimizer.decomposition.market import FAR, UNKNOWN


def lower_bound_cny(
    fleet: Fleet, previous: Previous, prices: Prices, plan: Schedule, smooth: float, *, spare_cny: float = 0.0
) -> float:
    """Return the bound that ``prices`` prove.

    Args:
        fleet: The problem.
        previous: Powers to stay close to.
        prices: Multipliers, dual feasible.
        plan: Whose energy values are the guess of the batteries' own; not changed.
        smooth: Price span over which a battery goes from full discharge to full charge, per kW-step.
        spare_cny: What the bound may lack for being found sooner, all batteries that hold reserve together.
    """
    city = fleet.city
    grid = node_prices(fleet.tree, city, prices)
    solar = grid + prices.regulate_down
    moved = solar - prices.regulate_up
    value = _constants(fleet, prices)
    value += _cars(fleet.cars, previous, moved, city.unserved_price)
    value += _stores(
        fleet.stores,
        fleet.holds,
        prices.hold,
        plan.hold,
        previous,
        moved,
        city.unserved_price,
        smooth,
        plan.worth,
        spare_cny / max(float(fleet.stores.high.sum()), 1.0),
    )
    value += _panels(fleet.panels, previous, solar)
    value += loads_bound(fleet.loads, previous, plan.cut, grid)
    offers = grid[fleet.contracts.node] * fleet.contracts.cut
    value += float(np.minimum(fleet.contracts.price - offers.sum(1), 0.0).sum())
    return value


def node_prices(tree: Tree, city: City, prices: Prices) -> Floats:
    """Return the price of a kW-step of net load at each node without regulation, shape ``(m, T)``."""
    return limit_prices(tree, prices) + (city.price + prices.peak + prices.above - prices.below)


def limit_prices(tree: Tree, prices: Prices) -> Floats:
    """Return what the limits of a node and of all above it add to the price of its net load, shape ``(m, T)``."""
    own = prices.up - prices.down
    summed = own.copy()
    _downwards(tree, own, summed)
    return summed


def _constants(fleet: Fleet, prices: Prices) -> float:
    city = fleet.city
    value = float((city.price + prices.peak + prices.above - prices.below) @ city.fixed)
    value -= float(prices.above @ np.where(city.upper < FAR, city.upper, 0.0))
    value += float(prices.below @ np.where(city.lower > -FAR, city.lower, 0.0))
    value -= float(prices.regulate_up @ city.room_up + prices.regulate_down @ city.room_down)
    value += float((prices.up * (fleet.base - fleet.tree.most)).sum())
    value += float((prices.down * (fleet.tree.least - fleet.base)).sum())
    return value + float(prices.hold @ fleet.holds.need)


@njit()
def _downwards(tree: Tree, own: Floats, grid: Floats) -> None:
    for k in range(own.shape[0]):
        for n in range(tree.start[k], tree.start[k + 1]):
            for t in range(own.shape[1]):
                grid[k, t] += own[tree.path[n], t]


@njit(fastmath=True)
def _cars(cars: Cars, previous: Previous, price: Floats, unserved: float) -> float:
    total = 0.0
    for k in range(price.shape[0]):
        if cars.first[k] == cars.first[k + 1]:
            continue
        row = price[k]
        order = np.argsort(row)
        for i in range(cars.first[k], cars.first[k + 1]):
            if previous.price > 0.0:
                total += _loyal(order, row, i, cars, previous, unserved)
            else:
                total += _filled(order, row, cars.arrive[i], cars.depart[i], cars.p_max[i], cars.need[i], unserved)
    return total


@njit()
def _loyal(order: Ints, price: Floats, i: int, cars: Cars, previous: Previous, unserved: float) -> float:
    """Return the least cost of one car that stays close to its past.

    Each step has two pieces, cheaper up to the past power and dearer beyond, so the fill merges three lists that share
    the node's order of prices: cheaper pieces, dearer pieces, steps without a past.
    """
    begin, end, p, kink = cars.arrive[i], cars.depart[i], cars.p_max[i], previous.price
    offset, rest, value = cars.cell[i] - cars.arrive[i], cars.need[i], 0.0
    for t in range(begin, end):
        back = previous.cars[offset + t]
        value += kink * abs(back) if back == back else 0.0  # noqa: PLR0124 - NaN differs from itself
    at = np.zeros(3, np.int64)
    while rest > 0.0:
        best, which, room = unserved, -1, 0.0
        for kind in range(3):
            found, amount = _piece(order, price, at, kind, begin, end, offset, p, kink, previous.cars)
            if (amount > 0.0) & (found < best):
                best, which, room = found, kind, amount
        if which < 0:
            break
        x = min(room, rest)
        value += x * best
        rest -= x
        at[which] += 1
    return float(value + rest * unserved)


@njit()
def _piece(
    order: Ints,
    price: Floats,
    at: Ints,
    kind: int,
    begin: int,
    end: int,
    offset: int,
    p: float,
    kink: float,
    previous: Singles,
) -> tuple[float, float]:
    """Return price and room of the next piece of a kind: 0 up to the past, 1 beyond, 2 without one.

    Room 0 means that there is no more.
    """
    while at[kind] < len(order):
        t = order[at[kind]]
        if (t >= begin) & (t < end):
            back = float(previous[offset + t])
            known = back == back  # noqa: PLR0124 - NaN differs from itself
            below = min(max(back, 0.0), p) if known else 0.0
            room = p if kind == 2 else (below if kind == 0 else p - below)  # noqa: PLR2004 - the third kind
            if (room > 0.0) & (known == (kind < 2)):  # noqa: PLR2004 - the third kind
                return price[t] + (kink if kind == 1 else (-kink if kind == 0 else 0.0)), room
        at[kind] += 1
    return 0.0, 0.0


@njit(fastmath=True)
def _filled(order: Ints, price: Floats, arrive: int, depart: int, p: float, need: float, unserved: float) -> float:
    """Return the least cost of one car: cheapest steps first, the rest unserved."""
    value, rest = 0.0, need
    for n in range(len(order)):
        t = order[n]
        if (rest <= 0.0) | (price[t] >= unserved):
            break
        if (t >= arrive) & (t < depart):
            x = min(p, rest)
            value += x * price[t]
            rest -= x
    return float(value + rest * unserved)


@njit(fastmath=True)
def _panels(panels: Panels, previous: Previous, price: Floats) -> float:
    """Return the least cost of the sun: a piecewise linear function of what is used, least at one of its corners."""
    total, steps = 0.0, price.shape[1]
    for k in range(price.shape[0]):
        for i in range(panels.first[k], panels.first[k + 1]):
            for t in range(steps):
                most, saved = panels.available[i, t], panels.price + price[k, t]
                back = previous.panels[i * steps + t] if previous.price > 0.0 else UNKNOWN
                kink = previous.price if back > 0.5 * UNKNOWN else 0.0
                best = min(kink * abs(back), kink * abs(most - back) - saved * most)
                if (back > 0.0) & (back < most):
                    best = min(best, -saved * back)
                total += panels.price * most + best
    return total


@njit(fastmath=True)
def _stores(
    stores: Stores,
    holds: Holds,
    pay: Floats,
    hold: Floats,
    previous: Previous,
    price: Floats,
    unserved: float,
    smooth: float,
    worth: Singles,
    spare: float,
) -> float:
    case = np.zeros((CASE_ROWS, price.shape[1] + 1))
    marks = np.zeros((2, price.shape[1] + 2), np.int64)
    total = 0.0
    for k in range(price.shape[0]):
        for i in range(stores.first[k], stores.first[k + 1]):
            begin, end = stores.arrive[i], stores.depart[i]
            length = end - begin
            case[PRICE, :length] = price[k, begin:end]
            case[INERTIA, :length] = (stores.charge[i] + stores.discharge[i] + 1e-9) / smooth
            bounds(worth, stores.cell[i], length, i, stores, case)
            if previous.price > 0.0:
                fill_previous(previous.stores, stores.cell[i], length, previous.price, case)
            number = battery_of(stores, i, unserved, previous.price, case)
            if stores.reserving[i] & (len(pay) > 0):
                total += holding_proof(i, stores, holds, pay, case, marks, number, hold[i], spare * stores.high[i])
                continue
            best_path(case, marks, number)
            total += proven(case, number)
    return total


@njit(fastmath=True)
def proven(case: Floats, battery: Battery) -> float:
    """Return the bound that the energy values ``case[VALUE]`` prove for one battery at prices ``case[PRICE]``."""
    eta, inverse, last = battery.eta, 1.0 / battery.eta, battery.length - 1
    value = -case[VALUE, 0] * battery.begin
    for j in range(battery.length):
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        rise = case[PRICE, j] - case[VALUE, j] * eta
        sink = battery.wear - case[PRICE, j] + case[VALUE, j] * inverse
        if battery.churns:
            value += corner(rise, sink, floor, case[UP, j], ceiling, case[KINK, j], case[BACK, j])
        else:
            value += min(rise * floor, rise * case[UP, j]) + min(sink, 0.0) * ceiling
        if j < last:
            fall = case[VALUE, j] - case[VALUE, j + 1]
            value += fall * (case[FLOOR, j] if fall > 0.0 else battery.high)
    end, low = case[VALUE, last], case[FLOOR, last]
    best = min(
        end * low + battery.price * max(battery.due - low, 0.0),
        end * battery.high + battery.price * max(battery.due - battery.high, 0.0),
    )
    if (battery.due > low) & (battery.due < battery.high):
        best = min(best, end * battery.due)
    return float(value + best)
