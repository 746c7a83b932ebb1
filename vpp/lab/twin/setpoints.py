"""Default and dispatch values in force at every simulated device."""

import numpy as np

from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import CodeArray, FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics import kernels


class SetpointTable:
    """Two values a row: the default holds until it is replaced, the dispatch value until its lease ends.

    Args:
        index: The fleet.

    Attributes:
        default_kw: Default in force per row, at first ``Resource.default_kw``; NaN, which is no bound (storage: idle),
            for rows that state none. Shape ``(n,)``.
        ordinary_kw: Defaults of the stores in the ordinary world (`vpp.lab.twin.worlds`), ``None`` while they are those
            of the others.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.default_kw: FloatArray = np.array([r.default_kw for r in index.resources], dtype=np.float64)
        self.ordinary_kw: FloatArray | None = None
        self._dispatch_kw: FloatArray = np.full(len(index), np.nan)
        self._until_s: FloatArray = np.full(len(index), -np.inf)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a default or dispatch value in force, or end the dispatch value for ``Layer.RELEASE``."""
        if layer == Layer.DEFAULT:
            self.default_kw[row] = power_kw
        elif layer == Layer.DISPATCH:
            self._dispatch_kw[row] = power_kw
            self._until_s[row] = until_s
        else:
            self._until_s[row] = -np.inf

    def apply_all(self, rows: RowArray, layers: CodeArray, power_kw: FloatArray, until_s: FloatArray) -> None:
        """Do what ``apply`` does for many rows, each at most once; shapes ``(len(rows),)``."""
        default, dispatch = layers == Layer.DEFAULT, layers == Layer.DISPATCH
        self.default_kw[rows[default]] = power_kw[default]
        self._dispatch_kw[rows[dispatch]] = power_kw[dispatch]
        self._until_s[rows[dispatch]] = until_s[dispatch]
        self._until_s[rows[layers == Layer.RELEASE]] = -np.inf

    def dispatch_kw(self, now_s: float) -> FloatArray:
        """Return the dispatch value in force per row, NaN where there is none, shape ``(n,)``."""
        return np.where(self._until_s > now_s, self._dispatch_kw, np.nan)

    def write_dispatch(self, now_s: float, out_kw: FloatArray) -> None:
        """Write the dispatch values in force into ``out_kw``, NaN where there is none, shape ``(n,)``."""
        kernels.in_force(self._until_s, self._dispatch_kw, now_s, out_kw)
