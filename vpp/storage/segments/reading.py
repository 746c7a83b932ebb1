"""Reading of a journal: segments and table as one sequence."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.record.chain import GENESIS
from vpp.record.stored_body import StoredBody
from vpp.record.stored_entry import StoredEntry
from vpp.storage.segments.shelf import Segment, SegmentShelf, segment_after
from vpp.storage.sql import journal

_PAGE = 250
"""Entries that are read at once; those of a city are tens of kilobytes each."""


def stored_entries(
    engine: sa.Engine, shelf: SegmentShelf, *, kinds: Sequence[str] = (), after: int = 0, until: int | None = None
) -> Iterator[StoredEntry]:
    """Iterate entries of ``kinds``, all if none are named, with ``after`` < sequence <= ``until``.

    Pages of the table are read each in its own short transaction, so that a slow reader never blocks a writer; what
    moves to a segment between two pages is read from there.

    Raises:
        AuditError: A segment is missing or damaged, or an entry is no text any more.
    """
    while until is None or after < until:
        rows, segment = _next(engine, kinds, after, until)
        if segment is not None:
            yield from _of_segment(shelf, segment, kinds, after, until)
            after = segment.last
            continue
        for row in rows:
            yield stored_entry(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1].sequence


def first_link(shelf: SegmentShelf) -> tuple[int, str]:
    """Return the sequence of the first entry kept, and the hash before it."""
    segments = shelf.all()
    return (segments[0].first, segments[0].before_sha256) if segments else (1, GENESIS)


def stored_entry(row: sa.Row[tuple[object, ...]]) -> StoredEntry:
    """Return a row of the table."""
    body = StoredBody(row.body, bytes(row.packed or b""))
    return StoredEntry(sequence=row.sequence, kind=row.kind, at_s=row.at_s, body=body, sha256=row.sha256)


def _next(
    engine: sa.Engine, kinds: Sequence[str], after: int, until: int | None
) -> tuple[Sequence[sa.Row[tuple[object, ...]]], Segment | None]:
    page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(_PAGE)
    if kinds:
        page = page.where(journal.c.kind.in_(list(kinds)))
    if until is not None:
        page = page.where(journal.c.sequence <= until)
    try:
        with engine.connect() as connection:
            # The table first: what has left it by then is in the index.
            return connection.execute(page).all(), segment_after(connection, after)
    except sa.exc.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
        raise AuditError(
            f"a journal entry between {after + 1} and {after + _PAGE} is no text any more; restore the database from a"
            " backup"
        ) from error


def _of_segment(
    shelf: SegmentShelf, segment: Segment, kinds: Sequence[str], after: int, until: int | None
) -> Iterator[StoredEntry]:
    for entry in shelf.entries(segment):
        if until is not None and entry.sequence > until:
            return
        if entry.sequence > after and (not kinds or entry.kind in kinds):
            yield entry
