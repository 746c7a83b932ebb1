"""Loads of the transformer tree for given powers of the rows."""

from typing import NamedTuple

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.index import FleetIndex


class FeederLoads(NamedTuple):
    """Net load of every transformer, load positive, shape ``(n_transformers,)`` each.

    Attributes:
        known_kw: By what the meters last showed that could be believed.
        most_kw: The most it may be once every setpoint has taken effect, against the limit of import.
        least_kw: The least, against the limit of export.
    """

    known_kw: FloatArray
    most_kw: FloatArray
    least_kw: FloatArray


class FeederTree:
    """Loads and memberships of the nodes above the fleet.

    The load behind a node that is not ours is taken as what the node states, or as the sum of its children's where
    they state more: both ways of filling in a registry give a load that is not too small.

    Args:
        index: The fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        self._index = index
        self.parent: RowArray = index.feeders.parent
        self.limit_kw = index.feeders.limit_kw
        self.export_kw = index.feeders.export_limit_kw
        self.node = index.transformer_code.astype(np.int64)
        self.children_first = self._order()
        self._turn = np.argsort(np.array(self.children_first, dtype=np.int64))
        self.base_kw = self._base(index.feeders.base_load_kw)
        self._by_node = np.argsort(self.node, kind="stable").astype(np.int32)
        self._ends = np.cumsum(np.bincount(self.node, minlength=len(self.parent)))
        self._under: dict[int, RowArray] = {}
        self._children: list[list[int]] = [[] for _ in self.parent]
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                self._children[parent].append(node)

    def __len__(self) -> int:
        return len(self.parent)

    def loads_kw(self, power_kw: FloatArray) -> FloatArray:
        """Return the net load of every node, shape ``(n_transformers,)``, for row powers ``(n_resources,)``."""
        loads = np.bincount(self.node, weights=power_kw, minlength=len(self.parent)).astype(np.float64)
        return self._index.feeders.summed_upwards(loads) + self.base_kw

    def changes_kw(self, rows: RowArray, change_kw: FloatArray) -> FloatArray:
        """Return by how much the load of every node changes with some rows' powers, shape ``(n_transformers,)``."""
        own = np.bincount(self.node[rows], weights=change_kw, minlength=len(self.parent)).astype(np.float64)
        return self._index.feeders.summed_upwards(own)

    def upwards(self, chosen: BoolArray) -> list[int]:
        """Return the chosen nodes, children before parents; ``chosen`` has shape ``(n_transformers,)``."""
        nodes = np.flatnonzero(chosen)
        return [int(node) for node in nodes[np.argsort(self._turn[nodes])]]

    def rows_under(self, node: int) -> RowArray:
        """Return the rows behind a node, those of its children included; not to be written to."""
        known = self._under.get(node)
        if known is None:
            found = [self._own(node)]
            open_ = list(self._children[node])
            while open_:
                child = open_.pop()
                found.append(self._own(child))
                open_ += self._children[child]
            known = self._under[node] = np.sort(np.concatenate(found))
        return known

    def _own(self, node: int) -> RowArray:
        begin = 0 if node == 0 else int(self._ends[node - 1])
        return self._by_node[begin : int(self._ends[node])]

    def _base(self, stated_kw: FloatArray) -> FloatArray:
        base, below = stated_kw.copy(), np.zeros(len(stated_kw))
        for node in self.children_first:
            base[node] = max(base[node], below[node])
            if self.parent[node] >= 0:
                below[self.parent[node]] += base[node]
        return base

    def _order(self) -> list[int]:
        def depth(node: int) -> int:
            steps = 0
            while self.parent[node] >= 0:
                node, steps = int(self.parent[node]), steps + 1
            return steps

        return sorted(range(len(self.parent)), key=depth, reverse=True)
