"""Manifest of the archive: one hash over all of its segments, stated by the entries that change it.

Whoever trusts such an entry trusts the index of segments that has its hash, and with it every file that has the digest
of the index, without reading what the files hold.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from vpp.domain.errors import AuditError
from vpp.storage.segments.shelf import Segment

MANIFEST: Final = "manifest"
"""Field of the entries ``record.archived`` and ``record.pruned`` with the manifest of the segments there are then."""
_FORM: Final = "vpp.segments.1"


def manifest_of(segments: Sequence[Segment]) -> str:
    """Return the hash over every field of every segment, oldest first, hexadecimal.

    It is SHA-256 of the JSON of ``["vpp.segments.1", segment, ...]``, keys sorted.
    """
    content = orjson.dumps([_FORM, *(segment.body() for segment in segments)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()


class KnownSegments:
    """Manifest of the segments that were verified at the start and changed since by this process only.

    It is never read back from the database: whoever can write there must not have his own index vouched for.
    """

    def __init__(self) -> None:
        self._manifests: tuple[str, ...] = ()

    def verified(self, manifest: str | None) -> None:
        """Take the manifest that a verification has found to hold, ``None`` where it is not known."""
        self._manifests = () if manifest is None else (manifest,)

    def check(self, segments: Sequence[Segment]) -> None:
        """Refuse an index that somebody else has changed.

        Raises:
            AuditError: The segments are not those that are known.
        """
        if not self._manifests:
            return
        found = manifest_of(segments)
        if found not in self._manifests:
            raise AuditError(
                "the index of segments (table archived_segments) was changed since it was verified; nothing is archived"
                " or pruned until the next start verifies it: run vpp audit verify"
            )
        self._manifests = (found,)

    def stated(self, segments: Sequence[Segment]) -> Mapping[str, object]:
        """Return what the entry says that makes ``segments`` of those checked last; nothing where none are known.

        Until the next check either holds: the change may come to nothing after its entry is written.
        """
        if not self._manifests:
            return {}
        manifest = manifest_of(segments)
        self._manifests = (self._manifests[0], manifest)
        return {MANIFEST: manifest}
