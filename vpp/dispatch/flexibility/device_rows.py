"""One device as compiled code sees it: nameplate, meter, assignment and command, with the request that looks at it."""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.views import EV, STORAGE, V2G, Devices, Kinds, Meters

NOTHING_KW = 0.05
"""Powers and changes smaller than this are not worth a command."""


class Call(NamedTuple):
    """Request a fleet is scanned for.

    Attributes:
        at_s: Epoch seconds.
        sign: 1.0 where net load is to fall, -1.0 where it is to rise.
        number: Its number, the ``owner`` of its rows.
        end_s: When the hold ends; stored energy must last until then.
        trusting: A restart is so recent that rows that are not back yet are trusted.
    """

    at_s: float
    sign: float
    number: int
    end_s: float
    trusting: bool


class Device(NamedTuple):
    """Nameplate of one row.

    Attributes:
        least_charging_kw: Least power the car of a one-way charger draws; offered less, it pauses.
        meter_s: How long its meter takes to show an accepted command.
    """

    kind: int
    p_min_kw: float
    p_max_kw: float
    floor_kw: float
    least_charging_kw: float
    default_kw: float
    capacity_kwh: float
    efficiency: float
    ramp_kw_per_min: float
    planned: bool
    meter_s: float


class DeviceLimits(NamedTuple):
    """Limits of one row; see `vpp.fleet.limits.LimitColumns`. Bounds of charge are those of a store, else 0."""

    soc_floor: float
    soc_ceiling: float
    promise_margin_s: float


class Meter(NamedTuple):
    """Snapshot of one row."""

    power_kw: float
    power_at_s: float
    quality: int
    soc: float
    connected: bool
    plugged: bool
    low_kw: float
    high_kw: float
    need_kwh: float
    departure_s: float
    sheddable: bool


class Assignment(NamedTuple):
    """Assignment of one row; see `vpp.dispatch.rows.assignments.AssignmentColumns`."""

    owner: int
    setpoint_kw: float
    uncontrolled_kw: float
    anchor_kw: float
    cap_kw: float
    lost_s: float
    returning_s: float
    paused_s: float


class Command(NamedTuple):
    """Commands of one row; see `vpp.dispatch.rows.command_columns`.

    Attributes:
        unanswered: Whether a command is without outcome.
        unconfirmed: Whether an accepted command is without metered confirmation; ``accepted_*`` describe it.
        since_s: Since when a dispatch value like the one in force is held.
    """

    unanswered: bool
    unconfirmed: bool
    accepted_layer: int
    accepted_kw: float
    accepted_s: float
    dispatch_kw: float
    since_s: float
    limited_s: float
    released_s: float
    blocked_s: float
    ignored: bool
    away_s: float


@njit()
def device_at(devices: Devices, kinds: Kinds, row: int) -> Device:
    """Return one row's nameplate."""
    kind = devices.kind[row]
    return Device(
        kind,
        devices.p_min_kw[row],
        devices.p_max_kw[row],
        devices.floor_kw[row],
        devices.least_charging_kw[row],
        devices.default_kw[row],
        devices.capacity_kwh[row],
        devices.efficiency[row],
        devices.ramp_kw_per_min[row],
        kinds.planned[kind],
        kinds.meter_s[devices.adapter[row]],
    )


@njit()
def limits_at(devices: Devices, row: int, plugged: bool) -> DeviceLimits:  # noqa: FBT001 - a kernel takes arguments by position
    """Return one row's limits, reading only those that mean something to it."""
    stores = devices.kind[row] in (V2G, STORAGE)
    return DeviceLimits(
        devices.soc_floor[row] if stores else 0.0,
        devices.soc_ceiling[row] if stores else 0.0,
        devices.promise_margin_s[row] if plugged else 0.0,
    )


@njit()
def meter_at(meters: Meters, row: int) -> Meter:
    """Return one row's snapshot."""
    return Meter(
        meters.power_kw[row],
        meters.power_at_s[row],
        meters.quality[row],
        meters.soc[row],
        meters.connected[row],
        meters.plugged[row],
        meters.low_kw[row],
        meters.high_kw[row],
        meters.need_kwh[row],
        meters.departure_s[row],
        meters.sheddable[row],
    )


@njit()
def assignment_at(assigned: AssignmentColumns, row: int) -> Assignment:
    """Return one row's assignment."""
    return Assignment(
        assigned.owner[row],
        assigned.setpoint_kw[row],
        assigned.uncontrolled_kw[row],
        assigned.anchor_kw[row],
        assigned.cap_kw[row],
        assigned.lost_s[row],
        assigned.returning_s[row],
        assigned.paused_s[row],
    )


@njit()
def command_at(commands: CommandColumns, row: int) -> Command:
    """Return one row's commands."""
    accepted, held, back_off = commands.unconfirmed, commands.in_force, commands.back_off
    return Command(
        commands.unanswered.id[row] > 0,
        accepted.id[row] > 0,
        accepted.layer[row],
        accepted.power_kw[row],
        accepted.accepted_s[row],
        held.dispatch_kw[row],
        held.since_s[row],
        held.limited_s[row],
        held.released_s[row],
        back_off.blocked_s[row],
        back_off.ignored[row],
        back_off.away_s[row],
    )


@njit()
def is_charging(kind: int) -> bool:
    """Return whether a car plugs into rows of this class."""
    return kind in (EV, V2G)


@njit()
def is_settled(command: Command) -> bool:
    """Return whether a row has a dispatch value in force and nothing under way."""
    return bool(not command.unanswered and not command.unconfirmed and not np.isnan(command.dispatch_kw))


@njit()
def has_no_part(  # noqa: PLR0917 - a kernel takes arguments by position
    kind: int,
    plugged: bool,  # noqa: FBT001 - a kernel takes arguments by position
    connected: bool,  # noqa: FBT001 - a kernel takes arguments by position
    shown: float,
    setpoint: float,
    returning: float,
    counted: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> bool:
    """Return whether nothing of a row matters: it is not counted, or a charger without a car; most rows are such."""
    if not np.isnan(setpoint):
        return False
    empty = is_charging(kind) and not plugged and connected and abs(shown) < NOTHING_KW
    return not counted or bool(empty and np.isnan(returning))
