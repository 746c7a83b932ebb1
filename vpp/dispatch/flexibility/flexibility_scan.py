"""One look at every row for one request: what it would take, shows, may give, gives, and will have given soon.

All of it in one pass, since at city scale reading the rows is what costs; the rules are in
`vpp.dispatch.flexibility.device_flexibility`.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.device_flexibility import (
    HOLD_EMPTY,
    HOLD_NONE,
    Call,
    Command,
    Device,
    Meter,
    Rank,
    believed_kw,
    expected_kw,
    free_kw,
    give_kw,
    has_no_part,
    held_kw,
    hold_of,
    is_charging,
    is_settled,
    measured_kw,
    must_keep,
    room_kw,
)
from vpp.dispatch.flexibility.scheduled_energy import ScheduledEnergy
from vpp.dispatch.views import Commands, Devices, Kinds, Meters, Roster, Rules
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR


class FlexibilityScan(NamedTuple):
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
        held_kw: As believed, rows that are out of reach and whose lease is in force doing what they accepted.
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
    held_kw: float
    expected_kw: float


@njit()
def survey(  # noqa: PLR0917 - a kernel takes arguments by position
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
    contract_kw: FloatArray,
    barred: BoolArray,
    ahead: ScheduledEnergy,
) -> FlexibilityScan:
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
        contract_kw: Most that may be asked of every row in this direction, infinite without a contract, shape
            ``(n_resources,)``.
        barred: Rows that take no commands for a trouble of theirs, shape ``(n_resources,)``.
        ahead: What stores are scheduled to do until the end.
    """
    # Columns as variables of their own: reaching into a tuple for every row would cost more than all that is computed.
    (kind, adapter, p_min, p_max, floor, ceiling, capacity, efficiency, ramp, _) = devices
    (power, power_at, quality, soc, connected, plugged, low, high, need, departure, sheddable) = meters
    (owner, setpoint, noted, anchor, cap, lost_at, returning, paused) = roster
    (out_id, wait_id, wait_layer, wait_kw, wait_at, in_force, limited, released, blocked, ignored, away) = commands
    planned, meter_s = kinds
    count = len(kind)
    free, room, give = np.empty(count), np.empty(count), np.empty(count)
    kept, settled = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    hold = np.empty(count, dtype=np.uint8)
    measured_sum = believed_sum = held_sum = expected_sum = 0.0
    hours = max(call.end_s - call.at_s, rules.cycle_s) / SECONDS_PER_HOUR
    for row in range(count):
        shown = power[row]
        if owner[row] != call.number and has_no_part(
            kind[row], plugged[row], connected[row], shown, setpoint[row], returning[row], portfolio[row]
        ):
            free[row] = 0.0 if np.isnan(shown) or portfolio[row] else shown
            kept[row], settled[row], room[row], hold[row], give[row] = False, False, 0.0, HOLD_EMPTY, np.nan
            if portfolio[row]:
                measured_sum += shown
                believed_sum += shown
                held_sum += shown
                expected_sum += shown
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
            away[row],
        )
        mine = rank.owner == call.number
        settled[row] = is_settled(command)
        lost = call.at_s - rank.lost_s > rules.lost_trust_s and not call.trusting
        freely = free_kw(device, meter, rank, settled[row], baseline_kw[row], default_kw[row])
        measured = measured_kw(device, meter, rank, call, freely, baseline_kw[row], lost)
        kept[row] = must_keep(
            device.kind, device.default_kw, meter, rules, call.at_s, freely, not np.isnan(rank.setpoint_kw)
        )
        most = min(room_kw(device, meter, rank, rules, call, freely, hours, ahead, ahead.place[row]), contract_kw[row])
        hold[row] = why = hold_of(device, meter, command, call.at_s, kept[row], most, barred[row])
        open_ = portfolio[row] and (mine or rank.owner < 0)
        room[row] = most if why == HOLD_NONE and open_ else 0.0
        give[row] = give_kw(device, meter, rank, command, call, freely, room[row], why, mine)
        free[row] = freely
        if portfolio[row]:
            measured_sum += measured
            believed = believed_kw(device, meter, command, call, freely, measured, lost)
            believed_sum += believed
            held_sum += held_kw(device, meter, rank, command, call, freely, believed)
            expected_sum += expected_kw(
                device, rank, command, rules, call, freely, measured, give[row], settled[row], lost, mine
            )
    return FlexibilityScan(free, kept, room, hold, give, settled, measured_sum, believed_sum, held_sum, expected_sum)


@njit()
def protected(  # noqa: PLR0917 - a kernel takes arguments by position
    kind: CodeArray,
    ceiling_kw: FloatArray,
    meters: Meters,
    rules: Rules,
    at_s: float,
    rows: RowArray,
    freely_kw: FloatArray,
    commanded: BoolArray,
) -> BoolArray:
    """Return which of ``rows`` have a driver who must not be touched, shape ``(len(rows),)``.

    Args:
        kind: Class codes, shape ``(n_resources,)``.
        ceiling_kw: Default value of every row by the registry, which no charger exceeds, shape ``(n_resources,)``.
        meters: The snapshot's columns.
        rules: Margins.
        at_s: Epoch seconds.
        rows: Rows to look at.
        freely_kw: Power each of them would take if it were free.
        commanded: Which of them were asked to take something.
    """
    (power, power_at, quality, soc, connected, plugged, low, high, need, departure, sheddable) = meters
    kept = np.zeros(len(rows), dtype=np.bool_)
    for place in range(len(rows)):
        row = rows[place]
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
            kept[place] = must_keep(kind[row], ceiling_kw[row], meter, rules, at_s, freely_kw[place], commanded[place])
    return kept
