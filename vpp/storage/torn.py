"""The end of a journal that a crash left unreadable: found, kept apart, and never made part of the chain again.

A write that was cut short leaves a last record that does not parse or does not match its hash. It was never acted on
for certain, and nothing follows it; the journal goes on from the last good entry. Anywhere else such a record is damage
or forgery, and nobody goes on from that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.storage.chain import GENESIS, link
from vpp.storage.sql import journal, torn_entries

_MOST = 500
"""Entries that one write can have torn; it is one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """A record as it lies there: text as bytes, since it may not be text any more."""

    sequence: int
    kind: bytes
    at_s: float
    body: bytes
    sha256: bytes


def torn_end(engine: sa.Engine) -> Sequence[int]:
    """Return the sequence numbers of the unreadable entries at the end, in order.

    Raises:
        AuditError: More is unreadable than one write can have torn.
    """
    torn: list[int] = []
    with engine.connect() as connection:
        newest = _newest_first(connection)
        record = next(newest, None)
        while record is not None:
            before = next(newest, None)
            if _is_sound(record, before):
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
    """Move entries out of the journal into ``torn_entries``, as they are, in one transaction."""
    chosen = journal.c.sequence.in_(list(sequences))
    columns = ["sequence", "kind", "at_s", "body", "sha256"]
    kept = sa.select(sa.literal(at_s), *(journal.c[name] for name in columns)).where(chosen)
    with engine.begin() as connection:
        connection.execute(sa.insert(torn_entries).from_select(["set_aside_s", *columns], kept))
        connection.execute(sa.delete(journal).where(chosen))


def _newest_first(connection: sa.Connection) -> Iterator[_Raw]:
    # SQLite hands over what is no UTF-8 as bytes only; elsewhere a text column cannot hold such a thing.
    raw = connection.dialect.name == "sqlite"
    texts = [sa.cast(journal.c[n], sa.LargeBinary) if raw else journal.c[n] for n in ("kind", "body", "sha256")]
    rows = connection.execute(
        sa.select(journal.c.sequence, journal.c.at_s, *texts).order_by(journal.c.sequence.desc()).limit(_MOST + 2)
    )
    for sequence, at_s, kind, body, sha256 in rows:
        yield _Raw(sequence=sequence, at_s=at_s, kind=_bytes(kind), body=_bytes(body), sha256=_bytes(sha256))


def _is_sound(record: _Raw, before: _Raw | None) -> bool:
    """Return whether an entry reads as one and matches its hash."""
    previous = GENESIS if before is None else before.sha256.decode("ascii", "replace")
    try:
        content, kind, text = orjson.loads(record.body), record.kind.decode(), record.body.decode()
    except ValueError:  # no JSON, or no UTF-8
        return False
    matches = link(previous, record.sequence, kind, record.at_s, text).encode() == record.sha256
    return isinstance(content, dict) and matches


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
