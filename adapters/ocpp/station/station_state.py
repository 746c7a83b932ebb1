"""State of one station across its connections: transactions, installed profiles, abilities, pending instructions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from adapters.kit.compact_map import EMPTY, CompactMap
from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.profiles.nameplates import NameplateRecord
from adapters.ocpp.profiles.power_units import RateUnit, is_dc
from adapters.ocpp.station.capability_cards import Abilities
from adapters.ocpp.station.connector_state import OUTAGES, ConnectorState
from adapters.ocpp.station.profile_acceptance import UNTRIED, ProfileAcceptance
from adapters.ocpp.station.station_clock import StationClock
from adapters.ocpp.station.station_records import Command, InstalledProfile, Services, Transaction
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.session import Promise
from vpp.domain.trouble import Trouble

if TYPE_CHECKING:
    from adapters.ocpp.station.transactions import Challenger

NOTHING_KNOWN = Abilities()
NO_TRANSACTIONS: Mapping[int, Transaction] = MappingProxyType({})
"""Shared, as ``EMPTY`` is, by stations without one: empty dictionaries would be a tenth of what a station costs."""


@dataclass(slots=True, kw_only=True)
class StationState:
    """One station.

    One flat object, and what few stations have is ``None`` or shared: at 100,000 stations an object more each is 5 MB.

    Attributes:
        rows: Fleet row of every connector (1.6) or EVSE (2.x).
        transactions: The running transaction of every connector that has one.
        early: Charging needs that came before their transaction, by connector.
        installed: Dispatch values that it holds, by row and whether they are tied to the running transaction; see
            ``installed_profiles``.
        pending: Instructions that have not left yet, oldest first.
        under_way: Row of the instruction that is being carried out, -1 where none is.
        online: It is reported as connected.
        lost_s: When the last connection was lost, NaN if there was none.
        ack_s: How long the last instruction took to be answered.
        grid_functions: Starts, stops and alarms of its grid functions (2.1), by control id or type.
        restated_s: When values in force were last restored after a boot, NaN if never.
        acceptance: How it has answered profiles.
        has_others: It has connectors that are no rows of the fleet.
        clock: Its clock, as its stamps show it.
        points: Its charging points that have reported.
        ended: The last transactions that are over.
        challenger: A transaction id that readings name in place of the running one.
        outage: ``Faulted`` or ``Unavailable`` while the whole station is.
    """

    id: str
    services: Services
    rows: CompactMap[int, int]
    transactions: Mapping[int, Transaction] = field(default_factory=lambda: NO_TRANSACTIONS)
    ended: tuple[Transaction, ...] = ()
    early: dict[int, Promise] | None = None
    installed: CompactMap[int, InstalledProfile] = field(default_factory=lambda: EMPTY)
    pending: CompactMap[tuple[int, bool], Command] = field(default_factory=lambda: EMPTY)
    under_way: int = -1
    abilities: Abilities = NOTHING_KNOWN
    booted: bool = False
    online: bool = False
    lost_s: float = math.nan
    ack_s: float = math.nan
    grid_functions: dict[str, Json] | None = None
    restated_s: float = math.nan
    acceptance: ProfileAcceptance = UNTRIED
    has_others: bool = False
    clock: StationClock = field(default_factory=StationClock)
    points: tuple[ConnectorState, ...] = ()
    challenger: "Challenger | None" = None
    outage: str = ""

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
        for row in self.rows.values():
            if troubles.has(row, Trouble.CLOCK_OFF) is not is_off:
                troubles.set(row, Trouble.CLOCK_OFF, is_off)

    # Connectors.

    def point(self, connector: int) -> ConnectorState | None:
        """Return a charging point, ``None`` where it is no row of the fleet."""
        point = self.known_point(connector)
        if point is None and connector in self.rows:
            row = self.rows[connector]
            point = ConnectorState(connector, row, self.nameplate(row), self.services.profiles.supply.volts)
            self.points = (*self.points, point)
        return point

    def known_point(self, connector: int) -> ConnectorState | None:
        """Return a charging point that has reported; most stations have one, so a tuple is searched."""
        for point in self.points:
            if point.connector == connector:
                return point
        return None

    def metered_point(self, connector: int) -> ConnectorState | None:
        """Return the point a meter belongs to: the main meter (0) stands in for a single connector without its own."""
        if connector == 0 and len(self.rows) == 1:
            point = self.point(next(iter(self.rows)))
            if point is None or (point.metered and not point.by_main_meter):
                return None
            point.by_main_meter = True
            return point
        point = self.point(connector)
        if point is not None:
            point.by_main_meter = False
        return point

    def every_point(self) -> Iterator[ConnectorState]:
        """Iterate all its charging points."""
        for connector in self.rows:
            point = self.point(connector)
            if point is not None:
                yield point

    @property
    def whole_outage(self) -> Trouble | None:
        """Return the outage of the whole station, ``None`` while it is in service."""
        return OUTAGES.get(self.outage)

    def asleep(self, row: int) -> bool:
        """Tell whether the car at ``row`` has not drawn again since a pause of ours was over."""
        return any(point.row == row and point.asleep for point in self.points)

    def report_sleep(self, point: ConnectorState) -> None:
        """Report whether a car does not wake, where that has changed."""
        self.services.troubles.set(point.row, Trouble.DOES_NOT_WAKE, point.asleep)

    def report_malformed(self, present: bool) -> None:  # noqa: FBT001 - as ``StationTroubles.set``
        """State whether messages of it had to be refused since its last boot."""
        for row in self.rows.values():
            self.services.troubles.set(row, Trouble.MALFORMED_MESSAGES, present)

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
        if connector and connector not in self.rows:
            self.has_others = True

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
        return self.units_to_try()[0] is RateUnit.A and any(is_dc(self.nameplate(row)) for row in self.rows.values())

    def units_to_try(self) -> tuple[RateUnit, ...]:
        """Return the unit it is known to accept; both while unknown."""
        return self.abilities.units[:1] if self.abilities.units else (RateUnit.W, RateUnit.A)
