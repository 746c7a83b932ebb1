"""Repair of a nearly feasible schedule: devices below a node beyond its limit answer again, to sharper prices.

Only devices below such a node move, so the rest of the plan stays as it is. What cannot be mended, because the load
that no device moves is already beyond the limit, stays as a named overload.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from optimizer.decomposition.arrays import (
    City,
    Fleet,
    Floats,
    Flows,
    Ints,
    Previous,
    Prices,
    Schedule,
    Shorts,
    Stiffness,
    Tree,
)
from optimizer.decomposition.lagrangian.prices import copied
from optimizer.decomposition.lagrangian.sweep import sweep
from optimizer.problem.devices import inside

_ROUNDS = 25
_PATIENCE = 6
_SHARPEN = 1.5
_FIRST_RISE, _RISE = 1e-4, 4.0
"""Share of the overload price by which a node's price rises at least in the first round, and growth of it."""
TOLERANCE_KW = 1e-6
"""Excess below which it is rounding."""
_TURNS, _PARTS, _TIMES_ROUND = 4, 20, 3


def overload_kw(tree: Tree, flows: Flows) -> Floats:
    """Return what is beyond either limit of ``tree``, shape ``(m, T)``."""
    return np.maximum(np.maximum(flows.node - tree.most, tree.least - flows.node), 0.0)


def reachable(fleet: Fleet) -> Tree:
    """Return the tree with limits that the powers of the devices below could keep, be their energies what they may.

    Excess of the load that no device moves cannot be repaired.
    """
    if not ((fleet.base > fleet.tree.most) | (fleet.base < fleet.tree.least)).any():
        return fleet.tree
    steps = fleet.steps
    cars, stores = fleet.cars, fleet.stores
    charge = _plugged(cars.first, cars.arrive, cars.depart, cars.p_max, steps)
    if len(stores.limit):
        plugged = inside(stores.arrive, stores.depart, steps)
        np.add.at(charge, owner(stores.first), np.where(plugged, stores.limit, 0.0))
    else:
        charge += _plugged(stores.first, stores.arrive, stores.depart, stores.charge, steps)
    relief = _plugged(stores.first, stores.arrive, stores.depart, stores.discharge, steps)
    np.add.at(relief, owner(fleet.loads.first), fleet.loads.most)
    np.add.at(relief, owner(fleet.panels.first), fleet.panels.available)
    np.add.at(relief, fleet.contracts.node, np.maximum(fleet.contracts.cut, 0.0))
    np.add.at(charge, fleet.contracts.node, np.maximum(-fleet.contracts.cut, 0.0))
    below = owner(fleet.tree.start)
    for amount in (charge, relief):
        np.add.at(amount, fleet.tree.path, amount[below])
    most = np.maximum(fleet.tree.most, fleet.base - relief)
    return fleet.tree._replace(most=most, least=np.minimum(fleet.tree.least, fleet.base + charge))


def owner(first: Ints) -> Ints:
    """Return the node of every device, shape ``(n,)``."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


def _plugged(first: Ints, arrive: Shorts, depart: Shorts, power: Floats, steps: int) -> Floats:
    """Return the power of the plugged devices of every node, shape ``(m, T)``."""
    change, node = np.zeros((len(first) - 1, steps + 1)), owner(first)
    np.add.at(change, (node, arrive), power)
    np.subtract.at(change, (node, depart), power)
    return np.asarray(np.cumsum(change, axis=1)[:, :steps])


def mend(
    fleet: Fleet,
    goal: Tree,
    held: Fleet,
    previous: Previous,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    order: Ints,
) -> None:
    """Bring the nodes back under the limits of ``goal`` and the total between its bounds, in place.

    What has become dear in one repair stays dear in the next, or each would undo what the other did.

    Args:
        fleet: With the limits that count.
        goal: Node limits that can be reached.
        held: With limits a little inside.
        previous: Powers to stay close to.
        stiff: Slopes to begin with.
        prices: Multipliers to begin with; not changed.
        plan: The schedule.
        flows: Its sums.
        order: Nodes with devices, in the order in which they are asked to keep the band.
    """
    sharp, own, city = copied(prices), stiff._replace(node=stiff.node.copy()), fleet.city
    for _ in range(_TURNS):
        _mend_nodes(fleet, goal, held.tree, previous, own, sharp, plan, flows)
        if not exceeds(city, flows):
            return
        own = _mend_band(fleet, held, previous, own, sharp, plan, flows, order)
        if exceeds(city, flows):
            break
    _mend_nodes(fleet, goal, held.tree, previous, own, sharp, plan, flows)


def exceeds(city: City, flows: Flows) -> bool:
    """Return whether the total is beyond its band."""
    return bool((np.maximum(flows.total - city.upper, city.lower - flows.total) > TOLERANCE_KW).any())


def _mend_nodes(
    fleet: Fleet,
    goal: Tree,
    tight: Tree,
    previous: Previous,
    own: Stiffness,
    sharp: Prices,
    plan: Schedule,
    flows: Flows,
) -> None:
    """Let those below overloaded nodes answer to ever sharper prices, which stay in ``own`` and ``sharp``."""
    best, since, rise, roof = np.inf, 0, _FIRST_RISE * tight.roof, tight.roof
    for _ in range(_ROUNDS):
        over = overload_kw(goal, flows)
        worst = float(over.sum())
        if not (over > TOLERANCE_KW).any() or since >= _PATIENCE:
            return
        best, since = (worst, 0) if worst < 0.98 * best else (best, since + 1)
        bad = np.flatnonzero((over > TOLERANCE_KW).any(1))
        own.node[bad] = np.maximum(own.node[bad], rise / over[bad].max(1))
        sweep_nodes(_below(tight, bad), 1, fleet, tight, previous, own, sharp, plan, flows)
        step = own.node[bad, None]
        sharp.up[bad] = np.clip(sharp.up[bad] + step * (flows.node[bad] - tight.most[bad]), 0.0, roof)
        sharp.down[bad] = np.clip(sharp.down[bad] + step * (tight.least[bad] - flows.node[bad]), 0.0, roof)
        own.node[bad] *= _SHARPEN
        rise *= _RISE


def _mend_band(
    fleet: Fleet,
    held: Fleet,
    previous: Previous,
    own: Stiffness,
    sharp: Prices,
    plan: Schedule,
    flows: Flows,
    order: Ints,
) -> Stiffness:
    """Let part after part of the city answer until the total is inside; return the slopes it took."""
    city = fleet.city
    parts = np.array_split(order, max(min(_PARTS, len(order)), 1))
    for nodes in parts * _TIMES_ROUND:
        if not exceeds(city, flows):
            break
        above, below = flows.total - held.city.upper, held.city.lower - flows.total
        sharp.above[...] = np.clip(sharp.above + own.band * above, 0.0, city.band_price)
        sharp.below[...] = np.clip(sharp.below + own.band * below, 0.0, city.band_price)
        sweep_nodes(nodes, 1, held, held.tree, previous, own, sharp, plan, flows)
        own = own._replace(band=own.band * _SHARPEN)
    return own


def sweep_nodes(
    nodes: Ints,
    stride: int,
    fleet: Fleet,
    tight: Tree,
    previous: Previous,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    reach: float = 50.0,
) -> None:
    """Let the devices of ``nodes`` answer once, held to the limits of ``tight``."""
    sweep(
        nodes,
        stride,
        reach,
        tight,
        fleet.cars,
        fleet.stores,
        fleet.panels,
        fleet.loads,
        fleet.holds,
        fleet.city,
        previous,
        stiff,
        prices,
        plan,
        flows,
    )


def _below(tree: Tree, nodes: Ints) -> Ints:
    """Return ``nodes`` and all nodes they feed."""
    chosen = np.zeros(len(tree.start) - 1, dtype=np.bool_)
    chosen[nodes] = True
    hit = owner(tree.start)[chosen[tree.path]]
    chosen[hit] = True
    return np.flatnonzero(chosen).astype(np.int64)
