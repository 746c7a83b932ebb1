"""Flows of a schedule: its sums over nodes and the city, computed afresh."""

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from optimizer.decomposition.arrays import Contracts, Fleet, Floats, Flows, Ints, Panels, Schedule, Singles, Tree


def flows_of(fleet: Fleet, plan: Schedule) -> Flows:
    """Return the flows of ``plan``."""
    flows = Flows(
        node=np.zeros_like(fleet.base),
        total=fleet.city.fixed.copy(),
        moved=np.zeros(fleet.steps),
        solar=np.zeros(fleet.steps),
        reserve=plan.hold.sum(0),
    )
    resum(fleet, plan, flows)
    return flows


def resum(fleet: Fleet, plan: Schedule, flows: Flows) -> None:
    """Compute ``flows`` of ``plan`` afresh, in place: sums kept up to date drift by their roundings."""
    flows.node[...] = 0.0
    add_moved(fleet, plan, flows.node)
    flows.moved[...] = flows.node.sum(0)
    add_panels(fleet.panels, plan.used, flows.node)
    add_flexible(fleet, plan, flows.node)
    _add_contracts(fleet.contracts, plan.contract, flows.node)
    flows.solar[...] = plan.used.sum(0)
    flows.total[...] = fleet.city.fixed + flows.node.sum(0)
    _upwards(fleet.tree, flows.node)
    flows.node[...] += fleet.base
    flows.reserve[...] = plan.hold.sum(0)


def add_moved(fleet: Fleet, plan: Schedule, node: Floats) -> None:
    """Add charging and storing to the own flow of every node, shape ``(m, T)``."""
    _add_cells(fleet.cars.first, fleet.cars.cell, fleet.cars.arrive, plan.car, node)
    _add_cells(fleet.stores.first, fleet.stores.cell, fleet.stores.arrive, plan.store, node)


def add_flexible(fleet: Fleet, plan: Schedule, node: Floats) -> None:
    """Add what cutting and rebounding do to the own flow of every node, shape ``(m, T)``."""
    _add_loads(fleet.loads.first, plan.cut, fleet.loads.rebound, fleet.loads.rebound_steps, node)


@njit()
def _add_cells(first: Ints, cell: Ints, arrive: npt.NDArray[np.int32], power: Singles, node: Floats) -> None:
    for k in range(node.shape[0]):
        for i in range(first[k], first[k + 1]):
            begin = arrive[i] - cell[i]
            for c in range(cell[i], cell[i + 1]):
                node[k, begin + c] += power[c]


@njit()
def add_panels(panels: Panels, used: Floats, node: Floats) -> None:
    """Subtract the solar power used from the own flow of every node, shape ``(m, T)``."""
    for k in range(node.shape[0]):
        for i in range(panels.first[k], panels.first[k + 1]):
            for t in range(node.shape[1]):
                node[k, t] -= used[i, t]


@njit()
def _add_loads(first: Ints, cut: Floats, ratio: Floats, span: int, node: Floats) -> None:
    for k in range(node.shape[0]):
        for i in range(first[k], first[k + 1]):
            for t in range(node.shape[1]):
                if cut[i, t] != 0.0:
                    node[k, t] -= cut[i, t]
                    for s in range(t + 1, min(t + 1 + span, node.shape[1])):
                        node[k, s] += cut[i, t] * ratio[i] / span


@njit()
def _add_contracts(contracts: Contracts, share: Floats, node: Floats) -> None:
    for i in range(len(share)):
        for t in range(node.shape[1]):
            node[contracts.node[i], t] -= contracts.cut[i, t] * share[i]


@njit()
def _upwards(tree: Tree, node: Floats) -> None:
    """Add every node's own flow to all its ancestors."""
    own = node.copy()
    for k in range(node.shape[0]):
        for n in range(tree.start[k], tree.start[k + 1]):
            for t in range(node.shape[1]):
                node[tree.path[n], t] += own[k, t]
