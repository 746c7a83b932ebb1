"""Diagnosis of the record: what a walk over the chain and the signed heads say together."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vpp.domain.timegrid import instant
from vpp.record.entry import Head
from vpp.record.heads import SignedHead
from vpp.record.verification import Finding, FindingKind
from vpp.storage.anchor.acceptances import digest_of, gap_digest
from vpp.storage.anchor.chain_walk import Walk
from vpp.storage.anchor.places import MainFile, Occupant

DECIDE: Final = "vpp audit accept-restore --reason TEXT"
_RESTORE: Final = f"restore the database from a backup, then decide with {DECIDE}"
_NAMED: Final = 100
"""Altered entries and gaps that are findings of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known beside the chain.

    Attributes:
        fleet: Fleet of the database.
        heads: Signed heads that bind, oldest first.
        noted: Head that the database says was exported last.
        occupant: What was last vouched for at the database's place.
        main: Main file of the database as it is now.
        later: Returns the first entry that was made after an epoch second.
        set_aside: Sequences of entries that starts took for torn ones and moved out of the journal.
    """

    fleet: str
    heads: Sequence[SignedHead]
    noted: Head | None = None
    occupant: Occupant | None = None
    main: MainFile | None = None
    later: Callable[[float], int | None] = lambda _: None
    set_aside: Collection[int] = ()


def chain_findings(walked: Walk) -> Iterator[Finding]:
    """Yield the faults that show in the chain alone."""
    if walked.stopped:
        yield Finding(
            kind=FindingKind.DAMAGED,
            sequence=walked.head.sequence + 1,
            text=f"the database cannot be read after entry {walked.head.sequence}: {walked.stopped}",
            action=f"check the disk; {_RESTORE}",
        )
    for fault in walked.faults[:_NAMED]:
        yield Finding(
            kind=FindingKind.SEGMENT,
            text=fault.text,
            action=f"{fault.action}, or {DECIDE}",
            sha256=digest_of(fault.text),
        )
    for sequence, sha256 in walked.altered[:_NAMED]:
        yield Finding(
            kind=FindingKind.ALTERED,
            sequence=sequence,
            sha256=sha256,
            text=f"journal entry {sequence} does not match its hash: its content, or its hash, was changed",
            action=f"compare the entry with a backup; {_RESTORE}",
        )
    if walked.altered_count > _NAMED:
        yield Finding(
            kind=FindingKind.ALTERED,
            text=f"{walked.altered_count} entries do not match their hashes, of which the first {_NAMED} are named",
            action=_RESTORE,
        )
    yield from _gap_findings(walked)


def _gap_findings(walked: Walk) -> Iterator[Finding]:
    for gap in walked.gaps[:_NAMED]:
        words = f"entry {gap.first} is" if gap.first == gap.last else f"entries {gap.first} to {gap.last} are"
        yield Finding(
            kind=FindingKind.GAP,
            sequence=gap.first,
            sha256=gap_digest(gap),
            text=f"journal {words} missing, and later ones follow",
            action=_RESTORE,
        )
    if walked.gaps_count > _NAMED:
        yield Finding(
            kind=FindingKind.GAP,
            text=f"entries are missing in {walked.gaps_count} places, of which the first {_NAMED} are named",
            action=_RESTORE,
        )


def anchor_findings(walked: Walk, evidence: Evidence) -> Iterator[Finding]:
    """Yield the fault that shows when the chain is compared with the signed heads, at most one."""
    heads, there = evidence.heads, evidence.occupant
    if there is not None and there.fleet != evidence.fleet:
        yield _other_database(walked, evidence, there)
        return
    if walked.stopped or not heads:
        return
    wrong = [head for head in heads if _stamp(walked, head) not in {None, head.sha256}]
    if wrong or any(head.sequence > walked.head.sequence for head in heads):
        yield _departed(walked, evidence, wrong)


def _stamp(walked: Walk, head: SignedHead) -> str | None:
    """Return the hash that stands at a head's sequence; ``None`` beyond the end or in a gap, a fault of its own."""
    found = walked.stamps.get(head.sequence)
    return None if found is None else found[0]


def _departed(walked: Walk, evidence: Evidence, wrong: Sequence[SignedHead]) -> Finding:
    """Return how the chain departs from the heads.

    Entries in the place of covered ones that were made after the last head are those of a service that went on.
    """
    last = evidence.heads[-1]
    later = evidence.later(last.at_s)
    went_on = later is not None and later <= last.sequence
    end = later - 1 if later is not None and went_on else walked.head.sequence
    if not end:
        return Finding(
            kind=FindingKind.DELETED,
            sequence=1,
            text=f"all {last.sequence} entries that the signed head of {_when(last)} covers were deleted"
            + (f"; {walked.count} later ones were begun anew" if walked.count else ""),
            action=_RESTORE,
        )
    rewritten = [head for head in wrong if head.sequence <= end]
    if rewritten:
        return _rewritten(walked, evidence, rewritten[0])
    return _behind(evidence, last, end, went_on=went_on)


def _rewritten(walked: Walk, evidence: Evidence, wrong: SignedHead) -> Finding:
    sound = [head.sequence for head in evidence.heads if _stamp(walked, head) == head.sha256]
    first = max((sequence for sequence in sound if sequence < wrong.sequence), default=0) + 1
    return Finding(
        kind=FindingKind.REWRITTEN,
        sequence=first,
        text=f"entries {first} to {wrong.sequence} are not those that the signed head of {_when(wrong)} covers,"
        " although each matches its hash: they were changed, and hashed again",
        action=f"take away write access from whoever had it; {_RESTORE}",
    )


def _behind(evidence: Evidence, last: SignedHead, end: int, *, went_on: bool) -> Finding:
    """Return why the end of the record is missing: deleted, lost with the write-ahead log, or an older copy."""
    lost = (
        f"the record ends with entry {end}"
        + (", from where a service went on," if went_on else "")
        + f" and the signed head of {_when(last)} covers entries up to {last.sequence}"
    )
    noted, there = evidence.noted, evidence.occupant
    if end + 1 in evidence.set_aside:
        return Finding(
            kind=FindingKind.ALTERED,
            sequence=end + 1,
            text=f"{lost}: entry {end + 1} could not be read or did not match its hash at a start and was set aside"
            " (table torn_entries); it was whole when the head was signed, so it was changed, and not torn by a crash",
            action=f"compare the entry with a backup; {_RESTORE}",
        )
    if noted is not None and noted.sequence > end:
        kind, why = FindingKind.CUT, "entries were deleted at the end, while the rest of the database is newer"
        action = _RESTORE
    elif there is not None and there.main is not None and there.main == evidence.main:
        kind, why = (
            FindingKind.WAL_CUT,
            ("the main file of the database is as it was then, so its write-ahead log (file -wal) was removed or cut"),
        )
        action = f"put the file -wal back beside the database if it still exists, else {_RESTORE}"
    else:
        kind, why = FindingKind.OLDER_STATE, "an older state of the database is in place, such as a backup"
        action = f"if you restored a backup, say so with {DECIDE}; if not, {_RESTORE}"
    return Finding(kind=kind, sequence=end + 1, text=f"{lost}: {why}", action=action)


def _other_database(walked: Walk, evidence: Evidence, there: Occupant) -> Finding:
    known = f"fleet {evidence.fleet!r}" if evidence.fleet else "no fleet"
    if evidence.heads:
        return Finding(
            kind=FindingKind.OTHER_FLEET,
            text=f"the database is that of {known}; at its place was that of fleet {there.fleet!r}, up to entry"
            f" {there.sequence}",
            action=f"put the right database back, or check VPP_DB_URL and VPP_DATA_DIR; if it moved, {DECIDE}",
        )
    return Finding(
        kind=FindingKind.DELETED,
        sequence=1,
        text=f"the database of fleet {there.fleet!r}, with entries up to {there.sequence}, is gone; in its place is one"
        f" of {known} with {walked.count} entries",
        action=f"{_RESTORE}; after a new beginning on purpose, {DECIDE}",
    )


def _when(head: SignedHead) -> str:
    return instant(head.at_s).isoformat(timespec="seconds")
