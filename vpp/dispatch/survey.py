"""One look at every row for one request: what it would take, shows, may give, gives, and will have given soon.

All of it in one pass, since at city scale reading the rows is what costs; each rule has a function of its own.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from optimizer.jit import njit
from vpp.dispatch.views import (
    EV,
    HVAC,
    INDUSTRY,
    PV,
    STORAGE,
    V2G,
    Commands,
    Devices,
    Kinds,
    Meters,
    Roster,
    Rules,
)
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE

NOTHING_KW = 0.05
"""Rooms and changes smaller than this are not worth a command."""

_TAPER_RATIO = 0.05
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


_NONE, _DISCONNECTED, _UNREACHABLE, _STALE, _REFUSED, _IGNORED, _PROMISED, _EMPTY = (int(why) for why in Hold)


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
    failures: int


class Survey(NamedTuple):
    """What was found; arrays of shape ``(n_resources,)``, powers load positive, sums over the portfolio.

    Attributes:
        free_kw: Power each row would take if it were free.
        kept: Rows whose driver must not be touched.
        room_kw: The most each row can give, 0 where it may not.
        hold: ``Hold`` code: why not.
        give_kw: What each row of the request gives, within what it may; NaN where it has no part or must be let go.
        settled: Rows with a dispatch value in force and nothing under way.
        measured_kw: What the meters show; a row nobody meters counts as told for a while, then as free.
        believed_kw: The same, rows that said yes and whose meter has had no time to show it counting as told.
        expected_kw: Net load a moment from now, with everything under way as far as it can have taken effect.
    """

    free_kw: FloatArray
    kept: BoolArray
    room_kw: FloatArray
    hold: CodeArray
    give_kw: FloatArray
    settled: BoolArray
    measured_kw: float
    believed_kw: float
    expected_kw: float


@njit()
def survey(
    devices: Devices,
    meters: Meters,
    roster: Roster,
    commands: Commands,
    kinds: Kinds,
    rules: Rules,
    call: Call,
    portfolio: BoolArray,
    baseline_kw: FloatArray,
    default_kw: FloatArray,
) -> Survey:
    """Return the survey of one request.

    Args:
        devices: The registry's columns.
        meters: The snapshot's columns.
        roster: Who is commanded.
        commands: Who is unreachable, refuses or ignores, and what is under way.
        kinds: What holds for whole classes and adapters.
        rules: Margins.
        call: The request.
        portfolio: Rows whose meters count, shape ``(n_resources,)``.
        baseline_kw: Baseline of every row now, NaN where unknown, shape ``(n_resources,)``.
        default_kw: Default value of every row, NaN where we set none, shape ``(n_resources,)``.
    """
    # Columns as variables of their own: reaching into a tuple for every row would cost more than all that is computed.
    (kind, adapter, p_min, p_max, floor, ceiling, capacity, efficiency, ramp, _) = devices
    (power, power_at, quality, soc, connected, plugged, low, high, need, departure, sheddable) = meters
    (owner, setpoint, noted, anchor, cap, lost_at, returning, paused) = roster
    (out_id, wait_id, wait_layer, wait_kw, wait_at, in_force, limited, released, blocked, ignored, failures) = commands
    planned, meter_s = kinds
    count = len(kind)
    free, room, give = np.empty(count), np.empty(count), np.empty(count)
    kept, settled = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    hold = np.empty(count, dtype=np.uint8)
    measured_sum = believed_sum = expected_sum = 0.0
    hours = max(call.end_s - call.at_s, rules.cycle_s) / SECONDS_PER_HOUR
    for row in range(count):
        shown = power[row]
        if owner[row] != call.number and _has_no_part(
            kind[row], plugged[row], connected[row], shown, setpoint[row], returning[row], portfolio[row]
        ):
            free[row] = 0.0 if np.isnan(shown) or portfolio[row] else shown
            kept[row], settled[row], room[row], hold[row], give[row] = False, False, 0.0, _EMPTY, np.nan
            if portfolio[row]:
                measured_sum, believed_sum, expected_sum = measured_sum + shown, believed_sum + shown, expected_sum + shown
            continue
        device = Device(
            kind[row],
            p_min[row],
            p_max[row],
            floor[row],
            ceiling[row],
            capacity[row],
            efficiency[row],
            ramp[row],
            planned[kind[row]],
            meter_s[adapter[row]],
        )
        meter = Meter(
            power[row],
            power_at[row],
            quality[row],
            soc[row],
            connected[row],
            plugged[row],
            low[row],
            high[row],
            need[row],
            departure[row],
            sheddable[row],
        )
        rank = Rank(
            owner[row], setpoint[row], noted[row], anchor[row], cap[row], lost_at[row], returning[row], paused[row]
        )
        command = Command(
            out_id[row],
            wait_id[row],
            wait_layer[row],
            wait_kw[row],
            wait_at[row],
            in_force[row],
            limited[row],
            released[row],
            blocked[row],
            ignored[row],
            failures[row],
        )
        mine = rank.owner == call.number
        settled[row] = is_settled(command)
        lost = call.at_s - rank.lost_s > rules.lost_trust_s and not call.trusting
        freely = _free(device, meter, rank, settled[row], baseline_kw[row], default_kw[row])
        measured = _measured(device, meter, rank, call, freely, baseline_kw[row], lost)
        kept[row] = must_keep(device.kind, meter, rules, call.at_s, freely, not np.isnan(rank.setpoint_kw))
        most = _room(device, meter, rank, rules, call, freely, hours)
        hold[row] = why = _hold(device, meter, command, call.at_s, kept[row], most)
        open_ = portfolio[row] and (mine or rank.owner < 0)
        room[row] = most if why == _NONE and open_ else 0.0
        give[row] = _give(device, meter, rank, command, call, freely, room[row], why, mine)
        free[row] = freely
        if portfolio[row]:
            measured_sum += measured
            believed_sum += _believed(device, meter, command, call, freely, measured, lost)
            expected_sum += _expected(
                device, rank, command, rules, call, freely, measured, give[row], settled[row], lost, mine
            )
    return Survey(free, kept, room, hold, give, settled, measured_sum, believed_sum, expected_sum)


@njit()
def protected(
    kind: CodeArray,
    meters: Meters,
    rules: Rules,
    at_s: float,
    free_kw: FloatArray,
    setpoint_kw: FloatArray,
) -> BoolArray:
    """Return the rows whose driver must not be touched, shape ``(n_resources,)``.

    Args:
        kind: Class codes.
        meters: The snapshot's columns.
        rules: Margins.
        at_s: Epoch seconds.
        free_kw: Power each row would take if it were free.
        setpoint_kw: Power each row was asked to take, NaN where it is free.
    """
    (power, power_at, quality, soc, connected, plugged, low, high, need, departure, sheddable) = meters
    kept = np.zeros(len(kind), dtype=np.bool_)
    for row in range(len(kind)):
        if is_charging(kind[row]) and plugged[row]:
            meter = Meter(
                power[row],
                power_at[row],
                quality[row],
                soc[row],
                connected[row],
                plugged[row],
                low[row],
                high[row],
                need[row],
                departure[row],
                sheddable[row],
            )
            kept[row] = must_keep(kind[row], meter, rules, at_s, free_kw[row], not np.isnan(setpoint_kw[row]))
    return kept


@njit()
def _has_no_part(
    kind: int, plugged: bool, connected: bool, shown: float, setpoint: float, returning: float, counted: bool
) -> bool:
    """Return whether nothing of a row matters: it is not counted, or a charger without a car; most rows are such."""
    if not counted:
        return np.isnan(setpoint)
    empty = is_charging(kind) and not plugged and connected and abs(shown) < NOTHING_KW
    return empty and np.isnan(setpoint) and np.isnan(returning)


@njit()
def is_settled(command: Command) -> bool:
    """Return whether a row has a dispatch value in force and nothing under way."""
    idle = command.out_id == 0 and command.wait_id == 0
    return idle and not np.isnan(command.dispatch_kw)


@njit()
def is_charging(kind: int) -> bool:
    """Return whether a car plugs into rows of this class."""
    return kind in (EV, V2G)


@njit()
def _free(
    device: Device,
    meter: Meter,
    rank: Rank,
    settled: bool,
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
            free *= _shape(baseline_kw, rank.anchor_kw)
        elif kind == EV and settled and shown < told - NOTHING_KW - _TAPER_RATIO * abs(told):
            free = min(shown, free)
    if device.planned and not np.isnan(default_kw):
        able = min(max(default_kw, meter.low_kw), meter.high_kw)
        free = default_kw if np.isnan(able) else able
    absent = is_charging(kind) and not meter.plugged and meter.connected
    return 0.0 if absent and abs(shown) < NOTHING_KW else free


@njit()
def _shape(baseline_kw: float, anchor_kw: float) -> float:
    """Return by how much a building's baseline has moved since it was first commanded."""
    if np.isnan(baseline_kw) or np.isnan(anchor_kw) or anchor_kw == 0.0:
        return 1.0
    shape = baseline_kw / anchor_kw
    return min(max(shape, 0.5), 2.0) if shape > 0.0 else 1.0


@njit()
def _measured(
    device: Device,
    meter: Meter,
    rank: Rank,
    call: Call,
    free: float,
    baseline_kw: float,
    lost: bool,
) -> float:
    """Return what the meter shows.

    Delivered power comes from meters only, so a commanded row that was lost is not credited for long. Nor is one whose
    lease ended while it was away: settlement takes its baseline, and the last meter value is old.
    """
    commanded = not np.isnan(rank.setpoint_kw)
    power = meter.power_kw
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
def must_keep(kind: int, meter: Meter, rules: Rules, at_s: float, free: float, commanded: bool) -> bool:
    """Return whether a row's driver must not be touched: opted out, no promise yet, or short of time.

    A session that is commanded may use its slack down to the margin; one that is not needs twice the margin to be
    taken, so that nobody is taken and let go again at once.
    """
    if not is_charging(kind) or not meter.plugged:
        return False
    if not meter.sheddable:
        return True
    power = free if free > NOTHING_KW else meter.high_kw
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
def _room(
    device: Device, meter: Meter, rank: Rank, rules: Rules, call: Call, free: float, hours: float
) -> float:
    """Return by how much a row can be moved from its free power and held there until the end."""
    if call.sign > 0.0:
        bound = _lowest(device, meter, rank, rules, call, free, hours)
    else:
        bound = _highest(device, meter, rank, rules, free, hours)
    return 0.0 if np.isnan(bound) else max(call.sign * (free - bound), 0.0)


@njit()
def _lowest(
    device: Device, meter: Meter, rank: Rank, rules: Rules, call: Call, free: float, hours: float
) -> float:
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
def _highest(
    device: Device, meter: Meter, rank: Rank, rules: Rules, free: float, hours: float
) -> float:
    """Return the greatest power a row can hold; a charger rises only where our cap holds it."""
    most = min(device.p_max_kw, meter.high_kw)
    if device.kind == EV:
        return free if np.isnan(rank.cap_kw) else min(device.default_kw, most)
    if device.kind in (V2G, STORAGE):
        if np.isnan(meter.soc):
            return np.nan
        gap = max(rules.soc_max - meter.soc, 0.0)
        return min(most, gap * device.capacity_kwh / device.efficiency / hours)
    return min(device.p_max_kw, 0.0) if device.kind == PV else most


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
def _hold(
    device: Device, meter: Meter, command: Command, at_s: float, kept: bool, room: float
) -> int:
    """Return why a row cannot give."""
    if not meter.connected:
        return _DISCONNECTED
    if command.failures > 0:
        return _UNREACHABLE
    if at_s < command.blocked_s:
        return _IGNORED if command.ignored else _REFUSED
    if is_charging(device.kind) and not meter.plugged:
        return _EMPTY
    if kept:
        return _PROMISED
    if meter.quality not in (_GOOD, _SUBSTITUTED) or np.isnan(meter.power_kw):
        return _STALE
    return _EMPTY if room < NOTHING_KW else _NONE


@njit()
def _give(
    device: Device,
    meter: Meter,
    rank: Rank,
    command: Command,
    call: Call,
    free: float,
    room: float,
    hold: int,
    mine: bool,
) -> float:
    """Return what a row of the request gives, NaN where it is none or must be let go."""
    if not mine or hold in (_REFUSED, _IGNORED):
        return np.nan
    if not call.trusting:
        gone = is_charging(device.kind) and not meter.plugged and meter.connected
        away = hold in (_DISCONNECTED, _UNREACHABLE) and command.limited_s <= call.at_s
        if hold == _PROMISED or gone or away:
            return np.nan
    give = call.sign * (free - rank.setpoint_kw)
    if np.isnan(give):
        return np.nan
    return min(max(give, 0.0), room) if hold == _NONE else max(give, 0.0)


@njit()
def _believed(
    device: Device,
    meter: Meter,
    command: Command,
    call: Call,
    free: float,
    measured: float,
    lost: bool,
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
def _reached(device: Device, measured: float, told: float, seconds: float) -> float:
    """Return how far a row can have moved from its meter's value towards what it was told."""
    if np.isinf(device.ramp_kw_per_min):
        return told
    reach = device.ramp_kw_per_min * max(seconds, 0.0) / SECONDS_PER_MINUTE
    return measured + min(max(told - measured, -reach), reach)


@njit()
def _expected(
    device: Device,
    rank: Rank,
    command: Command,
    rules: Rules,
    call: Call,
    free: float,
    measured: float,
    give: float,
    settled: bool,
    lost: bool,
    mine: bool,
) -> float:
    """Return a row's power a moment from now.

    What a slow plant will only take in minutes cannot be counted on now: others help until it is there.
    """
    if np.isnan(give):
        leaving = mine or not np.isnan(rank.returning_s)
        return free if leaving else measured
    asked = free - call.sign * give
    changed = abs(asked - rank.setpoint_kw) > NOTHING_KW
    if not lost and command.failures == 0 and (not settled or changed):
        return _reached(device, measured, asked, rules.horizon_s)
    return measured
