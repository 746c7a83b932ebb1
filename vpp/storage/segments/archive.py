"""Moving of old journal entries into segments, and deletion of the oldest segments.

A segment is written under a temporary name, synced and renamed; then a journal entry names it with its digest, so that
the chain covers it; then it enters the index, and only then its entries leave the table. A crash at any point loses
nothing and doubles nothing: what the index names is read from segments, everything else from the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import sqlalchemy as sa
import structlog

from vpp.domain.errors import AuditError, FrameError
from vpp.domain.units import SECONDS_PER_DAY
from vpp.record.chain import GENESIS
from vpp.record.names.subject import SubjectKind
from vpp.record.segment import head_of, segment_bytes
from vpp.record.stored_entry import StoredEntry
from vpp.storage.journal import SqlJournal
from vpp.storage.segments.manifest import KnownSegments
from vpp.storage.segments.placing import TEMPORARY, is_replaced, placed
from vpp.storage.segments.reading import stored_entries
from vpp.storage.segments.redacted import Redactions, is_sound, redacted_entries
from vpp.storage.segments.shelf import ARCHIVED, ENDING, PRUNED, Segment, SegmentShelf
from vpp.storage.sql import archived_segments, journal, storing, subjects

_log = structlog.get_logger(__name__)
_LOST = ".lost"
_PAGE = 2000
"""Entries of one deletion: a writer never waits for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRules:
    """Sizes of segments.

    Attributes:
        least_bytes: Stored bytes that are worth a segment.
        most_entries: Entries of a segment at most; as many are worth one, too.
        longest_s: Age of the oldest entry of the table that may be archived, above which a smaller segment is written.
        most_bytes: Stored bytes above which a segment ends.
        most_segments: Segments of one call, so that a large journal of before is archived little by little.
    """

    least_bytes: int = 8 * 2**20
    most_entries: int = 50_000
    longest_s: float = SECONDS_PER_DAY
    most_bytes: int = 16 * 2**20
    most_segments: int = 20


class RecordArchive:
    """Archive of one journal; implements ``vpp.ports.JournalArchive``.

    Calls block; only the process that appends to the journal may make them.

    Args:
        engine: The database.
        journal: The journal, whose shelf has a folder.
        rules: Sizes.
    """

    def __init__(self, engine: sa.Engine, journal: SqlJournal, rules: SegmentRules | None = None) -> None:
        self._engine = engine
        self._journal = journal
        self._shelf = journal.shelf
        self._known = KnownSegments()
        self._rules = rules or SegmentRules()

    def verified(self, manifest: str | None) -> None:
        """Take the manifest of the segments that the start has verified, ``None`` where it is not known.

        What is archived and pruned from then on states the manifest that follows, and no start has to read it again.
        """
        self._known.verified(manifest)

    def tidy(self) -> None:
        """Finish what a crash has interrupted: entries that are in a segment as well, files without use.

        Raises:
            StorageError: The database takes nothing now.
            AuditError: Somebody else has changed the index of segments.
        """
        with storing("the archive of the journal"):
            self._finish()
            if self._shelf.folder is not None and self._shelf.folder.is_dir():
                _sweep(self._engine, self._shelf)

    def archive_until(self, sequence: int, at_s: float) -> int:
        """Move entries up to ``sequence`` into segments as far as it is worth one; return how many were moved.

        The last entry of the table stays. ``at_s`` is the present, epoch seconds.

        Raises:
            StorageError: The database takes nothing now.
            AuditError: An entry does not match its hash, from where on nothing is archived; or somebody else has
                changed the index of segments.
            OSError: The folder cannot be written.
        """
        if self._shelf.folder is None:
            return 0
        with storing("the archive of the journal"):
            self._finish()
            moved = 0
            until = min(sequence, self._last() - 1)
            for _ in range(self._rules.most_segments):
                if not self._is_due(until, at_s):
                    break
                moved += self._write_segment(until, at_s)
            return moved

    def prune(self, before_s: float, at_s: float) -> int:
        """Delete segments whose last entry is older than ``before_s``; return how many. The newest stays.

        Raises:
            StorageError: The database takes nothing now.
            AuditError: Somebody else has changed the index of segments.
        """
        segments = self._segments()
        # What follows a segment that is kept is kept.
        old = list(takewhile(lambda one: one.until_s < before_s, segments[:-1]))
        if not old:
            return 0
        first = segments[len(old)]
        kept = {"first": first.first, "before_sha256": first.before_sha256, "segments": [one.name for one in old]}
        self._journal.append(PRUNED, at_s, {**kept, **self._known.stated(segments[len(old) :])})
        self._journal.flush_now()
        with storing("the archive of the journal"), self._engine.begin() as connection:
            connection.execute(sa.delete(archived_segments).where(archived_segments.c.last < first.first))
            gone = (subjects.c.kind == SubjectKind.SESSION.value) & (subjects.c.sequence < first.first)
            connection.execute(sa.delete(subjects).where(gone))
        for one in old:
            self._shelf.path(one).unlink(missing_ok=True)
        return len(old)

    def _segments(self) -> Sequence[Segment]:
        """Return every segment, oldest first; raises AuditError where they are not those that are known."""
        with storing("the archive of the journal"):
            segments = self._shelf.all()
        self._known.check(segments)
        return segments

    def _finish(self) -> None:
        segments = self._segments()
        if segments:
            self._delete_until(segments[-1].last)

    def _last(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(journal.c.sequence))).scalar() or 0)

    def _is_due(self, until: int, at_s: float) -> bool:
        rules, table = self._rules, journal.c
        packed = sa.func.coalesce(sa.func.length(table.packed), 0)
        oldest = sa.select(table.at_s, (sa.func.length(table.body) + packed).label("size"))
        oldest = oldest.where(table.sequence <= until).order_by(table.sequence).limit(rules.most_entries)
        some = oldest.subquery()
        waiting = sa.select(sa.func.count(), sa.func.sum(some.c.size), sa.func.min(some.c.at_s))
        with self._engine.connect() as connection:
            count, size, oldest_s = connection.execute(waiting.select_from(some)).one()
        if not count:
            return False
        return bool(size >= rules.least_bytes or count >= rules.most_entries or at_s - oldest_s >= rules.longest_s)

    def _write_segment(self, until: int, at_s: float) -> int:
        """Write and index one segment of the oldest entries of the table; return how many it has."""
        segments = self._segments()
        after, before_sha256 = (segments[-1].last, segments[-1].last_sha256) if segments else (0, GENESIS)
        entries = self._oldest(after, until)
        _check_chain(entries, after, before_sha256, redacted_entries(self._engine))
        head, content = segment_bytes(entries, before_sha256)
        segment = placed(self._folder(), head, content)
        self._journal.append(ARCHIVED, at_s, {**segment.body(), **self._known.stated([*segments, segment])})
        self._journal.flush_now()
        with self._engine.begin() as connection:
            connection.execute(sa.insert(archived_segments), [segment.body()])
        self._delete_until(segment.last)
        return segment.count

    def _folder(self) -> Path:
        folder = self._shelf.folder
        if folder is None:
            raise AuditError("there is no folder of segments; give VPP_RECORD_ARCHIVE")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _oldest(self, after: int, until: int) -> Sequence[StoredEntry]:
        """Return the oldest entries of the table, as many as one segment takes."""
        entries: list[StoredEntry] = []
        size = 0
        for entry in stored_entries(self._engine, self._shelf, after=after, until=until):
            entries.append(entry)
            size += entry.body.size
            if size >= self._rules.most_bytes or len(entries) >= self._rules.most_entries:
                break
        return entries

    def _delete_until(self, last: int) -> None:
        """Delete entries that are in segments, some at a time."""
        with self._engine.connect() as connection:
            first = connection.execute(sa.select(sa.func.min(journal.c.sequence))).scalar()
        for begin in range(first or last + 1, last + 1, _PAGE):
            some = journal.c.sequence < min(begin + _PAGE, last + 1)
            with self._engine.begin() as connection:
                connection.execute(sa.delete(journal).where(some))


def _check_chain(entries: Sequence[StoredEntry], after: int, before_sha256: str, redacted: Redactions) -> None:
    """Refuse entries that are no chain: what is damaged in the table is not to be found in an archive later."""
    sequence, sha256 = after, before_sha256
    for entry in entries:
        sequence += 1
        if entry.sequence != sequence:
            raise AuditError(f"journal entry {sequence} is missing; nothing from there on is archived")
        if not is_sound(entry, sha256, redacted):
            raise AuditError(f"journal entry {sequence} does not match its hash; nothing from there on is archived")
        sha256 = entry.sha256


def _sweep(engine: sa.Engine, shelf: SegmentShelf) -> None:
    """Delete files a crash has left: unfinished, still in the table, or pruned; set aside what is known nowhere."""
    segments = shelf.all()
    names, first = {one.name for one in segments}, segments[0].first if segments else 0
    for path in sorted(Path(str(shelf.folder)).glob(f"*{ENDING}*")):
        if path.name in names or path.name.endswith(_LOST):
            continue
        if path.name.endswith(TEMPORARY) or _is_needless(engine, path, first, segments):
            path.unlink()
        else:
            _log.warning("a segment that this journal does not know is set aside", file=str(path))
            path.rename(path.with_name(path.name + _LOST))


def _is_needless(engine: sa.Engine, path: Path, first: int, segments: Sequence[Segment]) -> bool:
    """Return whether a file's entries are pruned, all still in the table, or in a segment that was written again."""
    try:
        head = head_of(path.read_bytes())
    except FrameError:
        return False
    here = (journal.c.sequence >= head.first) & (journal.c.sequence <= head.last)
    last = sa.select(journal.c.sha256).where(journal.c.sequence == head.last)
    with engine.connect() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(journal).where(here)).scalar()
        same = connection.execute(last).scalar() == head.last_sha256
    return head.last < first or (count == head.count and same) or is_replaced(path.name, head, segments)
