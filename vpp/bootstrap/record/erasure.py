"""Erasure of a driver's and of an operator's data: the names behind the journal's tokens, and names in the registry."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep

import sqlalchemy as sa

from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, UnknownIdError
from vpp.record.names.subject import SubjectKind
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseRecord
from vpp.runtime.lease_rules import Watch
from vpp.storage.leadership import SqlLeaseTable
from vpp.storage.sql import open_database, storing
from vpp.storage.subjects import erase, first_sealed, overwrite_free_pages, tokens_of
from vpp.storage.unnaming import named_by, unname

_CHAIN = "journal, checkpoints and archive with their hashes, where a token stands that nothing links to a name"
_LOOKS = 12.0
"""Looks at the lease of leadership in its time to live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure takes away, and what it leaves.

    Attributes:
        goes: Number of each thing that is gone for ever.
        stays: What stays, and why.
        dry_run: Nothing was changed.
    """

    goes: dict[str, int]
    stays: tuple[str, ...]
    dry_run: bool

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {"goes": self.goes, "stays": list(self.stays), "dry_run": self.dry_run}

    def text(self) -> str:
        """Return it as people read it."""
        verb = "would go" if self.dry_run else "gone"
        lines = [f"{verb}: {count} {what}" for what, count in self.goes.items()]
        return "\n".join([*lines, *(f"stays: {what}" for what in self.stays)]) + "\n"


def run_erase(erased: Erasure, *, as_json: bool) -> int:
    """Print what goes and what stays."""
    sys.stdout.write(json.dumps(erased.body()) + "\n" if as_json else erased.text())
    return 0


def erase_driver(settings: Settings, ids: Sequence[str], *, dry_run: bool = False) -> Erasure:
    """Erase the names of charging sessions: sessions by their ids, or all of a station by the station's.

    Raises:
        ConfigurationError: A service leads on the database.
        UnknownIdError: No session is named so, or its name is gone already, now from the files as well.
    """
    with _database(settings, dry_run=dry_run) as engine:
        tokens = tokens_of(engine, SubjectKind.SESSION, ids, whole=False)
        if not dry_run:
            with storing("the erasure"), engine.begin() as connection:
                erase(connection, tokens)
            overwrite_free_pages(engine)  # also after an erasure that has come no further than this
        if not tokens:
            raise UnknownIdError("session", ", ".join(ids))
        samples = "samples of the charging points, by row number, until VPP_TELEMETRY_DAYS deletes them"
        return Erasure(
            goes={"names of charging sessions": len(tokens)},
            stays=(_CHAIN, samples, *_in_clear(engine)),
            dry_run=dry_run,
        )


def erase_operator(settings: Settings, operator_id: str, *, dry_run: bool = False) -> Erasure:
    """Erase the name of an operator, those of its sites, and its name as an actor.

    Raises:
        ConfigurationError: A service leads on the database.
        UnknownIdError: There is no such operator.
    """
    with _database(settings, dry_run=dry_run) as engine:
        with storing("the erasure"), engine.connect() as connection:
            members = [one for one in named_by(connection, operator_id) if one.name]
        names = sorted({one.name for one in members})
        tokens = tokens_of(engine, SubjectKind.NAME, names)
        actors = tokens_of(engine, SubjectKind.ACTOR, [operator_id, *names])
        if not dry_run:
            with storing("the erasure"), engine.begin() as connection:
                # Together: the registry's names lead to the tokens, and are wanted again if this fails.
                unname(connection, members, [operator_id, *names])
                erase(connection, [*tokens, *actors])
            overwrite_free_pages(engine)
        ids = f"the id {operator_id!r} and those of its sites and devices, so that none is given again"
        money = "energy and money settled under these ids, as numbers without a name"
        return Erasure(
            goes={
                "names in the registry": len(members),
                "names in the journal": len(tokens),
                "names of actors": len(actors),
            },
            stays=(_CHAIN, ids, money, *_in_clear(engine)),
            dry_run=dry_run,
        )


def _in_clear(engine: sa.Engine) -> tuple[str, ...]:
    first = first_sealed(engine)
    if first <= 1:
        return ()
    return (f"names in entries before {first}, which an earlier version wrote, until these entries are pruned",)


@contextmanager
def _database(settings: Settings, *, dry_run: bool) -> Iterator[sa.Engine]:
    engine = open_database(settings.database_url)
    try:
        leader = None if dry_run else _leader(SqlLeaseTable(engine), settings.leader_ttl_wall_s)
        if leader is not None:
            raise ConfigurationError(
                f"{leader.holder} leads on this database and holds the names in memory; stop it, erase, and start again"
            )
        yield engine
    finally:
        engine.dispose()


def _leader(table: SqlLeaseTable, ttl_s: float) -> LeaseRecord | None:
    """Return the lease of a service that shows that it lives, ``None`` where none does for a time to live; blocks."""
    machine, watch = MachineTime(), Watch(ttl_s)
    first = record = table.look()
    while (record.holder, record.epoch, record.renewals) == (first.holder, first.epoch, first.renewals):
        watch.saw(record, machine.steady_s())
        if watch.ended(machine.steady_s()):
            return None
        sleep(ttl_s / _LOOKS)
        record = table.look()
    return None if record.free else record
