"""Installed profiles: the link's memory of the dispatch values that a station holds.

Stations cannot be asked cheaply what they hold, lose it by a boot, and keep it without a connection; a station's own
memory is what this mirrors, across connections and dialects, in ``StationState.installed``. Nothing else in the adapter
keeps a copy, and nothing outside it reads this one: what the service believes to be in force is
``vpp.dispatch.commands``, from outcomes and from ``Quantity.LIMIT_KW``, which ``report_limit`` states.

A connector has at most two: one tied to its running transaction (TxProfile), which takes precedence, and one not tied.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station.station_records import Command, InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.telemetry import Quantity

_NONE: Mapping[tuple[int, bool], InstalledProfile] = MappingProxyType({})


def in_force(station: StationState, row: int) -> InstalledProfile | None:
    """Return the dispatch value that a row obeys, ``None`` where its default value is in force."""
    return station.installed.get((row, True)) or station.installed.get((row, False))


def at_row(station: StationState, row: int) -> list[InstalledProfile]:
    """Return the dispatch values of a row, the one in force first."""
    found = (station.installed.get((row, True)), station.installed.get((row, False)))
    return [profile for profile in found if profile is not None]


def by_connector(station: StationState) -> dict[int, InstalledProfile]:
    """Return the dispatch value in force at every connector that has one."""
    found = ((connector, in_force(station, row)) for connector, row in station.rows.items())
    return {connector: profile for connector, profile in found if profile is not None}


def record_default(station: StationState, row: int, power_kw: float) -> None:
    """Record that the station took a default value."""
    station.services.nameplates.remember_default(row, power_kw)
    report_limit(station, row)


def record(
    station: StationState,
    command: Command,
    power_kw: float,
    *,
    purpose: ProfilePurpose,
    dynamic: bool = False,
    base: bool = False,
) -> None:
    """Record that the station took a dispatch value.

    Args:
        station: The station.
        command: The instruction; its id is the profile's.
        power_kw: What the profile amounts to as written, load positive.
        purpose: Purpose of the profile; a TxProfile is tied to the running transaction.
        dynamic: The profile can be updated in place.
        base: It took the place of the default value and falls back to it by itself.
    """
    now_s = station.services.clock.now_s()
    before = in_force(station, command.row) if command.again else None
    profile = InstalledProfile(
        profile_id=command.id,
        power_kw=power_kw,
        until_s=command.until_s,
        since_s=now_s if before is None else before.since_s,
        dynamic=dynamic,
        purpose=purpose,
        base=base,
    )
    station.installed = {**station.installed, (command.row, purpose is ProfilePurpose.TX): profile}
    station.services.lease(command.until_s, command.row)
    report_limit(station, command.row, now_s)


def update(station: StationState, row: int, power_kw: float, *, tied: bool) -> None:
    """Record that a dynamic profile has another value."""
    fresh = replace(station.installed[row, tied], power_kw=power_kw, since_s=station.services.clock.now_s())
    station.installed = {**station.installed, (row, tied): fresh}
    report_limit(station, row)


def drop(station: StationState, row: int, profile: InstalledProfile) -> None:
    """Record that one dispatch value is no longer installed."""
    for tied in (True, False):
        if station.installed.get((row, tied)) is profile:
            remove(station, row, tied=tied)
    report_limit(station, row)


def remove(station: StationState, row: int, *, tied: bool) -> bool:
    """Forget one dispatch value without reporting; return whether there was one."""
    if (row, tied) not in station.installed:
        return False
    kept = {slot: profile for slot, profile in station.installed.items() if slot != (row, tied)}
    station.installed = kept or _NONE
    return True


def clear(station: StationState, row: int) -> None:
    """Record that a row has no dispatch value any more."""
    for tied in (True, False):
        remove(station, row, tied=tied)
    report_limit(station, row)


def expire(station: StationState, row: int) -> None:
    """Forget dispatch values whose lease has ended, as the station does by itself."""
    now_s = station.services.clock.now_s()
    for tied in (True, False):
        profile = station.installed.get((row, tied))
        if profile is not None and profile.until_s <= now_s:
            remove(station, row, tied=tied)
            report_limit(station, row)


def report_limit(station: StationState, row: int, now_s: float | None = None) -> None:
    """Report the value in force at a row; it may stop a car, or let one draw again."""
    at_s = station.services.clock.now_s() if now_s is None else now_s
    profile = in_force(station, row)
    power_kw = station.default_kw(row) if profile is None else profile.power_kw
    station.services.batcher.sample(row, Quantity.LIMIT_KW, power_kw, at_s)
    for point in station.points:
        if point.row == row:
            point.take_limit(power_kw, at_s)
