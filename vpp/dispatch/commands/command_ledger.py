"""Ledger of commands: how each one that was sent ended, none left unexplained."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vpp.domain.setpoint import Reason
from vpp.record.state_codec import StateTree


class Fate(StrEnum):
    """End of a command; each sent command ends in exactly one of these."""

    CONFIRMED = "confirmed"
    """Accepted, and shown by the meter or the read-back."""
    REFUSED = "refused"
    """Refused by the device side."""
    UNREACHABLE = "unreachable"
    """Not delivered, or never answered."""
    SUPERSEDED = "superseded"
    """Replaced by a newer command for the row."""
    IGNORED = "ignored"
    """Accepted, but not shown by the meter in time."""
    EXPIRED = "expired"
    """Its lease or its time for confirmation ended first: the device was lost, or released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCounts:
    """Commands so far.

    Attributes:
        sent: Handed to the links.
        accepted: Of these, accepted by their devices.
        pending: Without an outcome or without metered confirmation.
        by_reason: Number of ended commands by adapter, fate and reason (bounded labels).
    """

    sent: int
    accepted: int
    confirmed: int
    refused: int
    unreachable: int
    superseded: int
    ignored: int
    expired: int
    pending: int
    by_reason: Mapping[tuple[str, str, str], int]

    @property
    def unaccounted(self) -> int:
        """Commands that neither ended nor are pending; anything but 0 is a defect."""
        ended = self.confirmed + self.refused + self.unreachable + self.superseded + self.ignored + self.expired
        return self.sent - ended - self.pending


class CommandLedger:
    """Counts commands as they are sent, accepted and ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.accepted = 0
        self._ended: Counter[tuple[str, str, str]] = Counter()

    def end(self, adapter: str, fate: Fate, reason: Reason = Reason.NONE, count: int = 1) -> None:
        """Note the end of ``count`` commands."""
        if count:
            self._ended[adapter, fate.value, reason.name.lower()] += count

    def state(self) -> StateTree:
        """Return the counts as a state tree."""
        ended = [[*key, count] for key, count in self._ended.items()]
        return {"sent": self.sent, "accepted": self.accepted, "ended": ended}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        self.sent, self.accepted = int(state["sent"]), int(state["accepted"])
        self._ended = Counter({(adapter, fate, reason): count for adapter, fate, reason, count in state["ended"]})

    def counts(self, pending: int) -> LedgerCounts:
        """Return the counts so far, with ``pending`` commands that have not ended."""
        by_fate: Counter[str] = Counter()
        for (_, fate, _), count in self._ended.items():
            by_fate[fate] += count
        return LedgerCounts(
            sent=self.sent,
            accepted=self.accepted,
            confirmed=by_fate[Fate.CONFIRMED],
            refused=by_fate[Fate.REFUSED],
            unreachable=by_fate[Fate.UNREACHABLE],
            superseded=by_fate[Fate.SUPERSEDED],
            ignored=by_fate[Fate.IGNORED],
            expired=by_fate[Fate.EXPIRED],
            pending=pending,
            by_reason=dict(self._ended),
        )
