"""How far each row can be moved now and held there until the request ends, and why some cannot be moved at all."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vpp.dispatch.columns import CommandTable, RosterTable
from vpp.dispatch.kinds import among, of_class
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.request import Direction
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality
from vpp.domain.units import SECONDS_PER_HOUR

_LEAST_KW = 0.05
"""Rooms smaller than this are not worth a command."""


class Hold(IntEnum):
    """Why a row gives nothing; the first that applies."""

    NONE = 0
    DISCONNECTED = 1
    UNREACHABLE = 2
    STALE = 3
    REFUSED = 4
    IGNORED = 5
    PROMISED = 6
    EMPTY = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Room of every row in one direction; shape ``(n_resources,)`` each.

    Attributes:
        bound_kw: Power the row can be moved to, load positive.
        room_kw: ``|free - bound|`` where it can be moved, else 0.
        hold: ``Hold`` code.
    """

    bound_kw: FloatArray
    room_kw: FloatArray
    hold: CodeArray


def protected(state: FleetState, free_kw: FloatArray, commanded: BoolArray, settings: DispatchSettings) -> BoolArray:
    """Return the rows whose driver must not be touched: opted out, no promise yet, or short of time.

    A session that is commanded may use its slack down to the margin; one that is not needs twice the margin to be
    taken, so that nobody is taken and let go again at once.
    """
    charging = of_class(state.index, *CHARGING)
    power_kw = np.where(free_kw > _LEAST_KW, free_kw, state.available_max_kw)
    margin_s = np.where(commanded, 1.0, 2.0) * settings.laxity_margin_s
    urgent = state.laxity_s(power_kw) < margin_s
    return np.asarray(charging & state.plugged & (~state.sheddable | urgent))


def rooms(
    state: FleetState,
    *,
    direction: Direction,
    free_kw: FloatArray,
    roster: RosterTable,
    commands: CommandTable,
    end_s: float,
    kept: BoolArray,
    settings: DispatchSettings,
) -> Rooms:
    """Return what each row can give until ``end_s``.

    Args:
        state: The snapshot.
        direction: Which way.
        free_kw: Power each row would take if it were free.
        roster: Who is commanded.
        commands: Who is unreachable, refuses or ignores.
        end_s: When the hold ends; stored energy must last until then.
        kept: Rows whose driver must not be touched.
        settings: Margins.
    """
    hours = max(end_s - state.at_s, settings.cycle_s) / SECONDS_PER_HOUR
    up = direction is Direction.UP
    bound = _lowest(state, free_kw, hours, end_s, settings) if up else _highest(state, free_kw, roster, hours, settings)
    bound = np.where(np.isnan(bound), free_kw, bound)
    room = np.maximum(free_kw - bound if up else bound - free_kw, 0.0)
    hold = _holds(state, commands, kept, room)
    return Rooms(bound_kw=bound, room_kw=np.where(hold == Hold.NONE, room, 0.0), hold=hold)


def _holds(state: FleetState, commands: CommandTable, kept: BoolArray, room_kw: FloatArray) -> CodeArray:
    """Return why each row cannot give."""
    unplugged = of_class(state.index, *CHARGING) & ~state.plugged
    blocked = state.at_s < commands.blocked_s
    stale = among(state.quality, (Quality.STALE, Quality.BAD)) | np.isnan(state.power_kw)
    reasons = (
        ~state.connected,
        commands.failures > 0,
        blocked & commands.ignored,
        blocked,
        unplugged,
        kept,
        stale,
        room_kw < _LEAST_KW,
    )
    codes = (
        Hold.DISCONNECTED,
        Hold.UNREACHABLE,
        Hold.IGNORED,
        Hold.REFUSED,
        Hold.EMPTY,
        Hold.PROMISED,
        Hold.STALE,
        Hold.EMPTY,
    )
    return np.select(reasons, codes, Hold.NONE).astype(np.uint8)


def _lowest(
    state: FleetState, free_kw: FloatArray, hours: float, end_s: float, settings: DispatchSettings
) -> FloatArray:
    """Return the least power each row can hold for ``hours``: a charger its floor, a store what its energy allows."""
    index = state.index
    device = np.maximum(index.p_min_kw, state.available_min_kw)
    charger = np.maximum(index.floor_kw, device)
    store = np.maximum(device, -_dischargeable_kwh(state, end_s, settings) / hours)
    return np.select(
        (of_class(index, ResourceClass.EV), _stores(index), of_class(index, ResourceClass.PV)),
        (charger, store, free_kw),
        device,
    )


def _highest(
    state: FleetState, free_kw: FloatArray, roster: RosterTable, hours: float, settings: DispatchSettings
) -> FloatArray:
    """Return the greatest power each row can hold for ``hours``; a charger rises only where our cap holds it."""
    index = state.index
    device = np.minimum(index.p_max_kw, state.available_max_kw)
    empty_kwh = np.maximum(settings.soc_max - state.soc, 0.0) * index.capacity_kwh / index.efficiency
    charger = np.where(np.isnan(roster.cap_kw), free_kw, np.minimum(index.default_kw, device))
    return np.select(
        (of_class(index, ResourceClass.EV), _stores(index), of_class(index, ResourceClass.PV)),
        (charger, np.minimum(device, empty_kwh / hours), np.minimum(index.p_max_kw, 0.0)),
        device,
    )


def _dischargeable_kwh(state: FleetState, end_s: float, settings: DispatchSettings) -> FloatArray:
    """Return the energy each store can give at its meter; a car must be able to take it back before it leaves.

    Energy E at the meter takes E/eta from the battery, and giving it back takes E/eta^2 at the meter.
    """
    index = state.index
    car = of_class(index, ResourceClass.V2G)
    least = np.where(car, settings.v2g_soc_min, settings.soc_min)
    stored = np.maximum(state.soc - least, 0.0) * index.capacity_kwh * index.efficiency
    after_h = np.maximum(state.departure_s - end_s - settings.laxity_margin_s, 0.0) / SECONDS_PER_HOUR
    spare = np.maximum(index.p_max_kw * after_h - state.need_kwh, 0.0) * index.efficiency**2
    returnable = np.where(car & ~np.isnan(spare), np.minimum(stored, spare), stored)
    return np.where(np.isnan(returnable), 0.0, returnable)


def _stores(index: FleetIndex) -> BoolArray:
    return of_class(index, ResourceClass.STORAGE, ResourceClass.V2G)
