"""Names of an operator and of its sites taken out of the registry and its history; ids and everything else stay."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vpp.domain.errors import UnknownIdError
from vpp.storage.sql import registry, registry_history

_NAMED = ("operator", "site")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One version of an operator or of a site.

    Attributes:
        kind: ``operator`` or ``site``.
        version: Of a former version; ``None`` for the one that stands.
    """

    kind: str
    id: str
    version: int | None
    name: str


def named_by(connection: sa.Connection, operator_id: str) -> list[Named]:
    """Return all versions of an operator, and those of sites while they were its; raises UnknownIdError."""
    known = sa.select(registry.c.id).where((registry.c.kind == "operator") & (registry.c.id == operator_id))
    if connection.execute(known).scalar() is None:
        raise UnknownIdError("operator", operator_id)
    return [
        Named(kind=kind, id=identity, version=version, name=str(body.get("name", "")))
        for kind, identity, version, body in _bodies(connection)
        if operator_id == (body["operator_id"] if kind == "site" else identity)
    ]


def unname(connection: sa.Connection, members: Sequence[Named], authors: Sequence[str] = ()) -> None:
    """Take the names of some versions away, and ``authors`` from the former ones that they wrote."""
    gone = {(one.kind, one.id, one.version) for one in members}
    for kind, identity, version, body in list(_bodies(connection)):
        if (kind, identity, version) in gone:
            table = registry if version is None else registry_history
            here = (table.c.kind == kind) & (table.c.id == identity)
            if version is not None:
                here &= registry_history.c.version == version
            text = json.dumps({**body, "name": ""}, separators=(",", ":"))
            connection.execute(sa.update(table).where(here).values(body=text))
    theirs = registry_history.c.actor.in_(authors)
    connection.execute(sa.update(registry_history).where(theirs).values(actor=""))


def _bodies(connection: sa.Connection) -> Iterator[tuple[str, str, int | None, dict[str, Any]]]:
    """Yield kind, id, version and content of everything that bears a name."""
    now = sa.select(registry.c.kind, registry.c.id, sa.null().label("version"), registry.c.body)
    then = sa.select(
        registry_history.c.kind, registry_history.c.id, registry_history.c.version, registry_history.c.body
    )
    for table in (now.where(registry.c.kind.in_(_NAMED)), then.where(registry_history.c.kind.in_(_NAMED))):
        for row in connection.execute(table).all():
            yield row.kind, row.id, row.version, json.loads(row.body)
