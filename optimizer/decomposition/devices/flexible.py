"""Loads that can be cut, with their rebound: a knapsack over the worth of a cut.

A kW cut at ``t`` saves the price at ``t`` and pays ``ratio / span`` of the prices of the next ``span`` steps. In a
sweep the quadratic terms of those steps couple; they are replaced by separable ones that lie above them (the row sums
of the coupling), so every answer still lowers the Lagrangian. In the bound the terms are linear and the knapsack is
exact.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    Floats,
    Flows,
    Loads,
    Previous,
    Prices,
    Schedule,
    Stiffness,
    Tree,
)
from optimizer.decomposition.market import UNKNOWN, Pending, View, soft

_BISECTIONS = 50
_PULLS = 2
_ALONE_KW = 1e-6
_SOFT_SHARE = 0.02
"""Share of the greatest cut over which the sign of a difference from the past is smoothed."""


@njit(fastmath=True)
def cut_loads(
    node: int,
    tree: Tree,
    loads: Loads,
    previous: Previous,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    view: View,
    pending: Pending,
) -> None:
    """Let the loads of ``node`` answer; their changes go into ``flows.node`` and ``pending``."""
    steps, r = loads.most.shape[1], stiff.node[node]
    price, slope, worth, inertia = np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps)
    cut = np.zeros(steps)
    for i in range(loads.first[node], loads.first[node + 1]):
        share = loads.rebound[i] / loads.rebound_steps
        for t in range(steps):
            shift = pending.moved[t] + pending.other[t] - pending.solar[t]
            up = prices.up[node, t] + r * (flows.node[node, t] - tree.most[node, t])
            down = prices.down[node, t] + r * (tree.least[node, t] - flows.node[node, t])
            price[t] = view.grid[t] + view.grid_slope[t] * shift + soft(up, tree.roof) - soft(down, tree.roof)
            slope[t] = view.grid_slope[t] + (r if (up > 0.0) | (down > 0.0) else 0.0)
            cut[t] = plan.cut[i, t]
        if previous.price > 0.0:
            _pulled(i, loads, previous, plan.cut, price, slope)
        _worth(price, share, loads.rebound_steps, worth)
        _worth(slope, -share, loads.rebound_steps, inertia)
        for t in range(steps):
            worth[t] -= loads.price[i]
            inertia[t] = (1.0 + loads.rebound[i]) * inertia[t] + stiff.store
        _knapsack(worth, inertia, loads.most[i], loads.energy[i], cut)
        for t in range(steps):
            change = cut[t] - plan.cut[i, t]
            plan.cut[i, t] = cut[t]
            if change != 0.0:
                _enter(node, t, -change, flows, pending)
                for s in range(t + 1, min(t + 1 + loads.rebound_steps, steps)):
                    _enter(node, s, change * share, flows, pending)


@njit(fastmath=True)
def _pulled(i: int, loads: Loads, previous: Previous, cuts: Floats, price: Floats, slope: Floats) -> None:
    """Add what leaving the last net load costs: its price times a number in [-1, 1], the sign smoothed at 0."""
    steps, share = cuts.shape[1], loads.rebound[i] / loads.rebound_steps
    for t in range(steps):
        back = previous.loads[i * steps + t]
        if back <= 0.5 * UNKNOWN:
            continue
        net = -cuts[i, t] - back
        for s in range(max(t - loads.rebound_steps, 0), t):
            net += share * cuts[i, s]
        soft_kw = _SOFT_SHARE * loads.most[i, t] + 1e-6
        price[t] += previous.price * min(max(net / soft_kw, -1.0), 1.0)
        slope[t] += previous.price / soft_kw if abs(net) < soft_kw else 0.0


@njit(fastmath=True)
def _churn_cost(i: int, previous: Previous, pull: Floats) -> float:
    """Return the constant part of ``sum pull * (net - back)``, which lies below the price of leaving the past."""
    total = 0.0
    for t in range(len(pull)):
        back = previous.loads[i * len(pull) + t]
        total -= pull[t] * back if back > 0.5 * UNKNOWN else 0.0
    return total


@njit(fastmath=True, inline=True)
def _enter(node: int, t: int, change: float, flows: Flows, pending: Pending) -> None:
    flows.node[node, t] += change
    pending.other[t] += change


@njit(fastmath=True)
def _worth(price: Floats, share: float, span: int, worth: Floats) -> None:
    """Fill ``worth[t] = price[t] - share * sum(price[t + 1 : t + 1 + span])``."""
    steps = len(price)
    later = 0.0
    for t in range(steps - 1, -1, -1):
        worth[t] = price[t] - share * later
        later += price[t]
        if t + span < steps:
            later -= price[t + span]


@njit(fastmath=True)
def _knapsack(worth: Floats, inertia: Floats, most: Floats, energy: float, cut: Floats) -> None:
    """Move ``cut`` to the best of ``worth * d - inertia * d**2 / 2`` within the bounds and the energy."""
    steps = len(worth)
    low, high, level = 0.0, 0.0, 0.0
    for t in range(steps):
        high = max(high, worth[t] + inertia[t] * cut[t])
    for n in range(_BISECTIONS):
        level = 0.0 if n == 0 else 0.5 * (low + high)
        total = 0.0
        for t in range(steps):
            total += min(max(cut[t] + (worth[t] - level) / inertia[t], 0.0), most[t])
        if (n == 0) & (total <= energy):
            break
        if total > energy:
            low = level
        else:
            high = level
        level = high
    total = 0.0
    for t in range(steps):
        cut[t] = min(max(cut[t] + (worth[t] - level) / inertia[t], 0.0), most[t])
        total += cut[t]
    if total > energy:
        for t in range(steps):
            cut[t] *= energy / total


@njit(fastmath=True)
def loads_bound(loads: Loads, previous: Previous, cuts: Floats, grid: Floats) -> float:
    """Return a bound of the cost of all loads at the prices ``grid`` of their nodes, shape ``(m, T)``.

    Without a last plan it is their least cost. With one, the price of leaving the past is the greatest of all linear
    prices ("pulls") of at most its size, so any of them proves a bound; three are tried and the best counts.
    """
    steps = grid.shape[1]
    pull, slope, worth = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    total = 0.0
    for k in range(grid.shape[0]):
        for i in range(loads.first[k], loads.first[k + 1]):
            pull[:] = 0.0
            if previous.price <= 0.0:
                total += _pulled_bound(i, loads, previous, grid[k], pull, worth)[0]
                continue
            _pulled(i, loads, previous, cuts, pull, slope)
            best, _ = _pulled_bound(i, loads, previous, grid[k], pull, worth)
            level = 0.0
            for _ in range(_PULLS):
                _pull_back(i, loads, previous, level, grid[k], pull)
                value, following = _pulled_bound(i, loads, previous, grid[k], pull, worth)
                best = max(best, value)
                if following <= level:
                    break
                level = following
            total += best
    return total


@njit(fastmath=True)
def _pull_back(i: int, loads: Loads, previous: Previous, level: float, grid: Floats, pull: Floats) -> None:
    """Change ``pull`` where the past is the load left alone: there it is as high as keeps a cut from paying.

    Going backwards, what the pulls of later steps add to the return of a cut is known. A high pull lowers the worth of
    earlier cuts and never that of its own step below ``level``, the worth of energy.
    """
    steps, share = len(pull), loads.rebound[i] / loads.rebound_steps
    later, kink = 0.0, previous.price
    for t in range(steps - 1, -1, -1):
        back = previous.loads[i * steps + t]
        if abs(back) <= _ALONE_KW:
            pull[t] = min(max(loads.price[i] + level - grid[t] + share * later, -kink), kink)
        later += grid[t] + pull[t]
        if t + loads.rebound_steps < steps:
            later -= grid[t + loads.rebound_steps] + pull[t + loads.rebound_steps]


@njit(fastmath=True)
def _pulled_bound(
    i: int, loads: Loads, previous: Previous, grid: Floats, pull: Floats, worth: Floats
) -> tuple[float, float]:
    """Return the least cost of load ``i`` at prices ``grid + pull``, and the worth of energy where it runs out."""
    total, rest, level = 0.0, loads.energy[i], 0.0
    if previous.price > 0.0:
        total += _churn_cost(i, previous, pull)
    _worth(grid + pull, loads.rebound[i] / loads.rebound_steps, loads.rebound_steps, worth)
    order = np.argsort(-worth)
    for n in range(len(order)):
        gain = worth[order[n]] - loads.price[i]
        if (gain <= 0.0) | (rest <= 0.0):
            break
        amount = min(loads.most[i, order[n]], rest)
        total -= gain * amount
        rest -= amount
        level = gain if rest <= 0.0 else 0.0
    return total, level
