"""Turns of cars and batteries: each answers the prices its neighbours left, and leaves its own change behind.

A device's own load is taken out of the prices before it decides again; the node's own limits are seen exactly, with
the kinks of both multipliers.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    GAIN,
    INERTIA,
    POWER,
    PRICE,
    VALUE,
    Cars,
    City,
    Floats,
    Holds,
    Ints,
    Previous,
    Prices,
    Schedule,
    Singles,
    Stiffness,
    Stores,
)
from optimizer.decomposition.devices.battery_path import best_path
from optimizer.decomposition.devices.charging import water_level
from optimizer.decomposition.devices.reserve import held_back, held_kw
from optimizer.decomposition.devices.working_rows import battery_of, bounds, fill_previous
from optimizer.decomposition.market import soft

_LARGE = 2.5
"""Multiple of ``Stiffness.large`` from which a device moves its own node's price by much."""
_U = np.uint64
"""Type of the indices of hot loops, see ``battery``; their sums stay unsigned only among themselves."""


class Near(NamedTuple):
    """Prices that the devices of one node see, kept up to date device by device; all of shape ``(T,)``.

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


@njit(fastmath=True, fused=True)
def turn_cars(
    first: int,
    last: int,
    r: float,
    roof: float,
    cars: Cars,
    city: City,
    previous: Previous,
    stiff: Stiffness,
    plan: Schedule,
    near: Near,
    case: Floats,
) -> None:
    """Let the cars ``first..last - 1`` of a node take their turns."""
    cells, arrive, depart, p_max, need = cars.cell, cars.arrive, cars.depart, cars.p_max, cars.need
    power, level, short, back = plan.car, plan.level, plan.car_short, previous.cars
    kink, unserved, inertia = previous.price, city.unserved_price, stiff.car
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
            fill_previous(back, cell, length, kink, case)
        level[i], short[i] = water_level(case, kink > 0.0, length, p, need[i], unserved, level[i])
        _changed(power, cell, r, begin, length, near, case)


@njit(fastmath=True, fused=True)
def turn_stores(
    first: int,
    last: int,
    r: float,
    roof: float,
    stores: Stores,
    holds: Holds,
    city: City,
    previous: Previous,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    reserve: Floats,
    near: Near,
    case: Floats,
    marks: Ints,
) -> None:
    """Let the stores ``first..last - 1`` of a node take their turns."""
    power, worth, short, back = plan.store, plan.worth, plan.store_short, previous.stores
    kink, unserved, inertia = previous.price, city.unserved_price, stiff.store
    for i in range(first, last):
        cell, begin = stores.cell[i], stores.arrive[i]
        length = stores.depart[i] - begin
        width = 0.5 * (stores.charge[i] + stores.discharge[i])
        still = min(inertia, stiff.large / (width + 1e-9))
        _store_prices(power, cell, width, r, roof, still, begin, length, near, case)
        bounds(worth, cell, length, i, stores, case)
        if kink > 0.0:
            fill_previous(back, cell, length, kink, case)
        number = battery_of(stores, i, unserved, kink, case)
        holding = stores.reserving[i] & (len(holds.need) > 0)
        if holding:
            short[i] = held_back(i, stores, holds, stiff, prices, reserve, plan, case, marks, number)
        else:
            short[i] = best_path(case, marks, number)
        _keep(worth, cell, length, case)
        _changed(power, cell, r, begin, length, near, case)
        if holding:
            for w in range(len(holds.need)):
                held = held_kw(stores, i, holds, w, power)
                reserve[w] += held - plan.hold[i, w]
                plan.hold[i, w] = held


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


@njit(fastmath=True)
def _keep(worth: Singles, cell: int, length: int, case: Floats) -> None:
    c = _U(cell)
    for j in range(_U(length)):
        worth[c + j] = np.float32(case[VALUE, j])
