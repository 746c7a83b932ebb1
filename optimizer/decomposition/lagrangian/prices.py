"""Multipliers: their opening, their step after a sweep, and the market position that goes with them.

The position (peak, regulation) minimises the augmented Lagrangian in closed form or by bisection after every sweep; the
multipliers then take the step of the method of multipliers. Both together keep them dual feasible: the peak's sum to at
most the peak price, regulation's two sides to at least its price, the soft rows' to at most their price.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import City, Fleet, Floats, Flows, Prices, Schedule, Stiffness

_BISECTIONS = 60
_FASTER, _FASTEST = 1.5, 100.0
_DEEPEST, _NOTHING = 0.3, 1e-6
"""A price falls to no less than this share at once, and is 0 below that share of the overload price."""
_FAR_SHARE = 2e-5
"""A row further out than this share of its price over its stiffness is far."""


def opening_prices(fleet: Fleet) -> Prices:
    """Return multipliers to begin with: the peak price spread over the day, regulation's halved."""
    steps, shape = fleet.steps, fleet.base.shape
    return Prices(
        up=np.zeros(shape),
        down=np.zeros(shape),
        peak=np.full(steps, fleet.city.peak_price / steps),
        above=np.zeros(steps),
        below=np.zeros(steps),
        regulate_up=fleet.city.regulation_price / 2.0,
        regulate_down=fleet.city.regulation_price / 2.0,
        hold=0.5 * fleet.holds.price,
        regulation=np.zeros(steps),
        top=np.zeros(1),
    )


def position(city: City, flows: Flows, stiff: Stiffness, prices: Prices) -> None:
    """Set the peak and the regulation capacity that answer ``flows``, in place."""
    prices.top[0] = _top(city, flows.total, stiff.total, prices.peak)
    prices.regulation[...] = _capacity(city, flows, stiff.moved, prices)


def _top(city: City, total: Floats, r: float, peak: Floats) -> float:
    """Return the root ``D >= 0`` of ``sum_t max(peak_t + r (G_t - D), 0) = peak_price``."""
    if city.peak_price <= 0.0:
        return max(float(total.max()), 0.0)
    ranked = np.sort(total + peak / r)[::-1]
    roots = (np.cumsum(ranked) - city.peak_price / r) / np.arange(1, len(ranked) + 1)
    return max(float(roots[np.flatnonzero(ranked > roots)[-1]]), 0.0)


def _capacity(city: City, flows: Flows, r: float, prices: Prices) -> Floats:
    """Return the capacity of each step, equal within a block, by bisection on its marginal cost."""
    steps, block = len(city.price), city.block
    if not city.regulation_price.any():
        return np.zeros(steps)
    up = flows.moved + city.room_up
    down = city.room_down - flows.moved + flows.solar
    starts = np.arange(0, steps, block)
    size = np.minimum(starts + block, steps) - starts
    low = np.zeros(len(starts))
    high = np.maximum.reduceat(np.maximum(up, down), starts) + float(city.regulation_price.max()) / r
    high = np.maximum(high, 0.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        capacity = np.repeat(middle, size)
        cost = np.maximum(prices.regulate_up + r * (capacity - up), 0.0)
        cost += np.maximum(prices.regulate_down + r * (capacity - down), 0.0) - city.regulation_price
        dear = np.add.reduceat(cost, starts) > 0.0
        high, low = np.where(dear, middle, high), np.where(dear, low, middle)
    return np.repeat(low, size)


class Momentum(NamedTuple):
    """Factors of multipliers' steps, signed like the last violation.

    Nodes' have shape ``(m, T)``, the band's ``(T,)``, reserve windows' ``(w,)``.

    A row that stays violated, or slack with a price left, lengthens its steps until it turns: where a limit cannot be
    kept the multiplier must reach the overload price, which may be a hundred times the energy price.
    """

    up: Floats
    down: Floats
    above: Floats
    below: Floats
    hold: Floats


def no_momentum(fleet: Fleet) -> Momentum:
    """Return factors of 1."""
    nodes, total = np.ones_like(fleet.base), np.ones(fleet.steps)
    return Momentum(nodes, nodes.copy(), total, total.copy(), np.ones_like(fleet.holds.need))


def step(fleet: Fleet, flows: Flows, stiff: Stiffness, prices: Prices, momentum: Momentum) -> None:
    """Move the multipliers after a sweep, in place; ``fleet`` has the limits the sweep was held to."""
    city, tree = fleet.city, fleet.tree
    _row_step(flows.node - tree.most, stiff.node, tree.roof, prices.up, momentum.up)
    _row_step(tree.least - flows.node, stiff.node, tree.roof, prices.down, momentum.down)
    prices.peak[...] = np.maximum(prices.peak + stiff.total * (flows.total - prices.top[0]), 0.0)
    _band_step(flows.total - city.upper, stiff.band, city.band_price, prices.above, momentum.above)
    _band_step(city.lower - flows.total, stiff.band, city.band_price, prices.below, momentum.below)
    if city.regulation_price.any():
        up = flows.moved + city.room_up
        down = city.room_down - flows.moved + flows.solar
        capacity = prices.regulation
        prices.regulate_up[...] = np.maximum(prices.regulate_up + stiff.moved * (capacity - up), 0.0)
        prices.regulate_down[...] = np.maximum(prices.regulate_down + stiff.moved * (capacity - down), 0.0)
    _hold_step(fleet.holds.need - flows.reserve, stiff.hold, fleet.holds.price, prices.hold, momentum.hold)
    make_feasible(city, prices)


def make_feasible(city: City, prices: Prices) -> None:
    """Scale what the closed forms left a rounding away from dual feasibility, in place."""
    total = prices.peak.sum()
    if total > city.peak_price:
        prices.peak[...] *= city.peak_price / total
    starts = np.arange(0, len(city.price), city.block)
    size = np.minimum(starts + city.block, len(city.price)) - starts
    wanted = np.add.reduceat(city.regulation_price, starts)
    held = np.add.reduceat(prices.regulate_up + prices.regulate_down, starts)
    factor = np.where(held > 0.0, np.maximum(wanted / np.where(held > 0.0, held, 1.0), 1.0), 1.0)
    prices.regulate_up[...] *= np.repeat(factor, size)
    prices.regulate_down[...] *= np.repeat(factor, size)
    # A block whose prices are all 0 owes its whole price somewhere; upwards is as good as downwards.
    empty = np.repeat((held <= 0.0) & (wanted > 0.0), size)
    prices.regulate_up[...] = np.where(empty, city.regulation_price, prices.regulate_up)


def _hold_step(missing: Floats, stiff: Floats, most: Floats, price: Floats, factor: Floats) -> None:
    """Move the reserve windows' multipliers; where the fleet cannot hold what is asked they must reach ``most``."""
    same = np.sign(missing) == np.sign(factor)
    factor[...] = np.where(same, np.minimum(np.abs(factor) * _FASTER, _FASTEST), 1.0) * np.sign(missing)
    price[...] = np.clip(price + np.abs(factor) * stiff * missing, 0.0, most)


def _band_step(beyond: Floats, stiff: float, roof: float, price: Floats, factor: Floats) -> None:
    """Move the multipliers of one side of the band, shapes ``(T,)``: it is a row like those of the nodes."""
    _row_step(beyond[np.newaxis], np.full(1, stiff), roof, price[np.newaxis], factor[np.newaxis])


@njit()
def _row_step(beyond: Floats, stiff: Floats, roof: float, price: Floats, factor: Floats) -> None:
    for k in range(beyond.shape[0]):
        far = _FAR_SHARE * roof / stiff[k] if roof > 0.0 else 0.0
        for t in range(beyond.shape[1]):
            move = beyond[k, t]
            if (move <= 0.0) & (price[k, t] <= 0.0):
                factor[k, t] = 1.0
                continue
            same = (move > 0.0) == (factor[k, t] > 0.0)
            size = abs(factor[k, t])
            if not same:
                size = 1.0
            elif abs(move) > far:
                size = min(size * _FASTER, _FASTEST)
            factor[k, t] = size if move > 0.0 else -size
            price[k, t] = min(max(price[k, t] + size * stiff[k] * move, _DEEPEST * price[k, t]), roof)
            price[k, t] = price[k, t] if price[k, t] > _NOTHING * roof else 0.0


def copied(prices: Prices) -> Prices:
    """Return a copy that later steps do not touch."""
    return Prices(*(array.copy() for array in prices))


def empty_plan(fleet: Fleet) -> Schedule:
    """Return a schedule to begin with: cars spread their need evenly, stores rest, the sun is used, nothing is cut."""
    length = np.diff(fleet.cars.cell)
    even = np.minimum(fleet.cars.need / np.maximum(length, 1), fleet.cars.p_max).astype(np.float32)
    worth = np.full(int(fleet.stores.cell[-1]), float(np.median(fleet.city.price)), np.float32)
    return Schedule(
        car=np.repeat(even, length),
        level=np.full(len(length), float(np.median(fleet.city.price))),
        car_short=np.zeros(len(length)),
        store=np.zeros(int(fleet.stores.cell[-1]), np.float32),
        worth=worth,
        store_short=np.zeros(len(fleet.stores.charge)),
        used=fleet.panels.available.copy(),
        cut=np.zeros_like(fleet.loads.most),
        contract=np.zeros(len(fleet.contracts.price)),
        hold=np.zeros((len(fleet.stores.charge), len(fleet.holds.need))),
    )
