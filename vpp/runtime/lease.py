"""Lease of leadership: who leads the fleet, as all its services see it in their database."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """The lease as it stands in the database.

    Attributes:
        holder: Process that holds it; empty once it was given back.
        epoch: Of the last leader.
        until_s: Wall epoch seconds until which the holder believes to lead; for people, nobody judges by it.
        address: Where the holder serves HTTP.
        renewals: Rises whenever the holder shows that it lives.
        visits: Rises whenever a standby looks.
    """

    holder: str
    epoch: int
    until_s: float
    address: str
    renewals: int
    visits: int

    @property
    def free(self) -> bool:
        """Nobody holds it: it was given back, or never taken."""
        return not self.holder


class LeaseTable(Protocol):
    """The one lease of a fleet. Every call is one transaction, blocks, and raises StorageError while that fails."""

    def look(self) -> LeaseRecord:
        """Return the lease as it stands."""
        ...

    def visit(self) -> None:
        """Let the holder know that a standby watches."""
        ...

    def take(self, seen: LeaseRecord, holder: str, *, address: str, until_s: float) -> int | None:
        """Take the lease as it was ``seen``; return an epoch above every earlier one, ``None`` where it has changed."""
        ...

    def renew(self, holder: str, epoch: int, *, until_s: float) -> int | None:
        """Renew the lease and return the visits so far, ``None`` where another process has taken it."""
        ...

    def give_back(self, holder: str, epoch: int) -> None:
        """Free the lease, unless another process has taken it."""
        ...
