"""Salvage of a damaged journal: what can be read is, so that control of what runs goes on; the rest is named."""

from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.record.entry import JournalEntry
from vpp.record.stored_entry import StoredEntry
from vpp.storage.segments.reading import first_link, stored_entries, stored_entry
from vpp.storage.segments.redacted import is_sound, redacted_entries
from vpp.storage.segments.shelf import SegmentShelf, segment_after
from vpp.storage.sql import is_away, journal

_PAGE = 250
Lost = Callable[[int, str], object]
"""Called with the sequence of an entry that cannot be read, or the first of several, and why."""


def salvaged_entries(
    engine: sa.Engine, shelf: SegmentShelf, lost: Lost, *, after: int = 0, until: int | None = None
) -> Iterator[JournalEntry]:
    """Iterate the sound entries with ``after`` < sequence <= ``until``; ends where the database does.

    An entry that does not match its hash is passed over like one that cannot be read; what follows it is compared with
    the hash that is stored with it.
    """
    before, number, redacted = _hash_of(engine, shelf, after), after, redacted_entries(engine)
    while until is None or after < until:
        try:
            stored, last, linked = _next(engine, shelf, lost, after, until)
        except sa.exc.DatabaseError as error:
            if is_away(engine, error):
                raise
            lost(after + 1, f"the database is damaged: {error.orig or error}")
            return
        for one in stored:
            follows = bool(before) and one.sequence == number + 1
            fits = linked or not follows or is_sound(one, before, redacted)
            before, number = one.sha256, one.sequence
            try:
                entry = one.entry()
            except AuditError as error:
                lost(one.sequence, str(error))
                continue
            if fits:
                yield entry
            else:
                lost(one.sequence, "it does not match its hash")
        if last is None:
            return
        after = last


def _hash_of(engine: sa.Engine, shelf: SegmentShelf, sequence: int) -> str:
    """Return the stored hash of an entry, empty where it cannot be read."""
    first, before_sha256 = first_link(shelf)
    if sequence < first:
        return before_sha256
    try:
        stored = next(stored_entries(engine, shelf, after=sequence - 1, until=sequence), None)
    except AuditError:
        return ""
    return "" if stored is None else stored.sha256


def _next(
    engine: sa.Engine, shelf: SegmentShelf, lost: Lost, after: int, until: int | None
) -> tuple[Sequence[StoredEntry], int | None, bool]:
    """Return a page or a segment, the last sequence it stands for (``None`` after the last entry), and if it is linked.

    The file of a segment has the digest it was written with, so its entries are linked: what says of the redacted ones
    among them that they are may have left the table.
    """
    with engine.connect() as connection:
        numbers = _numbers(connection, after, until)
        segment = segment_after(connection, after)
    if segment is not None and (not numbers or segment.first <= after + 1 < numbers[0]):
        try:
            archived = [e for e in shelf.entries(segment) if after < e.sequence <= (until or e.sequence)]
        except AuditError as error:
            lost(max(segment.first, after + 1), str(error))
            archived = []
        return archived, segment.last, True
    rows = [row for number in numbers if (row := _row(engine, lost, number)) is not None]
    return rows, numbers[-1] if len(numbers) == _PAGE else None, False


def _numbers(connection: sa.Connection, after: int, until: int | None) -> Sequence[int]:
    page = sa.select(journal.c.sequence).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(_PAGE)
    return connection.execute(page if until is None else page.where(journal.c.sequence <= until)).scalars().all()


def _row(engine: sa.Engine, lost: Lost, number: int) -> StoredEntry | None:
    try:
        with engine.connect() as connection:
            return stored_entry(connection.execute(sa.select(journal).where(journal.c.sequence == number)).one())
    except sa.exc.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
        lost(number, "it is no text any more")
        return None
