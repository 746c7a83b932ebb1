"""Decision of an operator to accept the journal as it stands, signed like a head."""

from dataclasses import asdict, dataclass

import orjson

from vpp.domain.errors import FrameError
from vpp.record.heads import HeadKey, signature_holds

RESTORED = "record.restored"
"""Kind of the journal entry that a decision becomes."""
_FORM = "vpp.restore.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreDecision:
    """Acceptance of a record that does not verify.

    Attributes:
        actor: Who decided.
        reason: Why.
        at_s: When, epoch seconds.
        signature: Ed25519, hexadecimal.
    """

    actor: str
    reason: str
    at_s: float
    signature: str = ""

    @classmethod
    def signed(cls, key: HeadKey, *, actor: str, reason: str, at_s: float) -> "RestoreDecision":
        """Return a decision with its signature."""
        unsigned = cls(actor=actor, reason=reason, at_s=at_s)
        return cls(actor=actor, reason=reason, at_s=at_s, signature=key.signature(unsigned.content()))

    def content(self) -> bytes:
        """Return the bytes that are signed."""
        return orjson.dumps([_FORM, self.actor, self.reason, self.at_s])

    def verified(self, public: str) -> bool:
        """Return whether the private key of ``public`` signed it."""
        return signature_holds(self.content(), self.signature, public)

    def text(self) -> bytes:
        """Return the decision as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: bytes) -> "RestoreDecision":
        """Return the decision that ``text`` was called on; raises FrameError."""
        try:
            content = orjson.loads(text)
            return cls(
                actor=str(content["actor"]),
                reason=str(content["reason"]),
                at_s=float(content["at_s"]),
                signature=str(content["signature"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FrameError(f"no decision on a restore: {error!r}") from error
