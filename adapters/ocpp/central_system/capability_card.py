"""Capability card of a row, as the API shows it."""

import math
from collections.abc import Mapping

from adapters.ocpp.station.station_state import StationState


def capability_card(station: StationState | None, row: int, connector: int) -> Mapping[str, object]:
    """Return what is known of a row's station, in JSON's types; little while it has not connected."""
    if station is None:
        return {"connector": connector, "connected": False}
    known = station.abilities
    return {
        "station": station.id,
        "connector": connector,
        "connected": station.online,
        "version": known.version,
        "vendor": known.vendor,
        "model": known.model,
        "firmware": known.firmware,
        "rate_units": [unit.value for unit in known.units or ()],
        "max_stack_level": known.max_stack_level,
        "max_periods": known.max_periods,
        "step": known.step,
        "zero_allowed": known.zero_allowed,
        "profile_purpose": None if known.purpose is None else known.purpose.value,
        "profile_end": known.end.value,
        "phase_switching": known.phase_switching,
        "phases": station.nameplate(row).phases,
        "tested": known.tested,
        "follows_limits": known.follows,
        "offline_behaviour": known.offline.value,
        "ack_s": None if math.isnan(station.ack_s) else station.ack_s,
        "clock_offset_s": station.clock_offset_s,
        "grid_functions": dict(station.particulars.grid_functions or {}),
        **({"asleep": True} if station.asleep(row) else {}),
    }
