"""Faults inside the chain that an operator has accepted: they stay there, and are none any more."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.record.decisions import RESTORED
from vpp.record.heads import SignedHead
from vpp.record.verification import FindingKind
from vpp.storage.anchor.chain_walk import Gap, Walk
from vpp.storage.segments.reading import stored_entries
from vpp.storage.segments.shelf import SegmentShelf


def without_accepted(
    engine: sa.Engine, walked: Walk, restores: Sequence[SignedHead], archive: Path | None = None
) -> int:
    """Take the accepted faults out of a walk and return how many there were.

    Args:
        engine: The database.
        walked: What was met.
        restores: Heads with a good signature that accepted a restore; the entry each of them covers last names the
            faults, an altered entry with the hash of its content, and a gap with its end and the content of the entry
            after it, so that a second change is no accepted one.
        archive: Folder of the segments; ``None`` for the one beside an SQLite file.
    """
    shelf = SegmentShelf.of(engine, archive)
    accepted = {
        (fault.get("kind"), fault.get("sequence"), fault.get("sha256"))
        for head in restores
        for fault in _faults(engine, shelf, head)
    }
    before = walked.altered_count + walked.gaps_count + len(walked.faults)
    altered = [fault for fault in walked.altered if (FindingKind.ALTERED.value, *fault) not in accepted]
    walked.altered_count -= len(walked.altered) - len(altered)
    walked.altered = altered
    gaps = [gap for gap in walked.gaps if accepted.isdisjoint(_named(gap))]
    walked.gaps_count -= len(walked.gaps) - len(gaps)
    walked.gaps = gaps
    walked.faults = [f for f in walked.faults if (FindingKind.SEGMENT.value, None, digest_of(f.text)) not in accepted]
    return before - walked.altered_count - walked.gaps_count - len(walked.faults)


def digest_of(text: str) -> str:
    """Return the hash of what was found, by which it is known again."""
    return hashlib.sha256(text.encode()).hexdigest()


def gap_digest(gap: Gap) -> str:
    """Return what tells a run of missing entries from a longer one, and from one before an entry that was changed."""
    return digest_of(f"{gap.first} {gap.last} {gap.next_sha256}")


def _named(gap: Gap) -> Iterator[tuple[str, int, str]]:
    """Yield the names under which a gap may be accepted; earlier versions left out the entry after it."""
    for digest in (gap_digest(gap), digest_of(f"{gap.first} {gap.last}")):
        yield FindingKind.GAP.value, gap.first, digest


def _faults(engine: sa.Engine, shelf: SegmentShelf, head: SignedHead) -> Sequence[Mapping[str, Any]]:
    """Return what the entry of an accepted restore names, nothing where it is not the one that the head covers."""
    try:
        stored = next(stored_entries(engine, shelf, after=head.sequence - 1, until=head.sequence), None)
        if stored is None or (stored.kind, stored.sha256) != (RESTORED, head.sha256):
            return []
        accepted: Any = stored.entry().body.get("accepted", [])
    except AuditError:
        return []
    return [fault for fault in accepted if isinstance(fault, dict)]
