"""One Gauss-Seidel sweep of the augmented Lagrangian: every device in turn answers the prices its neighbours left.

A device sees its own node's limits exactly (with the kinks of both multipliers) and everything above as a price with a
slope that is renewed every few devices; a device's own load is taken out before it decides again. Proximal terms keep a
step from jumping. Serial by design: two halves of the fleet answering the same prices at once diverge.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    BACK,
    DESK_ROWS,
    DOWN,
    FLOOR,
    GAIN,
    INERTIA,
    KINK,
    POWER,
    PRICE,
    UP,
    VALUE,
    Cars,
    City,
    Floats,
    Flows,
    Holds,
    Ints,
    Loads,
    Memory,
    Panels,
    Prices,
    Schedule,
    Singles,
    Stiffness,
    Stores,
    Tree,
)
from optimizer.decomposition.devices.battery_path import Cell, best_path, limits
from optimizer.decomposition.devices.charging import water_level
from optimizer.decomposition.devices.flexible import cut_loads
from optimizer.decomposition.devices.reserve import held_back, held_kw
from optimizer.decomposition.market import UNKNOWN, Pending, View, look, settle, soft

_PANEL_STEPS = 40
_LARGE = 2.5
"""From so many times ``Stiffness.large`` on a device moves its own node's price by much."""
_U = np.uint64
"""Type of the indices of hot loops, see ``storing``; their sums stay unsigned only among themselves."""


class Near(NamedTuple):
    """What the devices of one node see, kept up to date device by device; all of shape ``(T,)``.

    Attributes:
        price: Marginal price of everything above the node at the present loads.
        slope: Its slope.
        up: Argument of the node's own upper multiplier, ``mu + r (flow - most)``, before it is kept in its bounds.
        down: The same of the lower one.
        moved: What the devices changed since the last settling.
    """

    price: Floats
    slope: Floats
    up: Floats
    down: Floats
    moved: Floats


@njit(fastmath=True)
def sweep(
    order: Ints,
    stride: int,
    reach: float,
    tree: Tree,
    cars: Cars,
    stores: Stores,
    panels: Panels,
    loads: Loads,
    holds: Holds,
    city: City,
    memory: Memory,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
) -> None:
    """Let every device of the nodes in ``order`` answer once; ``plan`` and ``flows`` change in place.

    Args:
        order: Nodes, in the order of their turns.
        stride: Devices between two looks at what lies above the node.
        reach: Distance in kW at which an inactive row's slope already counts.
        tree: Limits to be held to.
        cars: Charge-only cars.
        stores: Batteries.
        panels: Curtailable solar.
        loads: Loads that can be cut.
        holds: Windows of reserve.
        city: What is bought and sold.
        memory: Powers to stay close to.
        stiff: Slopes of the augmented terms.
        prices: Multipliers.
        plan: The schedule.
        flows: Its sums.
    """
    steps = len(city.price)
    view = View(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps))
    pending = Pending(np.zeros(steps), np.zeros(steps), np.zeros(steps))
    near = Near(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps))
    case = np.zeros((DESK_ROWS, steps + 1))
    marks = np.zeros((2, steps + 2), np.int64)
    for turn in range(len(order)):
        node = order[turn]
        _approach(node, tree, city, flows, prices, stiff, reach, view, near)
        begin, end = cars.first[node], cars.first[node + 1]
        for i in range(begin, end, stride):
            if i > begin:
                _leave(node, tree, flows, pending, near)
                _approach(node, tree, city, flows, prices, stiff, reach, view, near)
            _cars(i, min(i + stride, end), stiff.node[node], tree.roof, cars, city, memory, stiff, plan, near, case)
        begin, end = stores.first[node], stores.first[node + 1]
        for i in range(begin, end, stride):
            _leave(node, tree, flows, pending, near)
            _approach(node, tree, city, flows, prices, stiff, reach, view, near)
            last = min(i + stride, end)
            _stores(
                i,
                last,
                stiff.node[node],
                tree.roof,
                stores,
                holds,
                city,
                memory,
                stiff,
                prices,
                plan,
                flows.reserve,
                near,
                case,
                marks,
            )
        _leave(node, tree, flows, pending, near)
        if (panels.first[node] < panels.first[node + 1]) | (loads.first[node] < loads.first[node + 1]):
            look(node, tree, city, flows, prices, stiff, reach, view)
        for i in range(panels.first[node], panels.first[node + 1]):
            _panel(i, node, tree, panels, memory, stiff, prices, plan, flows, view, pending)
        if loads.first[node] < loads.first[node + 1]:
            cut_loads(node, tree, loads, memory, stiff, prices, plan, flows, view, pending)
        settle(node, tree, flows, pending)


@njit(fastmath=True)
def _approach(
    node: int,
    tree: Tree,
    city: City,
    flows: Flows,
    prices: Prices,
    stiff: Stiffness,
    reach: float,
    view: View,
    near: Near,
) -> None:
    """Look at the market and the node's own limits before its devices take their turns."""
    look(node, tree, city, flows, prices, stiff, reach, view)
    r = stiff.node[node]
    for t in range(len(near.price)):
        near.price[t], near.slope[t], near.moved[t] = view.moved[t], view.moved_slope[t], 0.0
        near.up[t] = prices.up[node, t] + r * (flows.node[node, t] - tree.most[node, t])
        near.down[t] = prices.down[node, t] + r * (tree.least[node, t] - flows.node[node, t])


@njit(fastmath=True)
def _leave(node: int, tree: Tree, flows: Flows, pending: Pending, near: Near) -> None:
    """Tell the flows what the node's devices changed."""
    for t in range(len(near.moved)):
        flows.node[node, t] += near.moved[t]
        pending.moved[t] += near.moved[t]
        near.moved[t] = 0.0
    settle(node, tree, flows, pending)


@njit(fastmath=True)
def _cars(
    first: int,
    last: int,
    r: float,
    roof: float,
    cars: Cars,
    city: City,
    memory: Memory,
    stiff: Stiffness,
    plan: Schedule,
    near: Near,
    case: Floats,
) -> None:
    """Let the cars ``first..last - 1`` of a node take their turns."""
    cells, arrive, depart, p_max, need = cars.cell, cars.arrive, cars.depart, cars.p_max, cars.need
    power, level, short, back = plan.car, plan.level, plan.car_short, memory.cars
    kink, unserved, inertia = memory.price, city.unserved_price, stiff.car
    for i in range(first, last):
        p, cell, begin = p_max[i], cells[i], arrive[i]
        length = depart[i] - begin
        if p <= 0.0:
            short[i] = need[i]
            continue
        still = min(inertia, stiff.large / p)
        if r * p > _LARGE * stiff.large:
            # A chord over the whole power hides a limit inside it from a device this large.
            _store_prices(power, cell, 0.5 * p, r, roof, still, begin, length, near, case)
        else:
            _car_prices(power, cell, p, r, roof, still, begin, length, near, case)
        if kink > 0.0:
            recall(back, cell, length, kink, case)
        level[i], short[i] = water_level(case, kink > 0.0, length, p, need[i], unserved, level[i])
        _changed(power, cell, r, begin, length, near, case)


@njit(fastmath=True)
def _car_prices(
    power: Singles,
    cell: int,
    p: float,
    r: float,
    roof: float,
    inertia: float,
    begin: int,
    length: int,
    near: Near,
    case: Floats,
) -> None:
    """Fill ``case[PRICE]``, the marginal cost of the first kW, and ``case[INERTIA]``, its chord's inverse slope.

    Several short loops over few arrays each: with more, the compiler gives up proving them apart.
    """
    price, slope, up, down = near.price, near.slope, near.up, near.down
    c, t, n = _U(cell), _U(begin), _U(length)
    for j in range(n):
        case[GAIN, j] = price[t + j] - (slope[t + j] + inertia) * power[c + j]
    for j in range(n):
        case[PRICE, j] = (
            case[GAIN, j] + soft(up[t + j] - r * power[c + j], roof) - soft(down[t + j] + r * power[c + j], roof)
        )
    for j in range(n):
        left = r * (p - power[c + j])
        case[GAIN, j] += (slope[t + j] + inertia) * p + soft(up[t + j] + left, roof) - soft(down[t + j] - left, roof)
    for j in range(n):
        case[INERTIA, j] = p / (case[GAIN, j] - case[PRICE, j])


@njit(fastmath=True)
def _changed(power: Singles, cell: int, r: float, begin: int, length: int, near: Near, case: Floats) -> None:
    """Write a device's new power into the schedule and into what its neighbours see."""
    price, slope, up, down, moved = near.price, near.slope, near.up, near.down, near.moved
    c, t, n = _U(cell), _U(begin), _U(length)
    for j in range(n):
        new = np.float32(case[POWER, j])
        case[GAIN, j] = float(new) - float(power[c + j])
        power[c + j] = new
    for j in range(n):
        price[t + j] += slope[t + j] * case[GAIN, j]
    for j in range(n):
        up[t + j] += r * case[GAIN, j]
    for j in range(n):
        down[t + j] -= r * case[GAIN, j]
    for j in range(n):
        moved[t + j] += case[GAIN, j]


@njit(fastmath=False)
def recall(memory: Singles, cell: int, length: int, price: float, case: Floats) -> None:
    """Fill ``case[BACK]`` and ``case[KINK]``; without fast arithmetic, which knows no NaN."""
    for j in range(length):
        back = memory[cell + j]
        known = back == back  # noqa: PLR0124 - NaN differs from itself
        case[BACK, j] = back if known else 0.0
        case[KINK, j] = price if known else 0.0


@njit(fastmath=True)
def _stores(
    first: int,
    last: int,
    r: float,
    roof: float,
    stores: Stores,
    holds: Holds,
    city: City,
    memory: Memory,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    reserve: Floats,
    near: Near,
    case: Floats,
    marks: Ints,
) -> None:
    """Let the stores ``first..last - 1`` of a node take their turns."""
    power, worth, short, back = plan.store, plan.worth, plan.store_short, memory.stores
    kink, unserved, inertia = memory.price, city.unserved_price, stiff.store
    for i in range(first, last):
        cell, begin = stores.cell[i], stores.arrive[i]
        length = stores.depart[i] - begin
        width = 0.5 * (stores.charge[i] + stores.discharge[i])
        still = min(inertia, stiff.large / (width + 1e-9))
        _store_prices(power, cell, width, r, roof, still, begin, length, near, case)
        bounds(worth, cell, length, i, stores, case)
        if kink > 0.0:
            recall(back, cell, length, kink, case)
        number = cell_of(stores, i, unserved, kink, case)
        holding = stores.reserving[i] & (len(holds.need) > 0)
        if holding:
            short[i] = held_back(i, stores, holds, stiff, prices, reserve, plan, case, marks, number)
        else:
            short[i] = best_path(case, marks, number)
        _keep(worth, cell, length, case)
        _changed(power, cell, r, begin, length, near, case)
        if holding:
            for w in range(len(holds.need)):
                held = held_kw(stores, i, holds.first[w], holds.last[w], power)
                reserve[w] += held - plan.hold[i, w]
                plan.hold[i, w] = held


@njit(fastmath=True)
def _keep(worth: Singles, cell: int, length: int, case: Floats) -> None:
    c = _U(cell)
    for j in range(_U(length)):
        worth[c + j] = np.float32(case[VALUE, j])


@njit(fastmath=True)
def bounds(worth: Singles, cell: int, length: int, i: int, stores: Stores, case: Floats) -> None:
    """Fill the bounds of battery ``i``, and its last energy values as the guess."""
    c, low, discharge, charge = _U(cell), stores.low[i], stores.discharge[i], stores.charge[i]
    for j in range(_U(length)):
        case[FLOOR, j] = low
        case[DOWN, j] = discharge
        case[UP, j] = charge
        case[VALUE, j] = worth[c + j]
    if len(stores.limit):
        begin = stores.arrive[i]
        for j in range(length):
            case[UP, j] = stores.limit[i, begin + j]


@njit(fastmath=True)
def cell_of(stores: Stores, i: int, price: float, kink: float, case: Floats) -> Cell:
    """Return the numbers of battery ``i``, with the values beyond which nothing reacts at ``case``'s prices."""
    length = stores.depart[i] - stores.arrive[i]
    charge, eta, wear = stores.charge[i], stores.efficiency[i], stores.wear[i]
    least, most = limits(case, length, eta, wear, kink, price)
    return Cell(
        length, charge, stores.high[i], stores.begin[i], stores.due[i], eta, wear, price, kink > 0.0, least, most
    )


@njit(fastmath=True)
def _store_prices(
    power: Singles,
    cell: int,
    width: float,
    r: float,
    roof: float,
    inertia: float,
    begin: int,
    length: int,
    near: Near,
    case: Floats,
) -> None:
    """Fill ``case[PRICE]`` and ``case[INERTIA]``; a limit ``width`` kW from becoming active counts in the slope."""
    price, steep, up, down = near.price, near.slope, near.up, near.down
    c, t, n = _U(cell), _U(begin), _U(length)
    reach = r * width
    for j in range(n):
        own = steep[t + j] + inertia
        own += r if (up[t + j] + reach > 0.0) & (up[t + j] < roof) else 0.0
        case[GAIN, j] = own + (r if (down[t + j] + reach > 0.0) & (down[t + j] < roof) else 0.0)
    for j in range(n):
        case[PRICE, j] = price[t + j] + soft(up[t + j], roof) - soft(down[t + j], roof)
    for j in range(n):
        case[PRICE, j] -= case[GAIN, j] * power[c + j]
    for j in range(n):
        case[INERTIA, j] = 1.0 / case[GAIN, j]


@njit(fastmath=True)
def _panel(
    i: int,
    node: int,
    tree: Tree,
    panels: Panels,
    memory: Memory,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    view: View,
    pending: Pending,
) -> None:
    """Use solar power while a used kW saves more than it costs; bisection over the kinks of the node's own limits."""
    r, roof, near = stiff.node[node], tree.roof, stiff.store
    for t in range(panels.available.shape[1]):
        most = panels.available[i, t]
        if most <= 0.0:
            continue
        old = plan.used[i, t]
        flow = flows.node[node, t] + old
        slope = view.solar_slope[t] + near
        saved = view.solar[t] + view.solar_slope[t] * (old - pending.solar[t]) + near * old + panels.price
        up = prices.up[node, t] + r * (flow - tree.most[node, t])
        down = prices.down[node, t] + r * (tree.least[node, t] - flow)
        new = _sunny(saved, slope, up, down, r, roof, most)
        if memory.price > 0.0:
            back = memory.panels[i * panels.available.shape[1] + t]
            if back > 0.5 * UNKNOWN:
                less = _sunny(saved - memory.price, slope, up, down, r, roof, most)
                more = _sunny(saved + memory.price, slope, up, down, r, roof, most)
                new = max(less, min(more, back, most))
        plan.used[i, t] = new
        pending.solar[t] += new - old
        flows.node[node, t] -= new - old


@njit(fastmath=True)
def _sunny(saved: float, slope: float, up: float, down: float, r: float, roof: float, most: float) -> float:
    """Return the solar power in ``[0, most]`` at which using more would cost more than it saves."""
    if saved - slope * most + soft(up - r * most, roof) - soft(down + r * most, roof) >= 0.0:
        return most
    low, high = 0.0, most
    for _ in range(_PANEL_STEPS):
        middle = 0.5 * (low + high)
        if saved - slope * middle + soft(up - r * middle, roof) - soft(down + r * middle, roof) < 0.0:
            high = middle
        else:
            low = middle
    return low
