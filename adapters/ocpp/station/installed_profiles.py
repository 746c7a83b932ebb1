"""Installed profiles: the link's memory of the dispatch values that a station holds.

Stations cannot be asked cheaply what they hold, lose it by a boot, and keep it without a connection; a station's own
memory is what this mirrors, across connections and dialects, in ``ConnectorState``. Nothing else in the adapter
keeps a copy, but for the value that waking replaces for a minute (``control.waking``), and nothing outside the adapter
reads this one: what the service believes to be in force is ``vpp.dispatch.commands``, from outcomes and from
``Quantity.LIMIT_KW``, which ``report_limit`` states.

A connector has at most two: one tied to its running transaction (TxProfile), which takes precedence, and one not tied.
"""

import msgspec

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station.station_records import Command, InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.telemetry import Quantity


def found(station: StationState, row: int, *, tied: bool) -> InstalledProfile | None:
    """Return a dispatch value of a row, ``None`` where it holds none of that kind."""
    point = station.point_at(row)
    return None if point is None else point.tied if tied else point.untied


def in_force(station: StationState, row: int) -> InstalledProfile | None:
    """Return the dispatch value that a row obeys, ``None`` where its default value is in force."""
    point = station.point_at(row)
    return None if point is None else point.in_force


def at_row(station: StationState, row: int) -> list[InstalledProfile]:
    """Return the dispatch values of a row, the one in force first."""
    both = (found(station, row, tied=True), found(station, row, tied=False))
    return [profile for profile in both if profile is not None]


def by_connector(station: StationState) -> dict[int, InstalledProfile]:
    """Return the dispatch value in force at every connector that has one."""
    each = ((point.connector, point.in_force) for point in station.points)
    return {connector: profile for connector, profile in each if profile is not None}


def record_default(station: StationState, row: int, power_kw: float) -> None:
    """Record that the station took a default value."""
    station.services.nameplates.remember_default(row, power_kw)
    report_limit(station, row)


def record(
    station: StationState,
    command: Command,
    profile_id: int,
    power_kw: float,
    *,
    purpose: ProfilePurpose,
    dynamic: bool = False,
    base: bool = False,
) -> None:
    """Record that the station took a dispatch value.

    Args:
        station: The station.
        command: The instruction.
        profile_id: Id of the profile that carries it.
        power_kw: What the profile amounts to as written, load positive.
        purpose: Purpose of the profile; a TxProfile is tied to the running transaction.
        dynamic: The profile can be updated in place.
        base: It took the place of the default value and falls back to it by itself.
    """
    now_s = station.services.clock.now_s()
    before = in_force(station, command.row) if command.again else None
    profile = InstalledProfile(
        profile_id=profile_id,
        power_kw=power_kw,
        until_s=command.until_s,
        since_s=now_s if before is None else before.since_s,
        dynamic=dynamic,
        purpose=purpose,
        base=base,
    )
    _put(station, command.row, profile, tied=purpose is ProfilePurpose.TX)
    station.services.lease(command.until_s, command.row)
    report_limit(station, command.row, now_s)


def update(station: StationState, row: int, power_kw: float, *, tied: bool) -> None:
    """Record that a dynamic profile has another value."""
    known = found(station, row, tied=tied)
    if known is not None:
        fresh = msgspec.structs.replace(known, power_kw=power_kw, since_s=station.services.clock.now_s())
        _put(station, row, fresh, tied=tied)
    report_limit(station, row)


def drop(station: StationState, row: int, profile: InstalledProfile) -> None:
    """Record that one dispatch value is no longer installed."""
    for tied in (True, False):
        if found(station, row, tied=tied) is profile:
            remove(station, row, tied=tied)
    report_limit(station, row)


def remove(station: StationState, row: int, *, tied: bool) -> bool:
    """Forget one dispatch value without reporting; return whether there was one."""
    if found(station, row, tied=tied) is None:
        return False
    _put(station, row, None, tied=tied)
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
        profile = found(station, row, tied=tied)
        if profile is not None and profile.until_s <= now_s:
            remove(station, row, tied=tied)
            report_limit(station, row)


def report_limit(station: StationState, row: int, now_s: float | None = None) -> None:
    """Report the value in force at a row; it may stop a car, or let one draw again."""
    at_s = station.services.clock.now_s() if now_s is None else now_s
    point = station.point_at(row)
    profile = None if point is None else point.in_force
    power_kw = station.default_kw(row) if profile is None else profile.power_kw
    station.services.batcher.sample(row, Quantity.LIMIT_KW, power_kw, at_s)
    if point is not None:
        point.take_limit(power_kw, at_s, station.services.profiles.supply.volts)


def _put(station: StationState, row: int, profile: InstalledProfile | None, *, tied: bool) -> None:
    """Keep a dispatch value of a row, ``None`` for none any more."""
    point = station.point_at(row)
    if point is not None and tied:
        point.tied = profile
    elif point is not None:
        point.untied = profile
