"""The journal in SQL: append-only and hash-chained (`vpp.record.chain`), so that any change of it is detected."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from vpp.domain.errors import AuditError
from vpp.record.chain import GENESIS, link
from vpp.record.entry import Head, JournalEntry
from vpp.record.erasure.redaction import REDACTED, redactions_of
from vpp.record.stored_body import StoredBody, stored_body
from vpp.record.stored_entry import StoredEntry
from vpp.storage.segments.reading import first_link, stored_entries
from vpp.storage.segments.salvage import Lost, salvaged_entries
from vpp.storage.segments.shelf import SegmentShelf
from vpp.storage.segments.vouching import Vouching
from vpp.storage.sql import journal, storing
from vpp.storage.subjects import SqlSubjects
from vpp.storage.torn import set_aside, torn_end

_log = structlog.get_logger(__name__)
TORN = "journal.torn"
_AT_ONCE = 500
"""Entries of one transaction: after an outage there may be tens of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """Result of an audit: number of entries and the hash of the last, to be compared with a copy kept elsewhere.

    ``first`` is the sequence of the first entry kept; those before it are pruned.
    """

    count: int
    head_sha256: str
    first: int = 1


class SqlJournal:
    """The journal in one SQL table and archive segments; implements ``vpp.ports.Journal``.

    ``append`` and ``flush`` may be called from any thread. Only one process may append. Entries that cannot be written
    stay in memory, chained and in order, until a later ``flush``.

    Args:
        engine: The database.
        archive: Folder of the segments; ``None`` for the one beside an SQLite file.

    Attributes:
        shelf: The segments.
    """

    def __init__(self, engine: sa.Engine, archive: Path | None = None) -> None:
        self.shelf = SegmentShelf.of(engine, archive)
        self._subjects = SqlSubjects(engine)
        self._engine = engine
        self._sequence, self._sha256 = _head(engine, self.shelf)
        self._durable = Head(self._sequence, self._sha256)
        self._pending: deque[StoredEntry] = deque()
        self._pending_bytes = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @property
    def sequence(self) -> int:
        """Position of the last entry, durable or not."""
        return self._sequence

    def durable(self) -> int:
        """Return the position of the last entry in the database, also where another process writes it; blocks.

        Raises:
            StorageError: The database cannot be read now.
        """
        with storing("the journal"):
            return _head(self._engine, self.shelf)[0]

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

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> int:
        """Add one entry and return its sequence; it is durable after the next ``flush``.

        Names in it are stored beside the chain.

        Raises:
            InputError: The body cannot be written as JSON.
        """
        return self.append_prepared(kind, at_s, self.prepared(kind, body))

    def prepared(self, kind: str, body: Mapping[str, object]) -> StoredBody:
        """Return a body as it is stored, for ``append_prepared``; to be called in a thread where it is large.

        Raises:
            InputError: The body cannot be written as JSON.
        """
        return stored_body(self._subjects.sealed(kind, body, self._sequence + 1))

    def append_prepared(self, kind: str, at_s: float, stored: StoredBody) -> int:
        """Do what ``append`` does for a body that was prepared."""
        with self._guard:
            sequence = self._sequence = self._sequence + 1
            self._sha256 = link(self._sha256, self._sequence, kind, float(at_s), *stored)
            self._pending_bytes += stored.size
            self._pending.append(
                StoredEntry(sequence=self._sequence, kind=kind, at_s=float(at_s), body=stored, sha256=self._sha256)
            )
        return sequence

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

    def opened(self, tree: Any, sessions: Sequence[str] = ()) -> Any:  # noqa: ANN401 - whatever a state tree holds
        """See ``Journal``."""
        return self._subjects.opened(tree, sessions)

    def close(self) -> None:
        """Stop the writer; pending entries stay unwritten."""
        self._writer.shutdown()

    def set_torn_aside(self, at_s: float) -> int:
        """Set entries torn by a crash aside and note it in the journal; return their number.

        Raises:
            AuditError: More is unreadable than one write can have torn.
        """
        with storing("the journal"):
            newest = self.shelf.newest()
            torn = torn_end(self._engine, GENESIS if newest is None else newest.last_sha256)
            if not torn:
                return 0
            set_aside(self._engine, torn, at_s)
        self._sequence, self._sha256 = _head(self._engine, self.shelf)
        self._durable = Head(self._sequence, self._sha256)
        _log.error("torn journal entries set aside", table="torn_entries", sequences=torn, goes_on_from=self._sequence)
        self.append(TORN, at_s, {"sequences": torn, "table": "torn_entries"})
        return len(torn)

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        """Iterate durable entries in order, those of ``kinds`` only if any are named; blocks for a page at a time.

        Args:
            kinds: Kinds wanted, all if none.
            after: Sequence of the last entry that is not wanted.
            until: Sequence of the last entry that is, ``None`` for the last of all.

        Raises:
            AuditError: Names an entry or a segment that cannot be read.
            StorageError: The database cannot be read now.
        """
        with storing("the journal"):
            for stored in stored_entries(self._engine, self.shelf, kinds=kinds, after=after, until=until):
                yield stored.entry()

    def salvage(self, lost: Lost, *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        """Iterate the durable entries that can be read, of a journal that is damaged.

        Args:
            lost: Called with the sequence of what cannot be read, and why.
            after: As for ``entries``.
            until: As for ``entries``.

        Raises:
            StorageError: The database cannot be read now.
        """
        with storing("the journal"):
            yield from salvaged_entries(self._engine, self.shelf, lost, after=after, until=until)

    def _write(self, batch: Sequence[StoredEntry]) -> None:
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
                named = self._subjects.write(connection)
                connection.execute(sa.insert(journal), rows)
        except sa.exc.IntegrityError as error:
            raise AuditError(f"entry {batch[0].sequence} is taken: another process writes to this journal") from error
        self._subjects.written(named)


def verify(engine: sa.Engine, archive: Path | None = None) -> VerifiedChain:
    """Recompute the whole chain, segments of the archive included, from the first entry kept.

    Args:
        engine: The database.
        archive: Folder of its segments; ``None`` for the one beside an SQLite file.

    Raises:
        AuditError: Names the first sequence number whose hash or place is wrong, or a segment that is.
    """
    shelf = SegmentShelf.of(engine, archive)
    first, sha256 = first_link(shelf)
    segments, expected, vouching = shelf.all(), first - 1, Vouching(first, sha256)
    redacted, unlike = set[tuple[int, str]](), dict[int, str]()
    for stored in stored_entries(engine, shelf):
        expected += 1
        if stored.sequence != expected:
            raise AuditError(f"journal entry {expected} is missing; the next one kept is {stored.sequence}")
        if (found := stored.linked(sha256)) != stored.sha256:
            unlike[expected] = found
        if stored.kind == REDACTED:
            redacted.update(redactions_of(stored.entry().body).items())
        sha256 = stored.sha256
        vouching.note(stored.sequence, stored.kind, stored.body)
    for sequence, found in unlike.items():
        if (sequence, found) not in redacted:
            raise AuditError(f"journal entry {sequence} does not match its hash: what it says comes to {found}")
    vouching.check(segments)
    return VerifiedChain(count=expected - first + 1, head_sha256=sha256, first=first)


def _head(engine: sa.Engine, shelf: SegmentShelf) -> tuple[int, str]:
    last = sa.select(journal.c.sequence, journal.c.sha256).order_by(journal.c.sequence.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(last).one_or_none()
    if row is not None:
        return int(row.sequence), str(row.sha256)
    newest = shelf.newest()
    return (0, GENESIS) if newest is None else (newest.last, newest.last_sha256)
