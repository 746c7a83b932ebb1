"""Power of one device for a request: as metered, as accepted, as leased, and as predicted a moment from now."""

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.device_rows import NOTHING_KW, Assignment, Call, Command, Device, Meter
from vpp.dispatch.views import EV, Rules
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quality
from vpp.domain.units import SECONDS_PER_MINUTE

_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)
_DISPATCH = int(Layer.DISPATCH)


@njit()
def measured_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    held: Assignment,
    call: Call,
    uncontrolled: float,
    baseline_kw: float,
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return a row's metered power.

    Delivered power comes from meters only, so a commanded row that was lost is not credited for long. Nor is one whose
    lease ended while it was away, nor one whose meter is stale or cannot be believed: settlement takes its baseline,
    and the last meter value is old.
    """
    commanded = not np.isnan(held.setpoint_kw)
    power = meter.power_kw
    lost = lost or (not call.trusting and meter.quality not in (_GOOD, _SUBSTITUTED))
    if np.isnan(power):
        if commanded:
            power = held.setpoint_kw
            power = power if np.isnan(held.cap_kw) else min(power, held.cap_kw)
            if device.kind == EV and call.sign > 0.0:
                power = min(power, uncontrolled)
        else:
            power = 0.0 if np.isnan(baseline_kw) else baseline_kw
    if lost:
        return uncontrolled if commanded else (power if np.isnan(baseline_kw) else baseline_kw)
    return power


@njit()
def believed_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    meter: Meter,
    command: Command,
    call: Call,
    uncontrolled: float,
    measured: float,
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return a row's power if its accepted command is obeyed, for as long as its meter can have missed it.

    A charger answers in seconds and is metered after a minute: a controller that waited for the meter would correct
    what is corrected already.
    """
    if lost or not meter.connected:
        return measured
    since_s, commanded = command.accepted_s, command.accepted_kw
    if not command.unconfirmed or command.accepted_layer != _DISPATCH:
        since_s, commanded = command.released_s, uncontrolled
    if meter.power_at_s >= since_s or call.at_s - since_s > device.meter_s or np.isnan(commanded):
        return measured
    if device.kind == EV:
        commanded = min(commanded, uncontrolled)
    return _reached(device, measured, commanded, call.at_s - since_s)


@njit()
def held_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device, meter: Meter, held: Assignment, command: Command, call: Call, uncontrolled: float, believed: float
) -> float:
    """Return a row's power if a device out of reach keeps the lease that is in force."""
    if meter.connected or np.isnan(held.setpoint_kw) or command.limited_s <= call.at_s:
        return believed
    return min(held.setpoint_kw, uncontrolled) if device.kind == EV else held.setpoint_kw


@njit()
def expected_kw(  # noqa: PLR0917 - a kernel takes arguments by position
    device: Device,
    held: Assignment,
    command: Command,
    rules: Rules,
    call: Call,
    uncontrolled: float,
    measured: float,
    activated: float,
    settled: bool,  # noqa: FBT001 - a kernel takes arguments by position
    lost: bool,  # noqa: FBT001 - a kernel takes arguments by position
    mine: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> float:
    """Return a row's predicted power a moment from now.

    What a slow plant will only take in minutes cannot be counted on now: others help until it is there.
    """
    if np.isnan(activated):
        leaving = mine or not np.isnan(held.returning_s)
        return uncontrolled if leaving else measured
    asked = uncontrolled - call.sign * activated
    changed = abs(asked - held.setpoint_kw) > NOTHING_KW
    if not lost and call.at_s >= command.away_s and (not settled or changed):
        return _reached(device, measured, asked, rules.horizon_s)
    return measured


@njit()
def _reached(device: Device, measured: float, commanded: float, seconds: float) -> float:
    """Return how far a row can have moved at its ramp from its metered power towards its command."""
    if np.isinf(device.ramp_kw_per_min):
        return commanded
    reach = device.ramp_kw_per_min * max(seconds, 0.0) / SECONDS_PER_MINUTE
    return measured + min(max(commanded - measured, -reach), reach)
