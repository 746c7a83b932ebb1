"""Checkpoints: the state after an entry of the journal, and the entry that vouches for it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

CHECKPOINT = "record.checkpoint"
"""Kind of the entry that follows a checkpoint, so that the chain covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State after the entries up to one of them.

    Attributes:
        sequence: Position of the last entry that the state covers.
        at_s: Epoch seconds when it was made.
        version: Product and format that made it; another product does not read it.
        chain_sha256: Hash of the entry at ``sequence``.
        body: The state as bytes (`vpp.record.state_codec`).
    """

    sequence: int
    at_s: float
    version: str
    chain_sha256: str
    body: bytes

    @property
    def sha256(self) -> str:
        """Hash of the body, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    def entry(self) -> dict[str, object]:
        """Return the body of the entry that vouches for it."""
        return {
            "sequence": self.sequence,
            "chain_sha256": self.chain_sha256,
            "sha256": self.sha256,
            "version": self.version,
            "bytes": len(self.body),
        }

    def is_vouched_by(self, body: Mapping[str, object]) -> bool:
        """Return whether an entry of kind ``CHECKPOINT`` is about this very checkpoint."""
        return body.get("sequence") == self.sequence and body.get("sha256") == self.sha256
