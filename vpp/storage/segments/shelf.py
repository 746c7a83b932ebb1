"""Segments of a journal: their index in SQL, their files in one folder."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from vpp.domain.errors import AuditError, FrameError
from vpp.record.segment import SegmentHead, segment_entries
from vpp.record.stored_entry import StoredEntry
from vpp.storage.sql import archived_segments

ARCHIVED = "record.archived"
"""Kind of the entry that names a segment: first, last, hashes, digest."""
PRUNED = "record.pruned"
"""Kind of the entry about the oldest segments deleted by setting: with the first entry kept and the hash before it."""
ENDING = ".vppr"
_RESTORE = "copy it back from a backup of VPP_RECORD_ARCHIVE, or restore database and archive from one backup"


class SegmentError(AuditError):
    """A segment that is missing, damaged or not vouched for.

    Attributes:
        text: What was found.
        action: What to do.
    """

    def __init__(self, text: str, action: str = _RESTORE) -> None:
        super().__init__(f"{text}; {action}")
        self.text = text
        self.action = action


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(SegmentHead):
    """One segment of the index.

    Attributes:
        name: Name of its file.
        digest: SHA-256 of its file, hexadecimal.
        size: Bytes of its file.
    """

    name: str
    digest: str
    size: int

    def body(self) -> dict[str, object]:
        """Return it as the body of a journal entry."""
        return asdict(self)


class SegmentShelf:
    """Finds and reads the segments of one database; writes nothing.

    Args:
        engine: The database.
        folder: Folder of the files, ``None`` where there is none: for a database in memory.
    """

    def __init__(self, engine: sa.Engine, folder: Path | None) -> None:
        self._engine = engine
        self.folder = folder

    @classmethod
    def of(cls, engine: sa.Engine, archive: Path | None) -> "SegmentShelf":
        """Return the shelf in a folder; ``None`` for the one beside an SQLite file."""
        return cls(engine, archive or folder_beside(engine.url))

    def all(self) -> Sequence[Segment]:
        """Return every segment, oldest first."""
        rows = sa.select(archived_segments).order_by(archived_segments.c.first)
        with self._engine.connect() as connection:
            return [_segment(row) for row in connection.execute(rows)]

    def newest(self) -> Segment | None:
        """Return the newest segment, ``None`` where there is none."""
        last = sa.select(archived_segments).order_by(archived_segments.c.first.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(last).one_or_none()
        return None if row is None else _segment(row)

    def path(self, segment: Segment) -> Path:
        """Return the file of a segment.

        Raises:
            SegmentError: There is no folder of segments.
        """
        if self.folder is None:
            raise SegmentError(
                f"journal entries {segment.first} to {segment.last} are archived in {segment.name}",
                "give the folder of that file as VPP_RECORD_ARCHIVE",
            )
        return self.folder / segment.name

    def content(self, segment: Segment) -> bytes:
        """Return the bytes of a segment's file.

        Raises:
            SegmentError: It is missing, or not as it was written.
        """
        with self._opened(segment) as file:
            content = file.read()
        self._compare(segment, hashlib.sha256(content).hexdigest())
        return content

    def check(self, segment: Segment) -> None:
        """Compare a segment's file with its digest; reads it once, a piece at a time.

        Raises:
            SegmentError: It is missing, or not as it was written.
        """
        with self._opened(segment) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._compare(segment, digest)

    def entries(self, segment: Segment) -> Iterator[StoredEntry]:
        """Iterate the entries of a segment.

        Raises:
            SegmentError: Its file is missing or damaged, or holds another part of the chain.
        """
        try:
            yield from segment_entries(self.content(segment))
        except FrameError as error:
            raise SegmentError(f"{self.path(segment)} is damaged: {error}") from error

    @contextmanager
    def _opened(self, segment: Segment) -> Iterator[BufferedReader]:
        """Yield the file of a segment; what keeps it from being read is a SegmentError."""
        try:
            with self.path(segment).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise SegmentError(f"{self._named(segment)} is missing") from None
        except OSError as error:
            raise SegmentError(
                f"{self._named(segment)} cannot be read: {error.strerror}", f"check the disk, or {_RESTORE}"
            ) from error

    def _compare(self, segment: Segment, digest: str) -> None:
        if digest != segment.digest:
            raise SegmentError(f"{self._named(segment)} is damaged: its SHA-256 is {digest}, not {segment.digest}")

    def _named(self, segment: Segment) -> str:
        return f"{self.path(segment)} with journal entries {segment.first} to {segment.last}"


def segment_after(connection: sa.Connection, after: int) -> Segment | None:
    """Return the oldest segment with an entry beyond ``after``, ``None`` where the table has it."""
    table = archived_segments
    row = connection.execute(sa.select(table).where(table.c.last > after).order_by(table.c.first).limit(1))
    found = row.one_or_none()
    return None if found is None else _segment(found)


def folder_beside(url: URL) -> Path | None:
    """Return the folder of segments beside an SQLite file, ``None`` for any other database."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database)).expanduser().resolve().parent / "record"


def _segment(row: sa.Row[tuple[object, ...]]) -> Segment:
    return Segment(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
