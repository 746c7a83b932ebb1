"""Commands as the journal tells them: sent, answered, ended; everything a restart restores of them."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from vpp.dispatch.commands.command_states import CommandStates
from vpp.dispatch.commands.journal_codec import (
    OUTCOMES,
    SENT,
    VERDICTS,
    Noted,
    noted_from,
    outcomes_from,
    sent_from,
    verdict_from,
)
from vpp.dispatch.settings import BackOff
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import LEFT, left_rows
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

_FREE = ""
"""Name at a position in the list of sources that was another's."""


class CommandMemory:
    """States of all commands, with the sources, ids and epochs they were sent under.

    Args:
        rules: Waits after failure.

    Attributes:
        states: State of the commands of every row.
        sources: Names of requests and other sources of commands; empty at a position that is free again.
        epoch: Highest leader epoch of a command.
        last_id: Highest id of a command.
    """

    def __init__(self, rules: BackOff) -> None:
        self.states = CommandStates(rules)
        self.sources: list[str] = []
        self.epoch = self.last_id = 0

    def resize(self, index: FleetIndex, tolerance_kw: FloatArray) -> None:
        """Take a fleet that has grown or changed; see ``CommandStates.resize``."""
        self.states.resize(index, tolerance_kw)

    def source_code(self, name: str) -> int:
        """Return the position of ``name`` in ``sources``, where it is put if it is new; -1 for the empty name."""
        if not name:
            return -1
        if name not in self.sources:
            if _FREE in self.sources:
                self.sources[self.sources.index(_FREE)] = name
            else:
                self.sources.append(name)
        return self.sources.index(name)

    def bound_sources(self, now_s: float) -> AbstractSet[str]:
        """Return the sources of which a device may hold a dispatch value, or has a command under way after one."""
        return {self.sources[code] for code in self.states.bound_sources(now_s).tolist()}

    def forget_sources(self, names: Iterable[str]) -> None:
        """Free the positions of sources of which nothing is in force any more."""
        for name in set(names) & set(self.sources):
            self.states.forget_source(self.sources.index(name))
            self.sources[self.sources.index(name)] = _FREE

    def follow(self, entry: JournalEntry) -> None:
        """Take one entry of the journal; other kinds are passed over."""
        if entry.kind == SENT:
            self._sent(entry)
        elif entry.kind == OUTCOMES:
            self.states.answered(outcomes_from(entry.body))
        elif entry.kind == VERDICTS:
            self.states.ended(*verdict_from(entry.body), entry.at_s)
        elif entry.kind == LEFT:
            self.states.forget(left_rows(entry.body))

    def state(self) -> StateTree:
        """Return everything as a state tree; its arrays are the memory's own."""
        return {
            "states": self.states.state(),
            "sources": list(self.sources),
            "epoch": self.epoch,
            "last_id": self.last_id,
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self.states.load(state["states"])
        self.sources[:] = state["sources"]
        self.epoch, self.last_id = int(state["epoch"]), int(state["last_id"])

    def _sent(self, entry: JournalEntry) -> None:
        body: Any = entry.body
        noted, names = noted_from(body)
        codes = np.array([self.source_code(name) for name in names], dtype=np.int32)
        batch = sent_from(body)
        self.epoch = max(self.epoch, batch.epoch)
        self.last_id = max(self.last_id, int(batch.ids.max(initial=0)))
        self.states.sent(batch, Noted(noted.uncontrolled_kw, codes[noted.source]), entry.at_s)
