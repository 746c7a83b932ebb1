"""Statements about redacted entries in the table: what is left of each entry of which a name was erased."""

from collections.abc import Set as AbstractSet

import sqlalchemy as sa

from vpp.domain.errors import AuditError, FrameError
from vpp.record.erasure.redaction import REDACTED, redactions_of
from vpp.record.stored_body import read_body
from vpp.record.stored_entry import StoredEntry
from vpp.storage.sql import journal

Redactions = AbstractSet[tuple[int, str]]
"""Sequences of redacted entries with the hash of what is left of each; one redacted more than once has several."""


def redacted_entries(engine: sa.Engine) -> Redactions:
    """Return the redactions that entries of the table state.

    Whatever redacted entry the table holds, the later statement is there, too. Unreadable ones state nothing.
    """
    stated: set[tuple[int, str]] = set()
    chosen = sa.select(journal.c.body, journal.c.packed).where(journal.c.kind == REDACTED)
    with engine.connect() as connection:
        rows = connection.execute(chosen.order_by(journal.c.sequence)).all()
    for row in rows:
        try:
            stated.update(redactions_of(read_body(row.body, bytes(row.packed or b""))).items())
        except (AuditError, FrameError):
            continue
    return stated


def is_sound(entry: StoredEntry, before_sha256: str, redacted: Redactions) -> bool:
    """Return whether an entry matches its hash, or is what a redaction has left of it."""
    found = entry.linked(before_sha256)
    return found == entry.sha256 or (entry.sequence, found) in redacted
