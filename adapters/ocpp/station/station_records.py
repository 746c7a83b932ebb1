"""Records of a station: instructions, installed profiles, transactions; and the services all stations share.

Those kept of every station are structs that the garbage collector does not track: they refer to no object that could
refer to them, and without its header each takes 16 bytes less.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from adapters.kit.batching import Batcher
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import Nameplates
from adapters.ocpp.profiles.profile_policy import ProfilePolicy
from adapters.ocpp.station.capability_cards import CapabilityCards
from adapters.ocpp.station.station_troubles import StationTroubles
from vpp.domain.session import Promise
from vpp.domain.setpoint import Layer
from vpp.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services of the central system that all stations share.

    Attributes:
        lease: Called with end of lease and row for every dispatch value that is installed.
    """

    clock: Clock
    batcher: Batcher
    nameplates: Nameplates
    cards: CapabilityCards
    troubles: StationTroubles
    profiles: ProfilePolicy
    sample_interval_s: int
    boot_interval_s: int
    lease: Callable[[float, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way.

    Attributes:
        id: Id of the command (64 bits), or one of those below it in ``profile_ids`` where it is the link's own.
        quiet: It is the link's own, without an outcome.
        again: It restores a value in force at a station that may have lost it.
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


class InstalledProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A dispatch value that a station holds, carried by one charging profile. It is replaced, never changed.

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


class Transaction(msgspec.Struct, kw_only=True, gc=False):
    """A car at a connector.

    Attributes:
        meter_kwh: Register at its start, of the connector's one register; NaN while not known.
        began_s, last_s: Its start and its newest report, by our clock.
        stamp_s: The station's own stamp of its start, NaN where unknown.
        number: Its id in 1.6, 0 in other versions.
        given: Its id was assigned, or its start reported; a single reading cannot refute it.
        port: Connector of the EVSE, 0 where not known (2.x).
        sequence: Greatest ``seqNo`` received (2.x).
        ended_s: When it was over, NaN while it runs.
        promise: Charging needs since its start, as far as stated.
        doubtful: The station has booted or waits for a car; nothing has named this transaction since.
    """

    id: str
    connector: int
    row: int
    meter_kwh: float
    began_s: float = math.nan
    last_s: float = math.nan
    stamp_s: float = math.nan
    number: int = 0
    given: bool = False
    port: int = 0
    sequence: int = -1
    ended_s: float = math.nan
    promise: Promise | None = None
    doubtful: bool = False
