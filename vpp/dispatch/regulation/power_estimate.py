"""State estimation: the power of every row that follows a signal, between two readings of its meter.

A row is read every 4 s or once a minute, and a signal turns in between. What is known of it then is its last reading,
the commands it has accepted since, and how it has answered commands before: after a delay, at its ramp, and by some
share of the way. A Kalman filter a row holds that share and its variance; every reading that shows a command settled
corrects both, and what is not confirmed for long drifts back to what is usual. The variance of the power grows with
the age of the reading, by how far readings have been off before.

Estimates steer; they are never settled. R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems",
1960, in its scalar form.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.domain.regulation import FOLLOWING
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_USUAL_SHARE, _USUAL_VARIANCE = 0.97, 0.03
"""Share of the way that a row goes before anything is known of it: 3 % refuse or ignore, all or nothing."""
_FORGET_S = 600.0
"""Time constant in which a share drifts back to what is usual: a device is repaired, a car replaced by another."""
_DELAY_S = 4.0
"""Time after a command was accepted before a reading shows what the row makes of it, on top of its ramp."""
_NOISE_RATIO, _NOISE_KW = 0.02, 0.1
"""Standard error of one reading."""
_LEAST_MOVE_RATIO = 0.05
"""A move shorter than this share of a row's range says nothing of its answer."""
_SHARE_VARIANCE = 0.01
"""Variance of what one reading says of a share, besides its noise."""
_WANDER_RATIO = 0.02
"""Standard deviation of a row's power against its estimate after a minute, as a share of its range, until observed."""
_WANDER_GAIN = 0.1
_SILENT_SHARE, _SURE_VARIANCE = 0.5, 0.02
_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)


class EstimatedPower(NamedTuple):
    """Estimated power at one instant; shape ``(n_resources,)`` each.

    Attributes:
        ahead_kw: By how much each row is above its last reading; 0 in rows without a command, whose reading stands.
        variance: Of that, kW²; 0 likewise.
        silent: Rows that have not answered their commands, by readings made since.
    """

    ahead_kw: FloatArray
    variance: FloatArray
    silent: BoolArray


class _Filter(NamedTuple):
    """State of every row's filter; changed in place, shape ``(n_resources,)`` each.

    Attributes:
        share: Share of the way that it goes.
        doubt: Variance of that.
        from_kw: Power from which the command in force moves it.
        target_kw: Where to, NaN while it has none and is where it would be by itself.
        answered_kw: Command in force, once a reading has shown that the row has gone most of the way; NaN otherwise.
        since_s: When that was accepted.
        read_s: When the last reading was made.
        shown_kw: Estimate at the last snapshot, NaN before the first.
        wander: Variance of its power that a second adds, kW²/s.
    """

    share: FloatArray
    doubt: FloatArray
    from_kw: FloatArray
    target_kw: FloatArray
    answered_kw: FloatArray
    since_s: FloatArray
    read_s: FloatArray
    shown_kw: FloatArray
    wander: FloatArray


class _Device(NamedTuple):
    """What is constant of every row, shape ``(n_resources,)`` each."""

    charger: BoolArray
    range_kw: FloatArray
    ramp_kw_per_s: FloatArray


class PowerEstimator:
    """Estimates the power of the rows that can follow a signal, full cycle by full cycle.

    Args:
        index: The fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        range_kw = index.nameplate.p_max_kw - index.nameplate.p_min_kw
        count = len(index)
        self._rows: RowArray = index.rows_of(*FOLLOWING)
        self._device = _Device(
            read_only(index.is_class(ResourceClass.EV)),
            read_only(range_kw),
            read_only(np.maximum(index.nameplate.ramp_kw_per_min, 1.0) / SECONDS_PER_MINUTE),
        )
        self._filter = _Filter(
            share=np.full(count, _USUAL_SHARE),
            doubt=np.full(count, _USUAL_VARIANCE),
            from_kw=np.full(count, np.nan),
            target_kw=np.full(count, np.nan),
            answered_kw=np.full(count, np.nan),
            since_s=np.full(count, -np.inf),
            read_s=np.full(count, -np.inf),
            shown_kw=np.full(count, np.nan),
            wander=(_WANDER_RATIO * range_kw) ** 2 / SECONDS_PER_MINUTE,
        )
        self._at_s = float("nan")

    def update(self, state: FleetState, commands: CommandColumns, uncontrolled_kw: FloatArray) -> EstimatedPower:
        """Return the estimate at a snapshot.

        Args:
            state: The snapshot.
            commands: Commands of every row.
            uncontrolled_kw: What each row would take undispatched, shape ``(n_resources,)``.
        """
        elapsed_s = 0.0 if np.isnan(self._at_s) else max(state.at_s - self._at_s, 0.0)
        self._at_s = state.at_s
        count = len(state)
        estimate = EstimatedPower(np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.bool_))
        _estimated(
            self._rows,
            self._device,
            self._filter,
            state.at_s,
            elapsed_s,
            read_only(state.power_kw),
            read_only(state.power_at_s),
            read_only(state.quality),
            read_only(state.available_min_kw),
            read_only(state.available_max_kw),
            read_only(uncontrolled_kw),
            commands,
            estimate,
        )
        return estimate


@njit()
def _estimated(  # noqa: PLR0917 - a kernel takes arguments by position
    rows: RowArray,
    device: _Device,
    own: _Filter,
    now_s: float,
    elapsed_s: float,
    power_kw: FloatArray,
    read_s: FloatArray,
    quality: CodeArray,
    low_kw: FloatArray,
    high_kw: FloatArray,
    uncontrolled_kw: FloatArray,
    commands: CommandColumns,
    out: EstimatedPower,
) -> None:
    held, accepted = commands.in_force, commands.unconfirmed
    forget = min(elapsed_s / _FORGET_S, 1.0)
    for row in rows:
        if np.isnan(held.dispatch_kw[row]) and np.isnan(own.target_kw[row]):
            continue
        shown = power_kw[row]
        if np.isnan(shown) or (quality[row] != _GOOD and quality[row] != _SUBSTITUTED):
            own.target_kw[row] = own.answered_kw[row] = own.shown_kw[row] = np.nan
            continue
        target, since_s = held.dispatch_kw[row], held.since_s[row]
        free = np.isnan(target)
        if free:
            target, since_s = uncontrolled_kw[row], held.released_s[row]
        elif accepted.id[row] > 0:
            since_s = max(since_s, accepted.accepted_s[row])
        target = min(max(target, low_kw[row]), high_kw[row])
        if device.charger[row]:
            target = min(target, uncontrolled_kw[row])
        own.share[row] += forget * (_USUAL_SHARE - own.share[row])
        own.doubt[row] += forget * (_USUAL_VARIANCE - own.doubt[row])
        _take_command(device, own, row, target, since_s, shown)
        _take_reading(device, own, row, shown, read_s[row], free)
        move = own.target_kw[row] - own.from_kw[row]
        way_s = abs(move) / device.ramp_kw_per_s[row]
        along = min(max((now_s - own.since_s[row]) / max(way_s, 1.0), 0.0), 1.0)
        moving = read_s[row] < own.since_s[row] + _DELAY_S + way_s
        estimate = own.from_kw[row] + own.share[row] * along * move if moving else shown
        noise = _NOISE_RATIO * abs(shown) + _NOISE_KW
        spread = noise * noise + own.wander[row] * max(now_s - read_s[row], 0.0)
        out.ahead_kw[row], own.shown_kw[row] = estimate - shown, estimate
        out.variance[row] = spread + (own.doubt[row] * along * move * move if moving else 0.0)
        if free and not moving:
            own.target_kw[row] = own.answered_kw[row] = own.shown_kw[row] = np.nan
        out.silent[row] = own.share[row] < _SILENT_SHARE and own.doubt[row] < _SURE_VARIANCE


@njit()
def _take_command(  # noqa: PLR0917 - a kernel takes arguments by position
    device: _Device, own: _Filter, row: int, target: float, since_s: float, shown: float
) -> None:
    """Note a command that was accepted: it moves the row from where it is believed to be."""
    same_kw = _LEAST_MOVE_RATIO * 0.1 * device.range_kw[row]
    # One that stopped short of a command has answered it: further readings of the same say nothing new.
    if abs(target - own.target_kw[row]) <= same_kw or abs(target - own.answered_kw[row]) <= same_kw:
        return
    own.answered_kw[row] = np.nan
    own.from_kw[row] = shown if np.isnan(own.shown_kw[row]) else own.shown_kw[row]
    own.target_kw[row], own.since_s[row] = target, since_s


@njit()
def _take_reading(  # noqa: PLR0917 - a kernel takes arguments by position
    device: _Device,
    own: _Filter,
    row: int,
    shown: float,
    read_s: float,
    free: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    """Correct a row's filter by a reading that was not taken before.

    Of a row that is ``free`` it says nothing of its answer: when it took its release, or its lease ended, is not known.
    """
    if not read_s > own.read_s[row]:
        return
    apart_s = read_s - own.read_s[row]
    own.read_s[row] = read_s
    if read_s < own.since_s[row]:
        own.from_kw[row] = shown
        return
    move = own.target_kw[row] - own.from_kw[row]
    if read_s < own.since_s[row] + _DELAY_S + abs(move) / device.ramp_kw_per_s[row]:
        return
    noise = _NOISE_RATIO * abs(shown) + _NOISE_KW
    if abs(move) > _LEAST_MOVE_RATIO * device.range_kw[row]:
        if not free and not (device.charger[row] and move > 0.0):
            seen = min(max((shown - own.from_kw[row]) / move, 0.0), 1.0)
            gain = own.doubt[row] / (own.doubt[row] + _SHARE_VARIANCE + (noise / move) ** 2)
            own.share[row] += gain * (seen - own.share[row])
            own.doubt[row] *= 1.0 - gain
            if seen >= _SILENT_SHARE:
                own.answered_kw[row] = own.target_kw[row]
    elif apart_s < np.inf and not np.isnan(own.shown_kw[row]):
        off = max((shown - own.shown_kw[row]) ** 2 - noise * noise, 0.0)
        own.wander[row] += _WANDER_GAIN * (off / max(apart_s, 1.0) - own.wander[row])
        if abs(shown - own.shown_kw[row]) > _LEAST_MOVE_RATIO * device.range_kw[row]:
            own.answered_kw[row] = np.nan  # it has left where its answer was
    # What the row has made of the command is on its meter now.
    own.from_kw[row] = own.target_kw[row] = shown
