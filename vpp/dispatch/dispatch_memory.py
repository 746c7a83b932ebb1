"""Memory of dispatch as the journal tells it: requests, commands, signals, tracking and shed time.

Entries are taken one by one, so that a journal of any length is folded in the memory its result needs. What is folded
is loaded into an engine after a restart (``DispatchEngine.load``), and is what a checkpoint keeps.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from vpp.dispatch.commands.command_memory import CommandMemory
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, VERDICTS
from vpp.dispatch.commands.meter_confirmation import tolerance_kw
from vpp.dispatch.commands.power_ranges import PowerRanges
from vpp.dispatch.flexibility.fairness import SHED_TIME, shed_time_without
from vpp.dispatch.regulation.agc_signal import SIGNAL, AgcSignals
from vpp.dispatch.requests.forgotten import FORGOTTEN, Batch, batch_of
from vpp.dispatch.requests.register import REVISION, SHORTFALL, TRANSITION, RequestRegister
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.tracking_memory import TRACKING, TrackingMemory
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED, LEFT, left_rows
from vpp.fleet.members.registered_defaults import defaults_before
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

_REQUESTS = frozenset({TRANSITION, REVISION, SHORTFALL})
_COMMANDS = frozenset({SENT, OUTCOMES, VERDICTS, LEFT})
KINDS = _REQUESTS | _COMMANDS | {CHANGED, SIGNAL, TRACKING, SHED_TIME, FORGOTTEN}
"""Kinds of the entries it takes; all others say nothing of it."""


class DispatchMemory:
    """Everything a restart restores of dispatch.

    Args:
        index: The fleet.
        settings: Of the fast loop.

    Attributes:
        requests: Every request.
        commands: Every command.
        signals: Values of the regulation signals.
        tracking: Cycles of every request.
        ranges: Power range of every row at the last entry, by which a command says the same as the one before.
    """

    def __init__(self, index: FleetIndex, settings: DispatchSettings) -> None:
        self._settings = settings
        self.requests = RequestRegister(_unrecorded)
        self.commands = CommandMemory(settings.commands.back_off)
        self.signals = AgcSignals(_unrecorded)
        self.tracking = TrackingMemory()
        self.ranges = PowerRanges()
        self._shed: Mapping[str, Any] | None = None
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown; existing rows keep what they hold, and their power ranges."""
        self.ranges.resize(index)
        self.commands.resize(index, self._tolerance_kw())

    def date_back(self, changes: Iterable[JournalEntry]) -> None:
        """Take the power ranges before ``changes``; see ``PowerRanges.date_back``."""
        self.ranges.date_back(changes)
        self.commands.states.tolerate(self._tolerance_kw())

    def follow(self, entries: Iterable[JournalEntry]) -> None:
        """Take entries of the journal in order; other kinds are passed over."""
        for entry in entries:
            if entry.kind in _COMMANDS:
                self.commands.follow(entry)
                if entry.kind == LEFT and self._shed is not None:
                    self._shed = shed_time_without(self._shed, left_rows(entry.body))
            elif entry.kind == CHANGED:
                self.ranges.follow(entry)
                self.commands.states.note_defaults(*defaults_before(entry.body))
                self.commands.states.tolerate(self._tolerance_kw())
            elif entry.kind in _REQUESTS:
                self.requests.restore((entry,))
            elif entry.kind == TRACKING:
                self.tracking.follow(entry)
            elif entry.kind == SIGNAL:
                self.signals.restore((entry,))
            elif entry.kind == SHED_TIME:
                self._shed = entry.body
            elif entry.kind == FORGOTTEN:
                self._forget(batch_of(entry))

    def state(self) -> StateTree:
        """Return everything as a state tree; its arrays are the memory's own."""
        return {
            "requests": self.requests.state(),
            "commands": self.commands.state(),
            "signals": self.signals.state(),
            "tracking": self.tracking.state(),
            "range_kw": self.ranges.kw,
            "shed_time": None if self._shed is None else dict(self._shed),
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self.requests.load(state["requests"])
        self.commands.load(state["commands"])
        self.signals.load(state["signals"])
        self.tracking.load(state["tracking"])
        self._shed = state["shed_time"]
        if "range_kw" in state:
            self.ranges.load(state["range_kw"])
            self.commands.states.tolerate(self._tolerance_kw())

    def _tolerance_kw(self) -> FloatArray:
        return tolerance_kw(self.ranges.kw, self._settings.commands.confirmation)

    def _forget(self, batch: Batch) -> None:
        self.requests.forget(batch)
        self.commands.forget_sources(batch.ids)
        self.signals.forget(batch.ids)
        self.tracking.forget(batch.ids)


def _unrecorded(kind: str, at_s: float, body: Mapping[str, object]) -> None:
    raise AssertionError(f"what is folded from the journal records nothing: {kind} at {at_s}, {body}")
