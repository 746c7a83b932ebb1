"""The rules of the merit order, row by row: what one row would take, shows, may give, gives, and will have given soon.

Scalars in, scalars out, so that `vpp.dispatch.flexibility.flexibility_scan` can go through a city's rows in one pass.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.scheduled_energy import ScheduledEnergy
from vpp.dispatch.views import EV, HVAC, INDUSTRY, PV, STORAGE, V2G, Rules
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quality
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from vpp.state.eligibility import DISCONNECTED, OUT_OF_SERVICE, STALE, standing_of

NOTHING_KW = 0.05
"""Rooms and changes smaller than this are not worth a command."""

_TAPER_RATIO = 0.05
_ANCHOR_RATIO = 0.5
"""A baseline far smaller than the power it stands for cannot scale it."""
_READING_RATIO = 0.04
"""By how much a single reading of a charger may be too high: its class and the noise of one sample."""
_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)
_DISPATCH = int(Layer.DISPATCH)


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
    OUT_OF_SERVICE = 8


HOLD_NONE, _DISCONNECTED, _UNREACHABLE, _STALE, _REFUSED, _IGNORED, _PROMISED, HOLD_EMPTY, _OUT_OF_SERVICE = (
    int(why) for why in Hold
)


class Call(NamedTuple):
    """The request a survey is made for.

    Attributes:
        sign: 1.0 where net load should fall, -1.0 where it should rise.
        number: Its number in the roster's ``owner``.
        end_s: When the hold ends; stored energy must last until then.
        trusting: A restart is so recent that rows that are not back yet are trusted.
    """

    at_s: float
    sign: float
    number: int
    end_s: float
    trusting: bool


class Device(NamedTuple):
    """What the registry says of one row; ``meter_s`` is how long its meter takes to show an accepted command."""

    kind: int
    p_min_kw: float
    p_max_kw: float
    floor_kw: float
    default_kw: float
    capacity_kwh: float
    efficiency: float
    ramp_kw_per_min: float
    planned: bool
    meter_s: float


class Meter(NamedTuple):
    """What the snapshot says of one row."""

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


class Rank(NamedTuple):
    """What the controller holds of one row."""

    owner: int
    setpoint_kw: float
    free_kw: float
    anchor_kw: float
    cap_kw: float
    lost_s: float
    returning_s: float
    paused_s: float


class Command(NamedTuple):
    """What the outbox knows of one row."""

    out_id: int
    wait_id: int
    wait_layer: int
    wait_kw: float
    wait_s: float
    dispatch_kw: float
    limited_s: float
    released_s: float
    blocked_s: float
    ignored: bool
    away_s: float


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


@njit()
def is_settled(command: Command) -> bool:
    """Return whether a row has a dispatch value in force and nothing under way."""
    idle = command.out_id == 0 and command.wait_id == 0
    return bool(idle and not np.isnan(command.dispatch_kw))


@njit()
def is_charging(kind: int) -> bool:
    """Return whether a car plugs into rows of this class."""
    return kind in (EV, V2G)


@njit()
def free_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    rank: Rank,
    settled: bool,  # noqa: FBT001 - a kernel takes arguments by position
    baseline_kw: float,
    default_kw: float,
) -> float:
    """Return the power a row would take if it were free.

    A row that is free shows it on its meter. A commanded building follows the shape of its baseline from where it was;
    a store follows its schedule; a car that draws less than it may would draw no more if it were let go.
    """
    kind, told = device.kind, rank.setpoint_kw
    shown = meter.power_kw
    if np.isnan(shown):
        shown = 0.0 if np.isnan(baseline_kw) else baseline_kw
    free = shown
    if not np.isnan(rank.free_kw) and not (np.isnan(told) and np.isnan(rank.returning_s)):
        free = rank.free_kw
        if kind in (HVAC, INDUSTRY):
            free = _moved_kw(free, baseline_kw, rank.anchor_kw)
        elif kind == EV and settled and shown < told - NOTHING_KW - _TAPER_RATIO * abs(told):
            free = min(shown, free)
    if device.planned and not np.isnan(default_kw):
        able = min(max(default_kw, meter.low_kw), meter.high_kw)
        free = default_kw if np.isnan(able) else able
    absent = is_charging(kind) and not meter.plugged and meter.connected
    return 0.0 if absent and abs(shown) < NOTHING_KW else free


@njit()
def _moved_kw(free_kw: float, baseline_kw: float, anchor_kw: float) -> float:
    """Return a building's free power after its baseline has moved since it was first commanded.

    In proportion while that means something; a building that also feeds in crosses zero, and is moved by the
    difference then.
    """
    if np.isnan(baseline_kw) or np.isnan(anchor_kw):
        return free_kw
    if anchor_kw * free_kw > 0.0 and anchor_kw * baseline_kw > 0.0 and abs(anchor_kw) >= _ANCHOR_RATIO * abs(free_kw):
        return free_kw * min(max(baseline_kw / anchor_kw, 0.5), 2.0)
    return free_kw + baseline_kw - anchor_kw


@njit()
def measured_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    rank: Rank,
    call: Call,
    free: float,
    baseline_kw: float,
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return what the meter shows.

    Delivered power comes from meters only, so a commanded row that was lost is not credited for long. Nor is one whose
    lease ended while it was away, nor one whose meter is stale or cannot be believed: settlement takes its baseline,
    and the last meter value is old.
    """
    commanded = not np.isnan(rank.setpoint_kw)
    power = meter.power_kw
    lost = lost or (not call.trusting and meter.quality not in (_GOOD, _SUBSTITUTED))
    if np.isnan(power):
        if commanded:
            power = rank.setpoint_kw
            power = power if np.isnan(rank.cap_kw) else min(power, rank.cap_kw)
            if device.kind == EV and call.sign > 0.0:
                power = min(power, free)
        else:
            power = 0.0 if np.isnan(baseline_kw) else baseline_kw
    if lost:
        return free if commanded else (power if np.isnan(baseline_kw) else baseline_kw)
    return power


@njit()
def must_keep(  # noqa: PLR0917 - a kernel takes arguments by position
    kind: int,
    ceiling_kw: float,
    meter: Meter,
    rules: Rules,
    at_s: float,
    free: float,
    commanded: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> bool:
    """Return whether a row's driver must not be touched: opted out, no promise yet, or short of time.

    A session that is commanded may use its slack down to the margin; one that is not needs twice the margin to be
    taken, so that nobody is taken and let go again at once. Time is counted at the power the car will get: no charger
    gives more than its default, whatever it says it could, and a single reading may be a little high, which counts for
    much where a car charges all night.
    """
    if not is_charging(kind) or not meter.plugged:
        return False
    if not meter.sheddable:
        return True
    power = free / (1.0 + _READING_RATIO) if free > NOTHING_KW else meter.high_kw
    if not commanded and NOTHING_KW < meter.high_kw < power:
        power = meter.high_kw
    if kind == EV and ceiling_kw > NOTHING_KW:
        power = min(power, ceiling_kw)
    margin = rules.laxity_margin_s if commanded else 2.0 * rules.laxity_margin_s
    return laxity_s(meter.departure_s, meter.need_kwh, power, at_s) < margin


@njit()
def laxity_s(departure_s: float, need_kwh: float, power_kw: float, at_s: float) -> float:
    """Return how long a car could wait, infinite without a promise; as ``FleetState.laxity_s``."""
    if power_kw == 0.0:
        return -np.inf if need_kwh > 0.0 and not np.isnan(departure_s) else np.inf
    laxity = departure_s - at_s - SECONDS_PER_HOUR * need_kwh / power_kw
    return np.inf if np.isnan(laxity) else laxity


@njit()
def room_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    rank: Rank,
    rules: Rules,
    call: Call,
    free: float,
    hours: float,
    ahead: ScheduledEnergy,
    place: int,
) -> float:
    """Return by how much a row can be moved from its free power and held there until the end.

    A store that follows a schedule is moved away from it by as much as it can be all the time until then; what the
    schedule itself spends and gains is not lost on the way.
    """
    if device.kind in (V2G, STORAGE) and place >= 0:
        return _lasting_kw(device, meter, rules, call, free, ahead, place)
    if call.sign > 0.0:
        bound = _lowest(device, meter, rank, rules, call, free, hours)
    else:
        bound = _highest(device, meter, rank, rules, free, hours)
    return 0.0 if np.isnan(bound) else max(call.sign * (free - bound), 0.0)


@njit()
def _lasting_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device, meter: Meter, rules: Rules, call: Call, free: float, ahead: ScheduledEnergy, place: int
) -> float:
    """Return by how much a store can be moved from its schedule until the hold ends, by energy and by power."""
    up = call.sign > 0.0
    energy = _dischargeable_kwh(device, meter, rules, call.end_s) if up else _chargeable_kwh(device, meter, rules)
    lasting = np.inf
    for step in range(len(ahead.hours)):
        gained = ahead.kwh[place, step]
        lasting = min(lasting, (energy + (gained if up else -gained)) / ahead.hours[step])
    power = free - max(device.p_min_kw, meter.low_kw) if up else min(device.p_max_kw, meter.high_kw) - free
    return 0.0 if np.isnan(power) else max(min(lasting, power), 0.0)


@njit()
def _lowest(device: Device, meter: Meter, rank: Rank, rules: Rules, call: Call, free: float, hours: float) -> float:  # noqa: PLR0917 - a kernel takes arguments by position
    """Return the least power a row can hold: a charger its floor or its pause, a store what its energy allows."""
    if device.kind == PV:
        return free
    least = max(device.p_min_kw, meter.low_kw)
    if device.kind == EV:
        return least if not np.isnan(rank.paused_s) else max(device.floor_kw, least)
    if device.kind in (V2G, STORAGE):
        return max(least, -_dischargeable_kwh(device, meter, rules, call.end_s) / hours)
    return least


@njit()
def _highest(device: Device, meter: Meter, rank: Rank, rules: Rules, free: float, hours: float) -> float:  # noqa: PLR0917 - a kernel takes arguments by position
    """Return the greatest power a row can hold; a charger rises only where our cap holds it."""
    most = min(device.p_max_kw, meter.high_kw)
    if device.kind == EV:
        return free if np.isnan(rank.cap_kw) else min(device.default_kw, most)
    if device.kind in (V2G, STORAGE):
        return np.nan if np.isnan(meter.soc) else min(most, _chargeable_kwh(device, meter, rules) / hours)
    return min(device.p_max_kw, 0.0) if device.kind == PV else most


@njit()
def _chargeable_kwh(device: Device, meter: Meter, rules: Rules) -> float:
    """Return the energy a store can take at its meter."""
    gap = max(rules.soc_max - meter.soc, 0.0) * device.capacity_kwh / device.efficiency
    return 0.0 if np.isnan(gap) else gap


@njit()
def _dischargeable_kwh(device: Device, meter: Meter, rules: Rules, end_s: float) -> float:
    """Return the energy a store can give at its meter; a car must be able to take it back before it leaves.

    Energy E at the meter takes E/eta from the battery, and giving it back takes E/eta^2 at the meter.
    """
    car, efficiency = device.kind == V2G, device.efficiency
    least = rules.v2g_soc_min if car else rules.soc_min
    stored = max(meter.soc - least, 0.0) * device.capacity_kwh * efficiency
    if car:
        after_h = max(meter.departure_s - end_s - rules.laxity_margin_s, 0.0) / SECONDS_PER_HOUR
        spare = max(device.p_max_kw * after_h - meter.need_kwh, 0.0) * efficiency**2
        known = not np.isnan(meter.departure_s) and not np.isnan(meter.need_kwh)
        stored = min(stored, spare) if known else stored
    return 0.0 if np.isnan(meter.soc) or np.isnan(stored) else stored


@njit()
def hold_of(  # noqa: PLR0911, PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    command: Command,
    at_s: float,
    kept: bool,  # noqa: FBT001 - a kernel takes arguments by position
    room: float,
    barred: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> int:
    """Return why a row cannot give; whether it stands by itself is the rule of quotes and acceptance."""
    stands = standing_of(meter.connected, meter.quality, meter.power_kw, barred)
    if stands == DISCONNECTED:
        return _DISCONNECTED
    if stands == OUT_OF_SERVICE:
        return _OUT_OF_SERVICE
    if at_s < command.away_s:
        return _UNREACHABLE
    if at_s < command.blocked_s:
        return _IGNORED if command.ignored else _REFUSED
    if is_charging(device.kind) and not meter.plugged:
        return HOLD_EMPTY
    if kept:
        return _PROMISED
    if stands == STALE:
        return _STALE
    return HOLD_EMPTY if room < NOTHING_KW else HOLD_NONE


@njit()
def give_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    rank: Rank,
    command: Command,
    call: Call,
    free: float,
    room: float,
    hold: int,
    mine: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return what a row of the request gives, NaN where it is none or must be let go."""
    if not mine or hold in (_REFUSED, _IGNORED, _OUT_OF_SERVICE):
        return np.nan
    if not call.trusting:
        gone = is_charging(device.kind) and not meter.plugged and meter.connected
        away = hold in (_DISCONNECTED, _UNREACHABLE) and command.limited_s <= call.at_s
        if hold == _PROMISED or gone or away:
            return np.nan
    give = call.sign * (free - rank.setpoint_kw)
    if np.isnan(give):
        return np.nan
    return min(max(give, 0.0), room) if hold == HOLD_NONE else max(give, 0.0)


@njit()
def believed_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    command: Command,
    call: Call,
    free: float,
    measured: float,
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return what a row takes if it does what it said it would, for as long as its meter can have missed it.

    A charger answers in seconds and is metered after a minute: a law that waited for the meter would correct what is
    corrected already.
    """
    if lost or not meter.connected:
        return measured
    told_s, told = command.wait_s, command.wait_kw
    if command.wait_id == 0 or command.wait_layer != _DISPATCH:
        told_s, told = command.released_s, free
    if meter.power_at_s >= told_s or call.at_s - told_s > device.meter_s or np.isnan(told):
        return measured
    if device.kind == EV:
        told = min(told, free)
    return _reached(device, measured, told, call.at_s - told_s)


@njit()
def held_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device, meter: Meter, rank: Rank, command: Command, call: Call, free: float, believed: float
) -> float:
    """Return what a row takes if its lease, which is in force, is kept while nobody hears of it."""
    if meter.connected or np.isnan(rank.setpoint_kw) or command.limited_s <= call.at_s:
        return believed
    return min(rank.setpoint_kw, free) if device.kind == EV else rank.setpoint_kw


@njit()
def _reached(device: Device, measured: float, told: float, seconds: float) -> float:
    """Return how far a row can have moved from its meter's value towards what it was told."""
    if np.isinf(device.ramp_kw_per_min):
        return told
    reach = device.ramp_kw_per_min * max(seconds, 0.0) / SECONDS_PER_MINUTE
    return measured + min(max(told - measured, -reach), reach)


@njit()
def expected_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    rank: Rank,
    command: Command,
    rules: Rules,
    call: Call,
    free: float,
    measured: float,
    give: float,
    settled: bool,  # noqa: FBT001 - a kernel takes arguments by position
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
    mine: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return a row's power a moment from now.

    What a slow plant will only take in minutes cannot be counted on now: others help until it is there.
    """
    if np.isnan(give):
        leaving = mine or not np.isnan(rank.returning_s)
        return free if leaving else measured
    asked = free - call.sign * give
    changed = abs(asked - rank.setpoint_kw) > NOTHING_KW
    if not lost and call.at_s >= command.away_s and (not settled or changed):
        return _reached(device, measured, asked, rules.horizon_s)
    return measured
