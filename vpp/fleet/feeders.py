"""The feeder tree: caps and base load of every transformer, and sums from the rows up to the root."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from vpp.domain.site import Transformer
from vpp.domain.telemetry import FloatArray, RowArray


class FeederTree:
    """Transformers as arrays, one element each in the order of the fleet; power in kW, load positive.

    Args:
        transformers: The nodes; ``parent_id`` names the node that feeds one.
        of_row: Position of every row's own transformer, shape ``(n_resources,)``.
    """

    def __init__(self, transformers: Sequence[Transformer], of_row: RowArray) -> None:
        self.of_row = of_row
        self._transformers = transformers

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
    def base_load_kw(self) -> FloatArray:
        """Load behind each transformer that is not ours to move, shape ``(n_transformers,)``."""
        return np.array([t.base_load_kw for t in self._transformers], dtype=np.float64)

    @cached_property
    def levels(self) -> tuple[RowArray, ...]:
        """Positions of the transformers that have a parent, by depth, the deepest first."""
        depth = np.zeros(len(self), dtype=np.int32)
        above = self.parent
        while (above >= 0).any():
            depth += above >= 0
            above = np.where(above >= 0, self.parent[above], -1)
        return tuple(np.flatnonzero(depth == d).astype(np.int32) for d in range(int(depth.max(initial=0)), 0, -1))

    def load_kw(self, power_kw: FloatArray) -> FloatArray:
        """Return each transformer's net import: its base load and all rows below it, shape ``(n_transformers,)``.

        Args:
            power_kw: Net power of every row, shape ``(n_resources,)``; unknown rows (NaN) are left out.
        """
        known_kw = np.where(np.isnan(power_kw), 0.0, power_kw)
        own_kw = np.bincount(self.of_row, weights=known_kw, minlength=len(self))
        return np.asarray(self.summed_upwards(own_kw.astype(np.float64)) + self.base_load_kw, dtype=np.float64)

    def summed_upwards(self, own_kw: FloatArray) -> FloatArray:
        """Return each transformer's own value plus those of all below it, shape ``(n_transformers,)``."""
        total = own_kw.copy()
        for nodes in self.levels:
            np.add.at(total, self.parent[nodes], total[nodes])
        return total
