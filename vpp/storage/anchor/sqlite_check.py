"""Damage that SQLite itself can see, and an index that disagrees with its table."""

import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from vpp.record.verification import Finding, FindingKind
from vpp.storage.anchor.chain_walk import Walk, bytes_connection
from vpp.storage.sql import journal

_MOST = 5
"""Faults that are named."""
_ACTION = "check the disk; restore the database from a backup, then decide with vpp audit accept-restore --reason TEXT"


def damage(engine: sa.Engine, walked: Walk) -> Iterator[Finding]:
    """Yield damage of an SQLite database's pages, and of the journal's index by kind; nothing for other databases."""
    if engine.dialect.name != "sqlite":
        return
    try:
        with bytes_connection(engine) as connection:
            faults = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_MOST})")]
            if faults != ["ok"]:
                yield _damaged(f"SQLite finds damage: {'; '.join(' '.join(fault.split()) for fault in faults)}")
            elif not (walked.stopped or walked.moved) and _index(connection, walked) != {
                k: tuple(t) for k, t in walked.kinds.items()
            }:
                yield _damaged("the journal's index by kind does not agree with the journal")
    except sqlite3.DatabaseError as error:
        yield _damaged(f"SQLite finds damage: {error}")


def _index(connection: sqlite3.Connection, walked: Walk) -> dict[bytes, tuple[int, int]]:
    """Return number and sum of sequences by kind in the walk's part of the table, as the index has them."""
    (name,) = [index.name for index in journal.indexes]
    rows = connection.execute(
        f"SELECT CAST(kind AS BLOB), COUNT(*), SUM(sequence) FROM journal INDEXED BY {name}"  # noqa: S608
        " WHERE sequence > ? AND sequence <= ? GROUP BY kind",
        (walked.archived, walked.head.sequence),
    )
    return {kind: (count, total) for kind, count, total in rows}


def _damaged(text: str) -> Finding:
    return Finding(kind=FindingKind.DAMAGED, text=text, action=_ACTION)
