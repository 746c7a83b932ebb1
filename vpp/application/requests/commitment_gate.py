"""Gate of new commitments: kept back while a crash would forget them, or while the record is not trusted."""

from vpp.application.loops.durability import Durability
from vpp.application.trust.record_trust import RecordTrust


class CommitmentGate:
    """Lets new commitments pass, and has the record's head vouch for those that were made."""

    def __init__(self, durability: Durability, trust: RecordTrust) -> None:
        self._durability = durability
        self._trust = trust

    async def require(self) -> None:
        """Return if something new may be promised.

        Raises:
            StorageError: Decisions cannot be stored now.
            UnverifiedError: The record is being verified, or does not hold.
        """
        self._durability.require()
        await self._trust.require()

    async def made(self) -> None:
        """Have the signed head cover a commitment that is durable."""
        await self._trust.committed()
