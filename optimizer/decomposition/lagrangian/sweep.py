"""Gauss-Seidel sweep of the augmented Lagrangian: every device in turn answers the prices its neighbours left.

A device sees its own node's limits exactly (with the kinks of both multipliers) and everything above as a price with a
slope that is renewed every few devices; a device's own load is taken out before it decides again. Proximal terms keep a
step from jumping. Serial by design: two halves of the fleet answering the same prices at once diverge.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    CASE_ROWS,
    Cars,
    City,
    Flows,
    Holds,
    Ints,
    Loads,
    Panels,
    Previous,
    Prices,
    Schedule,
    Stiffness,
    Stores,
    Tree,
)
from optimizer.decomposition.devices.flexible import cut_loads
from optimizer.decomposition.devices.solar import use_panel
from optimizer.decomposition.lagrangian.turns import Near, turn_cars, turn_stores
from optimizer.decomposition.market import Pending, View, look, settle


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
    previous: Previous,
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
        previous: Powers to stay close to.
        stiff: Slopes of the augmented terms.
        prices: Multipliers.
        plan: The schedule.
        flows: Its sums.
    """
    steps = len(city.price)
    view = View(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps))
    pending = Pending(np.zeros(steps), np.zeros(steps), np.zeros(steps))
    near = Near(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps))
    case = np.zeros((CASE_ROWS, steps + 1))
    marks = np.zeros((2, steps + 2), np.int64)
    for turn in range(len(order)):
        node = order[turn]
        _approach(node, tree, city, flows, prices, stiff, reach, view, near)
        begin, end = cars.first[node], cars.first[node + 1]
        for i in range(begin, end, stride):
            if i > begin:
                _leave(node, tree, flows, pending, near)
                _approach(node, tree, city, flows, prices, stiff, reach, view, near)
            turn_cars(
                i, min(i + stride, end), stiff.node[node], tree.roof, cars, city, previous, stiff, plan, near, case
            )
        begin, end = stores.first[node], stores.first[node + 1]
        for i in range(begin, end, stride):
            _leave(node, tree, flows, pending, near)
            _approach(node, tree, city, flows, prices, stiff, reach, view, near)
            last = min(i + stride, end)
            turn_stores(
                i,
                last,
                stiff.node[node],
                tree.roof,
                stores,
                holds,
                city,
                previous,
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
            use_panel(i, node, tree, panels, previous, stiff, prices, plan, flows, view, pending)
        if loads.first[node] < loads.first[node + 1]:
            cut_loads(node, tree, loads, previous, stiff, prices, plan, flows, view, pending)
        settle(node, tree, flows, pending)


@njit(fastmath=True, fused=True)
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
    """Read the market's prices and the node's own limits before its devices take their turns."""
    look(node, tree, city, flows, prices, stiff, reach, view)
    r = stiff.node[node]
    for t in range(len(near.price)):
        near.price[t], near.slope[t], near.moved[t] = view.moved[t], view.moved_slope[t], 0.0
        near.up[t] = prices.up[node, t] + r * (flows.node[node, t] - tree.most[node, t])
        near.down[t] = prices.down[node, t] + r * (tree.least[node, t] - flows.node[node, t])


@njit(fastmath=True, fused=True)
def _leave(node: int, tree: Tree, flows: Flows, pending: Pending, near: Near) -> None:
    """Add the changes of the node's devices to the flows."""
    for t in range(len(near.moved)):
        flows.node[node, t] += near.moved[t]
        pending.moved[t] += near.moved[t]
        near.moved[t] = 0.0
    settle(node, tree, flows, pending)
