"""Charging sessions as the journal tells them: open sessions, promises, and the charge of cars at plug-in."""

from typing import Any

import numpy as np

from vpp.application.cycle_record import session_of
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree
from vpp.state.sessions import Sessions


class ChargingMemory:
    """Sessions and anchored states of charge after the journalled cycles.

    Args:
        count: Rows of the fleet.

    Attributes:
        sessions: Open sessions.
    """

    def __init__(self, count: int) -> None:
        self.sessions = Sessions(count)
        self._soc_start = np.full(count, np.nan)

    def resize(self, count: int) -> None:
        """Take a larger fleet."""
        more = count - len(self._soc_start)
        if more > 0:
            self.sessions.resize(count)
            self._soc_start = np.append(self._soc_start, np.full(more, np.nan))

    def follow(self, entry: JournalEntry) -> None:
        """Take the sessions and anchors of one cycle."""
        body: Any = entry.body
        for event in body["sessions"]:
            self.sessions.apply(session_of(event))
        for row, soc in body["anchors"]:
            self._soc_start[row] = soc

    def state(self) -> StateTree:
        """Return everything as a state tree; its arrays are the memory's own."""
        return {"sessions": self.sessions.state(), "soc_start": self._soc_start}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self.sessions.load(state["sessions"])
        count = min(len(self._soc_start), len(state["soc_start"]))
        self._soc_start[:count] = state["soc_start"][:count]
