"""The journal: append-only and hash-chained, so that nobody can change the past unseen.

Each entry's hash covers the hash before it (Merkle 1979, Haber and Stornetta 1991)::

    sha256[k] = SHA-256(sha256[k-1] || canonical JSON of [sequence, kind, at_s, body])

Canonical JSON has sorted keys, no white space and ``null`` for NaN and infinities, which JSON cannot say.
"""

import asyncio
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from vpp.domain.errors import AuditError, InputError
from vpp.domain.journal import JournalEntry
from vpp.storage.sql import journal

GENESIS = "0" * 64
"""Stands before the first entry."""

_PAGE = 1000
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """What an audit found: number of entries and the hash of the last, to be compared with a copy kept elsewhere."""

    count: int
    head_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    sequence: int
    kind: str
    at_s: float
    body: str
    sha256: str


class SqlJournal:
    """The journal in one SQL table; implements ``vpp.ports.Journal``.

    ``append`` and ``flush`` may be called from any thread. Only one process may append.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sequence, self._sha256 = _head(engine)
        self._pending: list[_Record] = []
        self._guard = threading.Lock()
        self._writing = threading.Lock()

    @property
    def pending(self) -> int:
        """Number of entries that are not durable yet."""
        return len(self._pending)

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Add one entry; it is durable after the next ``flush``.

        Raises:
            InputError: The body cannot be written as JSON.
        """
        text = canonical_json(body)
        with self._guard:
            self._sequence += 1
            self._sha256 = link(self._sha256, self._sequence, kind, float(at_s), text)
            self._pending.append(
                _Record(sequence=self._sequence, kind=kind, at_s=float(at_s), body=text, sha256=self._sha256)
            )

    async def flush(self) -> None:
        """Make everything appended so far durable, in one transaction.

        Raises:
            AuditError: Somebody else has written to the journal.
        """
        if self._pending:
            await asyncio.to_thread(self.flush_now)

    def flush_now(self) -> None:
        """Do what ``flush`` does, blocking."""
        with self._writing:
            with self._guard:
                batch = list(self._pending)
            if not batch:
                return
            self._write(batch)
            # Here rather than after an await: a cancelled caller must not leave committed entries pending.
            with self._guard:
                del self._pending[: len(batch)]

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0) -> Iterator[JournalEntry]:
        """Iterate durable entries in order, those of ``kinds`` only if any are named; blocks for a page at a time."""
        for record in _records(self._engine, kinds=kinds, after=after):
            yield JournalEntry(
                sequence=record.sequence,
                kind=record.kind,
                at_s=record.at_s,
                body=orjson.loads(record.body),
                sha256=record.sha256,
            )

    def _write(self, batch: Sequence[_Record]) -> None:
        rows = [
            {"sequence": r.sequence, "kind": r.kind, "at_s": r.at_s, "body": r.body, "sha256": r.sha256} for r in batch
        ]
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(journal), rows)
        except sa.exc.IntegrityError as error:
            raise AuditError(f"entry {batch[0].sequence} is taken: another process writes to this journal") from error


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
        sha256 = link(sha256, record.sequence, record.kind, record.at_s, record.body)
        if sha256 != record.sha256:
            raise AuditError(f"journal entry {expected} does not match its hash: it says {record.sha256}, not {sha256}")
    return VerifiedChain(count=expected, head_sha256=sha256)


def canonical_json(body: Mapping[str, object]) -> str:
    """Return ``body`` with sorted keys and without white space, NaN as ``null``.

    Raises:
        InputError: It holds something JSON cannot say.
    """
    try:
        return orjson.dumps(body, option=_CANONICAL, default=_plain).decode()
    except TypeError as error:
        raise InputError("body", type(body).__name__, f"JSON-like content ({error})") from error


def link(previous_sha256: str, sequence: int, kind: str, at_s: float, body: str) -> str:
    """Return the hash of an entry that follows ``previous_sha256``; ``body`` is canonical JSON."""
    content = orjson.dumps([sequence, kind, at_s, orjson.Fragment(body)])
    return hashlib.sha256(previous_sha256.encode() + content).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _head(engine: sa.Engine) -> tuple[int, str]:
    last = sa.select(journal.c.sequence, journal.c.sha256).order_by(journal.c.sequence.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(last).one_or_none()
    return (0, GENESIS) if row is None else (int(row.sequence), str(row.sha256))


def _records(engine: sa.Engine, *, kinds: Sequence[str] = (), after: int = 0) -> Iterator[_Record]:
    # By pages, each in its own short transaction, so that a slow reader never stands in a writer's way.
    while True:
        page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(_PAGE)
        if kinds:
            page = page.where(journal.c.kind.in_(list(kinds)))
        with engine.connect() as connection:
            rows = connection.execute(page).all()
        for row in rows:
            yield _Record(sequence=row.sequence, kind=row.kind, at_s=row.at_s, body=row.body, sha256=row.sha256)
        if len(rows) < _PAGE:
            return
        after = rows[-1].sequence
