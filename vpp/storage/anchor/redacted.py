"""Redacted entries taken out of a walk: what is left of each is what a covered entry says is left."""

from collections.abc import Sequence

from vpp.record.heads import SignedHead
from vpp.storage.anchor.chain_walk import Walk


def without_redacted(walked: Walk, heads: Sequence[SignedHead]) -> int:
    """Take redacted entries out of the altered ones of a walk; return how many there were.

    An entry ``record.redacted`` counts once a signed head covers it that stands in the chain: whoever can write to the
    database only can have nothing redacted.

    Args:
        walked: What was met.
        heads: Heads that bind and have a good signature.
    """
    covered = max(
        (head.sequence for head in heads if walked.stamps.get(head.sequence, ("",))[0] == head.sha256), default=0
    )
    left = [
        (sequence, sha256) for sequence, sha256 in walked.altered if not _vouched(walked, sequence, sha256, covered)
    ]
    count = len(walked.altered) - len(left)
    walked.altered, walked.altered_count = left, walked.altered_count - count
    return count


def _vouched(walked: Walk, sequence: int, sha256: str, covered: int) -> bool:
    return walked.redactions.get((sequence, sha256), covered + 1) <= covered
