"""Verification of a start: archived entries by the hashes of their files, everything else entry by entry.

A journal of years takes minutes to be computed again, its files seconds to be hashed. They may be taken for what they
were when they were written if an entry says so that cannot be forged: the last one that changed the archive states the
manifest of all segments; it lies in the table, whose chain is computed from the hash after the last segment to its end;
and a signed head covers it. So the hash after the last segment is covered as well, the index of segments has to have
the manifest that is stated, and every file has to have the digest of the index. Whatever is not so, for whatever
reason, is left to the whole verification, which knows what to say of it.
"""

import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import sqlalchemy as sa

from vpp.record.heads import SignedHead
from vpp.record.verification import Verification
from vpp.storage.anchor.chain_walk import Progress, Walk, walk_table
from vpp.storage.anchor.redacted import without_redacted
from vpp.storage.anchor.verification import AnchorPlace, Comparison, verify_record
from vpp.storage.segments.manifest import manifest_of
from vpp.storage.segments.shelf import Segment, SegmentError, SegmentShelf

_MOST_THREADS: Final = 4
"""Files that are hashed at a time; the hash leaves the interpreter to others."""


def verify_start(engine: sa.Engine, place: AnchorPlace, progress: Progress = lambda _: None) -> Verification:
    """Verify as much as proves the record unchanged; the whole of it where that is not enough. Writes nothing.

    Raises:
        ConfigurationError: The key cannot be used.
        OSError: The heads cannot be read.
    """
    found = None
    with suppress(sa.exc.DatabaseError, sqlite3.DatabaseError, SegmentError):  # the whole one says what of it
        found = _by_digest(engine, place, progress)
    return verify_record(engine, place, progress) if found is None or not found.holds else found


def _by_digest(engine: sa.Engine, place: AnchorPlace, progress: Progress) -> Verification | None:
    """Return what is found without reading archived entries, ``None`` where that cannot be decided."""
    shelf = SegmentShelf.of(engine, place.archive)
    segments = shelf.all()
    if not segments:
        return None
    compared = Comparison.of(engine, place)
    walked = walk_table(engine, shelf, compared.wanted, progress, segments[-1])
    redacted = without_redacted(walked, compared.outside.binding)
    if not _vouched_for(walked, segments, compared.outside.binding):
        return None
    archived = _check_files(shelf, segments, progress)
    walked.manifest = walked.stated.manifest
    return compared.result(engine, walked, redacted=redacted, by_digest=archived)


def _vouched_for(walked: Walk, segments: Sequence[Segment], heads: Sequence[SignedHead]) -> bool:
    """Return whether an entry that the last signed head covers states these very segments."""
    stated, last = walked.stated, heads[-1] if heads else None
    covered = last is not None and stated.sequence <= last.sequence
    if not covered or walked.marred or walked.moved or not stated.manifest:
        return False
    return _stands(walked, heads[-1]) and stated.manifest == manifest_of(segments)


def _stands(walked: Walk, head: SignedHead) -> bool:
    """Return whether the walk has met the entry of a head with the head's hash."""
    return walked.stamps.get(head.sequence, ("",))[0] == head.sha256


def _check_files(shelf: SegmentShelf, segments: Sequence[Segment], progress: Progress) -> int:
    """Compare every file with its digest, some at a time; return the number of entries. Raises SegmentError."""
    count = 0
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), thread_name_prefix="digest") as pool:
        for segment, _ in zip(segments, pool.map(shelf.check, segments), strict=True):
            count += segment.count
            progress(count)
    return count
