"""Following a re-dispatch plan: its powers are where the rows of a request start from, tracking corrects on top."""

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.dispatch.allocation.staggered_release import release_lots
from vpp.dispatch.flexibility.device_rows import NOTHING_KW
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.views import EV, Devices
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import STEP_S

LEAST_S = 300.0
"""Shortest time a charger is on or off when its power is reached by switching."""

_PERIOD_S = float(STEP_S)
_GOLDEN = 0.6180339887498949
"""Not that of `numerics.spread`: a kernel keeps its constants, and its cache watches modules with kernels only."""


class PlannedPowers:
    """Power a re-dispatch plan has every row take, read once a step: one step's powers lie far apart in a plan."""

    def __init__(self) -> None:
        self._read: tuple[Schedule, int, FloatArray] | None = None

    def at(self, plan: Schedule | None, now_s: float, count: int) -> FloatArray | None:
        """Return the power of ``count`` rows at ``now_s``, NaN for no wish; ``None`` where no plan covers it."""
        if plan is None or not plan.grid.start_s <= now_s < plan.grid.end_s:
            self._read = None
            return None
        step = plan.grid.index_at(now_s)
        if self._read is None or self._read[0] is not plan or self._read[1] != step or len(self._read[2]) != count:
            self._read = (plan, step, _padded(plan.at(now_s), count))
        return self._read[2]


def _padded(values: FloatArray, count: int) -> FloatArray:
    """Return ``values`` lengthened with NaN for rows that joined later, contiguous."""
    return np.concatenate((values[:count], np.full(max(0, count - len(values)), np.nan)))


def follow_plan(
    assignments: Assignments,
    seen: FlexibilityScan,
    planned_kw: FloatArray,
    *,
    devices: Devices,
    sign: float,
    at_s: float,
    most_kw: float,
) -> tuple[FloatArray, float]:
    """Return the activations after what the plan has changed, and by how much their sum rose.

    A row is moved by what its planned activation has changed since the last cycle, so what tracking corrected stays in
    place. The planned activations, which the merit order follows, are noted in the assignments.

    Args:
        assignments: State of the rows.
        seen: The scan.
        planned_kw: The plan's power of every row now, NaN for no wish, shape ``(n_resources,)``.
        devices: Nameplates.
        sign: 1.0 where net load is to fall, -1.0 where it is to rise.
        at_s: Epoch seconds.
        most_kw: How much may be moved up, and how much down, in this cycle: rows differ in how fast they follow, and
            tracking must keep up. 0 while the power due still rises: then the plan only changes the merit order.
    """
    activated, moved_kw, rows, noted_kw = _followed(
        assignments.columns.planned_kw,
        read_only(seen.activated_kw),
        read_only(seen.available_kw),
        read_only(seen.uncontrolled_kw),
        read_only(planned_kw),
        devices,
        release_lots("duty", len(planned_kw)),
        sign,
        at_s,
        most_kw,
    )
    assignments.plan(rows, noted_kw)
    return activated, moved_kw


@njit()
def _followed(  # noqa: PLR0917 - a kernel takes arguments by position
    known_kw: FloatArray,
    activated: FloatArray,
    available: FloatArray,
    uncontrolled: FloatArray,
    planned: FloatArray,
    devices: Devices,
    lot: FloatArray,
    sign: float,
    at_s: float,
    most_kw: float,
) -> tuple[FloatArray, float, RowArray, FloatArray]:
    followed, moved = activated.copy(), 0.0
    more = fewer = most_kw
    kind, floor_kw = devices.kind, devices.floor_kw
    noted, noted_kw, count = np.empty(len(activated), dtype=np.int32), np.empty(len(activated)), 0
    for row in range(len(activated)):
        has_part = not np.isnan(activated[row])
        if np.isnan(planned[row]) or (available[row] <= NOTHING_KW and not has_part):
            continue
        power = planned[row]
        if kind[row] == EV and 0.0 < power < floor_kw[row]:
            power = duty_kw(power, floor_kw[row], at_s, lot[row])
        asked = min(
            max(sign * (uncontrolled[row] - power), 0.0), max(available[row], activated[row] if has_part else 0.0)
        )
        present = activated[row] if has_part else 0.0
        before = present if np.isnan(known_kw[row]) else known_kw[row]
        step = asked - before
        if np.isnan(known_kw[row]) and not has_part and asked <= NOTHING_KW:
            continue
        if most_kw == 0.0:
            noted[count], noted_kw[count] = row, asked
            count += 1
            continue
        if abs(step) <= NOTHING_KW:
            continue
        step = min(max(step, -fewer), more)
        noted[count], noted_kw[count] = row, before + step
        count += 1
        after = min(max(present + step, 0.0), max(available[row], present))
        if after != present:
            followed[row] = after
            moved += after - present
            more, fewer = more - max(step, 0.0), fewer + min(step, 0.0)
    return followed, moved, noted[:count], noted_kw[:count]


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
