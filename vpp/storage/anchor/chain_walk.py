"""Walk over the whole chain as it is stored: segments and raw rows, every hash computed again."""

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from vpp.domain.errors import AuditError, FrameError
from vpp.record.chain import GENESIS
from vpp.record.entry import Head
from vpp.record.erasure.redaction import REDACTED, redactions_of
from vpp.record.stored_body import StoredBody, read_body
from vpp.record.stored_entry import StoredEntry
from vpp.storage.segments.manifest import manifest_of
from vpp.storage.segments.reading import first_link, stored_entry
from vpp.storage.segments.shelf import Segment, SegmentError, SegmentShelf, segment_after
from vpp.storage.segments.vouching import KINDS, Statement, Vouching
from vpp.storage.sql import is_away, journal

PAGE: Final = 500
"""Entries of one read, each in its own short transaction, so that a long walk never blocks a writer; those of a city
are tens of kilobytes each."""
_LISTED: Final = 100
"""Gaps that are named; further ones are counted."""
_LISTED_ALTERED: Final = 250_000
"""Altered entries that are remembered, of which most may be redacted ones; further ones are counted."""

Row = tuple[int, bytes, float, bytes, bytes, bytes]
"""Sequence, kind, epoch seconds, body, packed body (empty where there is none), hash, as stored."""
_VOUCHING: Final = frozenset(kind.encode() for kind in KINDS)
_REDACTED: Final = REDACTED.encode()
Progress = Callable[[int], object]
"""Called with the number of entries read so far."""


class Gap(NamedTuple):
    """A run of missing entries.

    Attributes:
        first: Sequence of the first of them.
        last: Sequence of the last.
        next_sha256: Hash of the content of the entry that follows, since no hash before it is left to compare with.
    """

    first: int
    last: int
    next_sha256: str


@dataclass(slots=True, kw_only=True)
class Walk:
    """What a walk has met.

    Attributes:
        count: Entries read.
        head: The last of them.
        altered: Entries that do not match their hash: sequence, and the hash that would match.
        altered_count: How many.
        gaps: Runs of missing entries.
        gaps_count: How many.
        stamps: Hash and time of the entries that were asked for, by sequence.
        kinds: Number of entries and sum of sequences, by kind as stored.
        stopped: Why the walk ended before the last entry, empty where it did not.
        archived: Sequence of the last entry in a segment, 0 where there is none; ``kinds`` counts the later ones.
        moved: Entries moved to a segment during the walk, so that ``kinds`` counts more than the table holds.
        faults: Segments that are missing, damaged or not vouched for.
        manifest: Manifest of the segments, where each is whole, in its place and vouched for; else empty.
        stated: What the last entry of the table that changed the archive says of it, where the table alone is walked.
        redactions: By sequence of a redacted entry and hash of what is left of it: the entry that says so first. Of one
            that was redacted again both count: a crash may have come before the second was carried out.
    """

    count: int = 0
    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    altered: list[tuple[int, str]] = field(default_factory=list)
    altered_count: int = 0
    gaps: list[Gap] = field(default_factory=list)
    gaps_count: int = 0
    stamps: dict[int, tuple[str, float]] = field(default_factory=dict)
    kinds: dict[bytes, list[int]] = field(default_factory=dict)
    stopped: str = ""
    archived: int = 0
    moved: bool = False
    faults: list[SegmentError] = field(default_factory=list)
    manifest: str = ""
    stated: Statement = field(default_factory=Statement)
    redactions: dict[tuple[int, str], int] = field(default_factory=dict)

    @property
    def marred(self) -> bool:
        """Something was met that should not be, or the walk was stopped."""
        return bool(self.stopped or self.faults or self.gaps_count or self.altered_count)


def walk(
    engine: sa.Engine, wanted: Collection[int], progress: Progress = lambda _: None, *, archive: Path | None = None
) -> Walk:
    """Read every entry in order and compute its hash from the stored hash before it.

    Since each entry is compared with what is stored before it, a single altered entry is one fault and not a fault of
    all that follow.

    Args:
        engine: The database.
        wanted: Sequences whose hash is wanted.
        progress: Called after every page.
        archive: Folder of the segments; ``None`` for the one beside an SQLite file.
    """
    shelf = SegmentShelf.of(engine, archive)
    walked = Walk()
    with _stopping(walked, engine):
        first, before_sha256 = first_link(shelf)
        walked.head = Head(first - 1, before_sha256)
        segments, vouching = shelf.all(), Vouching(first, before_sha256)
        pages = chain(_archived_pages(walked, shelf, segments), _pages(engine, walked, shelf))
        _read(walked, pages, set(wanted), vouching, progress)
        walked.faults += vouching.faults(segments)
        if not walked.marred and not walked.moved:
            walked.manifest = manifest_of(segments)
    return walked


def walk_table(
    engine: sa.Engine, shelf: SegmentShelf, wanted: Collection[int], progress: Progress, last: Segment
) -> Walk:
    """Read every entry after the segment ``last``, the newest of all, as ``walk`` reads the whole chain."""
    walked = Walk(head=Head(last.last, last.last_sha256), archived=last.last)
    with _stopping(walked, engine):
        vouching = Vouching(last.last + 1, last.last_sha256)
        _read(walked, _pages(engine, walked, shelf), set(wanted), vouching, progress)
        walked.stated = vouching.newest
    return walked


def last_sequence(engine: sa.Engine) -> int:
    """Return the sequence of the last entry, 0 where there is none or where it cannot be read."""
    try:
        with engine.connect() as connection:
            last: int | None = connection.execute(sa.select(sa.func.max(journal.c.sequence))).scalar()
    except sa.exc.DatabaseError:
        return 0
    return last or 0


@contextmanager
def _stopping(walked: Walk, engine: sa.Engine) -> Iterator[None]:
    """Note why a walk cannot go on where the database cannot be read; a server that is away is no damage."""
    try:
        yield
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        if is_away(engine, error):
            raise
        walked.stopped = str(getattr(error, "orig", None) or error).splitlines()[0]


def _read(
    walked: Walk, pages: Iterable[Sequence[Row]], wanted: Collection[int], vouching: Vouching, progress: Progress
) -> None:
    for rows in pages:
        _take(walked, rows, wanted)
        _note_vouching(walked, vouching, rows)
        progress(walked.count)


def _take(walked: Walk, rows: Sequence[Row], wanted: Collection[int]) -> None:
    """Compute the hashes of a page; the form is that of `vpp.record.chain.link`."""
    before, last = walked.head.sequence, walked.head.sha256.encode()
    texts = _kind_texts(rows)
    dumps, digest, kinds = orjson.dumps, hashlib.sha256, walked.kinds
    for row in rows:
        sequence, kind, at_s, body, packed, sha256 = row
        try:
            content = b"%b[%d,%b,%b,%b]%b" % (last, sequence, texts[kind], dumps(at_s), body, packed)
            found = digest(content).hexdigest().encode()
        except TypeError:  # a column of another type than was written
            found = _content_sha256(row).encode()
        if sequence != before + 1:
            _note_gap(walked, Gap(before + 1, sequence - 1, _content_sha256(row)))
        elif found != sha256:
            _note_altered(walked, sequence, found.decode())
        tally = kinds.get(kind)
        if tally is None:
            tally = kinds[kind] = [0, 0]
        tally[0] += 1
        tally[1] += sequence
        if sequence in wanted:
            walked.stamps[sequence] = (_text(sha256), _number(at_s))
        before, last = sequence, sha256
    walked.count += len(rows)
    walked.head = Head(before, _text(last))


def _archived_pages(walked: Walk, shelf: SegmentShelf, segments: Sequence[Segment]) -> Iterator[Sequence[Row]]:
    """Iterate the entries of the segments; one that cannot be read is noted and passed over."""
    for segment in segments:
        yield from _segment_pages(walked, shelf, segment)
        walked.archived = segment.last
    walked.kinds = {}


def _segment_pages(walked: Walk, shelf: SegmentShelf, segment: Segment, after: int = 0) -> Iterator[Sequence[Row]]:
    entries = (entry for entry in shelf.entries(segment) if entry.sequence > after)
    try:
        while page := [_row(entry) for entry in islice(entries, PAGE)]:
            yield page
    except SegmentError as fault:
        walked.faults.append(fault)
        walked.head = Head(segment.last, segment.last_sha256)


def _row(entry: StoredEntry) -> Row:
    text, packed = entry.body
    return entry.sequence, entry.kind.encode(), entry.at_s, text.encode(), packed, entry.sha256.encode()


def _note_vouching(walked: Walk, vouching: Vouching, rows: Sequence[Row]) -> None:
    for row in rows:
        if row[1] in _VOUCHING:
            vouching.note(row[0], row[1].decode(), StoredBody(_text(row[3]), row[4]))
        elif row[1] == _REDACTED:
            # One that cannot be read states nothing, and is altered itself.
            with suppress(AuditError, FrameError):
                for left in redactions_of(read_body(_text(row[3]), row[4])).items():
                    walked.redactions.setdefault(left, row[0])


def _note_altered(walked: Walk, sequence: int, sha256: str) -> None:
    walked.altered_count += 1
    if len(walked.altered) < _LISTED_ALTERED:
        walked.altered.append((sequence, sha256))


def _note_gap(walked: Walk, gap: Gap) -> None:
    walked.gaps_count += 1
    if len(walked.gaps) < _LISTED:
        walked.gaps.append(gap)


def _content_sha256(row: Row) -> str:
    """Return a hash of everything an entry says, whatever the types of its columns; none that the chain can have."""
    return hashlib.sha256(b"%r" % (row[:5],)).hexdigest()


def _kind_texts(rows: Sequence[Row]) -> Mapping[bytes, bytes]:
    """Return the JSON of every kind on a page; one that is no text matches no hash."""
    return {kind: orjson.dumps(_text(kind)) for kind in {row[1] for row in rows}}


def _text(stored: object) -> str:
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else str(stored)


def _number(stored: object) -> float:
    return float(stored) if isinstance(stored, int | float) else float("nan")


def _pages(engine: sa.Engine, walked: Walk, shelf: SegmentShelf) -> Iterator[Sequence[Row]]:
    after = walked.archived
    read = _sqlite_page if engine.dialect.name == "sqlite" else _page
    while True:
        rows = read(engine, after)
        if rows and rows[0][0] == after + 1:
            yield rows
            after = rows[-1][0]
            continue
        # What is missing may have moved to a segment since the walk began.
        with engine.connect() as connection:
            segment = segment_after(connection, after)
        if segment is not None and segment.first <= after + 1:
            walked.moved = True
            yield from _segment_pages(walked, shelf, segment, after)
            after = segment.last
        elif rows:
            yield rows
            after = rows[-1][0]
        else:
            return


def _page(engine: sa.Engine, after: int) -> Sequence[Row]:
    page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(PAGE)
    with engine.connect() as connection:
        return [_row(stored_entry(row)) for row in connection.execute(page)]


def _sqlite_page(engine: sa.Engine, after: int) -> Sequence[Row]:
    # Past SQLAlchemy, as bytes: three times as fast, and text that is no longer UTF-8 can be read.
    with bytes_connection(engine) as connection:
        return connection.execute(
            "SELECT sequence, CAST(kind AS BLOB), at_s, CAST(body AS BLOB), CAST(IFNULL(packed, '') AS BLOB),"
            " CAST(sha256 AS BLOB) FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, PAGE),
        ).fetchall()


@contextmanager
def bytes_connection(engine: sa.Engine) -> Iterator[sqlite3.Connection]:
    """Yield a raw SQLite connection of an engine."""
    fairy = engine.raw_connection()
    connection: Any = fairy.driver_connection
    try:
        yield connection
    finally:
        fairy.close()
