"""Entries that vouch for segments: each is named with its digest, and what was pruned is said."""

from collections.abc import Sequence

from vpp.domain.errors import AuditError
from vpp.record.stored_entry import StoredEntry
from vpp.storage.segments.shelf import ARCHIVED, PRUNED, Segment


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

    def note(self, stored: StoredEntry) -> None:
        """Take an entry of the walk; only those about the archive say anything."""
        if stored.kind == ARCHIVED:
            body = stored.entry().body
            self._digests[str(body["name"])] = str(body["digest"])
        elif stored.kind == PRUNED:
            body = stored.entry().body
            self._pruned |= (body["first"], body["before_sha256"]) == self._begin

    def check(self, segments: Sequence[Segment]) -> None:
        """Refuse segments the chain does not vouch for; raises AuditError."""
        first, _ = self._begin
        if not self._pruned:
            raise AuditError(
                f"journal entries 1 to {first - 1} are missing, and no entry {PRUNED} says that they were pruned;"
                " restore database and archive from one backup"
            )
        for segment in segments:
            digest = self._digests.get(segment.name)
            if digest != segment.digest:
                raise AuditError(
                    f"segment {segment.name} has digest {segment.digest} in the index, and {digest} in the journal;"
                    " restore database and archive from one backup"
                )
