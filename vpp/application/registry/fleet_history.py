"""The fleet at any entry of the journal, by the entries about members that joined, changed and left."""

from collections.abc import Iterable
from typing import Any

from vpp.fleet.amendment import amended
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED, LEFT, FleetChange
from vpp.ports import Journal
from vpp.record.entry import JournalEntry


class FleetMemory:
    """The fleet as it was after the entries that were followed.

    Args:
        index: The fleet before them.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.index = index

    @classmethod
    def before(cls, whole: FleetIndex, journal: Journal, sequence: int) -> "FleetMemory":
        """Return the fleet after the entry at ``sequence``, computed back from ``whole``, that of the journal's end.

        Rows of members that joined by entries of before ``fleet.changed`` are there already.
        """
        index = whole
        for entry in reversed(list(journal.entries((CHANGED,), after=sequence))):
            index = FleetChange.of(entry.at_s, entry.body).undone(index)
        return cls(amended(index, {}, withheld=_withheld(journal.entries((CHANGED, LEFT), until=sequence))))

    def follow(self, entries: Iterable[JournalEntry]) -> None:
        """Take entries in order; other kinds than ``fleet.changed`` and ``fleet.left`` are passed over."""
        for entry in entries:
            if entry.kind == CHANGED:
                self.index = FleetChange.of(entry.at_s, entry.body).applied(self.index)
            elif entry.kind == LEFT:
                self.index = without(self.index, entry.body["rows"])


def without(index: FleetIndex, left: Any) -> FleetIndex:  # noqa: ANN401 - rows of a JSON-like body
    """Return the fleet with the rows ``left`` no longer withheld: their former devices have left."""
    gone = set(left)
    return amended(index, {}, withheld=[row for row in index.withheld if row not in gone])


def _withheld(entries: Iterable[JournalEntry]) -> tuple[int, ...]:
    """Return the rows withheld after the journal's first entries."""
    rows: set[int] = set()
    for entry in entries:
        body: Any = entry.body
        if entry.kind == CHANGED:
            rows |= set(body["leaving"])
        else:
            rows -= set(body["rows"])
    return tuple(sorted(rows))
