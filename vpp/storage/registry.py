"""Members of the fleet in SQL, in the order of registration, so that row numbers survive a restart, and their history.

A member's row holds it as it is now; what it was before every change is kept beside it with the end of that version.
"""

import json
import secrets
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.domain.resource import Resource
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, MemberChange, UnrecordedChange, joining
from vpp.fleet.members.member_codec import KINDS, FleetMember, MemberKind, body_of, member_of
from vpp.fleet.members.tenure import FormerMember, former_owners
from vpp.storage.sql import (
    WRITES,
    facts,
    former_devices,
    registry,
    registry_history,
    registry_unrecorded,
    storing,
)

_CHUNK = 10_000
_AT_ONCE = 500
"""Members that one query names."""
_FLEET = "fleet_id"
_FLEET_BYTES = 8
_KNOWN_FLEET = sa.select(facts.c.value).where(facts.c.name == _FLEET)


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
        added = {kind.members: getattr(after, kind.members)[len(getattr(before, kind.members)) :] for kind in KINDS}
        for kind in KINDS:
            known, members = getattr(before, kind.members), getattr(after, kind.members)
            if [one.id for one in known] != [one.id for one in members[: len(known)]]:
                raise ConflictError(f"{kind.members} are not the beginning of those of the larger fleet")
        self.save(before, FleetChange(at_s=float("nan"), actor="", members=tuple(joining(before, added))))

    def save(self, before: FleetIndex, change: FleetChange, unrecorded: UnrecordedChange | None = None) -> None:
        """Make a change of ``before`` durable, in one transaction.

        Args:
            before: The fleet that is saved.
            change: Of it.
            unrecorded: Its entries, to be kept until ``recorded``.

        Raises:
            StorageError: The database takes nothing now.
            ConflictError: ``before`` is not what is saved; nothing is written.
        """
        added = [one for one in change.members if one.old is None]
        changed = [one for one in change.members if one.old is not None]
        with storing("the registry"), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            for kind in KINDS:
                _must_be_saved(connection, kind, before)
            _insert(connection, registry, [_row(one) for one in added])
            for kind in KINDS:
                _replace(connection, kind.name, [one for one in changed if one.kind == kind.name])
            _insert(connection, registry_history, [_former(one, change) for one in changed])
            _insert(connection, former_devices, [_device(before, row) for row in change.leaving])
            if unrecorded is not None:
                connection.execute(sa.delete(registry_unrecorded))
                _insert(connection, registry_unrecorded, _parts(unrecorded))

    def unrecorded(self) -> UnrecordedChange | None:
        """Return the change whose entries the journal may lack, ``None`` where there is none."""
        with storing("the registry"), self._engine.connect() as connection:
            rows = connection.execute(sa.select(registry_unrecorded).order_by(registry_unrecorded.c.part)).all()
        if not rows:
            return None
        return UnrecordedChange(
            at_s=rows[0].at_s, after=rows[0].after, bodies=tuple(json.loads(row.body) for row in rows)
        )

    def recorded(self) -> None:
        """Forget the entries of the last change: the journal has them.

        Raises:
            StorageError: The database takes nothing now.
        """
        with storing("the registry"), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            connection.execute(sa.delete(registry_unrecorded))

    def load(self) -> FleetIndex:
        """Return the fleet as it was saved, an empty one where none was."""
        members = {kind.members: tuple(self._members(kind)) for kind in KINDS}
        owners = [
            *former_owners(members["sites"], self.history("site")),
            *former_owners(members["resources"], self.history("resource")),
        ]
        return FleetIndex(
            **members,  # type: ignore[arg-type] # each of its kind
            withheld=tuple(sorted(self.former_devices())),
            former_owners=tuple(sorted(owners, key=lambda one: one.until_s)),
        )

    def former_devices(self) -> Mapping[int, Resource]:
        """Return the devices by row that were retired or moved and may still hold a value of ours."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(former_devices.c.row, former_devices.c.body)).all()
        return {row: member_of("resource", json.loads(body)) for row, body in rows}  # type: ignore[misc] # a resource

    def forget_devices(self, rows: Sequence[int]) -> None:
        """Forget the former devices of ``rows``: they hold nothing of ours any more.

        Raises:
            StorageError: The database takes nothing now.
        """
        with storing("the registry"), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            if rows:
                left = former_devices.c.row == sa.bindparam("left")
                connection.execute(sa.delete(former_devices).where(left), [{"left": row} for row in rows])

    def history(self, kind: str, identity: str | None = None) -> list[FormerMember]:
        """Return the former versions of the members of a kind, or of one of them, the oldest first."""
        chosen = sa.select(registry_history).where(registry_history.c.kind == kind)
        if identity is not None:
            chosen = chosen.where(registry_history.c.id == identity)
        ordered = chosen.order_by(registry_history.c.until_s, registry_history.c.version)
        with self._engine.connect() as connection:
            rows = connection.execute(ordered).mappings().all()
        return [
            FormerMember(member=member_of(kind, json.loads(row["body"])), until_s=row["until_s"], actor=row["actor"])
            for row in rows
        ]

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

    def _members(self, kind: MemberKind) -> list[FleetMember]:
        ordered = sa.select(registry.c.body).where(registry.c.kind == kind.name).order_by(registry.c.position)
        with self._engine.connect() as connection:
            return [member_of(kind.name, json.loads(body)) for body in connection.execute(ordered).scalars()]


def known_fleet(engine: sa.Engine) -> str | None:
    """Return the id of a database's fleet, ``None`` where it has none yet."""
    with storing("the registry"), engine.connect() as connection:
        fleet: str | None = connection.execute(_KNOWN_FLEET).scalar()
    return fleet


def _must_be_saved(connection: sa.Connection, kind: MemberKind, before: FleetIndex) -> None:
    in_table = sa.select(sa.func.count()).select_from(registry).where(registry.c.kind == kind.name)
    saved, known = connection.execute(in_table).scalar_one(), len(getattr(before, kind.members))
    if saved != known:
        raise ConflictError(f"{saved} of {kind.members} are saved and {known} known; members are only ever added")


def _replace(connection: sa.Connection, kind: str, changes: Sequence[MemberChange]) -> None:
    """Write new versions of one kind over those before; raises ConflictError where another one is saved."""
    replacing = (
        sa.update(registry)
        .where(registry.c.kind == kind, registry.c.position == sa.bindparam("place"))
        .values(body=sa.bindparam("new"))
    )
    for first in range(0, len(changes), _AT_ONCE):
        part = changes[first : first + _AT_ONCE]
        places = registry.c.position.in_([one.position for one in part])
        chosen = sa.select(registry.c.position, registry.c.body).where(registry.c.kind == kind, places)
        saved = {row.position: row.body for row in connection.execute(chosen)}
        for one in part:
            body = saved.get(one.position)
            if body is None or one.old is None or repr(member_of(kind, json.loads(body))) != repr(one.old):
                raise ConflictError(f"{kind} {one.new.id} is saved otherwise than it is known")
        connection.execute(replacing, [{"place": one.position, "new": _text(one.new)} for one in part])


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    for first in range(0, len(rows), _CHUNK):
        connection.execute(sa.insert(table), rows[first : first + _CHUNK])


def _row(change: MemberChange) -> dict[str, object]:
    return {"kind": change.kind, "position": change.position, "id": change.new.id, "body": _text(change.new)}


def _former(change: MemberChange, by: FleetChange) -> dict[str, object]:
    old = change.old or change.new
    return {
        "kind": change.kind,
        "id": old.id,
        "version": old.version,
        "until_s": by.at_s,
        "actor": by.actor,
        "body": _text(old),
    }


def _device(before: FleetIndex, row: int) -> dict[str, object]:
    return {"row": row, "body": _text(before.resources[row])}


def _parts(unrecorded: UnrecordedChange) -> list[dict[str, object]]:
    return [
        {
            "part": number,
            "at_s": unrecorded.at_s,
            "after": unrecorded.after,
            "body": json.dumps(body, separators=(",", ":")),
        }
        for number, body in enumerate(unrecorded.bodies)
    ]


def _text(member: FleetMember) -> str:
    return json.dumps(body_of(member), separators=(",", ":"))
