"""What is kept of a station: little while it is quiet, and what is rare is shared until it happens."""

import gc
import math
import sys
import types
from enum import Enum

import msgspec

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_state import NO_PARTICULARS, StationState
from adapters.ocpp.telemetry.connector_status import take_status
from adapters.ocpp.telemetry.readings import take_readings
from tests.conformance.ocpp_bench import EV
from tests.unit.adapters.ocpp.station.parts import Held

QUIET_BYTES, HOLDING_BYTES = 680, 880
"""What the objects of one station may take, of which the floats and strings are a third."""
METERED = [
    {
        "timestamp": "1970-01-01T00:16:40Z",
        "sampledValue": [
            {"value": "7000", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "1234", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        ],
    }
]


def own_bytes(station: StationState) -> int:
    """Return the size of all objects reached from a station and from no other of the same services."""
    other = StationState.of("CP2", station.services, {1: EV})
    take_status(other, 1, "Charging", None)
    shared = {id(one) for one in reached(other)} - {id(other)}
    return sum(sys.getsizeof(one) for one in reached(station) if id(one) not in shared)


def reached(station: StationState) -> list[object]:
    """Return the objects reached from a station, its services left out."""
    seen: dict[int, object] = {}
    waiting: list[object] = [station]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or one is station.services or isinstance(one, (type, types.ModuleType, Enum)):
            continue
        seen[id(one)] = one
        structured = isinstance(one, msgspec.Struct)  # which the collector does not look into
        waiting += [getattr(one, name) for name in one.__struct_fields__] if structured else gc.get_referents(one)
    return list(seen.values())


def test_a_quiet_station_costs_little_and_one_under_a_limit_not_much_more() -> None:
    held = Held()
    take_status(held.station, 1, "Charging", None)
    take_readings(held.station, 1, METERED)
    assert own_bytes(held.station) < QUIET_BYTES
    held.install(1, 5.0, ProfilePurpose.TX_DEFAULT)
    assert installed_profiles.in_force(held.station, EV) is not None
    assert own_bytes(held.station) < HOLDING_BYTES


def test_what_is_rare_is_noted_for_one_station_and_no_other() -> None:
    one, other = Held().station, Held().station
    assert one.particulars is other.particulars is NO_PARTICULARS
    one.note(outage="Faulted", has_others=True)
    one.note(restated_s=5.0)
    assert (one.particulars.outage, one.particulars.has_others, one.particulars.restated_s) == ("Faulted", True, 5.0)
    assert other.particulars is NO_PARTICULARS
    assert (NO_PARTICULARS.outage, NO_PARTICULARS.has_others) == ("", False)


def test_a_station_has_booted_once_it_has_been_seen() -> None:
    station = Held().station
    assert not station.booted
    station.online = True
    assert station.booted
    station.online, station.lost_s = False, 1000.0
    assert station.booted


def test_times_to_answer_are_kept_to_the_millisecond_and_shared() -> None:
    one, other = Held().station, Held().station
    one.answered_in(0.0123)
    other.answered_in(0.0119)
    assert one.ack_s == 0.012
    assert one.ack_s is other.ack_s
    one.answered_in(float("nan"))
    assert math.isnan(one.ack_s)
