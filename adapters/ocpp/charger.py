"""What is known of one station, whichever connection it has: cars, values in force, abilities, instructions waiting."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from adapters.ocpp.cards import Abilities, Cards, Offline
from adapters.ocpp.coalescer import Coalescer
from adapters.ocpp.plates import Plate, Plates
from adapters.ocpp.profiles import ProfilePurpose
from adapters.ocpp.samples import Metering, read_samples
from adapters.ocpp.troubles import Troubles
from adapters.ocpp.units import RateUnit, Supply
from adapters.ocpp.wire import Json, parse_stamp
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble
from vpp.domain.units import SECONDS_PER_DAY
from vpp.ports import Clock

CLOCK_TOLERANCE_S = 600.0
"""A station's stamp this far off is not believed: 1970, or local time marked Z (MicroOcpp#354, steve#136)."""
NOTHING_KNOWN = Abilities()
LONGEST_OFFLINE_S = 7 * SECONDS_PER_DAY
OBEYED_WITHIN_S = 60.0
"""How long a station and its car may take to follow a limit (IEC 61851-1 gives the car 5 s, meters report later)."""
LET_GO_WITHIN_S = 5.0
"""How far apart station and service may see the end of a lease: clocks, whole seconds, the way of a reading."""
OBEYED_WITHIN_KW = 0.3
OBEYED_WITHIN_RATIO = 0.1
"""What metered power may lie above a limit that is kept."""
_KEPT_ENDED = 8
_OTHER_PURPOSE = {
    ProfilePurpose.TX: ProfilePurpose.TX_DEFAULT,
    ProfilePurpose.TX_DEFAULT: ProfilePurpose.TX,
}
"""What to give a value by in a transaction where one purpose is accepted and has no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a central system lends to everything that speaks for it.

    Attributes:
        lease: Told of every dispatch value in force: end of the lease and row.
        control_test: Stations of an unknown make are put to the control test.
        dynamic: Dispatch values of OCPP 2.1 stations are dynamic profiles, updated in place.
        max_offline_s: How long a 2.1 station may keep a dispatch value without a connection; ``None`` for its lease.
    """

    clock: Clock
    coalescer: Coalescer
    supply: Supply
    plates: Plates
    cards: Cards
    troubles: Troubles
    sample_interval_s: int
    boot_interval_s: int
    lease: Callable[[float, int], None]
    control_test: bool = False
    dynamic: bool = False
    max_offline_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way.

    Attributes:
        quiet: It is the link's own, and nobody hears of its end.
        again: It gives a value in force once more to a station that may have lost it.
    """

    id: int
    row: int
    connector: int
    layer: Layer
    power_kw: float
    until_s: float
    quiet: bool = False
    again: bool = False

    @property
    def slot(self) -> tuple[int, bool]:
        """Row, and which of its two values is meant; a newer command of the same slot replaces a waiting one."""
        return self.row, self.layer is Layer.DEFAULT


@dataclass(slots=True, kw_only=True)
class Transaction:
    """A car at a connector; ``meter_kwh`` is the register at its start, ``last_kwh`` the latest.

    Attributes:
        doubtful: The station has booted or says it waits for a car; nothing has named this transaction since.
    """

    id: str
    connector: int
    row: int
    meter_kwh: float
    last_kwh: float
    doubtful: bool = False


@dataclass(slots=True, kw_only=True)
class Lease:
    """A dispatch value in force at a station, carried by one profile. It is replaced, never changed.

    Attributes:
        since_s: When the station took it.
        dynamic: The profile can be updated in place.
        base: It took the place of the default value and falls back to it by itself.
    """

    profile_id: int
    power_kw: float
    until_s: float
    since_s: float
    dynamic: bool = False
    purpose: ProfilePurpose = ProfilePurpose.TX_DEFAULT
    base: bool = False


@dataclass(slots=True, kw_only=True)
class Charger:
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
        der: What it reported of its grid functions (2.1), by control id.
        clock_offset_s: How far its clock is behind ours, negative where it is ahead.
        restated_s: When values in force were last given to it again after a boot, NaN if they never were.
        takes: It has taken a profile since it came to this process.
        has_others: It has connectors that are nobody's rows.
        tx_refusals: In how many transactions in a row it has refused a TxProfile and taken another purpose;
            ``tx_refused_in`` is the last.
    """

    id: str
    services: Services
    rows: dict[int, int]
    transactions: dict[int, Transaction] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    early: dict[int, Promise] = field(default_factory=dict)
    leases: dict[tuple[int, bool], Lease] = field(default_factory=dict)
    pending: dict[tuple[int, bool], Command] = field(default_factory=dict)
    under_way: int = -1
    abilities: Abilities = NOTHING_KNOWN
    booted: bool = False
    online: bool = False
    lost_s: float = math.nan
    ack_s: float = math.nan
    der: dict[str, Json] | None = None
    clock_offset_s: float = 0.0
    restated_s: float = math.nan
    takes: bool = False
    has_others: bool = False
    tx_refusals: int = 0
    tx_refused_in: str = ""

    @property
    def troubles(self) -> Troubles:
        """Return what is the matter with its rows, and with those of all other stations."""
        return self.services.troubles

    # Time and meters.

    def instant(self, stated: object, *, offline: bool = False) -> float:
        """Return when something happened: the station's stamp if its clock is credible, else now.

        Args:
            stated: The station's stamp.
            offline: This may be late news from a time without connection, so any stamp of the last week will do.
        """
        now_s, at_s = self.services.clock.now_s(), parse_stamp(stated)
        credible = abs(at_s - now_s) <= CLOCK_TOLERANCE_S or (offline and 0.0 < now_s - at_s < LONGEST_OFFLINE_S)
        return at_s if credible else now_s

    def metered(self, connector: int, readings: Sequence[Json], *, offline: bool = False) -> float:
        """Pass on readings of a connector; return its last energy register in kWh, NaN if none was among them."""
        row = self.rows.get(connector)
        if row is None:
            return math.nan
        coalescer, energy_kwh, power_kw = self.services.coalescer, math.nan, math.nan
        metering = Metering(
            volts=self.services.supply.volts,
            phases=self.plate(row).phases,
            rejected=lambda: coalescer.rejected("sample"),
        )
        for reading in readings:
            at_s = self.instant(reading.get("timestamp"), offline=offline)
            for quantity, value in read_samples(reading["sampledValue"], metering):
                coalescer.sample(row, quantity, value, at_s)
                if quantity is Quantity.ENERGY_KWH:
                    energy_kwh = value
                elif quantity is Quantity.POWER_KW:
                    power_kw = value
        if self.leases and not offline:
            self.watched(row, power_kw)
        transaction = self.transactions.get(connector)
        if transaction is not None and not math.isnan(energy_kwh):
            transaction.last_kwh = energy_kwh
        return energy_kwh

    def plugged(self, connector: int, at_s: float, *, here: bool) -> None:
        """Pass on that a car is or is not plugged in; without one a transaction cannot go on."""
        row = self.rows.get(connector)
        if row is None:
            return
        self.services.coalescer.sample(row, Quantity.PLUGGED, float(here), at_s)
        transaction = self.transactions.get(connector)
        if transaction is not None and not here:
            self.end(transaction.id, at_s, math.nan)

    # Cars.

    def session_id(self, transaction_id: str) -> str:
        """Return the session of a transaction."""
        return f"{self.id}:{transaction_id}"

    def transaction(self, transaction_id: str) -> Transaction | None:
        """Return a running transaction by its id."""
        return next((t for t in self.transactions.values() if t.id == transaction_id), None)

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
        for connector in self.transactions:
            self.doubt(connector)

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

    def begin(self, connector: int, transaction_id: str, at_s: float, meter_kwh: float) -> None:
        """Record a car; the same transaction again changes nothing, another one ends the one before."""
        row, running = self.rows.get(connector), self.transactions.get(connector)
        if running is not None and running.id == transaction_id:
            running.doubtful = False
            return
        if row is None or transaction_id in self.ended:
            return
        if running is not None:
            self.end(running.id, at_s, math.nan)
        self.transactions[connector] = Transaction(
            id=transaction_id, connector=connector, row=row, meter_kwh=meter_kwh, last_kwh=meter_kwh
        )
        coalescer, session_id = self.services.coalescer, self.session_id(transaction_id)
        coalescer.sample(row, Quantity.PLUGGED, 1.0, at_s)
        coalescer.session(SessionStarted(session_id=session_id, row=row, at_s=at_s, meter_kwh=meter_kwh))
        early = self.early.pop(connector, None)
        if early is not None:
            coalescer.session(SessionPromised(session_id=session_id, promise=early))

    def promise(self, connector: int, promise: Promise) -> None:
        """Record what a car at ``connector`` still wants; kept if its transaction has not begun yet."""
        running = self.transactions.get(connector)
        if running is None:
            self.early[connector] = promise
            return
        given_kwh = max(0.0, running.last_kwh - running.meter_kwh)  # 0 where a register is not known
        since_start = promise.energy_kwh + given_kwh
        event = SessionPromised(
            session_id=self.session_id(running.id), promise=replace(promise, energy_kwh=since_start)
        )
        self.services.coalescer.session(event)

    def end(self, transaction_id: str, at_s: float, meter_kwh: float) -> None:
        """Record that a transaction is over: no power flows, and what was tied to it has lapsed."""
        transaction = self.transaction(transaction_id)
        if transaction is None:
            self._end_unknown(transaction_id, at_s, meter_kwh)
            return
        del self.transactions[transaction.connector]
        self.ended = (*self.ended[1 - _KEPT_ENDED :], transaction_id)
        row = transaction.row
        self.services.coalescer.sample(row, Quantity.POWER_KW, 0.0, at_s)
        if self.leases.pop((row, True), None) is not None:
            self._tell_limit(row)
        self._tell_end(transaction_id, row, at_s, transaction.last_kwh if math.isnan(meter_kwh) else meter_kwh)

    def _end_unknown(self, transaction_id: str, at_s: float, meter_kwh: float) -> None:
        """Pass on the end of a transaction from before our time; only a station with one connector leaves no doubt."""
        if len(self.rows) == 1 and transaction_id not in self.ended:
            self.ended = (*self.ended[1 - _KEPT_ENDED :], transaction_id)
            self._tell_end(transaction_id, next(iter(self.rows.values())), at_s, meter_kwh)

    def _tell_end(self, transaction_id: str, row: int, at_s: float, meter_kwh: float) -> None:
        event = SessionEnded(session_id=self.session_id(transaction_id), row=row, at_s=at_s, meter_kwh=meter_kwh)
        self.services.coalescer.session(event)

    def transaction_id_of_start(self, connector: int, stamp: str, token: str, meter_wh: int) -> int:
        """Return the id of a 1.6 transaction: always the same for the same start.

        A start that is told again after a lost link (mobilityhouse/ocpp#186) gets the same id from every process and
        after every restart, without anybody remembering it. Only where the same words must mean another car, because
        the station's clock stands still and the transaction they meant is over, the time of day makes the difference.
        """
        words = f"{self.id}\0{connector}\0{stamp}\0{token}\0{meter_wh}"
        number = _number_of(words)
        now_s = self.services.clock.now_s()
        if str(number) in self.ended and not abs(parse_stamp(stamp) - now_s) < LONGEST_OFFLINE_S:
            number = _number_of(f"{words}\0{now_s:.3f}")
        return number

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
        self._tell_limit(row)

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
        self.leases[command.row, purpose is ProfilePurpose.TX] = Lease(
            profile_id=command.id,
            power_kw=power_kw,
            until_s=command.until_s,
            since_s=now_s if before is None else before.since_s,
            dynamic=dynamic,
            purpose=purpose,
            base=base,
        )
        self.services.lease(command.until_s, command.row)
        self._tell_limit(command.row, now_s)

    def updated(self, row: int, power_kw: float, *, tied: bool) -> None:
        """Record that a dynamic profile has another value."""
        lease = self.leases[row, tied]
        self.leases[row, tied] = replace(lease, power_kw=power_kw, since_s=self.services.clock.now_s())
        self._tell_limit(row)

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
                del self.leases[row, tied]
        self._tell_limit(row)

    def released(self, row: int) -> None:
        """Record that no dispatch value is in force any more."""
        self.leases.pop((row, True), None)
        self.leases.pop((row, False), None)
        self._tell_limit(row)

    def expire(self, row: int) -> None:
        """Let leases lapse whose end has come, as the station does by itself."""
        now_s = self.services.clock.now_s()
        for tied in (True, False):
            lease = self.leases.get((row, tied))
            if lease is not None and lease.until_s <= now_s:
                del self.leases[row, tied]
                self._tell_limit(row)

    def _tell_limit(self, row: int, now_s: float | None = None) -> None:
        at_s = self.services.clock.now_s() if now_s is None else now_s
        lease = self.lease(row)
        power_kw = self.default_kw(row) if lease is None else lease.power_kw
        self.services.coalescer.sample(row, Quantity.LIMIT_KW, power_kw, at_s)

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

    def units_to_try(self) -> tuple[RateUnit, ...]:
        """Return the unit it is known to take; both while nobody knows."""
        return self.abilities.units[:1] if self.abilities.units else (RateUnit.W, RateUnit.A)

    def watched(self, row: int, power_kw: float) -> None:
        """Compare metered power with the dispatch value in force: does the station do what it has accepted?

        Nothing follows from power around the end of a lease: the station may have let go a moment before we do.
        """
        lease, now_s = self.lease(row), self.services.clock.now_s()
        if lease is None or math.isnan(power_kw) or now_s - lease.since_s < OBEYED_WITHIN_S:
            return
        if now_s > lease.until_s - LET_GO_WITHIN_S:
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


def _number_of(words: str) -> int:
    """Return a positive int32."""
    return (int.from_bytes(blake2b(words.encode(), digest_size=4).digest(), "big") & 0x7FFF_FFFF) or 1
