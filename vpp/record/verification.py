"""Result of verifying the record: what was checked, and each finding with what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vpp.record.entry import Head
from vpp.record.heads import SignedHead


class FindingKind(StrEnum):
    """Kind of a fault of the record."""

    DAMAGED = "damaged"
    ALTERED = "altered"
    GAP = "gap"
    SEGMENT = "segment"
    REWRITTEN = "rewritten"
    CUT = "cut"
    DELETED = "deleted"
    WAL_CUT = "wal_cut"
    OLDER_STATE = "older_state"
    OTHER_FLEET = "other_fleet"
    HEADS_MISSING = "heads_missing"
    HEADS_CUT = "heads_cut"
    HEADS_UNREADABLE = "heads_unreadable"
    SIGNATURE = "signature"
    KEY_EXCHANGED = "key_exchanged"
    KEY_MISSING = "key_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of the record.

    Attributes:
        kind: Kind of fault.
        sequence: Entry it concerns, the first of several; ``None`` where it concerns none.
        text: What was found.
        action: What to do.
        sha256: Hash of the entry as it stands now, where it was altered; of the text, where a segment is at
            fault; of what is missing and of the entry after it, where entries are.
    """

    kind: FindingKind
    text: str
    action: str
    sequence: int | None = None
    sha256: str | None = None

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {"kind": self.kind.value, "sequence": self.sequence, "text": self.text, "action": self.action}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of verifying the record.

    Attributes:
        entries: Entries verified.
        head: The last of them.
        heads: Signed heads compared with the journal.
        last_head: The last of these, ``None`` where there is none.
        unprotected: Entries after the last signed head: whoever can write the database can change them unseen until
            the next head.
        by_digest: Of the entries, those in archived files that were compared by the files' hashes and not read.
        manifest: Manifest of the archive that was found to hold (`vpp.storage.segments.manifest`), ``None`` where it
            is not known to be whole.
        findings: Faults; without any, the record is trusted.
        notes: What is worth knowing and no fault.
    """

    entries: int
    head: Head
    heads: int
    last_head: SignedHead | None
    unprotected: int
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    by_digest: int = 0
    manifest: str | None = None

    @property
    def holds(self) -> bool:
        """The record is complete and unchanged as far as can be known."""
        return not self.findings

    @property
    def reason(self) -> str:
        """The findings in one line, empty where there are none."""
        return "; ".join(finding.text for finding in self.findings)

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        last = self.last_head
        return {
            "verified": self.holds,
            "entries": self.entries,
            "head_sequence": self.head.sequence,
            "head_sha256": self.head.sha256,
            "heads": self.heads,
            "last_head_sequence": None if last is None else last.sequence,
            "last_head_at_s": None if last is None else last.at_s,
            "unprotected": self.unprotected,
            "findings": [finding.body() for finding in self.findings],
            "notes": list(self.notes),
        }
