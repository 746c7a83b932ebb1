"""Following a re-dispatch plan: its powers are where the rows of a request start from, the loop corrects on top."""

import numpy as np

from numerics.jit import njit
from vpp.dispatch.allocation.staggered_release import lots
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.views import EV, Devices, read_only
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import STEP_S

LEAST_S = 300.0
"""Shortest time a charger is on or off when its power is realised by switching."""

_PERIOD_S = float(STEP_S)
_GOLDEN = 0.6180339887498949


class Wishes:
    """What a re-dispatch plan has every row take, read once a step: the powers of one step lie far apart in a plan."""

    def __init__(self) -> None:
        self._read: tuple[Schedule, int, FloatArray] | None = None

    def at(self, intended: Schedule | None, now_s: float, count: int) -> FloatArray | None:
        """Return what ``count`` rows should take, NaN for no wish; ``None`` where there is no plan of now."""
        if intended is None or not intended.grid.start_s <= now_s < intended.grid.end_s:
            self._read = None
            return None
        step = intended.grid.index_at(now_s)
        if self._read is None or self._read[0] is not intended or self._read[1] != step or len(self._read[2]) != count:
            self._read = (intended, step, _padded(intended.at(now_s), count))
        return self._read[2]


def _padded(values: FloatArray, count: int) -> FloatArray:
    """Return ``values`` lengthened with NaN for rows that were added later, as doubles side by side."""
    return np.concatenate((values[:count], np.full(max(0, count - len(values)), np.nan)))


def follow_plan(
    roster: RosterTable,
    seen: FlexibilityScan,
    intended_kw: FloatArray,
    *,
    devices: Devices,
    sign: float,
    at_s: float,
    most_kw: float,
) -> tuple[FloatArray, float]:
    """Return the gives after what the plan has changed, and how much more is given in all.

    A row is moved by what its planned give has changed since it was last looked at, so what the closed loop corrected
    stays in place. ``roster.intended_kw``, which the merit order follows, is brought up to date.

    Args:
        roster: Who follows the plan since when.
        seen: The survey.
        intended_kw: The plan's power of every row now, NaN for no wish, shape ``(n_resources,)``.
        devices: The registry's columns.
        sign: 1.0 where net load should fall.
        at_s: Epoch seconds.
        most_kw: How much may be moved up, and how much down, in this cycle: rows differ in how fast they follow, and
            the loop must keep up. 0 while the power due still rises: then the plan only says who is asked first.
    """
    give, moved_kw = _followed(
        roster.intended_kw,
        read_only(seen.give_kw),
        read_only(seen.room_kw),
        read_only(seen.free_kw),
        read_only(np.ascontiguousarray(intended_kw)),
        devices,
        lots("duty", len(intended_kw)),
        sign,
        at_s,
        most_kw,
    )
    return give, moved_kw


def forget_plan(roster: RosterTable) -> None:
    """Let the merit order stand on its own again."""
    planned = ~np.isnan(roster.intended_kw)
    if planned.any():
        roster.intended_kw[planned] = np.nan


@njit()
def _followed(  # noqa: PLR0917 - a kernel takes arguments by position
    known_kw: FloatArray,
    give: FloatArray,
    room: FloatArray,
    free: FloatArray,
    intended: FloatArray,
    devices: Devices,
    lot: FloatArray,
    sign: float,
    at_s: float,
    most_kw: float,
) -> tuple[FloatArray, float]:
    followed, moved = give.copy(), 0.0
    more = fewer = most_kw
    kind, floor_kw = devices.kind, devices.floor_kw
    for row in range(len(give)):
        has_part = not np.isnan(give[row])
        if np.isnan(intended[row]) or (room[row] <= NOTHING_KW and not has_part):
            continue
        power = intended[row]
        if kind[row] == EV and 0.0 < power < floor_kw[row]:
            power = duty_kw(power, floor_kw[row], at_s, lot[row])
        asked = min(max(sign * (free[row] - power), 0.0), max(room[row], give[row] if has_part else 0.0))
        giving = give[row] if has_part else 0.0
        step = asked - (giving if np.isnan(known_kw[row]) else known_kw[row])
        if np.isnan(known_kw[row]) and not has_part and asked <= NOTHING_KW:
            continue
        if most_kw == 0.0:
            known_kw[row] = asked
            continue
        if abs(step) <= NOTHING_KW:
            continue
        step = min(max(step, -fewer), more)
        known_kw[row] = (giving if np.isnan(known_kw[row]) else known_kw[row]) + step
        after = min(max(giving + step, 0.0), max(room[row], giving))
        if after != giving:
            followed[row] = after
            moved += after - giving
            more, fewer = more - max(step, 0.0), fewer + min(step, 0.0)
    return followed, moved


@njit()
def duty_kw(mean_kw: float, floor_kw: float, at_s: float, lot: float) -> float:
    """Return ``floor_kw`` or 0, so that a charger that cannot go below its floor takes ``mean_kw`` on average.

    It is switched on once and off once in every 15 minutes at the most, at an instant drawn by its lot, and never for
    less than ``LEAST_S``: what would be shorter is done in some periods only, spread evenly (golden-ratio sequence).

    Args:
        mean_kw: Wanted mean, above 0 and below ``floor_kw``.
        floor_kw: Least power without stopping.
        at_s: Epoch seconds.
        lot: The row's lot in ``[0, 1)``.
    """
    shifted_s = at_s + lot * _PERIOD_S
    period = np.floor(shifted_s / _PERIOD_S)
    since_s = shifted_s - period * _PERIOD_S
    draw = (period * _GOLDEN + 7.0 * lot) % 1.0
    on_s = _PERIOD_S * mean_kw / floor_kw
    if on_s < LEAST_S:
        on_s = LEAST_S if draw < on_s / LEAST_S else 0.0
    elif _PERIOD_S - on_s < LEAST_S:
        on_s = _PERIOD_S - LEAST_S if draw < (_PERIOD_S - on_s) / LEAST_S else _PERIOD_S
    return floor_kw if since_s < on_s else 0.0
