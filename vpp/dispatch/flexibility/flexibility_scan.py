"""Scan of the fleet for one request: uncontrolled, metered and predicted power, available and activated change.

Everything in one pass, since at city scale reading the rows is what costs; the rules of a single device are in
`vpp.dispatch.flexibility.device_flexibility` and `vpp.dispatch.flexibility.device_power`.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.device_flexibility import (
    AVAILABLE,
    NOTHING_LEFT,
    activated_kw,
    available_kw,
    must_keep,
    unavailability_of,
    uncontrolled_kw,
)
from vpp.dispatch.flexibility.device_power import believed_kw, expected_kw, held_kw, measured_kw
from vpp.dispatch.flexibility.device_rows import (
    Call,
    assignment_at,
    command_at,
    device_at,
    has_no_part,
    is_charging,
    is_settled,
    limits_at,
    meter_at,
)
from vpp.dispatch.flexibility.scheduled_energy import ScheduledEnergy
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.views import Devices, Kinds, Meters, Rules
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR


class FlexibilityScan(NamedTuple):
    """Result of a scan: arrays of shape ``(n_resources,)``, powers load positive; sums over the portfolio.

    Attributes:
        uncontrolled_kw: Power each row would take undispatched.
        kept: Sessions that must not be reduced.
        available_kw: The most each row can be moved in the direction asked and sustain, at least 0; 0 where it may not.
        unavailability: ``Unavailability`` code: why not.
        activated_kw: How far each row of the request is moved, within what is available; NaN where it is not assigned
            to the request or must be released.
        settled: Rows with a dispatch value in force and nothing under way.
        measured_kw: Metered net load; a row without a meter counts at its setpoint for a while, then as uncontrolled.
        believed_kw: The same with accepted commands obeyed where the meter has had no time to show it.
        held_kw: As believed, with rows out of reach keeping the lease they accepted.
        expected_kw: Net load a moment from now, with every command as far as it can have taken effect.
    """

    uncontrolled_kw: FloatArray
    kept: BoolArray
    available_kw: FloatArray
    unavailability: CodeArray
    activated_kw: FloatArray
    settled: BoolArray
    measured_kw: float
    believed_kw: float
    held_kw: float
    expected_kw: float


class RowInputs(NamedTuple):
    """Inputs of a scan beside nameplate, snapshot and state; shape ``(n_resources,)`` each, powers load positive.

    Attributes:
        portfolio: Rows whose meters count.
        baseline_kw: Baseline now, NaN where unknown.
        default_kw: Default value, NaN where we set none.
        contract_kw: Most that may be activated in this direction, infinite without a contract.
        barred: Rows that take no commands for a trouble of theirs.
    """

    portfolio: BoolArray
    baseline_kw: FloatArray
    default_kw: FloatArray
    contract_kw: FloatArray
    barred: BoolArray


@njit()
def scan(  # noqa: PLR0917 - a kernel takes arguments by position
    devices: Devices,
    meters: Meters,
    assigned: AssignmentColumns,
    commands: CommandColumns,
    kinds: Kinds,
    rules: Rules,
    call: Call,
    inputs: RowInputs,
    ahead: ScheduledEnergy,
) -> FlexibilityScan:
    """Return the scan of the fleet for one request.

    Args:
        devices: Nameplates.
        meters: The snapshot.
        assigned: Assignment of every row.
        commands: Commands of every row: in force, under way, left alone.
        kinds: Settings by class and adapter.
        rules: Margins.
        call: The request.
        inputs: Portfolio, baselines, defaults, contracts.
        ahead: Scheduled energy of stores until the end.
    """
    kind, power, plugged, connected = devices.kind, meters.power_kw, meters.plugged, meters.connected
    owner, setpoint, returning = assigned.owner, assigned.setpoint_kw, assigned.returning_s
    (portfolio, baseline_kw, default_kw, contract_kw, barred), count = inputs, len(kind)
    uncontrolled, available, activated = np.empty(count), np.empty(count), np.empty(count)
    kept, settled = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    unavailability = np.empty(count, dtype=np.uint8)
    measured_sum = believed_sum = held_sum = expected_sum = 0.0
    hours = max(call.end_s - call.at_s, rules.cycle_s) / SECONDS_PER_HOUR
    for row in range(count):
        shown = power[row]
        if owner[row] != call.number and has_no_part(
            kind[row], plugged[row], connected[row], shown, setpoint[row], returning[row], portfolio[row]
        ):
            uncontrolled[row] = 0.0 if np.isnan(shown) or portfolio[row] else shown
            kept[row], settled[row] = False, False
            available[row], unavailability[row], activated[row] = 0.0, NOTHING_LEFT, np.nan
            if portfolio[row]:
                measured_sum += shown
                believed_sum += shown
                held_sum += shown
                expected_sum += shown
            continue
        device, meter = device_at(devices, kinds, row), meter_at(meters, row)
        held, command = assignment_at(assigned, row), command_at(commands, row)
        limits = limits_at(devices, row, plugged[row])
        mine, commanded = held.owner == call.number, not np.isnan(held.setpoint_kw)
        settled[row] = is_settled(command)
        lost = call.at_s - held.lost_s > rules.lost_trust_s and not call.trusting
        own_kw = uncontrolled_kw(device, meter, held, command, baseline_kw[row], default_kw[row])
        measured = measured_kw(device, meter, held, call, own_kw, baseline_kw[row], lost)
        kept[row] = must_keep(
            kind[row], device.default_kw, limits.promise_margin_s, meter, call.at_s, own_kw, commanded
        )
        most = available_kw(device, meter, held, limits, call, own_kw, hours, ahead, ahead.place[row])
        most = min(most, contract_kw[row])
        unavailability[row] = why = unavailability_of(device, meter, command, call.at_s, kept[row], most, barred[row])
        open_ = portfolio[row] and (mine or held.owner < 0)
        available[row] = most if why == AVAILABLE and open_ else 0.0
        activated[row] = activated_kw(device, meter, held, command, call, own_kw, available[row], why, mine)
        uncontrolled[row] = own_kw
        if portfolio[row]:
            measured_sum += measured
            believed = believed_kw(device, meter, command, call, own_kw, measured, lost)
            believed_sum += believed
            held_sum += held_kw(device, meter, held, command, call, own_kw, believed)
            expected_sum += expected_kw(
                device, held, command, rules, call, own_kw, measured, activated[row], settled[row], lost, mine
            )
    return FlexibilityScan(
        uncontrolled,
        kept,
        available,
        unavailability,
        activated,
        settled,
        measured_sum,
        believed_sum,
        held_sum,
        expected_sum,
    )


@njit()
def protected(  # noqa: PLR0917 - a kernel takes arguments by position
    devices: Devices,
    meters: Meters,
    at_s: float,
    rows: RowArray,
    own_kw: FloatArray,
    commanded: BoolArray,
) -> BoolArray:
    """Return which of ``rows`` have a session that must not be reduced, shape ``(len(rows),)``.

    Args:
        devices: Nameplates and limits; no charger exceeds its default value by the registry.
        meters: The snapshot.
        at_s: Epoch seconds.
        rows: Rows to look at.
        own_kw: Power each of them would take undispatched.
        commanded: Which of them are commanded.
    """
    kind, ceiling_kw, margin_s = devices.kind, devices.default_kw, devices.promise_margin_s
    kept = np.zeros(len(rows), dtype=np.bool_)
    for place in range(len(rows)):
        row = rows[place]
        if is_charging(kind[row]) and meters.plugged[row]:
            meter = meter_at(meters, row)
            kept[place] = must_keep(
                kind[row], ceiling_kw[row], margin_s[row], meter, at_s, own_kw[place], commanded[place]
            )
    return kept
