"""What tests of a station share: its state with a clock that a test moves, and what was reported of it."""

from adapters.kit.batching import Batcher
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import Nameplates
from adapters.ocpp.profiles.profile_ids import profile_id
from adapters.ocpp.profiles.profile_policy import ProfilePolicy
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.capability_cards import CapabilityCards
from adapters.ocpp.station.station_records import Command, Services
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.station.station_troubles import StationTroubles
from tests.conformance.ocpp_bench import EV, Sink, fleet
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

DEFAULT_KW = 9.0


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_s(self) -> float:
        """Return it."""
        return self.at_s


class Held:
    """A station, its clock, and what was reported of it."""

    def __init__(self) -> None:
        self.clock, self.sink, self.leases = HandClock(), Sink(), list[tuple[float, int]]()
        self.batcher = Batcher("ocpp", sink=self.sink, flush_wall_s=None)
        nameplates = Nameplates()
        nameplates.assign(fleet())
        services = Services(
            clock=self.clock,  # type: ignore[arg-type]  # the one method that is called
            batcher=self.batcher,
            nameplates=nameplates,
            cards=CapabilityCards(),
            troubles=StationTroubles(self.batcher, self.clock.now_s),
            profiles=ProfilePolicy(),
            sample_interval_s=60,
            boot_interval_s=300,
            lease=lambda until_s, row: self.leases.append((until_s, row)),
        )
        self.station = StationState.of("CP1", services, {1: EV})

    def install(self, number: int, power_kw: float, purpose: ProfilePurpose, **changes: bool) -> None:
        """Record a dispatch value that holds for 900 s."""
        until_s = self.clock.at_s + 900.0
        again = changes.pop("again", False)
        command = Command(
            id=number, row=EV, connector=1, layer=Layer.DISPATCH, power_kw=power_kw, until_s=until_s, again=again
        )
        identity = profile_id(1, purpose, 1 if purpose is ProfilePurpose.TX_DEFAULT else 0, number)
        installed_profiles.record(self.station, command, identity, power_kw, purpose=purpose, **changes)

    @property
    def limit_kw(self) -> float:
        """The last limit that was reported."""
        self.batcher.flush()
        return self.sink.values[EV, Quantity.LIMIT_KW]
