"""Names in clear taken out of the entries of earlier versions, in table and segments; the chain stays as it is.

::

    find ──► state: entry record.redacted, new segments with entries record.archived ──► a signed head covers them
                          ──► carry_out: rows and index, in the transaction of the erasure ──► tidy: old files deleted

A crash at any point leaves a record that verifies, and the same erasure again completes it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import sqlalchemy as sa

from vpp.record.erasure.redaction import REDACTED, ErasedNames, redaction_body
from vpp.record.names.sealing import PERSONAL
from vpp.record.segment import segment_bytes
from vpp.record.stored_body import stored_body
from vpp.record.stored_entry import StoredEntry
from vpp.storage.journal import SqlJournal
from vpp.storage.segments.manifest import KnownSegments
from vpp.storage.segments.placing import placed, sweep_replaced
from vpp.storage.segments.reading import first_link, stored_entries
from vpp.storage.segments.shelf import ARCHIVED, Segment
from vpp.storage.sql import archived_segments, journal, storing, torn_entries

Progress = Callable[[int], object]
"""Called with the number of entries read so far."""
_SHOWN_EVERY = 1000


class EntryRedaction:
    """Takes names out of one journal; calls block, and no other process may write to it.

    Args:
        engine: The database.
        chain: The journal.
        names: Names that are erased.
    """

    def __init__(self, engine: sa.Engine, chain: SqlJournal, names: ErasedNames) -> None:
        self._engine, self._chain, self._names = engine, chain, names
        self._left: dict[int, StoredEntry] = {}
        self._hashes: dict[int, str] = {}
        self._segments: dict[str, Segment] = {}

    def find(self, progress: Progress = lambda _: None) -> int:
        """Read every entry; return how many hold a name that is to be erased.

        Raises:
            AuditError: An entry or a segment cannot be read.
        """
        shelf = self._chain.shelf
        _, before = first_link(shelf)
        for count, stored in enumerate(stored_entries(self._engine, shelf), start=1):
            if stored.kind in PERSONAL:
                self._take(stored, before)
            before = stored.sha256
            if count % _SHOWN_EVERY == 0:
                progress(count)
        return len(self._left)

    def state(self, at_s: float, known: KnownSegments) -> None:
        """Append durably what vouches for the entries as they will be, and write the segments that hold some of them.

        Args:
            at_s: The present, epoch seconds.
            known: The segments as they were verified.

        Raises:
            StorageError: The database takes nothing now.
            OSError: The folder of segments cannot be written.
        """
        if not self._left:
            return
        self._chain.append(REDACTED, at_s, redaction_body(sorted(self._hashes.items())))
        segments = list(self._chain.shelf.all())
        known.check(segments)
        for place, segment in enumerate(segments):
            if any(segment.first <= sequence <= segment.last for sequence in self._left):
                segments[place] = self._segments[segment.name] = self._written_again(segment)
                stated = known.stated(segments)
                self._chain.append(ARCHIVED, at_s, {**segments[place].body(), **stated})
        self._chain.flush_now()

    def carry_out(self, connection: sa.Connection) -> None:
        """Put what is left in the place of the entries, within a transaction."""
        for name, segment in self._segments.items():
            here = archived_segments.c.name == name
            connection.execute(sa.update(archived_segments).where(here).values(segment.body()))
        for sequence, left in self._left.items():
            values = {"body": left.body.text, "packed": left.body.packed or None}
            connection.execute(sa.update(journal).where(journal.c.sequence == sequence).values(values))
        # What a crash has torn is no part of the chain, and nobody can tell what stands in it.
        connection.execute(sa.update(torn_entries).values(body="null", packed=None))

    def tidy(self) -> None:
        """Delete the files of segments that were written again, also those that an earlier erasure has left."""
        with storing("the archive of the journal"):
            sweep_replaced(self._chain.shelf)

    def _take(self, stored: StoredEntry, before_sha256: str) -> None:
        left = self._names.left_of(stored.kind, stored.entry().body)
        if left is not None:
            self._left[stored.sequence] = kept = replace(stored, body=stored_body(left))
            self._hashes[stored.sequence] = kept.linked(before_sha256)

    def _written_again(self, segment: Segment) -> Segment:
        shelf = self._chain.shelf
        left: Mapping[int, StoredEntry] = self._left
        entries = [left.get(entry.sequence, entry) for entry in shelf.entries(segment)]
        head, content = segment_bytes(entries, segment.before_sha256)
        return placed(shelf.path(segment).parent, head, content, again=True)
