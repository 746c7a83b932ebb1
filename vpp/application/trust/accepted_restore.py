"""Acceptance of a record that does not verify: an entry that says so, and a head that vouches for it."""

from collections.abc import Mapping

from vpp.domain.errors import ConflictError
from vpp.ports import Journal, RecordAnchor
from vpp.record.decisions import RESTORED, RestoreDecision
from vpp.record.verification import FindingKind, Verification


def check_acceptable(found: Verification) -> None:
    """Raise ConflictError where a record cannot be accepted as it stands, whoever decides."""
    damaged = [finding.text for finding in found.findings if finding.kind is FindingKind.DAMAGED]
    if damaged:
        raise ConflictError(f"a damaged database cannot be accepted, only restored from a backup: {damaged[0]}")
    unnamed = {finding.kind for finding in found.findings if finding.sequence is None}
    if FindingKind.ALTERED in unnamed:
        raise ConflictError("too many entries do not match their hashes; restore the database from a backup")
    if FindingKind.GAP in unnamed:
        raise ConflictError("entries are missing in too many places; restore the database from a backup")


def accepted_faults(found: Verification) -> list[Mapping[str, object]]:
    """Return the faults inside the chain that stay there once they are accepted."""
    return [
        {"kind": finding.kind.value, "sequence": finding.sequence, "sha256": finding.sha256}
        for finding in found.findings
        if finding.kind in {FindingKind.ALTERED, FindingKind.GAP, FindingKind.SEGMENT}
    ]


def note_acceptance(journal: Journal, found: Verification, decision: RestoreDecision, at_s: float) -> None:
    """Append the entry that records a decision; ``at_s`` is epoch seconds."""
    last = found.last_head
    journal.append(
        RESTORED,
        at_s,
        {
            "actor": decision.actor,
            "reason": decision.reason,
            "decided_s": decision.at_s,
            "old_head": None if last is None else {"sequence": last.sequence, "sha256": last.sha256},
            "new_head": {"sequence": found.head.sequence, "sha256": found.head.sha256},
            "findings": [finding.body() for finding in found.findings],
            "accepted": accepted_faults(found),
        },
    )


def vouch_for_acceptance(journal: Journal, anchor: RecordAnchor, at_s: float) -> None:
    """Sign the head of a journal whose acceptance is durable, and take the decision away; blocks."""
    anchor.export(journal.head(), at_s, restored=True)
    anchor.decided()
