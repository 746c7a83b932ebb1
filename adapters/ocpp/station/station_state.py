"""State of one station across its connections: transactions, installed profiles, abilities, pending instructions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.kit.compact_map import EMPTY, CompactMap
from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.profiles.nameplates import NameplateRecord
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.station.capability_cards import Abilities
from adapters.ocpp.station.connector_state import OUTAGES, ConnectorState
from adapters.ocpp.station.profile_acceptance import UNTRIED, ProfileAcceptance
from adapters.ocpp.station.station_clock import StationClock
from adapters.ocpp.station.station_records import Command, Services, Transaction
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.session import Promise
from vpp.domain.trouble import Trouble

if TYPE_CHECKING:
    from adapters.ocpp.station.transactions import Challenger

NOTHING_KNOWN = Abilities()
NO_TRANSACTIONS: Mapping[int, Transaction] = MappingProxyType({})
"""Shared, as ``EMPTY`` is, by stations without one: empty dictionaries would be a tenth of what a station costs."""


class Particulars(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of few stations, in one record that all others share.

    Attributes:
        early: Charging needs that came before their transaction, by connector.
        grid_functions: Starts, stops and alarms of its grid functions (2.1), by control id or type.
        restated_s: When values in force were last restored after a boot, NaN if never.
        has_others: It has connectors that are no rows of the fleet.
        challenger: A transaction id that readings name in place of the running one.
        outage: ``Faulted`` or ``Unavailable`` while the whole station is.
    """

    early: dict[int, Promise] | None = None
    grid_functions: dict[str, Json] | None = None
    restated_s: float = math.nan
    has_others: bool = False
    challenger: "Challenger | None" = None
    outage: str = ""


NO_PARTICULARS = Particulars()


@dataclass(slots=True, kw_only=True)
class StationState:
    """One station.

    One flat object, and what few stations have is shared: at 100,000 stations an object more each is 5 MB.

    Attributes:
        points: Its charging points, one for every connector (1.6) or EVSE (2.x) that is a row of the fleet.
        transactions: The running transaction of every connector that has one.
        ended: The last transactions that are over.
        pending: Instructions that have not left yet, oldest first.
        under_way: Row of the instruction that is being carried out, -1 where none is.
        online: It is reported as connected.
        lost_s: When the last connection was lost, NaN if there was none.
        ack_s: How long the last instruction took to be answered, to the millisecond.
        acceptance: How it has answered profiles.
        clock: Its clock, as its stamps show it.
        particulars: What few stations have; see ``note``.
    """

    id: str
    services: Services
    points: tuple[ConnectorState, ...] = ()
    transactions: Mapping[int, Transaction] = field(default_factory=lambda: NO_TRANSACTIONS)
    ended: tuple[Transaction, ...] = ()
    pending: CompactMap[tuple[int, bool], Command] = field(default_factory=lambda: EMPTY)
    under_way: int = -1
    abilities: Abilities = NOTHING_KNOWN
    online: bool = False
    lost_s: float = math.nan
    ack_s: float = math.nan
    acceptance: ProfileAcceptance = UNTRIED
    clock: StationClock = field(default_factory=StationClock)
    particulars: Particulars = NO_PARTICULARS

    @classmethod
    def of(cls, name: str, services: Services, rows: Mapping[int, int]) -> "StationState":
        """Return the state of a station that has not connected yet, with the row of each of its connectors."""
        station = cls(id=name, services=services)
        for connector, row in rows.items():
            station.add_point(connector, row)
        return station

    @property
    def booted(self) -> bool:
        """It has sent a call since it came to this process, and need not boot again to come back."""
        return self.online or not math.isnan(self.lost_s)

    def note(self, **changes: Any) -> None:  # noqa: ANN401 - fields of ``Particulars``
        """Change some of the particulars."""
        self.particulars = msgspec.structs.replace(self.particulars, **changes)

    def answered_in(self, took_s: float) -> None:
        """Note how long an instruction took to be answered."""
        self.ack_s = _milliseconds(round(took_s * 1000.0)) if math.isfinite(took_s) else math.nan

    @property
    def troubles(self) -> StationTroubles:
        """Return the troubles of its rows, and of those of all other stations."""
        return self.services.troubles

    # Instructions.

    def enqueue(self, command: Command) -> None:
        """Let an instruction wait, in the place of one of the same slot."""
        self.pending = self.pending.plus(command.slot, command)

    def dequeue(self, slot: tuple[int, bool]) -> Command | None:
        """Take the waiting instruction of a slot, ``None`` where none waits."""
        command = self.pending.get(slot)
        if command is not None:
            self.pending = self.pending.minus(slot)
        return command

    # Time.

    @property
    def clock_offset_s(self) -> float:
        """How far its clock is behind ours, negative where it is ahead; 0 for no more than a message takes."""
        return self.clock.beyond_s

    def time_of(self, stamp_s: float) -> float:
        """Return the time of a live message by our clock; now for a message without a stamp."""
        at_s = self.clock.live(self.services.clock.now_s(), stamp_s)
        if self.clock.changed:
            self.report_clock()
        return at_s

    def report_clock(self) -> None:
        """Report whether the clock is off, where that has changed."""
        self.clock.changed = False
        troubles, is_off = self.services.troubles, self.clock.is_off
        for point in self.points:
            if troubles.has(point.row, Trouble.CLOCK_OFF) is not is_off:
                troubles.set(point.row, Trouble.CLOCK_OFF, is_off)

    # Connectors.

    @property
    def rows(self) -> dict[int, int]:
        """Fleet row of every connector (1.6) or EVSE (2.x)."""
        return {point.connector: point.row for point in self.points}

    def add_point(self, connector: int, row: int) -> None:
        """Take a connector that is a row of the fleet."""
        self.points = (*self.points, ConnectorState.of(connector, row, self.nameplate(row)))

    def drop_row(self, row: int) -> None:
        """Let the connector of a row go, which is no row of the fleet any more."""
        self.points = tuple(point for point in self.points if point.row != row)

    def point(self, connector: int) -> ConnectorState | None:
        """Return a charging point, ``None`` where it is no row of the fleet; most have one, so a tuple is searched."""
        for point in self.points:
            if point.connector == connector:
                return point
        return None

    def point_at(self, row: int) -> ConnectorState | None:
        """Return the charging point of a row, ``None`` where the row is not the station's."""
        for point in self.points:
            if point.row == row:
                return point
        return None

    def metered_point(self, connector: int) -> ConnectorState | None:
        """Return the point a meter belongs to: the main meter (0) stands in for a single connector without its own."""
        if connector == 0 and len(self.points) == 1:
            point = self.points[0]
            if point.metered and not point.by_main_meter:
                return None
            point.by_main_meter = True
            return point
        own = self.point(connector)
        if own is not None:
            own.by_main_meter = False
        return own

    @property
    def whole_outage(self) -> Trouble | None:
        """Return the outage of the whole station, ``None`` while it is in service."""
        return OUTAGES.get(self.particulars.outage)

    def asleep(self, row: int) -> bool:
        """Tell whether the car at ``row`` has not drawn again since a pause of ours was over."""
        return any(point.row == row and point.asleep for point in self.points)

    def report_sleep(self, point: ConnectorState) -> None:
        """Report whether a car does not wake, where that has changed."""
        self.services.troubles.set(point.row, Trouble.DOES_NOT_WAKE, point.asleep)

    def report_malformed(self, present: bool) -> None:  # noqa: FBT001 - as ``StationTroubles.set``
        """State whether messages of it had to be refused since its last boot."""
        for point in self.points:
            self.services.troubles.set(point.row, Trouble.MALFORMED_MESSAGES, present)

    # Cars.

    def certain_transaction(self, connector: int) -> Transaction | None:
        """Return the transaction at a connector that is known to run; a profile may be tied to no other."""
        running = self.transactions.get(connector)
        return None if running is None or running.doubtful else running

    def doubt(self, connector: int) -> None:
        """Take a transaction for doubtful until the station names it again."""
        running = self.transactions.get(connector)
        if running is not None:
            running.doubtful = True

    def rebooted(self) -> None:
        """Take note of a boot: transactions may have ended, and their profiles been lost (1.6 5.16)."""
        self.acceptance = self.acceptance.booted()
        for connector in self.transactions:
            self.doubt(connector)
        self.report_malformed(False)  # noqa: FBT003 - absent: it may have another firmware

    def note_connector(self, connector: int) -> None:
        """Take note of a connector: one outside the fleet must not be limited by what is meant for another."""
        if connector and self.point(connector) is None and not self.particulars.has_others:
            self.note(has_others=True)

    # Values in force.

    def nameplate(self, row: int) -> NameplateRecord:
        """Return the nameplate of a row."""
        return self.services.nameplates.nameplate(row)

    def default_kw(self, row: int) -> float:
        """Return the default value of ``row``: as last instructed, else the resource's safe default."""
        return self.services.nameplates.default_kw(row)

    # Abilities.

    def learn(self, abilities: Abilities) -> None:
        """Replace what is known of the station's abilities."""
        self.abilities = self.services.cards.shared(abilities)

    def take_identity(self, *, vendor: str, model: str, firmware: str) -> None:
        """Take make and firmware of a boot; abilities of the same make are assumed until it shows otherwise.

        Another firmware, or another station in the same place, voids all that was known.
        """
        known = self.abilities
        if (vendor, model, firmware) != (known.vendor, known.model, known.firmware):
            fresh = Abilities(version=known.version, vendor=vendor, model=model, firmware=firmware)
            self.learn(self.services.cards.recall(fresh))

    def take_version(self, version: str) -> None:
        """Take the version it speaks now; abilities in another version do not apply."""
        known = replace(self.abilities, version=version)
        self.learn(self.services.cards.recall(known))

    @property
    def by_direct_amperes(self) -> bool:
        """Its limits are written in amperes of direct current, at one of its connectors at least."""
        return self.units_to_try()[0] is RateUnit.A and any(point.nameplate.is_dc for point in self.points)

    def units_to_try(self) -> tuple[RateUnit, ...]:
        """Return the unit it is known to accept; both while unknown."""
        return self.abilities.units[:1] if self.abilities.units else (RateUnit.W, RateUnit.A)


@lru_cache(maxsize=1024)
def _milliseconds(number: int) -> float:
    """Return milliseconds in seconds, one object for all stations that answer as fast."""
    return number / 1000.0
