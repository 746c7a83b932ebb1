"""Names of people and companies in SQL, beside the journal and outside its chain, archive and checkpoints."""

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa

from vpp.domain.errors import StorageError
from vpp.record.names.sealing import opened, sealed, tokens_in
from vpp.record.names.subject import SALT_BYTES, Subject, SubjectKind, is_token
from vpp.storage.sql import (
    checkpoints,
    facts,
    interval_frames,
    journal,
    registry,
    registry_history,
    registry_unrecorded,
    storing,
    subjects,
    telemetry_frames,
    torn_entries,
)

_AT_ONCE = 500
_MOST_KNOWN = 500_000
"""Names whose tokens are in memory; those of ended sessions are not."""
_ESCAPE = "\ue000"
"""A character for private use, which stands before a digit in stored names."""
_WHAT = "the names beside the journal"
_REWRITTEN = (
    subjects,
    registry,
    registry_history,
    registry_unrecorded,
    journal,
    checkpoints,
    torn_entries,
    telemetry_frames,
    interval_frames,
)
"""Tables from which an erasure deletes or changes rows."""
_PATIENCE_WALL_S, _LOOK_WALL_S = 10.0, 0.1
"""Longest time that other sessions are waited for, and time between two looks."""
_READERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND backend_xmin IS NOT NULL"
)
"""Other sessions that may still see rows deleted meanwhile, which PostgreSQL keeps for them."""


class SqlSubjects:
    """Tokens for the names in entries, made when they are first written and stored with the entries.

    Calls may come from any thread; only one process may seal.

    Args:
        engine: The database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._tokens: dict[tuple[SubjectKind, str], str] = {}
        self._pending: list[tuple[int, Subject]] = []
        self._guard = threading.Lock()

    def sealed(self, kind: str, body: Mapping[str, object], sequence: int) -> Mapping[str, object]:
        """Return the body of the entry at about ``sequence`` with tokens for the names in it."""
        found = sealed(kind, body, partial(self._token, sequence))
        with self._guard:
            for event in _ended(kind, body):
                self._tokens.pop((SubjectKind.SESSION, event), None)
        return found

    def opened(self, tree: Any, sessions: Sequence[str] = ()) -> Any:  # noqa: ANN401 - whatever a state tree holds
        """Return a tree of values with names for the tokens that were not erased, which are used again from now on.

        ``sessions`` are those open in the tree: one that an earlier version wrote in clear stays so to its end.
        """
        known = self.known(sorted(tokens_in(tree)))
        with self._guard:
            self._tokens.update({(SubjectKind.SESSION, name): name for name in sessions if not is_token(name)})
            self._tokens.update({(one.kind, one.text): one.token for one in known})
        return opened(tree, {one.token: one.text for one in known})

    def known(self, tokens: Sequence[str]) -> list[Subject]:
        """Return the subjects of some tokens, those erased left out; blocks."""
        found: list[Subject] = []
        with storing(_WHAT), self._engine.connect() as connection:
            for first in range(0, len(tokens), _AT_ONCE):
                chosen = sa.select(subjects).where(subjects.c.token.in_(tokens[first : first + _AT_ONCE]))
                found += [_subject(row) for row in connection.execute(chosen)]
        return found

    def write(self, connection: sa.Connection) -> int:
        """Insert the names of entries not written yet, within the transaction of these; return how many."""
        with self._guard:
            rows = [
                {"token": s.token, "kind": s.kind.value, "salt": s.salt, "name": _stored(s.text), "sequence": sequence}
                for sequence, s in self._pending
            ]
        if rows:
            connection.execute(sa.insert(subjects), rows)
        return len(rows)

    def written(self, count: int) -> None:
        """Forget the first of the names that ``write`` has inserted, once they are committed."""
        with self._guard:
            del self._pending[:count]

    def _token(self, sequence: int, kind: SubjectKind, text: str) -> str:
        # Held for a name, not for a body: one of thousands of members is sealed beside the cycles.
        with self._guard:
            token = self._tokens.get((kind, text))
            if token is None:
                made = Subject.of(kind, text, secrets.token_bytes(SALT_BYTES))
                self._pending.append((sequence, made))
                token = self._tokens[kind, text] = made.token
                if len(self._tokens) > _MOST_KNOWN:
                    del self._tokens[next(iter(self._tokens))]
        return token


def first_sealed(engine: sa.Engine) -> int:
    """Return the sequence of the first entry that holds tokens: names in earlier ones are part of the chain."""
    with storing(_WHAT), engine.connect() as connection:
        known = connection.execute(sa.select(facts.c.value).where(facts.c.name == "sealed_from")).scalar()
    return 1 if known is None else int(known)


def tokens_of(engine: sa.Engine, kind: SubjectKind, names: Sequence[str], *, whole: bool = True) -> list[str]:
    """Return the tokens of some names; where they need not be ``whole``, also of names that go on after a colon."""
    stored = [_stored(name) for name in names]
    chosen: sa.ColumnElement[bool] = subjects.c.name.in_(stored)
    if not whole:
        # LIKE, which SQLite compares without case, would find the sessions of other stations.
        begins = (sa.func.substr(subjects.c.name, 1, len(name) + 1) == f"{name}:" for name in stored)
        chosen = sa.or_(chosen, *begins)
    tokens = sa.select(subjects.c.token).where((subjects.c.kind == kind.value) & chosen)
    with storing(_WHAT), engine.connect() as connection:
        return [str(token) for token in connection.execute(tokens).scalars()]


def erase(connection: sa.Connection, tokens: Sequence[str]) -> None:
    """Delete names and keys: what the tokens stood for is unknown from the commit on."""
    for first in range(0, len(tokens), _AT_ONCE):
        connection.execute(sa.delete(subjects).where(subjects.c.token.in_(tokens[first : first + _AT_ONCE])))


def overwrite_free_pages(engine: sa.Engine) -> None:
    """Leave no deleted name in the files of the database.

    Free pages are rewritten, SQLite's write-ahead log with them, and what PostgreSQL has noted of columns for its plans
    is taken away; it notes it again of what is left.

    Raises:
        StorageError: Another process reads the database, or it cannot be reached now.
    """
    try:
        with storing(_WHAT):
            (_rewrite_sqlite if engine.dialect.name == "sqlite" else _rewrite_postgresql)(engine)
    except (sqlite3.Error, StorageError) as error:
        raise StorageError(
            f"{_WHAT} are erased, but their traces in the files are not: {error}; erase again"
        ) from error


def _rewrite_sqlite(engine: sa.Engine) -> None:
    # By the driver itself: the engine begins a transaction with every connection, and SQLite vacuums outside of any.
    with closing(engine.raw_connection()) as raw:
        raw.cursor().execute("VACUUM")
        (busy, *_) = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("another process reads it")


def _rewrite_postgresql(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # its time-out ends with it
        connection.exec_driver_sql(f"SET lock_timeout = '{_PATIENCE_WALL_S:g}s'")
        _await_readers(connection)
        for table in _REWRITTEN:
            texts = [one for one in table.columns if isinstance(one.type, sa.String) and not one.primary_key]
            # A column of the same type has its rows untouched, and its statistics dropped.
            same = (f"ALTER {one.name} TYPE {one.type.compile(engine.dialect)}" for one in texts)
            if texts:
                connection.exec_driver_sql(f"ALTER TABLE {table.name} {', '.join(same)}")
        names = ", ".join(table.name for table in _REWRITTEN)
        connection.exec_driver_sql(f"VACUUM FULL {names}, pg_catalog.pg_statistic")


def _await_readers(connection: sa.Connection) -> None:
    """Return once no other session reads the database; raises StorageError where one goes on."""
    end = monotonic() + _PATIENCE_WALL_S
    while connection.exec_driver_sql(_READERS).scalar():
        if monotonic() > end:
            raise StorageError("another process reads it")
        sleep(_LOOK_WALL_S)


def altered(engine: sa.Engine) -> list[str]:
    """Return the tokens of actors whose name or key is not what the token was made of; blocks."""
    chosen = sa.select(subjects).where(subjects.c.kind == SubjectKind.ACTOR.value)
    with storing(_WHAT), engine.connect() as connection:
        if not sa.inspect(connection).has_table(subjects.name):  # an earlier version, looked at only
            return []
        return [one.token for one in map(_subject, connection.execute(chosen)) if not one.holds]


def _ended(kind: str, body: Mapping[str, object]) -> Iterator[str]:
    """Yield the sessions that end with an entry: they are not named again."""
    events = body.get("sessions", ()) if kind == "cycle" else ()
    for event in events if isinstance(events, (list, tuple)) else ():
        if event.get("event") == "SessionEnded":
            yield str(event["session_id"])


def _stored(text: str) -> str:
    """Return a name as it is stored: PostgreSQL takes no zero character, which a station may put into an id."""
    return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")


def _read(stored: str) -> str:
    """Return the name that was stored."""
    return stored.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)


def _subject(row: Any) -> Subject:  # noqa: ANN401 - a row of the table
    return Subject(token=row.token, kind=SubjectKind(row.kind), salt=bytes(row.salt), text=_read(row.name))
