"""From nearly feasible to feasible: the few nodes still beyond a limit answer again, to sharper prices.

Only devices below such a node move, so the rest of the plan stays as it is. What cannot be mended, because the load
that nobody moves is already beyond the limit, stays as a named overload.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from optimizer.decomposition.arrays import Fleet, Floats, Flows, Ints, Memory, Prices, Schedule, Stiffness, Tree
from optimizer.decomposition.prices import copied
from optimizer.decomposition.sweep import sweep

_ROUNDS = 25
_PATIENCE = 6
_SHARPEN = 1.5
_TOLERANCE_KW = 1e-6


def overload_kw(fleet: Fleet, flows: Flows) -> Floats:
    """Return what is beyond either limit, shape ``(m, T)``."""
    return np.maximum(np.maximum(flows.node - fleet.tree.most, fleet.tree.least - flows.node), 0.0)


def unavoidable_kw(fleet: Fleet) -> Floats:
    """Return the overload of the load that nobody moves if nobody else takes any, shape ``(m, T)``."""
    return np.maximum(np.maximum(fleet.base - fleet.tree.most, fleet.tree.least - fleet.base), 0.0)


def mend_nodes(
    fleet: Fleet, tight: Tree, memory: Memory, stiff: Stiffness, prices: Prices, plan: Schedule, flows: Flows
) -> int:
    """Bring the nodes back under their limits, in place; return the rounds it took."""
    sharp = copied(prices)
    node_stiff = stiff.node.copy()
    own = stiff._replace(node=node_stiff)
    best, since = np.inf, 0
    for count in range(_ROUNDS):
        over = overload_kw(fleet, flows)
        worst = float(over.sum())
        if not (over > _TOLERANCE_KW).any() or since >= _PATIENCE:
            return count
        best, since = (worst, 0) if worst < 0.98 * best else (best, since + 1)
        bad = np.flatnonzero((over > _TOLERANCE_KW).any(1))
        below = _below(tight, bad)
        sweep_nodes(below, 1, fleet, tight, memory, own, sharp, plan, flows)
        rise = node_stiff[bad, None]
        roof = tight.roof
        sharp.up[bad] = np.clip(sharp.up[bad] + rise * (flows.node[bad] - tight.most[bad]), 0.0, roof)
        sharp.down[bad] = np.clip(sharp.down[bad] + rise * (tight.least[bad] - flows.node[bad]), 0.0, roof)
        node_stiff[bad] *= _SHARPEN
    return _ROUNDS


def mend_band(
    fleet: Fleet,
    held: Fleet,
    memory: Memory,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    parts: list[Ints],
) -> None:
    """Bring the total back between its bounds, in place: part after part of the city answers until it is."""
    sharp = copied(prices)
    own = stiff
    city = fleet.city
    for nodes in parts:
        excess = np.maximum(flows.total - city.upper, city.lower - flows.total)
        if not (excess > _TOLERANCE_KW).any():
            return
        above, below = flows.total - held.city.upper, held.city.lower - flows.total
        sharp.above[...] = np.clip(sharp.above + own.band * above, 0.0, city.band_price)
        sharp.below[...] = np.clip(sharp.below + own.band * below, 0.0, city.band_price)
        sweep_nodes(nodes, 1, held, held.tree, memory, own, sharp, plan, flows)
        own = own._replace(band=own.band * _SHARPEN)


def sweep_nodes(
    nodes: Ints,
    stride: int,
    fleet: Fleet,
    tight: Tree,
    memory: Memory,
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
        memory,
        stiff,
        prices,
        plan,
        flows,
    )


def _below(tree: Tree, nodes: Ints) -> Ints:
    """Return ``nodes`` and all nodes they feed."""
    chosen = np.zeros(len(tree.start) - 1, dtype=np.bool_)
    chosen[nodes] = True
    owner = np.repeat(np.arange(len(chosen)), np.diff(tree.start))
    hit = owner[chosen[tree.path]]
    chosen[hit] = True
    return np.flatnonzero(chosen).astype(np.int64)
