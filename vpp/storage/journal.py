"""The journal in SQL: append-only and hash-chained (`vpp.record.chain`), so that any change of it is detected."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from vpp.domain.errors import AuditError, FrameError
from vpp.record.chain import GENESIS, link
from vpp.record.entry import Head, JournalEntry
from vpp.record.stored_body import StoredBody, read_body, stored_body
from vpp.storage.sql import journal, storing
from vpp.storage.torn import set_aside, torn_end

_log = structlog.get_logger(__name__)
TORN = "journal.torn"
_PAGE = 250
"""Entries that are read at once; those of a city are tens of kilobytes each."""
_AT_ONCE = 500
"""Entries of one transaction: after an outage there may be tens of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """Result of an audit: number of entries and the hash of the last, to be compared with a copy kept elsewhere."""

    count: int
    head_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    sequence: int
    kind: str
    at_s: float
    body: StoredBody
    sha256: str


class SqlJournal:
    """The journal in one SQL table; implements ``vpp.ports.Journal``.

    ``append`` and ``flush`` may be called from any thread. Only one process may append. Entries that cannot be written
    stay in memory, chained and in order, until a later ``flush``.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sequence, self._sha256 = _head(engine)
        self._durable = Head(self._sequence, self._sha256)
        self._pending: deque[_Record] = deque()
        self._pending_bytes = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @property
    def sequence(self) -> int:
        """Position of the last entry, durable or not."""
        return self._sequence

    def head(self) -> Head:
        """Return the last durable entry's position and hash."""
        return self._durable

    @property
    def pending(self) -> int:
        """Number of entries that are not durable yet."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """Approximate size of the entries that are not durable yet."""
        return self._pending_bytes

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Add one entry; it is durable after the next ``flush``.

        Raises:
            InputError: The body cannot be written as JSON.
        """
        stored = stored_body(body)
        with self._guard:
            self._sequence += 1
            self._sha256 = link(self._sha256, self._sequence, kind, float(at_s), *stored)
            self._pending_bytes += stored.size
            self._pending.append(
                _Record(sequence=self._sequence, kind=kind, at_s=float(at_s), body=stored, sha256=self._sha256)
            )

    async def flush(self) -> None:
        """Make everything appended so far durable, in order, in a thread of its own.

        Raises:
            StorageError: The database takes nothing now; the rest goes out with the next flush.
            AuditError: Another process has written to the journal.
        """
        if self._pending:
            await asyncio.wrap_future(self._writer.submit(self.flush_now))

    def flush_now(self) -> None:
        """Do what ``flush`` does, blocking."""
        with self._writing:
            with self._guard:
                waiting = list(self._pending)
            for first in range(0, len(waiting), _AT_ONCE):
                batch = waiting[first : first + _AT_ONCE]
                self._write(batch)
                # Here rather than after an await: a cancelled caller must not leave committed entries pending.
                with self._guard:
                    for record in batch:
                        self._pending.popleft()
                        self._pending_bytes -= record.body.size
                self._durable = Head(batch[-1].sequence, batch[-1].sha256)

    def close(self) -> None:
        """Stop the writer; pending entries stay unwritten."""
        self._writer.shutdown()

    def set_torn_aside(self, at_s: float) -> int:
        """Set entries torn by a crash aside and note it in the journal; return their number.

        Raises:
            AuditError: More is unreadable than one write can have torn.
        """
        with storing("the journal"):
            torn = torn_end(self._engine)
            if not torn:
                return 0
            set_aside(self._engine, torn, at_s)
        self._sequence, self._sha256 = _head(self._engine)
        self._durable = Head(self._sequence, self._sha256)
        _log.error("torn journal entries set aside", table="torn_entries", sequences=torn, goes_on_from=self._sequence)
        self.append(TORN, at_s, {"sequences": torn, "table": "torn_entries"})
        return len(torn)

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        """Iterate durable entries in order, those of ``kinds`` only if any are named; blocks for a page at a time.

        Args:
            kinds: Kinds wanted, all where none is named.
            after: Position of the entry before the first one wanted.
            until: Position of the last one wanted; to the end where it is not given.

        Raises:
            AuditError: Names an entry that cannot be read.
        """
        for record in _records(self._engine, kinds=kinds, after=after, until=until):
            yield JournalEntry(
                sequence=record.sequence,
                kind=record.kind,
                at_s=record.at_s,
                body=_content(record),
                sha256=record.sha256,
            )

    def _write(self, batch: Sequence[_Record]) -> None:
        rows = [
            {
                "sequence": r.sequence,
                "kind": r.kind,
                "at_s": r.at_s,
                "body": r.body.text,
                "packed": r.body.packed or None,
                "sha256": r.sha256,
            }
            for r in batch
        ]
        try:
            with storing("the journal"), self._engine.begin() as connection:
                connection.execute(sa.insert(journal), rows)
        except sa.exc.IntegrityError as error:
            raise AuditError(f"entry {batch[0].sequence} is taken: another process writes to this journal") from error


def _content(record: _Record) -> dict[str, object]:
    try:
        return read_body(*record.body)
    except FrameError as error:
        raise AuditError(
            f"journal entry {record.sequence} ({record.kind}) cannot be read: {error}; entries follow it, so it is"
            " damage and no torn write: restore the database from a backup"
        ) from error


def verify(engine: sa.Engine) -> VerifiedChain:
    """Recompute the whole chain.

    Raises:
        AuditError: Names the first sequence number whose hash or place is wrong.
    """
    expected, sha256 = 0, GENESIS
    for record in _records(engine):
        expected += 1
        if record.sequence != expected:
            raise AuditError(f"journal entry {expected} is missing; the next one kept is {record.sequence}")
        sha256 = link(sha256, record.sequence, record.kind, record.at_s, *record.body)
        if sha256 != record.sha256:
            raise AuditError(f"journal entry {expected} does not match its hash: it says {record.sha256}, not {sha256}")
    return VerifiedChain(count=expected, head_sha256=sha256)


def _head(engine: sa.Engine) -> tuple[int, str]:
    last = sa.select(journal.c.sequence, journal.c.sha256).order_by(journal.c.sequence.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(last).one_or_none()
    return (0, GENESIS) if row is None else (int(row.sequence), str(row.sha256))


def _records(
    engine: sa.Engine, *, kinds: Sequence[str] = (), after: int = 0, until: int | None = None
) -> Iterator[_Record]:
    # By pages, each in its own short transaction, so that a slow reader never blocks a writer.
    while True:
        page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(_PAGE)
        if until is not None:
            page = page.where(journal.c.sequence <= until)
        if kinds:
            page = page.where(journal.c.kind.in_(list(kinds)))
        for row in (rows := _fetched(engine, page, after)):
            yield _Record(
                sequence=row.sequence,
                kind=row.kind,
                at_s=row.at_s,
                body=StoredBody(row.body, bytes(row.packed or b"")),
                sha256=row.sha256,
            )
        if len(rows) < _PAGE:
            return
        after = rows[-1].sequence


def _fetched(engine: sa.Engine, page: sa.Select[Any], after: int) -> Sequence[sa.Row[Any]]:
    try:
        with engine.connect() as connection:
            return connection.execute(page).all()
    except sa.exc.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
        raise AuditError(
            f"a journal entry between {after + 1} and {after + _PAGE} is no text any more; restore the database from a"
            " backup"
        ) from error
