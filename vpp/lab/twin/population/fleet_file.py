"""Fleets from CSV: one file of devices, or a folder with the whole feeder tree.

One file has a row a device. ``id`` and ``resource_class`` are required, and ``p_max_kw``, or ``p_min_kw`` for
photovoltaics; every other field of `vpp.domain.resource.Resource` and `vpp.domain.limits.Limits` is optional, but for
validity and version, which the service keeps. Columns ``site_id, area_id, operator_id, transformer_id,
transformer_limit_kw, transformer_base_kw`` place it; what is not stated is one site, area, operator and transformer for
all, the transformer as large as what hangs on it.

A folder: ``resources.csv`` and any of ``areas.csv, operators.csv, transformers.csv, sites.csv`` with the fields of the
types of those names.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from vpp.domain.csv_table import CsvLine, check_columns, lines_in_file, number_in
from vpp.domain.errors import InputError
from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.site import Member as FleetMember
from vpp.fleet.index import FleetIndex

Member = TypeVar("Member", Area, Operator, Transformer, Site, Resource)
_PLACING = (
    "site_id",
    "area_id",
    "operator_id",
    "transformer_id",
    "transformer_limit_kw",
    "transformer_base_kw",
)
_ALL = "all"
_LIMITS = "limits"
KEPT_BY_THE_SERVICE = {f.name for f in fields(FleetMember)} - {"id"} | {"share_kw"}
"""Validity, version and share of a member: no file states them."""
_ADAPTER = {
    ResourceClass.EV: Adapter.OCPP,
    ResourceClass.V2G: Adapter.OCPP,
    ResourceClass.PV: Adapter.MODBUS,
    ResourceClass.STORAGE: Adapter.MODBUS,
    ResourceClass.HVAC: Adapter.MQTT,
    ResourceClass.INDUSTRY: Adapter.MQTT,
}
_FILES: Mapping[str, type[Area | Operator | Transformer | Site]] = {
    "areas": Area,
    "operators": Operator,
    "transformers": Transformer,
    "sites": Site,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file, by column."""

    line: CsvLine
    cells: Mapping[str, str]

    def at(self, name: str) -> str:
        """Return the name of a cell for errors."""
        return self.line.at(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a cell's text, ``default`` where it is empty or there is no such column."""
        return self.cells.get(name, "").strip() or default

    def number(self, name: str, default: float = math.nan) -> float:
        """Return a cell's number, ``default`` where it is empty; raises InputError where it holds something else."""
        text = self.text(name)
        if not text:
            return default
        value = number_in(text)
        if math.isnan(value):
            raise InputError(self.at(name), text, "a number, or nothing where it is not known")
        return value


def fleet_from_csv(path: Path) -> FleetIndex:
    """Return the fleet in a CSV file or a folder of them, gzipped where a name ends in ``.gz``.

    Raises:
        OSError: A file cannot be read.
        InputError: A column or a value is missing or makes no sense; the message names file, line and column.
        UnknownIdError: Something refers to an id that is not there.
    """
    if path.is_dir():
        return _folder(path)
    rows = list(_rows(path, required=("id", "resource_class"), known=(*_names(Resource), *_PLACING)))
    return _one_file(rows)


def _folder(path: Path) -> FleetIndex:
    file = _found(path, "resources")
    if file is None:
        raise InputError(str(path), "no resources.csv", "a folder that holds resources.csv")
    rows = list(_rows(file, required=("id", "resource_class"), known=(*_names(Resource), *_PLACING)))
    parts: dict[str, Any] = {name: _members(path, name, kind) for name, kind in _FILES.items()}
    if not parts["sites"]:
        if parts["transformers"] or parts["areas"] or parts["operators"]:
            raise InputError(str(path), "no sites.csv", "sites.csv beside the other files, for it joins them")
        return _one_file(rows)
    return FleetIndex(resources=tuple(_resource(row) for row in rows), **parts)


def _found(path: Path, name: str) -> Path | None:
    return next((path / n for n in (f"{name}.csv", f"{name}.csv.gz") if (path / n).is_file()), None)


def _members(path: Path, name: str, kind: type[Member]) -> tuple[Member, ...]:
    file = _found(path, name)
    if file is None:
        return ()
    required = [f.name for f in fields(kind) if f.default is MISSING]
    return tuple(_member(kind, row) for row in _rows(file, required=required, known=_names(kind)))


def _member(kind: type[Member], row: Row) -> Member:
    body: dict[str, Any] = {}
    for f in fields(kind):
        if f.name in KEPT_BY_THE_SERVICE:
            continue
        if f.name == _LIMITS:
            body |= _limits(row)
        elif not row.text(f.name):
            if f.default is MISSING:
                raise InputError(row.at(f.name), "", "a value")
        else:
            body[f.name] = row.number(f.name) if f.name.endswith("_kw") else row.text(f.name)
    return kind(**body)


def _limits(row: Row) -> dict[str, Limits]:
    """Return the limits a row states, under their field's name; empty where it states none."""
    stated = {name: row.number(name) for name in _names(Limits) if row.text(name)}
    try:
        return {_LIMITS: Limits(**stated)} if stated else {}
    except InputError as error:
        raise InputError(row.at(error.field), error.value, error.accepted) from error


def _one_file(rows: Sequence[Row]) -> FleetIndex:
    resources = tuple(_resource(row) for row in rows)
    sites: dict[str, Site] = {}
    limits: dict[str, tuple[float, float]] = {}
    sizes: defaultdict[str, float] = defaultdict(float)
    for row, resource in zip(rows, resources, strict=True):
        site = _site(row)
        if sites.setdefault(site.id, site) != site:
            raise InputError(row.at("site_id"), site.id, "one area, operator and transformer a site")
        sizes[site.transformer_id] += max(abs(resource.p_min_kw), abs(resource.p_max_kw))
        stated = (row.number("transformer_limit_kw"), row.number("transformer_base_kw", 0.0))
        if not math.isnan(stated[0]) and limits.setdefault(site.transformer_id, stated) != stated:
            raise InputError(row.at("transformer_limit_kw"), stated, "one limit and base a transformer")
    areas = {site.transformer_id: site.area_id for site in sites.values()}
    return FleetIndex(
        areas=tuple(Area(id=i, name=i) for i in dict.fromkeys(areas.values())),
        operators=tuple(Operator(id=i, name=i) for i in dict.fromkeys(s.operator_id for s in sites.values())),
        transformers=tuple(_transformer(i, area, limits.get(i), sizes[i]) for i, area in areas.items()),
        sites=tuple(sites.values()),
        resources=resources,
    )


def _site(row: Row) -> Site:
    identity = row.text("site_id", row.text("transformer_id", _ALL))
    return Site(
        id=identity,
        name=identity,
        area_id=row.text("area_id", _ALL),
        operator_id=row.text("operator_id", _ALL),
        transformer_id=row.text("transformer_id", f"tr-{identity}"),
    )


def _transformer(identity: str, area: str, stated: tuple[float, float] | None, size_kw: float) -> Transformer:
    limit_kw, base_kw = stated or (max(size_kw, 1.0), 0.0)
    return Transformer(id=identity, area_id=area, limit_kw=limit_kw, export_limit_kw=limit_kw, base_load_kw=base_kw)


def _resource(row: Row) -> Resource:
    kind = _choice(row, "resource_class", ResourceClass)
    adapter = _choice(row, "adapter", Adapter) if row.text("adapter") else _ADAPTER[kind]
    producing = kind is ResourceClass.PV
    body: dict[str, Any] = {
        f.name: row.number(f.name)
        for f in fields(Resource)
        if f.name not in {"id", "site_id", "resource_class", "adapter", "address", _LIMITS} and row.text(f.name)
    } | _limits(row)
    for name, default in (("p_max_kw", 0.0 if producing else None), ("p_min_kw", None if producing else 0.0)):
        if name not in body and default is None:
            raise InputError(row.at(name), "", "a number of kW")
        body.setdefault(name, default)
    if "phases" in body:
        body["phases"] = int(body["phases"])
    identity = row.text("id")
    try:
        return Resource(
            id=identity,
            site_id=row.text("site_id", row.text("transformer_id", _ALL)),
            resource_class=kind,
            adapter=adapter,
            address=row.text("address", f"{identity}/1"),
            **body,
        )
    except InputError as error:
        raise InputError(row.at(error.field), error.value, error.accepted) from error


Choice = TypeVar("Choice", ResourceClass, Adapter)


def _choice(row: Row, name: str, kind: Callable[[str], Choice]) -> Choice:
    try:
        return kind(row.text(name).lower())
    except ValueError as error:
        known = ", ".join(ResourceClass if name == "resource_class" else Adapter)
        raise InputError(row.at(name), row.text(name), f"one of {known}") from error


def _rows(path: Path, *, required: Sequence[str], known: Sequence[str]) -> Iterator[Row]:
    lines = lines_in_file(path)
    header = next(lines).cells
    check_columns(f"{path.name} header", header, required=required, known=known)
    seen: dict[str, int] = {}
    for line in lines:
        line.check_width(header)
        row = Row(line=line, cells=line.named(header))
        identity = row.text("id")
        if not identity or identity in seen:
            first = f", which line {seen[identity]} has" if identity else ""
            raise InputError(line.at("id"), identity + first, "an id of its own")
        seen[identity] = line.number
        yield row


def _names(kind: type[Any]) -> tuple[str, ...]:
    names = tuple(f.name for f in fields(kind) if f.name not in KEPT_BY_THE_SERVICE)
    return (*(name for name in names if name != _LIMITS), *_names(Limits)) if _LIMITS in names else names
