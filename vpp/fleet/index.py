"""The fleet index: the members of a fleet, their rows, and how rows are grouped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import CITY
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, CodeArray, IdArray, RowArray
from vpp.fleet.limits import LimitColumns
from vpp.fleet.members.member_codec import KINDS
from vpp.fleet.members.tenure import FormerOwner
from vpp.fleet.nameplate import NameplateColumns

if TYPE_CHECKING:
    from vpp.fleet.feeders import FeederTree

CLASSES = tuple(ResourceClass)
"""Class codes in arrays are positions in this tuple."""

ADAPTERS = tuple(Adapter)
"""Adapter codes in arrays are positions in this tuple."""


@dataclass(frozen=True, kw_only=True)
class FleetIndex:
    """The members of a fleet and the row of each. Rows are only ever added, so a row number is good for ever.

    A member that is retired keeps its place; ``in_service`` tells its rows apart.

    Attributes:
        resources: One a row.
        sites: Places with one settlement point each.
        transformers: Nodes of the feeder tree.
        areas: Parts of the city that a request can name.
        operators: Companies that run sites.
        withheld: Rows that take no part for a while because their former device still holds a value of ours, rising.
        former_owners: Owners that sites and devices had before the present ones, the oldest first.

    Raises:
        InputError: An id is stated twice, or a transformer feeds itself by way of others.
        UnknownIdError: Something refers to an id that is not there.
    """

    resources: tuple[Resource, ...]
    sites: tuple[Site, ...]
    transformers: tuple[Transformer, ...]
    areas: tuple[Area, ...]
    operators: tuple[Operator, ...]
    withheld: tuple[int, ...] = ()
    former_owners: tuple[FormerOwner, ...] = ()

    def __post_init__(self) -> None:
        for kind in KINDS:
            _refuse_repeats(kind.name, [member.id for member in getattr(self, kind.members)])
        _check_references(self)
        _refuse_loops(self.transformers)

    @classmethod
    def empty(cls) -> "FleetIndex":
        """Return a fleet without members."""
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
            InputError: An id is there already, or a transformer feeds itself by way of others.
            UnknownIdError: Something refers to an id that is not there.
        """
        return FleetIndex(
            areas=(*self.areas, *areas),
            operators=(*self.operators, *operators),
            transformers=(*self.transformers, *transformers),
            sites=(*self.sites, *sites),
            resources=(*self.resources, *resources),
            withheld=self.withheld,
            former_owners=self.former_owners,
        )

    def first(self, **counts: int) -> "FleetIndex":
        """Return the fleet with no more than the first so many members of the kinds that are named."""
        if all(count >= len(getattr(self, name)) for name, count in counts.items()):
            return self
        kept = {name: getattr(self, name)[:count] for name, count in counts.items()}
        rows = counts.get("resources", len(self))
        return replace(self, **kept, withheld=tuple(row for row in self.withheld if row < rows))

    @cached_property
    def in_service(self) -> BoolArray:
        """Which rows belong to the fleet now: not retired and not withheld, read-only, shape ``(n_resources,)``."""
        served = np.array([not r.retired for r in self.resources], dtype=np.bool_)
        served[list(self.withheld)] = False
        served.flags.writeable = False
        return served

    @cached_property
    def served(self) -> BoolArray:
        """Which rows have a device that is listened to: those in service and those withheld, ``(n_resources,)``."""
        served = self.in_service.copy()
        served[list(self.withheld)] = True
        served.flags.writeable = False
        return served

    @cached_property
    def out_of_service(self) -> RowArray:
        """The rows that are not in service, rising, shape ``(n,)``."""
        return np.flatnonzero(~self.in_service).astype(np.int32)

    @cached_property
    def memberships(self) -> dict[tuple[FormerOwner, ...], tuple[RowArray, RowArray]]:
        """Site and operator of every row before some changes of owners; see `vpp.fleet.membership`."""
        return {}

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
        """Number of rows in service of each of ``ADAPTERS``, shape ``(n_adapters,)``."""
        return np.bincount(self.adapter_code[self.in_service], minlength=len(ADAPTERS)).astype(np.int64)

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
    def nameplate(self) -> NameplateColumns:
        """Rated values of every row."""
        return NameplateColumns(self.resources)

    @cached_property
    def limits(self) -> LimitColumns:
        """Limits in force of every row, of batteries and of drivers' promises."""
        return LimitColumns(
            self.resources,
            self.sites,
            self.operators,
            site_code=self.site_code,
            operator_code=self.operator_code,
        )

    @cached_property
    def feeders(self) -> "FeederTree":
        """The transformers, with every row at its own."""
        from vpp.fleet.feeders import FeederTree  # noqa: PLC0415 - compiled sums take 70 MB, which no gateway needs

        return FeederTree(self.transformers, self.transformer_code)

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

    def _by_site(self, code: Mapping[str, int]) -> RowArray:
        return np.array([code[r.site_id] for r in self.resources], dtype=np.int32)


def _check_references(index: FleetIndex) -> None:
    referred = {to for kind in KINDS for _, to in kind.references}
    ids = {kind.name: {one.id for one in getattr(index, kind.members)} for kind in KINDS if kind.name in referred}
    for kind in KINDS:
        references = [(field, to, ids[to]) for field, to in kind.references]
        for member in getattr(index, kind.members) if references else ():
            for field, to, known in references:
                given = getattr(member, field)
                if given is not None and given not in known:
                    raise UnknownIdError(to, given)


def _refuse_repeats(kind: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for identity in ids:
        if identity in seen:
            raise InputError(f"{kind}.id", identity, "an id that is not taken yet")
        seen.add(identity)


def _refuse_loops(transformers: Sequence[Transformer]) -> None:
    parent = {transformer.id: transformer.parent_id for transformer in transformers}
    sound: set[str] = set()
    for transformer in transformers:
        above: str | None = transformer.id
        way: dict[str, None] = {}
        while above is not None and above not in sound:
            if above in way:
                raise InputError("transformer.parent_id", above, "a transformer that is not fed by this one")
            way[above] = None
            above = parent[above]
        sound.update(way)
