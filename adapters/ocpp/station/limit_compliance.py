"""Compliance with limits: metered power against the dispatch value in force, with and without a connection."""

import math
from collections.abc import Mapping
from dataclasses import replace

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station.capability_cards import Offline
from adapters.ocpp.station.connector_state import ConnectorState
from adapters.ocpp.station.station_records import InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.trouble import Trouble

OBEYED_WITHIN_S = 60.0
"""How long a station and its car may take to follow a limit (IEC 61851-1 gives the car 5 s, meters report later)."""
LEASE_SLACK_S = 5.0
"""How far apart station and service may see the end of a lease: clocks, whole seconds, the delay of a reading."""
OBEYED_WITHIN_KW = 0.3
OBEYED_WITHIN_RATIO = 0.1
"""Metered power that may lie above a limit that is kept."""
_OTHER_PURPOSE: Mapping[ProfilePurpose, ProfilePurpose] = {
    ProfilePurpose.TX: ProfilePurpose.TX_DEFAULT,
    ProfilePurpose.TX_DEFAULT: ProfilePurpose.TX,
}
"""Purpose to try in a transaction where one is accepted and has no effect."""


def check(station: StationState, point: ConnectorState, power_kw: float, at_s: float) -> None:
    """Compare power metered at ``at_s`` with the dispatch value in force: does the station do what it accepted?

    A reading from before the value had time to work, or from about its end, proves nothing.
    """
    profile, now_s = point.in_force, station.services.clock.now_s()
    if profile is None or math.isnan(power_kw) or at_s - profile.since_s < OBEYED_WITHIN_S:
        return
    if max(at_s, now_s) > profile.until_s - LEASE_SLACK_S:
        return
    obeyed = power_kw <= profile.power_kw + max(OBEYED_WITHIN_KW, OBEYED_WITHIN_RATIO * abs(profile.power_kw))
    if station.lost_s > profile.since_s and station.abilities.offline is Offline.UNKNOWN:
        _learn_offline(station, Offline.KEEPS if obeyed else Offline.FALLS_BACK)
    elif not now_s - station.particulars.restated_s < OBEYED_WITHIN_S:
        _learn_compliance(station, point.row, profile, obeyed=obeyed)


def _learn_offline(station: StationState, offline: Offline) -> None:
    """Note what a limit did without a connection; one that was given again since proves nothing bad."""
    station.learn(replace(station.abilities, offline=offline))
    keeps = offline is Offline.KEEPS and not station.particulars.restated_s > station.lost_s
    for row in station.rows.values():
        station.troubles.set(row, Trouble.KEEPS_LIMIT_OFFLINE, keeps)


def _learn_compliance(station: StationState, row: int, profile: InstalledProfile, *, obeyed: bool) -> None:
    """Note whether a limit is kept; another purpose may have the effect that this one lacks."""
    station.troubles.set(row, Trouble.IGNORES_LIMITS, not obeyed)
    if station.abilities.follows is obeyed:
        return
    abilities = replace(station.abilities, follows=obeyed)
    if not obeyed and profile.purpose in _OTHER_PURPOSE:
        abilities = replace(abilities, purpose=_OTHER_PURPOSE[profile.purpose])
    station.learn(abilities)
