"""Marginal price of load at a node, as far as everything above the node and the market decide.

All terms are those of the augmented Lagrangian: a row ``g(x) <= 0`` with multiplier ``mu`` and stiffness ``r`` adds
``max(mu + r g, 0)`` to the marginal price (and ``r`` to its slope while it is active); a priced, hence soft, row adds
no more than its price. See Bertsekas, Constrained Optimization and Lagrange Multiplier Methods, ch. 2 and 3.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

from typing import NamedTuple

from numerics.jit import njit
from optimizer.decomposition.arrays import City, Floats, Flows, Prices, Stiffness, Tree

FAR = 1e12
"""A bound that is never reached; infinities do not survive fast arithmetic."""

UNKNOWN = -1e9
"""Stands for an unknown power where NaN would not survive either; nothing real is below half of it."""


class View(NamedTuple):
    """Marginal prices at a node's devices for every step, and their slopes; all of shape ``(T,)``.

    Attributes:
        grid: Energy, peak, band and the limits of all ancestors.
        grid_slope: Its slope in net load.
        moved: ``grid`` with both sides of regulation: what charging and storing see.
        moved_slope: Its slope.
        solar: ``grid`` with regulation's lower side: what solar saves.
        solar_slope: Its slope.
    """

    grid: Floats
    grid_slope: Floats
    moved: Floats
    moved_slope: Floats
    solar: Floats
    solar_slope: Floats


class Pending(NamedTuple):
    """Changes at a node that the flows above do not know yet; all of shape ``(T,)``."""

    moved: Floats
    solar: Floats
    other: Floats


@njit(fastmath=True, inline=True)
def soft(value: float, roof: float) -> float:
    """Return the multiplier a priced row takes: ``value`` kept in ``[0, roof]``."""
    return min(max(value, 0.0), roof)


@njit(fastmath=True)
def look(
    node: int, tree: Tree, city: City, flows: Flows, prices: Prices, stiff: Stiffness, reach: float, view: View
) -> None:
    """Fill ``view`` for ``node``; a row within ``reach`` kW of becoming active already counts in the slope."""
    steps = len(city.price)
    top = prices.top[0]
    for t in range(steps):
        total = flows.total[t]
        price, slope = city.price[t], 0.0
        g = prices.peak[t] + stiff.total * (total - top)
        price += max(g, 0.0)
        slope += stiff.total if g + stiff.total * reach > 0.0 else 0.0
        g = prices.above[t] + stiff.band * (total - city.upper[t])
        price += soft(g, city.band_price)
        slope += stiff.band if (g + stiff.band * reach > 0.0) & (g < city.band_price) else 0.0
        g = prices.below[t] + stiff.band * (city.lower[t] - total)
        price -= soft(g, city.band_price)
        slope += stiff.band if (g + stiff.band * reach > 0.0) & (g < city.band_price) else 0.0
        view.grid[t] = price
        view.grid_slope[t] = slope
    for n in range(tree.start[node], tree.start[node + 1]):
        _ancestor(tree.path[n], tree, flows, prices, stiff, reach, view)
    for t in range(steps):
        g = prices.regulate_up[t] + stiff.moved * (prices.regulation[t] - flows.moved[t] - city.room_up[t])
        h = prices.regulate_down[t] + stiff.moved * (
            prices.regulation[t] - city.room_down[t] + flows.moved[t] - flows.solar[t]
        )
        up_slope = stiff.moved if g + stiff.moved * reach > 0.0 else 0.0
        down_slope = stiff.moved if h + stiff.moved * reach > 0.0 else 0.0
        view.solar[t] = view.grid[t] + max(h, 0.0)
        view.solar_slope[t] = view.grid_slope[t] + down_slope
        view.moved[t] = view.solar[t] - max(g, 0.0)
        view.moved_slope[t] = view.solar_slope[t] + up_slope


@njit(fastmath=True)
def _ancestor(node: int, tree: Tree, flows: Flows, prices: Prices, stiff: Stiffness, reach: float, view: View) -> None:
    r = stiff.node[node]
    for t in range(view.grid.shape[0]):
        flow = flows.node[node, t]
        g = prices.up[node, t] + r * (flow - tree.most[node, t])
        h = prices.down[node, t] + r * (tree.least[node, t] - flow)
        view.grid[t] += soft(g, tree.roof) - soft(h, tree.roof)
        view.grid_slope[t] += r if (g + r * reach > 0.0) & (g < tree.roof) else 0.0
        view.grid_slope[t] += r if (h + r * reach > 0.0) & (h < tree.roof) else 0.0


@njit(fastmath=True)
def settle(node: int, tree: Tree, flows: Flows, pending: Pending) -> None:
    """Carry the pending changes of a node to its ancestors and the city, and forget them."""
    for n in range(tree.start[node], tree.start[node + 1]):
        above = tree.path[n]
        for t in range(pending.moved.shape[0]):
            flows.node[above, t] += pending.moved[t] - pending.solar[t] + pending.other[t]
    for t in range(pending.moved.shape[0]):
        flows.total[t] += pending.moved[t] - pending.solar[t] + pending.other[t]
        flows.moved[t] += pending.moved[t]
        flows.solar[t] += pending.solar[t]
        pending.moved[t] = pending.solar[t] = pending.other[t] = 0.0
