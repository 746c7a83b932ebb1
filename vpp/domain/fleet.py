"""The fleet as arrays: who stands in which row, and all that is believed about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import CITY
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray

CLASSES = tuple(ResourceClass)
"""Class codes in arrays are positions in this tuple."""

ADAPTERS = tuple(Adapter)
"""Adapter codes in arrays are positions in this tuple."""


@dataclass(frozen=True, kw_only=True)
class FleetIndex:
    """Who stands in which row. Rows are only ever added, so a row number is good for ever.

    Attributes:
        resources: One a row.
    """

    resources: tuple[Resource, ...]
    sites: tuple[Site, ...]
    transformers: tuple[Transformer, ...]
    areas: tuple[Area, ...]
    operators: tuple[Operator, ...]

    def __post_init__(self) -> None:
        for kind, things in (
            ("area", self.areas),
            ("operator", self.operators),
            ("transformer", self.transformers),
            ("site", self.sites),
            ("resource", self.resources),
        ):
            _refuse_repeats(kind, [thing.id for thing in things])
        self._check_references()

    @classmethod
    def empty(cls) -> "FleetIndex":
        """Return a fleet of nobody."""
        return cls(resources=(), sites=(), transformers=(), areas=(), operators=())

    def __len__(self) -> int:
        return len(self.resources)

    def extended(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
    ) -> "FleetIndex":
        """Return a larger fleet; existing rows keep their numbers.

        Raises:
            InputError: An id is there already.
            UnknownIdError: Something refers to an id that is not there.
        """
        return FleetIndex(
            areas=(*self.areas, *areas),
            operators=(*self.operators, *operators),
            transformers=(*self.transformers, *transformers),
            sites=(*self.sites, *sites),
            resources=(*self.resources, *resources),
        )

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Row of every resource id."""
        return {resource.id: row for row, resource in enumerate(self.resources)}

    @cached_property
    def site_of(self) -> Mapping[str, Site]:
        """Site of every site id."""
        return {site.id: site for site in self.sites}

    @cached_property
    def class_code(self) -> CodeArray:
        """Position in ``CLASSES`` of every row's class, shape ``(n_resources,)``."""
        codes = {cls: code for code, cls in enumerate(CLASSES)}
        return np.array([codes[r.resource_class] for r in self.resources], dtype=np.uint8)

    @cached_property
    def adapter_code(self) -> CodeArray:
        """Position in ``ADAPTERS`` of every row's adapter, shape ``(n_resources,)``."""
        codes = {adapter: code for code, adapter in enumerate(ADAPTERS)}
        return np.array([codes[r.adapter] for r in self.resources], dtype=np.uint8)

    @cached_property
    def by_adapter(self) -> IdArray:
        """Number of rows of each of ``ADAPTERS``, shape ``(n_adapters,)``."""
        return np.bincount(self.adapter_code, minlength=len(ADAPTERS)).astype(np.int64)

    @cached_property
    def area_code(self) -> RowArray:
        """Position in ``areas`` of every row's area, shape ``(n_resources,)``."""
        position = {area.id: i for i, area in enumerate(self.areas)}
        return self._by_site({site.id: position[site.area_id] for site in self.sites})

    @cached_property
    def operator_code(self) -> RowArray:
        """Position in ``operators`` of every row's operator, shape ``(n_resources,)``."""
        position = {operator.id: i for i, operator in enumerate(self.operators)}
        return self._by_site({site.id: position[site.operator_id] for site in self.sites})

    @cached_property
    def site_code(self) -> RowArray:
        """Position in ``sites`` of every row's site, shape ``(n_resources,)``."""
        return self._by_site({site.id: i for i, site in enumerate(self.sites)})

    @cached_property
    def transformer_code(self) -> RowArray:
        """Position in ``transformers`` of every row's own transformer, shape ``(n_resources,)``."""
        position = {transformer.id: i for i, transformer in enumerate(self.transformers)}
        return self._by_site({site.id: position[site.transformer_id] for site in self.sites})

    @cached_property
    def parent_code(self) -> RowArray:
        """Position of every transformer's parent, -1 at a root, shape ``(n_transformers,)``."""
        position = {transformer.id: i for i, transformer in enumerate(self.transformers)}
        return np.array([position[t.parent_id] if t.parent_id else -1 for t in self.transformers], dtype=np.int32)

    @cached_property
    def transformer_limit_kw(self) -> FloatArray:
        """Greatest net import, shape ``(n_transformers,)``."""
        return np.array([t.limit_kw for t in self.transformers], dtype=np.float64)

    @cached_property
    def transformer_export_kw(self) -> FloatArray:
        """Greatest net export as a positive number, shape ``(n_transformers,)``."""
        return np.array([t.export_limit_kw for t in self.transformers], dtype=np.float64)

    @cached_property
    def transformer_base_kw(self) -> FloatArray:
        """Load behind each transformer that is not ours, shape ``(n_transformers,)``."""
        return np.array([t.base_load_kw for t in self.transformers], dtype=np.float64)

    @cached_property
    def p_min_kw(self) -> FloatArray:
        """Least net power, shape ``(n_resources,)``."""
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
    def default_kw(self) -> FloatArray:
        """Safe default; where none is stated ``p_max_kw`` for loads, NaN for storage and photovoltaics."""
        stated = self._column("default_kw")
        own_logic = self.is_class(ResourceClass.STORAGE, ResourceClass.PV)
        return np.where(np.isnan(stated) & ~own_logic, self.p_max_kw, stated)

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
        """How long a cut can be held, shape ``(n_resources,)``."""
        return self._column("sustain_minutes")

    @cached_property
    def rebound_ratio(self) -> FloatArray:
        """Share of cut energy that comes back, shape ``(n_resources,)``."""
        return self._column("rebound_ratio")

    @cached_property
    def declared_up_kw(self) -> FloatArray:
        """Contracted cut, shape ``(n_resources,)``."""
        return self._column("declared_up_kw")

    @cached_property
    def declared_down_kw(self) -> FloatArray:
        """Contracted raise, shape ``(n_resources,)``."""
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
        """Ramp rate, shape ``(n_resources,)``."""
        return self._column("ramp_kw_per_min")

    def is_class(self, *classes: ResourceClass) -> BoolArray:
        """Return which rows belong to any of ``classes``, read-only, shape ``(n_resources,)``."""
        known = self._masks.get(classes)
        if known is None:
            table = np.zeros(len(CLASSES), dtype=np.bool_)
            table[[CLASSES.index(cls) for cls in classes]] = True
            known = table[self.class_code]
            known.flags.writeable = False
            self._masks[classes] = known
        return known

    def rows_of(self, *classes: ResourceClass) -> RowArray:
        """Return the rows that belong to any of ``classes``, rising and read-only, shape ``(n,)``."""
        known = self._rows.get(classes)
        if known is None:
            known = np.flatnonzero(self.is_class(*classes)).astype(np.int32)
            known.flags.writeable = False
            self._rows[classes] = known
        return known

    # Asked for many times a cycle: made once for every combination that is asked for.
    @cached_property
    def _masks(self) -> dict[tuple[ResourceClass, ...], BoolArray]:
        return {}

    @cached_property
    def _rows(self) -> dict[tuple[ResourceClass, ...], RowArray]:
        return {}

    def in_area(self, area: str) -> BoolArray:
        """Return which rows lie in ``area``, ``"city"`` being all, shape ``(n_resources,)``.

        Raises:
            UnknownIdError: No such area.
        """
        if area == CITY:
            return np.ones(len(self), dtype=np.bool_)
        for code, known in enumerate(self.areas):
            if known.id == area:
                return np.asarray(self.area_code == code)
        raise UnknownIdError("area", area)

    def transformer_load_kw(self, power_kw: FloatArray) -> FloatArray:
        """Return each transformer's net import: its base load and all rows below it, shape ``(n_transformers,)``.

        Args:
            power_kw: Net power of every row, shape ``(n_resources,)``; unknown rows (NaN) are left out.
        """
        known_kw = np.where(np.isnan(power_kw), 0.0, power_kw)
        load_kw = np.bincount(self.transformer_code, weights=known_kw, minlength=len(self.transformers))
        return np.asarray(self.summed_upwards(load_kw.astype(np.float64)) + self.transformer_base_kw, dtype=np.float64)

    def summed_upwards(self, own_kw: FloatArray) -> FloatArray:
        """Return each transformer's own value plus those of all below it, shape ``(n_transformers,)``."""
        total = own_kw.copy()
        for nodes in self._levels:
            np.add.at(total, self.parent_code[nodes], total[nodes])
        return total

    @cached_property
    def _levels(self) -> tuple[RowArray, ...]:
        """Positions of transformers that have a parent, by depth, the deepest first."""
        depth = np.zeros(len(self.transformers), dtype=np.int32)
        above = self.parent_code
        while (above >= 0).any():
            depth += above >= 0
            above = np.where(above >= 0, self.parent_code[above], -1)
        return tuple(np.flatnonzero(depth == d).astype(np.int32) for d in range(int(depth.max(initial=0)), 0, -1))

    def rows_by_address(self, adapter: Adapter) -> dict[str, int]:
        """Return the row of every address one protocol serves."""
        return {r.address: row for row, r in enumerate(self.resources) if r.adapter is adapter}

    def _contracted(self, declared_kw: FloatArray) -> FloatArray:
        """Bound buildings and plants by what their owners agreed to; chargers and stores by their own limits alone."""
        return np.where(self.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY), declared_kw, np.inf)

    def _column(self, name: str) -> FloatArray:
        return np.array([getattr(r, name) for r in self.resources], dtype=np.float64)

    def _by_site(self, code: Mapping[str, int]) -> RowArray:
        return np.array([code[r.site_id] for r in self.resources], dtype=np.int32)

    def _check_references(self) -> None:
        areas = {area.id for area in self.areas}
        operators = {operator.id for operator in self.operators}
        transformers = {transformer.id for transformer in self.transformers}
        sites = {site.id for site in self.sites}
        for transformer in self.transformers:
            _must_know("area", transformer.area_id, areas)
            if transformer.parent_id is not None:
                _must_know("transformer", transformer.parent_id, transformers)
        for site in self.sites:
            _must_know("area", site.area_id, areas)
            _must_know("operator", site.operator_id, operators)
            _must_know("transformer", site.transformer_id, transformers)
        for resource in self.resources:
            _must_know("site", resource.site_id, sites)


def _refuse_repeats(kind: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for identity in ids:
        if identity in seen:
            raise InputError(f"{kind}.id", identity, "an id that is not taken yet")
        seen.add(identity)


def _must_know(kind: str, identity: str, known: set[str]) -> None:
    if identity not in known:
        raise UnknownIdError(kind, identity)


def _no_troubles() -> IdArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All that is believed at one instant, one row a resource; arrays are read-only, shape ``(n_resources,)``.

    Attributes:
        at_s: Epoch seconds of the snapshot.
        cycle: Number of the snapshot, rising by one.
        power_kw: Last metered net power that can be believed, load positive, NaN before the first.
        power_at_s: When it was measured, NaN before the first.
        quality: ``Quality`` code of the last metered power; bad where ``power_kw`` is an older one in its place.
        energy_kwh: Register of energy taken in.
        soc: State of charge, 0-1.
        connected: The device's link is up.
        plugged: A car is plugged in.
        available_min_kw: Least power the device says it can take now; its nameplate until it says so.
        available_max_kw: Greatest power the device says it can take now; its nameplate until it says so.
        limit_kw: Limit or setpoint as read back, NaN where none was.
        need_kwh: Energy the plugged car still lacks to its promise, NaN where nothing was promised.
        departure_s: Epoch seconds of the promised departure, NaN where nothing was promised.
        sheddable: The session has a promise, its floor is reached, and its driver neither opted out nor boosts;
            always true for rows without cars.
        troubles: Bit mask of `vpp.domain.trouble.Trouble` that its link knows of; empty where nothing is known of any.
    """

    index: FleetIndex
    at_s: float
    cycle: int
    power_kw: FloatArray
    power_at_s: FloatArray
    quality: CodeArray
    energy_kwh: FloatArray
    soc: FloatArray
    connected: BoolArray
    plugged: BoolArray
    available_min_kw: FloatArray
    available_max_kw: FloatArray
    limit_kw: FloatArray
    need_kwh: FloatArray
    departure_s: FloatArray
    sheddable: BoolArray
    troubles: IdArray = field(default_factory=_no_troubles)

    def __len__(self) -> int:
        return len(self.index)

    def connected_by_adapter(self) -> IdArray:
        """Return the number of connected rows of each of ``ADAPTERS``, shape ``(n_adapters,)``."""
        codes = self.index.adapter_code
        return np.array([np.count_nonzero(self.connected & (codes == code)) for code in range(len(ADAPTERS))])

    def laxity_s(self, power_kw: FloatArray) -> FloatArray:
        """Return the time each car could wait before it needs ``power_kw`` without pause, shape ``(n_resources,)``.

        Laxity as in least-laxity-first scheduling (Dertouzos 1974): time to departure less time to charge. Infinite
        for rows without a promise.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            laxity = self.departure_s - self.at_s - 3600.0 * self.need_kwh / power_kw
        return np.where(np.isnan(laxity), np.inf, laxity)

    def laxity_of(self, rows: RowArray, power_kw: FloatArray) -> FloatArray:
        """Return ``laxity_s`` of some rows only, shape ``(len(rows),)``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            laxity = self.departure_s[rows] - self.at_s - 3600.0 * self.need_kwh[rows] / power_kw
        return np.where(np.isnan(laxity), np.inf, laxity)
