"""Flexibility of one device: uncontrolled power, drivers' protection, available and activated change, unavailability.

Scalars in, scalars out, so that `vpp.dispatch.flexibility.flexibility_scan` goes through a city's rows in one pass.
"""

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.device_rows import (
    NOTHING_KW,
    Assignment,
    Call,
    Command,
    Device,
    DeviceLimits,
    Meter,
    is_charging,
    is_settled,
)
from vpp.dispatch.flexibility.scheduled_energy import ScheduledEnergy
from vpp.dispatch.flexibility.unavailability import Unavailability
from vpp.dispatch.views import EV, HVAC, INDUSTRY, PV, STORAGE, V2G
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.state.eligibility import DISCONNECTED, OUT_OF_SERVICE, STALE, standing_of
from vpp.state.load_counterfactual import moved_kw

_TAPER_RATIO = 0.05
_DIM_RATIO = 0.02
"""Share of its nameplate below which a roof's power is no measure of its sun."""
_READING_RATIO = 0.04
"""By how much a single reading of a charger may be too high: its class and the noise of one sample."""

AVAILABLE, _DISCONNECTED, _UNREACHABLE, _STALE, _REFUSED, _IGNORED, _PROMISED, NOTHING_LEFT, _OUT_OF_SERVICE = (
    int(why) for why in Unavailability
)


@njit()
def uncontrolled_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    held: Assignment,
    command: Command,
    baseline_kw: float,
    default_kw: float,
) -> float:
    """Return the power a row would take undispatched.

    A free row shows it on its meter. A commanded building or roof follows its baseline from where it was; a store
    follows its schedule; a car that has had the time to draw what its ceiling allows, and draws less, would draw no
    more without it, unless that was too little to draw at all; one that was just released takes what its meter shows,
    where that is more than was thought.
    """
    kind, setpoint = device.kind, held.setpoint_kw
    shown = meter.power_kw
    if np.isnan(shown):
        shown = 0.0 if np.isnan(baseline_kw) else baseline_kw
    uncontrolled = shown
    if not np.isnan(held.uncontrolled_kw) and not (np.isnan(setpoint) and np.isnan(held.returning_s)):
        uncontrolled = held.uncontrolled_kw
        if kind in (HVAC, INDUSTRY):
            uncontrolled = moved_kw(uncontrolled, baseline_kw, held.anchor_kw)
        elif kind == PV:
            uncontrolled = _shone_kw(device, uncontrolled, baseline_kw, held.anchor_kw)
        elif kind == EV and np.isnan(setpoint):
            uncontrolled = max(shown, uncontrolled)
        elif kind == EV and is_settled(command) and meter.power_at_s - command.since_s >= device.meter_s:
            below = shown < setpoint - NOTHING_KW - _TAPER_RATIO * abs(setpoint)
            uncontrolled = min(shown, uncontrolled) if below and not _pauses(device, setpoint, shown) else uncontrolled
    if device.planned and not np.isnan(default_kw):
        able = min(max(default_kw, meter.low_kw), meter.high_kw)
        uncontrolled = default_kw if np.isnan(able) else able
    absent = is_charging(kind) and not meter.plugged and meter.connected
    return 0.0 if absent and abs(shown) < NOTHING_KW else uncontrolled


@njit()
def _shone_kw(device: Device, noted_kw: float, baseline_kw: float, anchor_kw: float) -> float:
    """Return what a commanded roof would feed in after its baseline has moved from ``anchor_kw``, at most 0."""
    if np.isnan(baseline_kw) or np.isnan(anchor_kw):
        return noted_kw
    moved = noted_kw * baseline_kw / anchor_kw if anchor_kw < _DIM_RATIO * device.p_min_kw else baseline_kw
    return min(max(moved, device.p_min_kw), 0.0)


@njit()
def _pauses(device: Device, offered_kw: float, shown_kw: float) -> bool:
    """Return whether a car draws nothing because it is offered less than any car can take."""
    return offered_kw < device.least_charging_kw and abs(shown_kw) < NOTHING_KW


@njit()
def must_keep(  # noqa: PLR0917 - a kernel takes arguments by position
    kind: int,
    ceiling_kw: float,
    margin_s: float,
    meter: Meter,
    at_s: float,
    uncontrolled: float,
    commanded: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> bool:
    """Return whether a session must not be reduced: opted out, no promise yet, or short of time.

    A session that is commanded may use its slack down to the margin; one that is not needs twice the margin to be
    commanded, so that none is commanded and released again at once. Slack is computed with the power the car will get:
    no charger gives more than its default, whatever it states, and a single reading may be a little high, which counts
    for much where a car charges all night.
    """
    if not is_charging(kind) or not meter.plugged:
        return False
    if not meter.sheddable:
        return True
    power = uncontrolled / (1.0 + _READING_RATIO) if uncontrolled > NOTHING_KW else meter.high_kw
    if not commanded and NOTHING_KW < meter.high_kw < power:
        power = meter.high_kw
    if kind == EV and ceiling_kw > NOTHING_KW:
        power = min(power, ceiling_kw)
    margin = margin_s if commanded else 2.0 * margin_s
    return laxity_s(meter.departure_s, meter.need_kwh, power, at_s) < margin


@njit()
def laxity_s(departure_s: float, need_kwh: float, power_kw: float, at_s: float) -> float:
    """Return a car's slack in seconds, infinite without a promise; as ``FleetState.laxity_s``."""
    if power_kw == 0.0:
        return -np.inf if need_kwh > 0.0 and not np.isnan(departure_s) else np.inf
    laxity = departure_s - at_s - SECONDS_PER_HOUR * need_kwh / power_kw
    return np.inf if np.isnan(laxity) else laxity


@njit()
def available_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    held: Assignment,
    limits: DeviceLimits,
    call: Call,
    uncontrolled: float,
    hours: float,
    ahead: ScheduledEnergy,
    place: int,
) -> float:
    """Return by how much a row can be moved from its uncontrolled power and held there until the end.

    A store that follows a schedule is moved away from it by what it can sustain until then; the schedule's own charging
    and discharging is counted on the way.
    """
    if device.kind in (V2G, STORAGE) and place >= 0:
        return _lasting_kw(device, meter, limits, call, uncontrolled, ahead, place)
    if call.sign > 0.0:
        bound = _lowest(device, meter, held, limits, call, uncontrolled, hours)
    else:
        bound = _highest(device, meter, held, limits, uncontrolled, hours)
    return 0.0 if np.isnan(bound) else max(call.sign * (uncontrolled - bound), 0.0)


@njit()
def _lasting_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    limits: DeviceLimits,
    call: Call,
    uncontrolled: float,
    ahead: ScheduledEnergy,
    place: int,
) -> float:
    """Return by how much a store can be moved from its schedule until the hold ends, by energy and by power."""
    up = call.sign > 0.0
    energy = _dischargeable_kwh(device, meter, limits, call.end_s) if up else _chargeable_kwh(device, meter, limits)
    lasting = np.inf
    for step in range(len(ahead.hours)):
        gained = ahead.kwh[place, step]
        lasting = min(lasting, (energy + (gained if up else -gained)) / ahead.hours[step])
    power = (
        uncontrolled - max(device.p_min_kw, meter.low_kw) if up else min(device.p_max_kw, meter.high_kw) - uncontrolled
    )
    return 0.0 if np.isnan(power) else max(min(lasting, power), 0.0)


@njit()
def _lowest(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device, meter: Meter, held: Assignment, limits: DeviceLimits, call: Call, uncontrolled: float, hours: float
) -> float:
    """Return the least power a row can sustain: a charger its floor or its pause, a store what its energy allows."""
    if device.kind == PV:
        return uncontrolled
    least = max(device.p_min_kw, meter.low_kw)
    if device.kind == EV:
        return least if not np.isnan(held.paused_s) else max(device.floor_kw, least)
    if device.kind in (V2G, STORAGE):
        return max(least, -_dischargeable_kwh(device, meter, limits, call.end_s) / hours)
    return least


@njit()
def _highest(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device, meter: Meter, held: Assignment, limits: DeviceLimits, uncontrolled: float, hours: float
) -> float:
    """Return the greatest power a row can sustain; a charger rises only where our cap holds it."""
    most = min(device.p_max_kw, meter.high_kw)
    if device.kind == EV:
        return uncontrolled if np.isnan(held.cap_kw) else min(device.default_kw, most)
    if device.kind in (V2G, STORAGE):
        return np.nan if np.isnan(meter.soc) else min(most, _chargeable_kwh(device, meter, limits) / hours)
    return min(device.p_max_kw, 0.0) if device.kind == PV else most


@njit()
def _chargeable_kwh(device: Device, meter: Meter, limits: DeviceLimits) -> float:
    """Return the energy a store can charge, at its meter."""
    gap = max(limits.soc_ceiling - meter.soc, 0.0) * device.capacity_kwh / device.efficiency
    return 0.0 if np.isnan(gap) else gap


@njit()
def _dischargeable_kwh(device: Device, meter: Meter, limits: DeviceLimits, end_s: float) -> float:
    """Return the energy a store can discharge, at its meter; a car must be able to take it back before it leaves.

    Energy E at the meter takes E/eta from the battery, and giving it back takes E/eta^2 at the meter.
    """
    car, efficiency = device.kind == V2G, device.efficiency
    stored = max(meter.soc - limits.soc_floor, 0.0) * device.capacity_kwh * efficiency
    if car:
        after_h = max(meter.departure_s - end_s - limits.promise_margin_s, 0.0) / SECONDS_PER_HOUR
        spare = max(device.p_max_kw * after_h - meter.need_kwh, 0.0) * efficiency**2
        known = not np.isnan(meter.departure_s) and not np.isnan(meter.need_kwh)
        stored = min(stored, spare) if known else stored
    return 0.0 if np.isnan(meter.soc) or np.isnan(stored) else stored


@njit()
def unavailability_of(  # noqa: PLR0911, PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    command: Command,
    at_s: float,
    kept: bool,  # noqa: FBT001 - a kernel takes arguments by position
    available: float,
    barred: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> int:
    """Return why a row cannot be activated; its own standing follows the rule of quotes and acceptance."""
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
        return NOTHING_LEFT
    if kept:
        return _PROMISED
    if stands == STALE:
        return _STALE
    return NOTHING_LEFT if available < NOTHING_KW else AVAILABLE


@njit()
def activated_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    held: Assignment,
    command: Command,
    call: Call,
    uncontrolled: float,
    available: float,
    unavailability: int,
    mine: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return a row's activation for the request, NaN where it is not assigned to it or must be released."""
    if not mine or unavailability in (_REFUSED, _IGNORED, _OUT_OF_SERVICE):
        return np.nan
    if not call.trusting:
        gone = is_charging(device.kind) and not meter.plugged and meter.connected
        away = unavailability in (_DISCONNECTED, _UNREACHABLE) and command.limited_s <= call.at_s
        if unavailability == _PROMISED or gone or away:
            return np.nan
    activated = call.sign * (uncontrolled - held.setpoint_kw)
    if np.isnan(activated):
        return np.nan
    return min(max(activated, 0.0), available) if unavailability == AVAILABLE else max(activated, 0.0)
