"""Limits of batteries and promises as columns: the nearest stated level counts, device, site, operator, class default.

Planner, quote, dispatch, guard and twin read these columns and no other floor, ceiling, margin or wear price.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from vpp.domain.limits import UNSTATED, Limits
from vpp.domain.resource import Resource, ResourceClass
from vpp.domain.site import Operator, Site
from vpp.domain.telemetry import FloatArray, RowArray

_STATIONARY = Limits(soc_floor=0.1, soc_ceiling=0.95, promise_margin_s=600.0, wear_cny_per_kwh=0.1)
_CAR = Limits(soc_floor=0.3, soc_ceiling=1.0, promise_margin_s=600.0, wear_cny_per_kwh=0.25)
DEFAULTS: Mapping[ResourceClass, Limits] = {
    kind: _CAR if kind is ResourceClass.V2G else _STATIONARY for kind in ResourceClass
}
"""Limits of every class where no level states any; they mean something to batteries, the margin to chargers."""


class _Limited(Protocol):
    @property
    def limits(self) -> Limits: ...


class LimitColumns:
    """Limits in force of every row, each column made when it is first read; shape ``(n_resources,)``, read-only.

    Args:
        resources: One a row.
        sites: All sites.
        operators: All operators.
        site_code: Position in ``sites`` of every row's site, shape ``(n_resources,)``.
        operator_code: Position in ``operators`` of every row's operator, shape ``(n_resources,)``.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        sites: Sequence[Site],
        operators: Sequence[Operator],
        *,
        site_code: RowArray,
        operator_code: RowArray,
    ) -> None:
        self._resources = resources
        self._groups: tuple[tuple[Sequence[_Limited], RowArray], ...] = ((operators, operator_code), (sites, site_code))

    @cached_property
    def soc_floor(self) -> FloatArray:
        """State of charge a battery is not discharged below, in [0, 1]."""
        return _read_only(self._column("soc_floor"))

    @cached_property
    def soc_ceiling(self) -> FloatArray:
        """State of charge a battery is not charged above by us; the floor where a ceiling below it is stated."""
        return _read_only(np.maximum(self._column("soc_ceiling"), self.soc_floor))

    @cached_property
    def promise_margin_s(self) -> FloatArray:
        """Slack before departure that a driver's promise keeps, in seconds."""
        return _read_only(self._column("promise_margin_s"))

    @cached_property
    def wear_cny_per_kwh(self) -> FloatArray:
        """Wear of a battery by discharged energy."""
        return _read_only(self._column("wear_cny_per_kwh"))

    @cached_property
    def _own(self) -> tuple[tuple[int, Limits], ...]:
        """Rows that state limits of their own, few or none as a rule."""
        return tuple((row, r.limits) for row, r in enumerate(self._resources) if r.limits is not UNSTATED)

    def _column(self, name: str) -> FloatArray:
        default = {kind: getattr(limits, name) for kind, limits in DEFAULTS.items()}
        column = np.array([default[r.resource_class] for r in self._resources], dtype=np.float64)
        for members, code in self._groups:
            stated = np.array([_number(getattr(member.limits, name)) for member in members], dtype=np.float64)
            if not np.isnan(stated).all():
                column = np.where(np.isnan(stated[code]), column, stated[code])
        for row, limits in self._own:
            value = getattr(limits, name)
            if value is not None:
                column[row] = value
        return column


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _read_only(column: FloatArray) -> FloatArray:
    column.flags.writeable = False
    return column
