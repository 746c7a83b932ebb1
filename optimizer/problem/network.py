"""The tree of transformers and feeders that everything hangs on."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import FloatArray, IntArray
from optimizer.problem.validation import at_least, at_most, finite, shaped, tree, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A tree of transformers with two-sided, priced limits.

    Attributes:
        parent: Node that feeds each, -1 at a root, shape ``(m,)``.
        limit_kw: Greatest net import, shape ``(m, T)``.
        export_limit_kw: Greatest net export as a positive number, shape ``(m, T)``.
        base_kw: Load at the node itself that is in no block; children add theirs, shape ``(m, T)``.
        overload_price_cny_per_kwh: Price of every kWh beyond a limit; makes the limits soft, never free.
    """

    parent: IntArray
    limit_kw: FloatArray
    export_limit_kw: FloatArray
    base_kw: FloatArray
    overload_price_cny_per_kwh: float = 50.0

    def __len__(self) -> int:
        return len(self.parent)

    def check(self, steps: int) -> None:
        """Raise ProblemError for a wrong shape, an unknown number or a parent that makes no tree."""
        whole("network.parent", self.parent, (len(self),))
        for name in ("limit_kw", "export_limit_kw", "base_kw"):
            finite(f"network.{name}", shaped(f"network.{name}", getattr(self, name), (len(self), steps)))
        at_least("network.export_limit_kw", self.export_limit_kw, 0.0)
        finite("network.overload_price_cny_per_kwh", self.overload_price_cny_per_kwh)
        at_least("network.overload_price_cny_per_kwh", self.overload_price_cny_per_kwh, 0.0)
        at_most("network.export_limit_kw (negated)", -self.export_limit_kw, self.limit_kw)
        tree("network.parent", self.parent)

    def leaves_first(self) -> IntArray:
        """Return the nodes with every child before its parent, shape ``(m,)``."""
        depth = np.zeros(len(self), dtype=np.int64)
        above = self.parent.copy()
        while (above >= 0).any():
            depth += above >= 0
            above = np.where(above >= 0, self.parent[above], -1)
        return np.argsort(-depth, kind="stable")

    def summed_kw(self, own_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the flow of every node with all below it, and the sum of the roots.

        Args:
            own_kw: Net load at each node itself, shape ``(m, T)``.

        Returns:
            Flows, shape ``(m, T)``, and the sum, shape ``(T,)``.
        """
        flow = own_kw.copy()
        total = np.zeros(own_kw.shape[1])
        for node in self.leaves_first().tolist():
            above = self.parent[node]
            (total if above < 0 else flow[above])[...] += flow[node]
        return flow, total
