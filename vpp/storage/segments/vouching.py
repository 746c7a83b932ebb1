"""Entries that vouch for segments: each is named with its digest, and what was pruned is said."""

from collections.abc import Sequence

from vpp.domain.errors import FrameError
from vpp.record.stored_body import StoredBody, read_body
from vpp.storage.segments.shelf import ARCHIVED, PRUNED, Segment, SegmentError

_RESTORE = "restore database and archive from one backup"
KINDS = frozenset({ARCHIVED, PRUNED})
"""Kinds of entries that say something of the archive."""


class Vouching:
    """What the chain says of its own archive, gathered on a walk over it.

    Args:
        first: Sequence of the first entry kept.
        before_sha256: Hash of the entry before it.
    """

    def __init__(self, first: int, before_sha256: str) -> None:
        self._begin = (first, before_sha256)
        self._pruned = first == 1
        self._digests: dict[str, str] = {}

    def note(self, kind: str, stored: StoredBody) -> None:
        """Take an entry of the walk; only those of ``KINDS`` say anything, and only as long as they can be read."""
        if kind not in KINDS:
            return
        try:
            body = read_body(*stored)
        except FrameError:
            return
        if kind == ARCHIVED:
            self._digests[str(body.get("name"))] = str(body.get("digest"))
        else:
            self._pruned |= (body.get("first"), body.get("before_sha256")) == self._begin

    def check(self, segments: Sequence[Segment]) -> None:
        """Refuse segments the chain does not vouch for; raises SegmentError."""
        first, _ = self._begin
        if not self._pruned:
            raise SegmentError(
                f"journal entries 1 to {first - 1} are missing, and no entry {PRUNED} says that they were pruned",
                _RESTORE,
            )
        for segment in segments:
            digest = self._digests.get(segment.name)
            if digest != segment.digest:
                raise SegmentError(
                    f"segment {segment.name} has digest {segment.digest} in the index, and {digest} in the journal",
                    _RESTORE,
                )
