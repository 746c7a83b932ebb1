"""City tables: counts of devices by kind of site, and the transformers above them; ``cities/*.toml``.

A table names areas with weights, operators, device types, kinds of site with a transformer of their own (``places``),
levels of the feeder tree above, and variants. Devices of one class get neighbouring rows, so that the physics may work
on slices.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.lab.twin.population.fleet_file import KEPT_BY_THE_SERVICE

POWER_FACTOR = 0.95
_FOLDER = Path(__file__).parent / "cities"
_SAFE_SHARE = 0.99
"""Part of a weak transformer's headroom that the defaults of its stations use together."""
_OF_ONE_DEVICE = {"id", "site_id", "resource_class", "adapter", "address", "limits"}
_RESOURCE_FIELDS = {f.name for f in fields(Resource)} - _OF_ONE_DEVICE - KEPT_BY_THE_SERVICE
_SIZES = {name for name in _RESOURCE_FIELDS if name.endswith(("_kw", "_kwh", "_kw_per_min"))}
"""Fields that grow with a device."""
_ROUGH = 0.01
"""Greatest error of a type's power that whole numbers of devices may make."""
_DEVICE_KEYS = _RESOURCE_FIELDS | {"class", "adapter", "like"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A type of device: the fields of ``Resource`` that all devices of the type share."""

    resource_class: ResourceClass
    adapter: Adapter
    ratings: Mapping[str, Any]

    def resized(self, size: float) -> "Device":
        """Return the type with every power and energy times ``size``."""
        if size == 1.0:
            return self
        sized = {key: round(size * value, 3) for key, value in self.ratings.items() if key in _SIZES}
        return replace(self, ratings={**self.ratings, **sized})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKind:
    """A kind of site with a transformer of its own; an entry of ``places`` in a table.

    Attributes:
        kind: First part of the site ids; its first word names the use of the chargers.
        operators: Operators of the sites, in turn.
        sites: Number of sites in the whole city.
        kva: Transformer sizes, in turn.
        base_ratio: Greatest base load as a share of the apparent power, in turn.
        loading_cap: Share of the apparent power that the load may reach.
        holds: Devices of the whole city by type; spread by transformer size.
        weak: A charger's default is its share of the headroom, not its nameplate.
        coincidence: Share of the chargers of a weak place that charge at once.
    """

    kind: str
    name: str
    operators: Sequence[str]
    sites: int
    kva: Sequence[float]
    base_ratio: Sequence[float]
    loading_cap: float
    holds: Mapping[str, int]
    weak: bool = False
    coincidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the tree: how many nodes of the level below share a node, 0 for all of an area."""

    name: str
    fan: int
    limit_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CityModel:
    """A city table.

    Attributes:
        title: Name for people.
        weights: Share of the sites of each area, in any unit.
        day: The day the city is simulated on by default: ``date`` and ``requests``.
        promised_share: Part of what a charger's default could deliver that drivers are promised.
    """

    title: str
    areas: tuple[Area, ...]
    weights: tuple[float, ...]
    operators: tuple[Operator, ...]
    devices: Mapping[str, Device]
    places: tuple[SiteKind, ...]
    levels: tuple[Level, ...]
    day: Mapping[str, Any]
    promised_share: float

    @classmethod
    def read(cls, path: Path, *, variants: Sequence[str] = ()) -> "CityModel":
        """Read a table.

        Raises:
            OSError: The file cannot be read.
            InputError: It is no TOML, a key is missing or unknown, or a value makes no sense.
            UnknownIdError: A variant, device or operator is not in the table.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(str(path), str(error), "a TOML file") from error
        try:
            return _model(table, variants)
        except KeyError as error:
            raise InputError(f"{path} {error.args[0]}", None, "this key") from error
        except (TypeError, ValueError) as error:
            raise InputError(
                str(path), str(error), "the keys of the tables in vpp/lab/twin/population/cities"
            ) from error

    def fleet(self, *, scale: float = 1.0) -> FleetIndex:
        """Return the fleet, every count times ``scale``.

        No kind of site and no type of device is lost: each has at least one, and where whole numbers would move the
        power of a type by more than a hundredth, its devices (or transformers) are so much larger or smaller instead.
        """
        return _Builder(self, scale).build()


def shipped() -> tuple[str, ...]:
    """Return the names of the tables in ``cities``."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def shipped_path(name: str) -> Path:
    """Return the path of a shipped table.

    Raises:
        UnknownIdError: There is none of that name.
    """
    if name not in shipped():
        raise UnknownIdError("preset", name)
    return _FOLDER / f"{name}.toml"


def _model(table: Mapping[str, Any], variants: Sequence[str]) -> CityModel:
    places = {str(body["kind"]): dict(body) for body in table["places"]}
    for variant in variants:
        known = table.get("variants", {})
        if variant not in known:
            raise UnknownIdError("variant", variant)
        for kind, change in known[variant].items():
            if kind == "without":
                places = {name: body for name, body in places.items() if name not in change}
            else:
                places[kind] |= change
    model = CityModel(
        title=table["title"],
        areas=tuple(Area(id=area["id"], name=area["name"]) for area in table["areas"]),
        weights=tuple(float(area["weight"]) for area in table["areas"]),
        operators=tuple(Operator(id=key, name=name) for key, name in table["operators"].items()),
        devices={name: _device(name, table["devices"]) for name in table["devices"]},
        places=tuple(SiteKind(**body) for body in places.values()),
        levels=tuple(Level(**body) for body in table["levels"]),
        day=table["day"],
        promised_share=float(table["promised_share"]),
    )
    _check(model)
    return model


def _device(name: str, devices: Mapping[str, Mapping[str, Any]]) -> Device:
    body = _inherited(name, devices)
    unknown = sorted(set(body) - _DEVICE_KEYS)
    if unknown:
        raise InputError(f"devices.{name}.{unknown[0]}", body[unknown[0]], f"one of {', '.join(sorted(_DEVICE_KEYS))}")
    ratings = {key: body[key] for key in _RESOURCE_FIELDS if key in body}
    ratings.setdefault("p_min_kw", 0.0)
    return Device(resource_class=ResourceClass(body["class"]), adapter=Adapter(body["adapter"]), ratings=ratings)


def _inherited(name: str, devices: Mapping[str, Mapping[str, Any]], depth: int = 0) -> dict[str, Any]:
    body = devices[name]
    if "like" not in body or depth > len(devices):
        return dict(body)
    return _inherited(body["like"], devices, depth + 1) | {k: v for k, v in body.items() if k != "like"}


def _check(model: CityModel) -> None:
    operators = {operator.id for operator in model.operators}
    for place in model.places:
        for operator in place.operators:
            if operator not in operators:
                raise UnknownIdError("operator", operator)
        for name, count in place.holds.items():
            if name not in model.devices:
                raise UnknownIdError("device", name)
            if count < 0:
                raise InputError(f"places {place.kind} holds.{name}", count, "0 or more")
        if place.sites <= 0:
            raise InputError(f"places {place.kind} sites", place.sites, "at least 1")


@dataclass(kw_only=True)
class _Node:
    """A leaf of the feeder tree and its devices."""

    transformer: Transformer
    site: Site
    drafts: list[tuple[str, Device, float]] = field(default_factory=list)


class _Builder:
    """A fleet under construction."""

    def __init__(self, model: CityModel, scale: float) -> None:
        self._model = model
        self._scale = scale
        self._dealt = [0.0] * len(model.areas)
        self._numbers: dict[str, int] = {}

    def build(self) -> FleetIndex:
        nodes = [node for place in self._model.places for node in self._nodes(place)]
        upper, parent = self._upper([node.transformer for node in nodes])
        leaves = [_with_parent(node.transformer, parent[node.transformer.id]) for node in nodes]
        drafts = [(node.site, *draft) for node in nodes for draft in node.drafts]
        drafts.sort(key=lambda draft: CLASSES.index(draft[2].resource_class))
        used = {node.site.area_id for node in nodes}
        return FleetIndex(
            areas=tuple(area for area in self._model.areas if area.id in used),
            operators=self._model.operators,
            transformers=(*upper, *leaves),
            sites=tuple(node.site for node in nodes),
            resources=tuple(self._resource(*draft) for draft in drafts),
        )

    def _nodes(self, place: SiteKind) -> list[_Node]:
        count, size = scaled_count(place.sites, self._scale)
        nodes = [self._node(place, i, size) for i in range(count)]
        sizes = [place.kva[i % len(place.kva)] for i in range(count)]
        for name, total in place.holds.items():
            devices, size = scaled_count(total, self._scale)
            device = self._model.devices[name].resized(size)
            for node, here in zip(nodes, spread(devices, sizes), strict=True):
                node.drafts += [(name, device, 1.0)] * here
        if place.weak:
            for node in nodes:
                node.drafts = [(name, device, _share(place, node, device)) for name, device, _ in node.drafts]
        return nodes

    def _node(self, place: SiteKind, i: int, size: float) -> _Node:
        area = self._next_area()
        kva, base_ratio = size * place.kva[i % len(place.kva)], place.base_ratio[i % len(place.base_ratio)]
        limit_kw = round(place.loading_cap * kva * POWER_FACTOR, 1)
        identity = f"{place.kind}-{area.id}-{i + 1:04d}"
        return _Node(
            transformer=Transformer(
                id=f"tr-{identity}",
                area_id=area.id,
                limit_kw=limit_kw,
                export_limit_kw=limit_kw,
                base_load_kw=round(base_ratio * kva * POWER_FACTOR, 1),
            ),
            site=Site(
                id=identity,
                name=f"{place.name} {area.name.split()[-1]} {i + 1}",
                area_id=area.id,
                operator_id=place.operators[i % len(place.operators)],
                transformer_id=f"tr-{identity}",
            ),
        )

    def _next_area(self) -> Area:
        """Return the area that is furthest below its share of the sites."""
        weights = self._model.weights
        chosen = min(range(len(weights)), key=lambda i: (self._dealt[i] + 0.5) / weights[i])
        self._dealt[chosen] += 1.0
        return self._model.areas[chosen]

    def _upper(self, leaves: Sequence[Transformer]) -> tuple[list[Transformer], dict[str, str | None]]:
        """Return the nodes above the leaves, roots first, and every leaf's parent."""
        parent: dict[str, str | None] = {leaf.id: None for leaf in leaves}
        upper: list[Transformer] = []
        below = list(leaves)
        for level in self._model.levels:
            made = [node for area in self._model.areas for node in _joined(level, area, below, parent)]
            upper = [*made, *upper]
            below = made
        return [_with_parent(node, parent.get(node.id)) for node in upper], parent

    def _resource(self, site: Site, name: str, device: Device, share: float) -> Resource:
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        identity = f"{name.replace('_', '-')}-{number:06d}"
        ratings = dict(device.ratings)
        if share < 1.0:
            most, floor = ratings["p_max_kw"], ratings.get("floor_kw", 0.0)
            ratings["default_kw"] = min(max(round(share * most, 2), floor), most)
        return Resource(
            id=identity,
            site_id=site.id,
            resource_class=device.resource_class,
            adapter=device.adapter,
            address=_address(device.adapter, identity),
            **ratings,
        )


def scaled_count(total: int, scale: float) -> tuple[int, float]:
    """Return how many of ``total`` a city of ``scale`` has, and the factor on the size of each that keeps the sum."""
    if not total:
        return 0, 1.0
    wanted = scale * total
    count = max(round(wanted), 1)
    size = wanted / count
    return count, 1.0 if abs(size - 1.0) <= _ROUGH else size


def spread(total: int, weights: Sequence[float]) -> list[int]:
    """Return whole numbers that add up to ``total``, as near to the proportions of ``weights`` as they can be."""
    whole, sofar, given, result = sum(weights), 0.0, 0, []
    for weight in weights:
        sofar += weight
        upto = round(total * sofar / whole)
        result.append(upto - given)
        given = upto
    return result


def _share(place: SiteKind, node: _Node, device: Device) -> float:
    """Return the share of its nameplate that a charger behind a weak transformer may take by default."""
    if device.resource_class is not ResourceClass.EV:
        return 1.0
    nameplate_kw = sum(float(d.ratings["p_max_kw"]) for _, d, _ in node.drafts if d.resource_class is ResourceClass.EV)
    headroom_kw = node.transformer.limit_kw - node.transformer.base_load_kw
    return min(_SAFE_SHARE * headroom_kw / (place.coincidence * nameplate_kw), 1.0)


def _joined(
    level: Level, area: Area, below: Sequence[Transformer], parent: dict[str, str | None]
) -> Iterator[Transformer]:
    """Yield the nodes of one level in one area, the nodes below dealt out in turn, so that kinds mix."""
    here = [node for node in below if node.area_id == area.id]
    count = 1 if level.fan == 0 else -(-len(here) // level.fan)
    for number in range(min(count, len(here))):
        children = here[number::count]
        identity = f"{level.name}-{area.id}" if level.fan == 0 else f"{level.name}-{area.id}-{number + 1:03d}"
        parent.update(dict.fromkeys((child.id for child in children), identity))
        limit_kw = round(level.limit_ratio * sum(child.limit_kw for child in children), 1)
        yield Transformer(
            id=identity,
            area_id=area.id,
            limit_kw=limit_kw,
            export_limit_kw=limit_kw,
        )


def _with_parent(node: Transformer, parent_id: str | None) -> Transformer:
    return Transformer(
        id=node.id,
        area_id=node.area_id,
        limit_kw=node.limit_kw,
        export_limit_kw=node.export_limit_kw,
        base_load_kw=node.base_load_kw,
        parent_id=parent_id,
    )


def _address(adapter: Adapter, identity: str) -> str:
    match adapter:
        case Adapter.OCPP:
            return f"{identity}/1"
        case Adapter.MODBUS:
            return f"{identity}:502/1"
        case Adapter.MQTT:
            return f"{identity}/main"
