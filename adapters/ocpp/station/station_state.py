"""What is known of one station, whichever connection it has: cars, values in force, abilities, instructions waiting."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import Plate
from adapters.ocpp.profiles.power_units import RateUnit, is_dc
from adapters.ocpp.station.capability_cards import Abilities, Offline
from adapters.ocpp.station.connector_state import OUTAGES, ConnectorState
from adapters.ocpp.station.station_clock import StationClock
from adapters.ocpp.station.station_records import Command, Lease, Services, Transaction
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.session import Promise
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

if TYPE_CHECKING:
    from adapters.ocpp.station.transactions import Challenger

NOTHING_KNOWN = Abilities()
OBEYED_WITHIN_S = 60.0
"""How long a station and its car may take to follow a limit (IEC 61851-1 gives the car 5 s, meters report later)."""
LET_GO_WITHIN_S = 5.0
"""How far apart station and service may see the end of a lease: clocks, whole seconds, the way of a reading."""
OBEYED_WITHIN_KW = 0.3
OBEYED_WITHIN_RATIO = 0.1
"""What metered power may lie above a limit that is kept."""
_OTHER_PURPOSE = {
    ProfilePurpose.TX: ProfilePurpose.TX_DEFAULT,
    ProfilePurpose.TX_DEFAULT: ProfilePurpose.TX,
}
"""What to give a value by in a transaction where one purpose is accepted and has no effect."""


_NO_TRANSACTIONS: Mapping[int, Transaction] = MappingProxyType({})
_NO_LEASES: Mapping[tuple[int, bool], Lease] = MappingProxyType({})
"""What stations without one share: an empty dictionary each would be a tenth of what a station costs."""


@dataclass(slots=True, kw_only=True)
class StationState:
    """One station.

    Attributes:
        rows: Fleet row of every connector (1.6) or EVSE (2.x).
        transactions: The running transaction of every connector that has one.
        early: Promises that came before their transaction, by connector.
        leases: Dispatch values in force, by row and whether they belong to the running transaction; one that does
            goes before one that does not.
        pending: Instructions that have not left yet, oldest first.
        under_way: Row of the instruction that is being carried out, -1 where none is.
        online: The service believes it connected.
        lost_s: When the last connection went, NaN if there was none.
        ack_s: How long the last instruction took to be answered.
        grid_functions: Starts, stops and alarms of its grid functions (2.1), by control id or type.
        restated_s: When values in force were last given to it again after a boot, NaN if they never were.
        takes: It has taken a profile since it came to this process.
        refused_all: It has refused a dispatch value in every way since its boot, and taken none.
        has_others: It has connectors that are nobody's rows.
        tx_refusals: In how many transactions in a row it has refused a TxProfile and taken another purpose;
            ``tx_refused_in`` is the last.
        clock: Its clock, as its stamps show it.
        posts: Its connectors that were heard of.
        ended: The last transactions that are over.
        challenger: An id that readings name in place of the running one.
        outage: ``Faulted`` or ``Unavailable`` while the whole station is.
    """

    id: str
    services: Services
    rows: dict[int, int]
    transactions: Mapping[int, Transaction] = field(default_factory=lambda: _NO_TRANSACTIONS)
    ended: tuple[Transaction, ...] = ()
    early: dict[int, Promise] | None = None
    leases: Mapping[tuple[int, bool], Lease] = field(default_factory=lambda: _NO_LEASES)
    pending: dict[tuple[int, bool], Command] = field(default_factory=dict)
    under_way: int = -1
    abilities: Abilities = NOTHING_KNOWN
    booted: bool = False
    online: bool = False
    lost_s: float = math.nan
    ack_s: float = math.nan
    grid_functions: dict[str, Json] | None = None
    restated_s: float = math.nan
    takes: bool = False
    refused_all: bool = False
    has_others: bool = False
    tx_refusals: int = 0
    tx_refused_in: str = ""
    clock: StationClock = field(default_factory=StationClock)
    posts: tuple[ConnectorState, ...] = ()
    challenger: "Challenger | None" = None
    outage: str = ""

    @property
    def troubles(self) -> StationTroubles:
        """Return what is the matter with its rows, and with those of all other stations."""
        return self.services.troubles

    # Time.

    @property
    def clock_offset_s(self) -> float:
        """How far its clock is behind ours, negative where it is ahead; 0 for no more than a message takes."""
        return self.clock.beyond_s

    def instant(self, stamp_s: float) -> float:
        """Return when a live message says something was, by our clock; now for a message without a stamp."""
        at_s = self.clock.live(self.services.clock.now_s(), stamp_s)
        if self.clock.changed:
            self.tell_clock()
        return at_s

    def tell_clock(self) -> None:
        """Say whether the clock is off, where that is news."""
        self.clock.changed = False
        troubles, is_off = self.services.troubles, self.clock.is_off
        for row in self.rows.values():
            if troubles.has(row, Trouble.CLOCK_OFF) is not is_off:
                troubles.set(row, Trouble.CLOCK_OFF, is_off)

    # Connectors.

    def post(self, connector: int) -> ConnectorState | None:
        """Return a connector, ``None`` where it is nobody's row."""
        post = self.known_post(connector)
        if post is None and connector in self.rows:
            row = self.rows[connector]
            post = ConnectorState(connector, row, self.plate(row), self.services.supply.volts)
            self.posts = (*self.posts, post)
        return post

    def known_post(self, connector: int) -> ConnectorState | None:
        """Return a connector that was heard of; most stations have one, so that a tuple is looked through."""
        for post in self.posts:
            if post.connector == connector:
                return post
        return None

    def metering_post(self, connector: int) -> ConnectorState | None:
        """Return whose meter speaks: the station's own (0) speaks for its one connector while that has none."""
        if connector == 0 and len(self.rows) == 1:
            post = self.post(next(iter(self.rows)))
            if post is None or (post.metered and not post.by_main_meter):
                return None
            post.by_main_meter = True
            return post
        post = self.post(connector)
        if post is not None:
            post.by_main_meter = False
        return post

    def every_post(self) -> Iterator[ConnectorState]:
        """Iterate all its connectors."""
        for connector in self.rows:
            post = self.post(connector)
            if post is not None:
                yield post

    @property
    def whole_outage(self) -> Trouble | None:
        """Return why the whole station gives nothing, ``None`` while it does."""
        return OUTAGES.get(self.outage)

    def asleep(self, row: int) -> bool:
        """Tell whether the car at ``row`` has not drawn again since a pause of ours was over."""
        return any(post.row == row and post.asleep for post in self.posts)

    def tell_sleep(self, post: ConnectorState) -> None:
        """Say whether a car does not wake, where that is news."""
        self.services.troubles.set(post.row, Trouble.DOES_NOT_WAKE, post.asleep)

    def malformed(self, present: bool) -> None:  # noqa: FBT001 - as ``StationTroubles.set``
        """State that messages of it had to be refused, or not since its last boot."""
        for row in self.rows.values():
            self.services.troubles.set(row, Trouble.MALFORMED_MESSAGES, present)

    # Cars.

    def session_id(self, transaction_id: str) -> str:
        """Return the session of a transaction."""
        return f"{self.id}:{transaction_id}"

    def transaction(self, transaction_id: str) -> Transaction | None:
        """Return a running transaction by its id."""
        return next((t for t in self.transactions.values() if t.id == transaction_id), None)

    def put_transaction(self, connector: int, transaction: Transaction | None) -> None:
        """Keep which transaction runs at a connector, ``None`` for no longer any."""
        kept = {number: one for number, one in self.transactions.items() if number != connector}
        if transaction is not None:
            kept[connector] = transaction
        self.transactions = kept or _NO_TRANSACTIONS

    def sure(self, connector: int) -> Transaction | None:
        """Return the transaction at a connector that is known to run; a profile may be tied to no other."""
        running = self.transactions.get(connector)
        return None if running is None or running.doubtful else running

    def doubt(self, connector: int) -> None:
        """Take a transaction for doubtful until the station names it again."""
        running = self.transactions.get(connector)
        if running is not None:
            running.doubtful = True

    def rebooted(self) -> None:
        """Take note of a boot: transactions may be over, and profiles that belong to them forgotten (1.6 5.16)."""
        self.refused_all = False
        for connector in self.transactions:
            self.doubt(connector)
        self.malformed(False)  # noqa: FBT003 - another firmware may say it better

    def leases_by_connector(self) -> dict[int, Lease]:
        """Return the dispatch value in force at every connector that has one."""
        found = ((connector, self.lease(row)) for connector, row in self.rows.items())
        return {connector: lease for connector, lease in found if lease is not None}

    def speaks_of(self, connector: int) -> None:
        """Take note of a connector: one that is nobody's row must not suffer from what is meant for another."""
        if connector and connector not in self.rows:
            self.has_others = True

    def tries_tx_again(self, transaction_id: str) -> bool:
        """Tell whether a TxProfile deserves another try: one transaction's refusal may have been an accident."""
        return self.tx_refusals == 1 and transaction_id != self.tx_refused_in

    # Values in force.

    def plate(self, row: int) -> Plate:
        """Return the nameplate of a row."""
        return self.services.plates.plate(row)

    def default_kw(self, row: int) -> float:
        """Return what lies underneath at ``row``: as last instructed, else the resource's safe default."""
        return self.services.plates.default_kw(row)

    def defaulted(self, row: int, power_kw: float) -> None:
        """Record that the station took a default value."""
        self.services.plates.remember_default(row, power_kw)
        self.tell_limit(row)

    def dispatched(
        self,
        command: Command,
        power_kw: float,
        *,
        purpose: ProfilePurpose,
        dynamic: bool = False,
        base: bool = False,
    ) -> None:
        """Record that the station took a dispatch value; a TxProfile is tied to its running transaction."""
        now_s = self.services.clock.now_s()
        before = self.lease(command.row) if command.again else None
        lease = Lease(
            profile_id=command.id,
            power_kw=power_kw,
            until_s=command.until_s,
            since_s=now_s if before is None else before.since_s,
            dynamic=dynamic,
            purpose=purpose,
            base=base,
        )
        self.leases = {**self.leases, (command.row, purpose is ProfilePurpose.TX): lease}
        self.services.lease(command.until_s, command.row)
        self.tell_limit(command.row, now_s)

    def updated(self, row: int, power_kw: float, *, tied: bool) -> None:
        """Record that a dynamic profile has another value."""
        lease = self.leases[row, tied]
        fresh = replace(lease, power_kw=power_kw, since_s=self.services.clock.now_s())
        self.leases = {**self.leases, (row, tied): fresh}
        self.tell_limit(row)

    def lease(self, row: int) -> Lease | None:
        """Return the dispatch value in force at ``row``."""
        return self.leases.get((row, True)) or self.leases.get((row, False))

    def dispatch_leases(self, row: int) -> list[Lease]:
        """Return the dispatch values at ``row``, each carried by a profile of its own."""
        leases = (self.leases.get((row, True)), self.leases.get((row, False)))
        return [lease for lease in leases if lease is not None]

    def dropped(self, row: int, lease: Lease) -> None:
        """Record that one dispatch value is in force no more."""
        for tied in (True, False):
            if self.leases.get((row, tied)) is lease:
                self.let_go(row, tied=tied)
        self.tell_limit(row)

    def let_go(self, row: int, *, tied: bool) -> bool:
        """Forget one dispatch value; return whether there was one."""
        if (row, tied) not in self.leases:
            return False
        kept = {slot: lease for slot, lease in self.leases.items() if slot != (row, tied)}
        self.leases = kept or _NO_LEASES
        return True

    def released(self, row: int) -> None:
        """Record that no dispatch value is in force any more."""
        for tied in (True, False):
            self.let_go(row, tied=tied)
        self.tell_limit(row)

    def expire(self, row: int) -> None:
        """Let leases lapse whose end has come, as the station does by itself."""
        now_s = self.services.clock.now_s()
        for tied in (True, False):
            lease = self.leases.get((row, tied))
            if lease is not None and lease.until_s <= now_s:
                self.let_go(row, tied=tied)
                self.tell_limit(row)

    def tell_limit(self, row: int, now_s: float | None = None) -> None:
        """Say which value is in force at a row; a car may be stopped by it, or may go on."""
        at_s = self.services.clock.now_s() if now_s is None else now_s
        lease = self.lease(row)
        power_kw = self.default_kw(row) if lease is None else lease.power_kw
        self.services.coalescer.sample(row, Quantity.LIMIT_KW, power_kw, at_s)
        for post in self.posts:
            if post.row == row:
                post.limited(power_kw, at_s)

    # Abilities.

    def learn(self, abilities: Abilities) -> None:
        """Take what has become known of the station."""
        self.abilities = self.services.cards.shared(abilities)

    def booted_as(self, *, vendor: str, model: str, firmware: str) -> None:
        """Take make and firmware of a boot; what its like are known to do is believed of it until it shows otherwise.

        Another firmware, or another station in the same place, makes everything known of the old one void.
        """
        known = self.abilities
        if (vendor, model, firmware) != (known.vendor, known.model, known.firmware):
            told = Abilities(version=known.version, vendor=vendor, model=model, firmware=firmware)
            self.learn(self.services.cards.recall(told))

    def spoken(self, version: str) -> None:
        """Take the version it speaks now; what its like can do in another version says nothing of this one."""
        known = replace(self.abilities, version=version)
        self.learn(self.services.cards.recall(known))

    @property
    def by_direct_amperes(self) -> bool:
        """Its limits are written in amperes of direct current, at one of its connectors at least."""
        return self.units_to_try()[0] is RateUnit.A and any(is_dc(self.plate(row)) for row in self.rows.values())

    def units_to_try(self) -> tuple[RateUnit, ...]:
        """Return the unit it is known to take; both while nobody knows."""
        return self.abilities.units[:1] if self.abilities.units else (RateUnit.W, RateUnit.A)

    def watched(self, row: int, power_kw: float, at_s: float) -> None:
        """Compare power metered at ``at_s`` with the dispatch value in force: does the station do as it has accepted?

        What was metered before the value had time to work, or about when it ends, says nothing.
        """
        lease, now_s = self.lease(row), self.services.clock.now_s()
        if lease is None or math.isnan(power_kw) or at_s - lease.since_s < OBEYED_WITHIN_S:
            return
        if max(at_s, now_s) > lease.until_s - LET_GO_WITHIN_S:
            return
        obeyed = power_kw <= lease.power_kw + max(OBEYED_WITHIN_KW, OBEYED_WITHIN_RATIO * abs(lease.power_kw))
        if self.lost_s > lease.since_s and self.abilities.offline is Offline.UNKNOWN:
            self._offline_as(Offline.KEEPS if obeyed else Offline.FALLS_BACK)
        elif not now_s - self.restated_s < OBEYED_WITHIN_S:
            self._follows(row, lease, obeyed=obeyed)

    def _offline_as(self, offline: Offline) -> None:
        """Take note of what a limit did without a connection; one that was given again since proves nothing bad."""
        self.learn(replace(self.abilities, offline=offline))
        keeps = offline is Offline.KEEPS and not self.restated_s > self.lost_s
        for row in self.rows.values():
            self.troubles.set(row, Trouble.KEEPS_LIMIT_OFFLINE, keeps)

    def _follows(self, row: int, lease: Lease, *, obeyed: bool) -> None:
        """Take note of a limit that is kept or not; another purpose may have the effect that this one has not."""
        self.troubles.set(row, Trouble.IGNORES_LIMITS, not obeyed)
        if self.abilities.follows is obeyed:
            return
        abilities = replace(self.abilities, follows=obeyed)
        if not obeyed and lease.purpose in _OTHER_PURPOSE:
            abilities = replace(abilities, purpose=_OTHER_PURPOSE[lease.purpose])
        self.learn(abilities)
