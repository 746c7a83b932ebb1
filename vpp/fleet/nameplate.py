"""Nameplate columns: the rated values of every resource as arrays, one element a fleet row."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from vpp.domain.charging import least_charging_kw
from vpp.domain.resource import Resource, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray


class NameplateColumns:
    """Rated values of a fleet, each column made when it is first read; power in kW, load positive.

    Args:
        resources: One a row.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._resources = resources

    def amended(self, resources: Sequence[Resource], rows: RowArray) -> "NameplateColumns":
        """Return the columns with other resources in ``rows``; a column that stays as it is is shared."""
        new, part = NameplateColumns(resources), NameplateColumns([resources[row] for row in rows.tolist()])
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                values = getattr(part, name)
                alike = np.array_equal(column[rows], values, equal_nan=True)
                vars(new)[name] = column if alike else column.copy()
                if not alike:
                    vars(new)[name][rows] = values
        return new

    @cached_property
    def p_min_kw(self) -> FloatArray:
        """Least net power, negative where it can feed in, shape ``(n_resources,)``."""
        return self._column("p_min_kw")

    @cached_property
    def p_max_kw(self) -> FloatArray:
        """Greatest net power, shape ``(n_resources,)``."""
        return self._column("p_max_kw")

    @cached_property
    def floor_kw(self) -> FloatArray:
        """Least power without stopping, shape ``(n_resources,)``."""
        return self._column("floor_kw")

    @cached_property
    def least_charging_kw(self) -> FloatArray:
        """Least power the car of a one-way charger draws, a stated floor first; 0 for the rest, ``(n_resources,)``."""
        physical_kw = [least_charging_kw(r.p_max_kw, r.phases) for r in self._resources]
        least_kw = np.where(self.floor_kw > 0.0, self.floor_kw, physical_kw)
        return np.where(self._is_class(ResourceClass.EV), least_kw, 0.0)

    @cached_property
    def default_kw(self) -> FloatArray:
        """Safe default within its share, shape ``(n_resources,)``; see ``own_default_kw``."""
        return np.minimum(self.own_default_kw, np.where(np.isnan(self.share_kw), np.inf, self.share_kw))

    @cached_property
    def own_default_kw(self) -> FloatArray:
        """Safe default as stated, ``(n_resources,)``; else ``p_max_kw`` for loads, NaN for storage, photovoltaics."""
        stated = self._column("default_kw")
        own_logic = self._is_class(ResourceClass.STORAGE, ResourceClass.PV)
        return np.where(np.isnan(stated) & ~own_logic, self.p_max_kw, stated)

    @cached_property
    def share_kw(self) -> FloatArray:
        """Share of the transformers' capacity that bounds the default, NaN for none, shape ``(n_resources,)``."""
        return self._column("share_kw")

    @cached_property
    def capacity_kwh(self) -> FloatArray:
        """Storable energy, shape ``(n_resources,)``."""
        return self._column("capacity_kwh")

    @cached_property
    def efficiency(self) -> FloatArray:
        """One-way efficiency, shape ``(n_resources,)``."""
        return self._column("efficiency")

    @cached_property
    def sustain_minutes(self) -> FloatArray:
        """Longest hold of a cut in minutes, shape ``(n_resources,)``."""
        return self._column("sustain_minutes")

    @cached_property
    def rebound_ratio(self) -> FloatArray:
        """Share of the cut energy that is taken after release, shape ``(n_resources,)``."""
        return self._column("rebound_ratio")

    @cached_property
    def declared_up_kw(self) -> FloatArray:
        """Contracted cut of net load, at least 0, shape ``(n_resources,)``."""
        return self._column("declared_up_kw")

    @cached_property
    def declared_down_kw(self) -> FloatArray:
        """Contracted raise of net load, at least 0, shape ``(n_resources,)``."""
        return self._column("declared_down_kw")

    @cached_property
    def contract_up_kw(self) -> FloatArray:
        """Greatest cut that may be asked of each row: its contract's where the class has one, else infinite."""
        return self._contracted(self.declared_up_kw)

    @cached_property
    def contract_down_kw(self) -> FloatArray:
        """Greatest raise that may be asked of each row, as ``contract_up_kw``."""
        return self._contracted(self.declared_down_kw)

    @cached_property
    def ramp_kw_per_min(self) -> FloatArray:
        """Greatest rate of change of power, shape ``(n_resources,)``."""
        return self._column("ramp_kw_per_min")

    def _contracted(self, declared_kw: FloatArray) -> FloatArray:
        """Bound buildings and plants by what their owners agreed to; chargers and stores by their own limits alone."""
        return np.where(self._is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY), declared_kw, np.inf)

    def _is_class(self, *classes: ResourceClass) -> BoolArray:
        return np.array([r.resource_class in classes for r in self._resources], dtype=np.bool_)

    def _column(self, name: str) -> FloatArray:
        return np.array([getattr(r, name) for r in self._resources], dtype=np.float64)
