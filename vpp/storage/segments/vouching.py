"""Entries that vouch for segments: each is named with its digest, and what was pruned is said."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vpp.domain.errors import FrameError
from vpp.record.stored_body import StoredBody, read_body
from vpp.storage.segments.manifest import MANIFEST
from vpp.storage.segments.shelf import ARCHIVED, PRUNED, Segment, SegmentError

_RESTORE = "restore database and archive from one backup"
KINDS = frozenset({ARCHIVED, PRUNED})
"""Kinds of entries that say something of the archive."""


class Statement(NamedTuple):
    """Statement of an entry about all segments.

    Attributes:
        sequence: The entry, 0 for none.
        manifest: Manifest of the segments there were then, empty where it says none.
    """

    sequence: int = 0
    manifest: str = ""


class Vouching:
    """What the chain says of its own archive, gathered on a walk over it.

    Args:
        first: Sequence of the first entry kept.
        before_sha256: Hash of the entry before it.

    Attributes:
        newest: Statement of the last entry that changed the archive.
    """

    def __init__(self, first: int, before_sha256: str) -> None:
        self._begin = (first, before_sha256)
        self._pruned = first == 1
        self._named: dict[str, Mapping[str, object]] = {}
        self.newest = Statement()

    def note(self, sequence: int, kind: str, stored: StoredBody) -> None:
        """Take an entry of the walk; only those of ``KINDS`` say anything, and only as long as they can be read."""
        if kind not in KINDS:
            return
        self.newest = Statement(sequence)
        try:
            body = read_body(*stored)
        except FrameError:
            return
        self.newest = Statement(sequence, str(body.get(MANIFEST) or ""))
        if kind == ARCHIVED:
            self._named[str(body.get("name"))] = body
        else:
            self._pruned |= (body.get("first"), body.get("before_sha256")) == self._begin

    def faults(self, segments: Sequence[Segment]) -> Iterator[SegmentError]:
        """Yield a fault for a beginning that nothing says was pruned, and for every segment not vouched for."""
        first, _ = self._begin
        if not self._pruned:
            yield SegmentError(
                f"journal entries 1 to {first - 1} are missing, and no entry {PRUNED} says that they were pruned",
                _RESTORE,
            )
        for segment in segments:
            named, indexed = self._named.get(segment.name, {}), segment.body()
            wrong = [field for field in ("digest", *indexed) if named.get(field) != indexed[field]]
            if wrong:
                field = wrong[0]
                yield SegmentError(
                    f"segment {segment.name} has {field} {indexed[field]} in the index, and {named.get(field)} in the"
                    " journal",
                    _RESTORE,
                )

    def check(self, segments: Sequence[Segment]) -> None:
        """Refuse segments the chain does not vouch for; raises SegmentError."""
        for fault in self.faults(segments):
            raise fault
