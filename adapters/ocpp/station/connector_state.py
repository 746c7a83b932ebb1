"""State of one charging point, a connector (1.6) or EVSE (2.x): meter, reported state, and its car's sleep."""

import math
import sys
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from adapters.kit.compact_map import EMPTY, CompactMap
from adapters.ocpp.profiles.nameplates import NameplateRecord
from adapters.ocpp.station.derived_power import DerivedPower
from adapters.ocpp.station.energy_register import EnergyRegister
from adapters.ocpp.station.station_records import InstalledProfile
from vpp.domain.charging import least_charging_kw
from vpp.domain.trouble import Trouble

DRAWS_KW = 0.5
"""A car that draws more is awake."""
WAKES_WITHIN_S = 300.0
"""How long a car may take to draw again after a pause (IEC 61851-1 knows no limit; most take under a minute)."""
OUTAGES: Mapping[str, Trouble] = {"Faulted": Trouble.FAULTED, "Unavailable": Trouble.OUT_OF_SERVICE}
"""States in which a connector delivers nothing."""


class Pause(msgspec.Struct, gc=False):
    """The pause of a car that was drawing when its limit went below the least power a car can take.

    Attributes:
        free_s: Since when it may draw again, NaN while it may not.
        asleep: It has had the time to draw again and does not.
    """

    free_s: float = math.nan
    asleep: bool = False


class ConnectorState(msgspec.Struct, gc=False):
    """What is known of one charging point.

    Attributes:
        connector: Its number.
        row: Its row in the fleet.
        nameplate: Its nameplate.
        register: Energy taken in.
        power_kw: Last metered or derived power.
        power_s: When power was last metered, minus infinity before that and in a new transaction.
        tied: Dispatch value that it holds tied to its running transaction; see ``installed_profiles``.
        untied: Dispatch value that it holds beside.
        derived: Derives power while none is metered.
        paused: The station reports that it or the car has paused.
        pause: A pause caused by a limit of ours.
        states: The last state of every connector of the point that has reported one.
        state_s: Stamp of the newest state, by our clock.
        by_main_meter: The station's main meter stands in for its own.
        awaits_register: Its transaction began without a register.
        car_v: Voltage last metered at the car, NaN where it is unknown; of direct current alone.
    """

    connector: int
    row: int
    nameplate: NameplateRecord
    register: EnergyRegister
    power_kw: float = math.nan
    power_s: float = -math.inf
    tied: InstalledProfile | None = None
    untied: InstalledProfile | None = None
    derived: DerivedPower | None = None
    paused: bool = False
    pause: Pause | None = None
    states: CompactMap[int, str] = EMPTY
    state_s: float = -math.inf
    by_main_meter: bool = False
    awaits_register: bool = False
    car_v: float = math.nan

    @classmethod
    def of(cls, connector: int, row: int, nameplate: NameplateRecord) -> "ConnectorState":
        """Return a charging point of which nothing has been reported."""
        return cls(connector, row, nameplate, EnergyRegister(nameplate.p_max_kw))

    def least_kw(self, volts: float) -> float:
        """Return the least power a car can be held at: six amperes on each phase, a kilowatt of direct current."""
        nameplate = self.nameplate
        return max(nameplate.floor_kw, least_charging_kw(nameplate.p_max_kw, nameplate.phases, volts))

    @property
    def in_force(self) -> InstalledProfile | None:
        """The dispatch value it obeys, ``None`` where its default value is in force."""
        return self.tied or self.untied

    @property
    def metered(self) -> bool:
        """It has reported readings."""
        return not (math.isinf(self.power_s) and math.isinf(self.register.at_s))

    @property
    def asleep(self) -> bool:
        """Its car has not drawn again since a pause of ours was over."""
        return self.pause is not None and self.pause.asleep

    def begin_transaction(self, at_s: float) -> None:
        """Take note of a new transaction: earlier readings do not apply to it."""
        self.power_s, self.paused, self.pause = -math.inf, False, None
        self.car_v = math.nan
        total_kwh = self.register.total_kwh
        self.derived = None if math.isnan(total_kwh) else DerivedPower(total_kwh, at_s)

    # States of connectors; an EVSE may have several (2.x G01), of which one is used at a time.

    def put_state(self, port: int, state: str) -> None:
        """Keep the state of one connector."""
        known = self.states
        self.states = known.plus(port, sys.intern(state)) if len(known) - (port in known) else _one_state(port, state)

    @property
    def occupied(self) -> bool:
        """A connector reports a car."""
        return any(state in PLUGGED for state in self.states.values())

    def outage(self, port: int) -> Trouble | None:
        """Return its outage: at ``port`` where that is known, else one of all its connectors."""
        states = self.states
        if port in states:
            return OUTAGES.get(states[port])
        troubles = [OUTAGES.get(state) for state in states.values()]
        return troubles[0] if troubles and None not in troubles else None

    # A car's sleep.

    def take_limit(self, limit_kw: float, now_s: float, volts: float) -> None:
        """Take the limit in force: it may stop a drawing car, or free it."""
        if limit_kw < self.least_kw(volts) - 1e-6:
            if self.pause is not None:
                self.pause.free_s = math.nan
            elif self.power_kw > DRAWS_KW:
                self.pause = Pause()
        elif self.pause is not None and math.isnan(self.pause.free_s):
            self.pause.free_s = now_s

    def take_power(self, power_kw: float, at_s: float) -> bool:
        """Take a power during a pause; return whether the car has fallen asleep or woken by it."""
        pause = self.pause
        if pause is None or math.isnan(pause.free_s) or not at_s >= pause.free_s:
            return False
        if power_kw > DRAWS_KW:
            self.pause = None
            return pause.asleep
        if pause.asleep or at_s - pause.free_s < WAKES_WITHIN_S:
            return False
        pause.asleep = True
        return True


PLUGGED = frozenset({"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Occupied"})
"""States of a connector with a car at it (1.6 4.9; 2.x G01)."""
PAUSED = frozenset({"SuspendedEV", "SuspendedEVSE"})
"""States in which no power flows (1.6 4.9; chargingState of 2.x E)."""


@lru_cache(maxsize=256)
def _one_state(port: int, state: str) -> CompactMap[int, str]:
    """Return the states of a point that has one connector, one object for all points alike."""
    return CompactMap([(port, sys.intern(state))])
