"""Members of the fleet in SQL, in the order of registration, so that row numbers survive a restart."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import sqlalchemy as sa

from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex
from vpp.storage.sql import WRITES, facts, registry, storing

_CHUNK = 10_000
_FLEET = "fleet_id"
_FLEET_BYTES = 8
_KNOWN_FLEET = sa.select(facts.c.value).where(facts.c.name == _FLEET)
Thing = Area | Operator | Transformer | Site | Resource


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    members: str


_KINDS = (
    _Kind("area", "areas"),
    _Kind("operator", "operators"),
    _Kind("transformer", "transformers"),
    _Kind("site", "sites"),
    _Kind("resource", "resources"),
)


class SqlRegistry:
    """The fleet's members in SQL; implements ``vpp.ports.Registry``; calls block."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, before: FleetIndex, after: FleetIndex) -> None:
        """Make the additions from ``before`` to ``after`` durable, in one transaction.

        Raises:
            StorageError: The database takes nothing now.
            ConflictError: ``before`` is not what is saved, or not the beginning of ``after``; nothing is written.
        """
        with storing("the registry"), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            rows = [row for kind in _KINDS for row in _additions(connection, kind, before, after)]
            for first in range(0, len(rows), _CHUNK):
                connection.execute(sa.insert(registry), rows[first : first + _CHUNK])

    def load(self) -> FleetIndex:
        """Return the fleet as it was saved, an empty one where none was."""
        return FleetIndex(
            areas=tuple(Area(**body) for body in self._bodies("area")),
            operators=tuple(Operator(**_limited(body)) for body in self._bodies("operator")),
            transformers=tuple(Transformer(**body) for body in self._bodies("transformer")),
            sites=tuple(Site(**_limited(body)) for body in self._bodies("site")),
            resources=tuple(_resource(body) for body in self._bodies("resource")),
        )

    def fleet_id(self, given: str | None = None) -> str:
        """Return the id of the fleet, a random one that is made once; ``given`` names it where there is none yet.

        Raises:
            ConfigurationError: It has another id than ``given``.
            StorageError: The database takes nothing now.
        """
        with storing("the registry"), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            fleet: str | None = connection.execute(_KNOWN_FLEET).scalar()
            if fleet is None:
                fleet = given or secrets.token_hex(_FLEET_BYTES)
                connection.execute(sa.insert(facts).values(name=_FLEET, value=fleet))
        if given is not None and given != fleet:
            raise ConfigurationError(f"VPP_FLEET_ID: {given!r} is not the fleet of this database, which is {fleet!r}")
        return fleet

    def _bodies(self, kind: str) -> list[dict[str, Any]]:
        ordered = sa.select(registry.c.body).where(registry.c.kind == kind).order_by(registry.c.position)
        with self._engine.connect() as connection:
            return [json.loads(body) for body in connection.execute(ordered).scalars()]


def known_fleet(engine: sa.Engine) -> str | None:
    """Return the id of a database's fleet, ``None`` where it has none yet."""
    with storing("the registry"), engine.connect() as connection:
        fleet: str | None = connection.execute(_KNOWN_FLEET).scalar()
    return fleet


def _additions(
    connection: sa.Connection, kind: _Kind, before: FleetIndex, after: FleetIndex
) -> list[dict[str, object]]:
    known: tuple[Thing, ...] = getattr(before, kind.members)
    things: tuple[Thing, ...] = getattr(after, kind.members)
    in_table = sa.select(sa.func.count()).select_from(registry).where(registry.c.kind == kind.name)
    saved = connection.execute(in_table).scalar_one()
    if saved != len(known) or [thing.id for thing in known] != [thing.id for thing in things[:saved]]:
        raise ConflictError(f"{saved} of {kind.members} are saved and {len(known)} known; members are only ever added")
    return [
        {"kind": kind.name, "position": position, "id": things[position].id, "body": _text(things[position])}
        for position in range(saved, len(things))
    ]


def _text(thing: Thing) -> str:
    # Defaults are left out. Python's JSON has Infinity and NaN, unlike JSON, and limits may be infinite.
    return json.dumps({name: _plain(value) for name, value in _stated(thing).items()}, separators=(",", ":"))


def _stated(thing: Thing | Limits) -> Mapping[str, object]:
    values = {f.name: getattr(thing, f.name) for f in fields(thing)}
    return {f.name: values[f.name] for f in fields(thing) if repr(values[f.name]) != repr(f.default)}


def _plain(value: object) -> object:
    if isinstance(value, Limits):
        return _stated(value)
    return value.value if isinstance(value, Enum) else value


def _limited(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "limits": Limits(**body["limits"])} if "limits" in body else {**body}


def _resource(body: Mapping[str, Any]) -> Resource:
    return Resource(
        **{
            **_limited(body),
            "resource_class": ResourceClass(body["resource_class"]),
            "adapter": Adapter(body["adapter"]),
        }
    )
