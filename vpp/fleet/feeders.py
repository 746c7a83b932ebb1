"""The feeder tree: caps and base load of every transformer, sums from the rows up to the root, shares down again.

One meaning of base load stands in registry, API, guard, planner, quote, metrics and twin: ``base_load_kw`` of a
transformer is what is connected at that node itself and not ours to move. What its meter would show without our
devices, ``base_kw``, is that of the node and of all nodes below it, and is only ever computed here.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from numerics.sums import grouped, grouped_known
from vpp.domain.site import Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray


class FeederTree:
    """Transformers as arrays, one element each in the order of the fleet; power in kW, load positive.

    Arrays are not to be written to.

    Args:
        transformers: The nodes; ``parent_id`` names the node that feeds one. No node feeds itself, however far up.
        of_row: Position of every row's own transformer, shape ``(n_resources,)``.
    """

    def __init__(self, transformers: Sequence[Transformer], of_row: RowArray) -> None:
        self.of_row: IdArray = of_row.astype(np.int64)
        self._transformers = transformers
        self._rows_under: dict[int, RowArray] = {}

    def __len__(self) -> int:
        return len(self._transformers)

    @cached_property
    def parent(self) -> RowArray:
        """Position of every transformer's parent, -1 at a root, shape ``(n_transformers,)``."""
        position = {transformer.id: i for i, transformer in enumerate(self._transformers)}
        return np.array([position[t.parent_id] if t.parent_id else -1 for t in self._transformers], dtype=np.int32)

    @cached_property
    def limit_kw(self) -> FloatArray:
        """Greatest net import, above zero, shape ``(n_transformers,)``."""
        return np.array([t.limit_kw for t in self._transformers], dtype=np.float64)

    @cached_property
    def export_limit_kw(self) -> FloatArray:
        """Greatest net export as a positive number, shape ``(n_transformers,)``."""
        return np.array([t.export_limit_kw for t in self._transformers], dtype=np.float64)

    @cached_property
    def own_base_kw(self) -> FloatArray:
        """Load at each transformer itself that is not ours to move, as registered, shape ``(n_transformers,)``."""
        return np.array([0.0 if t.retired else t.base_load_kw for t in self._transformers], dtype=np.float64)

    @cached_property
    def base_kw(self) -> FloatArray:
        """Load not ours to move behind each transformer, its own and that of all nodes below, ``(n_transformers,)``."""
        return self.summed_upwards(self.own_base_kw)

    @cached_property
    def levels(self) -> tuple[RowArray, ...]:
        """Positions of the transformers that have a parent, by depth, the deepest first."""
        depth = self._depth
        return tuple(np.flatnonzero(depth == d).astype(np.int32) for d in range(int(depth.max(initial=0)), 0, -1))

    @cached_property
    def roots(self) -> RowArray:
        """Positions of the transformers without a parent."""
        return np.flatnonzero(self.parent < 0).astype(np.int32)

    def own_kw(self, power_kw: npt.NDArray[np.floating]) -> FloatArray:
        """Return the net import at each node itself: its own base load and its own rows, not the nodes below.

        Args:
            power_kw: Net power of every row, shape ``(n_resources,)`` or ``(n_resources, steps)``. A node with a row of
                unknown power (NaN) is unknown.

        Returns:
            Shape ``(n_transformers,)`` or ``(n_transformers, steps)``.
        """
        return _plus(grouped(power_kw, self.of_row, len(self)), self.own_base_kw)

    def load_kw(self, power_kw: npt.NDArray[np.floating]) -> FloatArray:
        """Return each transformer's net import: base load and rows, its own and those of all nodes below.

        Args:
            power_kw: Net power of every row, shape ``(n_resources,)`` or ``(n_resources, steps)``; unknown power (NaN)
                is left out.

        Returns:
            Shape ``(n_transformers,)`` or ``(n_transformers, steps)``.
        """
        return _plus(self.summed_upwards(grouped_known(power_kw, self.of_row, len(self))), self.base_kw)

    def limit_against_kw(self, load_kw: FloatArray) -> FloatArray:
        """Return the limit each net import runs against, that of import or of export, shape ``(n_transformers,)``."""
        return np.where(load_kw >= 0.0, self.limit_kw, self.export_limit_kw)

    def changes_kw(self, rows: RowArray, change_kw: FloatArray) -> FloatArray:
        """Return by how much each transformer's net import changes with some rows' powers, ``(n_transformers,)``."""
        own = np.bincount(self.of_row[rows], weights=change_kw, minlength=len(self)).astype(np.float64)
        return self.summed_upwards(own)

    def summed_upwards(self, own: FloatArray) -> FloatArray:
        """Return each transformer's own value plus those of all below it, shape ``(n_transformers, ...)`` as given."""
        total = own.copy()
        for nodes in self.levels:
            np.add.at(total, self.parent[nodes], total[nodes])
        return total

    def shared_downwards(self, share: FloatArray) -> FloatArray:
        """Return the product of each node's share and those of all above it, shape ``(n_transformers, ...)``."""
        product = share.copy()
        for nodes in reversed(self.levels):
            product[nodes] *= product[self.parent[nodes]]
        return product

    def with_all_below(self, chosen: BoolArray) -> BoolArray:
        """Return the chosen nodes and all that they feed, shape ``(n_transformers,)``."""
        spread = chosen.copy()
        for nodes in reversed(self.levels):
            spread[nodes] |= spread[self.parent[nodes]]
        return spread

    def upwards(self, chosen: BoolArray) -> list[int]:
        """Return the chosen nodes, children before parents; ``chosen`` has shape ``(n_transformers,)``."""
        nodes = np.flatnonzero(chosen)
        found: list[int] = nodes[np.argsort(-self._depth[nodes], kind="stable")].tolist()
        return found

    def rows_under(self, node: int) -> RowArray:
        """Return the rows behind a node and all nodes below it, rising."""
        known = self._rows_under.get(node)
        if known is None:
            known = self._rows_under[node] = np.sort(np.concatenate([self._own_rows(n) for n in self._under(node)]))
        return known

    def _under(self, node: int) -> list[int]:
        """Return a node and all that it feeds."""
        found = [node]
        for known in found:
            found += self._children[known]
        return found

    def _own_rows(self, node: int) -> RowArray:
        rows, ends = self._rows_by_node
        return rows[ends[node] : ends[node + 1]]

    @cached_property
    def _rows_by_node(self) -> tuple[RowArray, IdArray]:
        """Rows by their own node, and where each node's end: those of node n lie from place n to n + 1."""
        counts = np.bincount(self.of_row, minlength=len(self))
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return np.argsort(self.of_row, kind="stable").astype(np.int32), ends

    @cached_property
    def _children(self) -> list[list[int]]:
        children: list[list[int]] = [[] for _ in self.parent]
        for node in np.flatnonzero(self.parent >= 0).tolist():
            children[self.parent[node]].append(node)
        return children

    @cached_property
    def _depth(self) -> RowArray:
        """Number of nodes above each, shape ``(n_transformers,)``."""
        depth = np.zeros(len(self), dtype=np.int32)
        above = self.parent
        while (above >= 0).any():
            depth += above >= 0
            above = np.where(above >= 0, self.parent[above], -1)
        return depth


def _plus(total: FloatArray, base: FloatArray) -> FloatArray:
    return total + (base if total.ndim == 1 else base[:, None])
