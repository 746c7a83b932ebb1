"""Torn entries at the end of a journal: found after a crash, kept apart, and no part of the chain any more.

A write that was cut short leaves a last record that does not parse or does not match its hash. It was never acted on
for certain, and nothing follows it; the journal continues from the last good entry. Anywhere else such a record is
damage or forgery, and the journal is refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from vpp.domain.errors import AuditError, FrameError
from vpp.record.chain import GENESIS, link
from vpp.record.stored_body import read_body
from vpp.storage.sql import journal, torn_entries

_MOST = 500
"""Most entries that one write, which is one transaction, can have torn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """A record as stored: text as bytes, since it may no longer be text."""

    sequence: int
    kind: bytes
    at_s: float
    body: bytes
    packed: bytes
    sha256: bytes


def torn_end(engine: sa.Engine, before_sha256: str = GENESIS) -> Sequence[int]:
    """Return the sequence numbers of the unreadable entries at the end, in order.

    Args:
        engine: The database.
        before_sha256: Hash of the entry before the first of the table.

    Raises:
        AuditError: More is unreadable than one write can have torn.
    """
    torn: list[int] = []
    with engine.connect() as connection:
        newest = _newest_first(connection)
        record = next(newest, None)
        while record is not None:
            before = next(newest, None)
            if _is_sound(record, before_sha256 if before is None else before.sha256.decode("ascii", "replace")):
                break
            torn.insert(0, record.sequence)
            if len(torn) > _MOST:
                raise AuditError(
                    f"journal entries {torn[0]} to {torn[-1]} cannot be read: that is damage, not a torn write;"
                    " restore the database from a backup"
                )
            record = before
    return torn


def set_aside(engine: sa.Engine, sequences: Sequence[int], at_s: float) -> None:
    """Move entries from the journal to ``torn_entries`` unchanged, in one transaction; ``at_s`` is epoch seconds."""
    chosen = journal.c.sequence.in_(list(sequences))
    columns = ["sequence", "kind", "at_s", "body", "packed", "sha256"]
    kept = sa.select(sa.literal(at_s), *(journal.c[name] for name in columns)).where(chosen)
    with engine.begin() as connection:
        connection.execute(sa.insert(torn_entries).from_select(["set_aside_s", *columns], kept))
        connection.execute(sa.delete(journal).where(chosen))


def _newest_first(connection: sa.Connection) -> Iterator[_Raw]:
    # SQLite returns text that is not UTF-8 as bytes only; other databases cannot hold such text.
    raw = connection.dialect.name == "sqlite"
    texts = [sa.cast(journal.c[n], sa.LargeBinary) if raw else journal.c[n] for n in ("kind", "body", "sha256")]
    rows = connection.execute(
        sa.select(journal.c.sequence, journal.c.at_s, journal.c.packed, *texts)
        .order_by(journal.c.sequence.desc())
        .limit(_MOST + 2)
    )
    for sequence, at_s, packed, kind, body, sha256 in rows:
        yield _Raw(
            sequence=sequence,
            at_s=at_s,
            kind=_bytes(kind),
            body=_bytes(body),
            packed=bytes(packed or b""),
            sha256=_bytes(sha256),
        )


def _is_sound(record: _Raw, previous: str) -> bool:
    """Return whether an entry parses and matches its hash."""
    try:
        kind, text = record.kind.decode(), record.body.decode()
        read_body(text, record.packed)
    except (ValueError, FrameError):  # no UTF-8, or no body
        return False
    return link(previous, record.sequence, kind, record.at_s, text, record.packed).encode() == record.sha256


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
