"""Contracts, all or nothing: relaxed to a share while the sweeps go on, then taken or left.

In the bound each contract is exact on its own: it is taken if it saves more than it costs.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import City, Contracts, Floats, Flows, Prices, Schedule, Stiffness, Tree
from optimizer.decomposition.market import Pending, View, look, settle, soft

_CLEAR = 0.01
"""Share of the dearest contract's price by which a decision must be wrong before it is turned."""


@njit(fastmath=True)
def bargain(
    tree: Tree, contracts: Contracts, city: City, stiff: Stiffness, prices: Prices, plan: Schedule, flows: Flows
) -> None:
    """Move the share of every contract to where the augmented Lagrangian is least."""
    steps = len(city.price)
    view = View(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps))
    pending = Pending(np.zeros(steps), np.zeros(steps), np.zeros(steps))
    for i in range(len(contracts.price)):
        node, share = contracts.node[i], plan.contract[i]
        r = stiff.node[node]
        look(node, tree, city, flows, prices, stiff, 0.0, view)
        cost, slope = contracts.price[i], 1e-9 + 0.05 * abs(contracts.price[i])
        for t in range(steps):
            up = prices.up[node, t] + r * (flows.node[node, t] - tree.most[node, t])
            down = prices.down[node, t] + r * (tree.least[node, t] - flows.node[node, t])
            cost -= contracts.cut[i, t] * (view.grid[t] + soft(up, tree.roof) - soft(down, tree.roof))
            own = r if (up > 0.0) | (down > 0.0) else 0.0
            slope += contracts.cut[i, t] ** 2 * (view.grid_slope[t] + own)
        set_share(i, min(max(share - cost / slope, 0.0), 1.0), tree, contracts, plan, flows, pending)


@njit(fastmath=True)
def set_share(
    i: int, share: float, tree: Tree, contracts: Contracts, plan: Schedule, flows: Flows, pending: Pending
) -> None:
    """Set the share of contract ``i`` and carry the change into the flows."""
    node, change = contracts.node[i], share - plan.contract[i]
    plan.contract[i] = share
    for t in range(contracts.cut.shape[1]):
        flows.node[node, t] -= change * contracts.cut[i, t]
        pending.other[t] -= change * contracts.cut[i, t]
    settle(node, tree, flows, pending)


def offers(contracts: Contracts, grid: Floats) -> Floats:
    """Return what each contract would cost beyond what it saves at the prices ``grid``, shape ``(c,)``."""
    cost: Floats = contracts.price - (grid[contracts.node] * contracts.cut).sum(1)
    return cost


def decide(tree: Tree, contracts: Contracts, plan: Schedule, flows: Flows, shares: Floats) -> None:
    """Set the shares of all contracts and carry the changes into the flows."""
    steps = contracts.cut.shape[1]
    pending = Pending(np.zeros(steps), np.zeros(steps), np.zeros(steps))
    for i in range(len(contracts.price)):
        set_share(i, float(shares[i]), tree, contracts, plan, flows, pending)


def revised(shares: Floats, cost: Floats, price: Floats) -> Floats:
    """Return ``shares`` with the one decision turned that the prices contradict most, if any does clearly."""
    regret = np.where(shares > 0.5, cost, -cost)  # noqa: PLR2004 - taken or left
    if not len(regret) or regret.max() <= _CLEAR * np.abs(price).max():
        return shares
    turned = shares.copy()
    worst = int(regret.argmax())
    turned[worst] = 1.0 - turned[worst]
    return turned
