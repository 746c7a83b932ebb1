"""Folded state: everything a restart restores, computed from the journal's entries alone.

::

    journal ──► follow ──► FoldedState ──► state() ──► checkpoint ──► load() ──► FoldedState ──► follow ──► …
                               └──► the parts of a service that begins to lead

A state is computed from an earlier one and the entries since, never from a running engine. So the state of a checkpoint
with the tail that follows it equals the state of all entries, bit for bit. Of the fleet, entries are followed with the
power ranges of then: those of a checkpoint, or those of the end with every later change taken back.
"""

from collections.abc import Callable, Iterable

from vpp.application.device_memory import FOUND, OwnersValues
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.application.recovery.body_shapes import SHAPES
from vpp.application.recovery.charging_memory import ChargingMemory
from vpp.application.recovery.delivery_memory import KINDS as DELIVERY
from vpp.application.recovery.delivery_memory import DeliveryMemory
from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.application.standing.availability_book import AVAILABILITY, AvailabilityBook
from vpp.application.standing.standing_book import STANDING, StandingBook, forgotten_in
from vpp.dispatch.dispatch_memory import KINDS as DISPATCH
from vpp.dispatch.dispatch_memory import DispatchMemory
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import SkipError
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED, CONNECTED
from vpp.planning.calibration.window_book import WindowBook
from vpp.record.bodies.fields import BodyError
from vpp.record.bodies.shapes import anything
from vpp.record.entry import JournalEntry
from vpp.record.kinds import is_known
from vpp.record.state_codec import StateTree

KINDS = DISPATCH | DELIVERY | {CYCLE, FOUND, CONNECTED, WINDOWS, STANDING, AVAILABILITY}
"""Kinds of the entries that change the state; all others may be left out."""
FORMAT = 9
"""Raised whenever what is folded, or how, changes."""
UNREADABLE = (SkipError, KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError)
"""Errors of following an entry, or of loading a state, whose content was changed."""
READABLE = (1, 2, 3, 4, 5, 6, 7, 8, 9)
"""Formats of checkpoints that are read, others are passed over: 2 is the first with power ranges, 3 with windows quoted
for nobody, 4 with forgotten requests, 5 with official results, 6 with drills, 7 with defaults of registrations, 8 with
standing commitments, 9 with what was agreed when their availability was measured."""


class FoldedState:
    """State of a service after the entries it has followed.

    Args:
        index: Returns the fleet, which has the rows of every entry by the time the entry is followed.
        settings: Of the fast loop.

    Attributes:
        sequence: Position of the last entry that was followed, 0 before the first.
        dispatch: Requests, commands, signals, tracking.
        charging: Charging sessions.
        delivery: What was issued, and where baselines stand.
        devices: Owners' values of devices.
        windows: Windows quoted for nobody, and what was learnt of the errors of quotes.
        standing: Standing commitments.
        availability: What they kept available.
        dated: Power ranges are those of the last entry, and not those of ``index``.
    """

    def __init__(self, index: Callable[[], FleetIndex], settings: DispatchSettings) -> None:
        self._index = index
        fleet = index()
        self.sequence, self.dated = 0, False
        self.dispatch = DispatchMemory(fleet, settings)
        self.charging = ChargingMemory(len(fleet))
        self.delivery = DeliveryMemory()
        self.devices = OwnersValues()
        self.windows = WindowBook()
        self.standing = StandingBook()
        self.availability = AvailabilityBook()

    def take_index_from(self, index: Callable[[], FleetIndex]) -> None:
        """Ask ``index`` for the fleet from now on."""
        self._index = index

    def date_back(self, changes: Iterable[JournalEntry]) -> None:
        """Take the power ranges before ``changes``: all entries ``fleet.changed`` after the last that was followed."""
        self.dispatch.date_back(changes)
        self.dated = True

    def follow(self, entries: Iterable[JournalEntry]) -> None:
        """Take entries of the journal in order, each once; kinds that say nothing of the state are passed over.

        Raises:
            BodyError: The body of an entry does not hold what its kind says; names entry, field and value.
            AuditError: A newer service wrote an entry.
        """
        for entry in entries:
            if is_known(entry) and entry.kind in KINDS:
                self._take_checked(entry)
            self.sequence = entry.sequence

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; existing rows keep what they hold."""
        self.dispatch.resize(index)
        self.charging.resize(len(index))

    def state(self) -> StateTree:
        """Return everything as a state tree; its arrays are this object's own, so encode or load it at once."""
        return {
            "dispatch": self.dispatch.state(),
            "charging": self.charging.state(),
            "delivery": self.delivery.state(),
            "devices": self.devices.state(),
            "windows": self.windows.state(),
            "standing": self.standing.state(),
            "availability": self.availability.state(),
        }

    def load(self, state: StateTree, sequence: int) -> None:
        """Take what ``state`` returned after the entry at ``sequence``; values are copied."""
        self.dispatch.load(state["dispatch"])
        self.charging.load(state["charging"])
        self.delivery.load(state["delivery"])
        self.devices.load(state["devices"])
        if "windows" in state:
            self.windows.load(state["windows"])
        if "standing" in state:
            self.standing.load(state["standing"])
            self.availability.load(state["availability"])
        self.sequence, self.dated = sequence, "range_kw" in state["dispatch"]

    def _take_checked(self, entry: JournalEntry) -> None:
        try:
            SHAPES.get(entry.kind, anything)(entry.body, entry.kind)
            self._take(entry)
        except BodyError as error:
            raise BodyError(f"journal entry {entry.sequence}: {error}") from error
        except UNREADABLE as error:  # what no shape can tell, e.g. a row or a request that there is not
            raise BodyError(f"journal entry {entry.sequence} ({entry.kind}) cannot be followed: {error!r}") from error

    def _take(self, entry: JournalEntry) -> None:
        if entry.kind in {CONNECTED, CHANGED}:
            self.resize(self._index())
        if entry.kind in DISPATCH:
            self.dispatch.follow((entry,))
        if entry.kind in DELIVERY:
            self.delivery.follow(entry)
        elif entry.kind == CYCLE:
            self.charging.follow(entry)
        elif entry.kind == FOUND:
            self.devices.follow(entry)
        elif entry.kind == WINDOWS:
            self.windows.follow(entry.body)
        elif entry.kind == STANDING:
            self.standing.follow(entry.body)
            self.availability.forget(forgotten_in(entry.body))
        elif entry.kind == AVAILABILITY:
            self.availability.follow(entry.body)
