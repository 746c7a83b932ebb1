"""Bounded recovery of the energy that batteries gave for a request, after the rebound watch has ended.

The rebound cap of a request ends with its watch, but the batteries that gave it are empty then. A plan that is free to
fill them would do so at once, wherever the price is the same for hours. So for some hours each battery may charge no
faster than its share of the cap, beside what it would have charged by the plan before the request. In hours for which
reserve is held it does not charge at all: that would become part of the next request's baseline, for which it would
then only have to stand still.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from optimizer.problem.problem import Band
from vpp.domain.request import Direction
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid

_AIM_RATIO = 0.9
"""Share of the cap that batteries may use: buildings and cars come back beside them."""
_PRICE_CNY_PER_KWH = 8.0
"""A kWh beyond the floor costs as one beyond a request's band: less than a driver's unserved one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRecovery:
    """The hours after the watch of one request on the whole city.

    Attributes:
        direction: Of the request: after a cut net load may rise by the cap, after a raise it may fall by it.
        from_s: Epoch seconds at which the watch ends.
        until_s: Epoch seconds up to which the plan is bounded.
        cap_kw: The request's rebound cap.
    """

    direction: Direction
    from_s: float
    until_s: float
    cap_kw: float


def charge_limit_kw(
    recoveries: Sequence[EnergyRecovery],
    *,
    before: Schedule | None,
    rows: IntArray,
    most_kw: FloatArray,
    reserved: BoolArray,
    grid: TimeGrid,
) -> FloatArray | None:
    """Return how fast batteries may charge after cuts, ``None`` where nothing bounds them on these steps.

    Together they stay below the cap beside what they would have done, so the rate needs no price and no row of its
    own in the problem: it holds whatever a plan is worth.

    Args:
        recoveries: Recoveries of requests.
        before: The plan before the requests; what a battery would have charged by it is no rebound, what it would have
            given is missing.
        rows: The batteries.
        most_kw: Greatest charge of each, shape ``(len(rows),)``.
        reserved: Steps for which reserve is held, shape ``(grid.count,)``.
        grid: The steps of the plan.

    Returns:
        Shape ``(len(rows), grid.count)``.
    """
    room_kw = _room_kw([r for r in recoveries if r.direction is Direction.UP], grid)
    if np.isinf(room_kw).all():
        return None
    for step in range(1, grid.count):
        if reserved[step] and reserved[step - 1]:
            room_kw[step] = min(room_kw[step], room_kw[step - 1])  # hours of reserve end as they began
    still = reserved & np.isfinite(room_kw)
    usual_kw = _usual_kw(before, rows, grid)
    # What empty batteries do not give any more is as much of a rebound as what they take.
    room_kw = np.maximum(room_kw + np.minimum(usual_kw, 0.0).sum(axis=0), 0.0)
    share = np.where(still, 0.0, room_kw / max(float(most_kw.sum()), 1.0))
    taken_kw = np.where(still, 0.0, np.maximum(usual_kw, 0.0))
    return np.asarray(np.minimum(taken_kw + np.minimum(share, 1.0) * most_kw[:, None], most_kw[:, None]))


def recovery_floor(
    recoveries: Sequence[EnergyRecovery],
    *,
    before: Schedule | None,
    rows: IntArray,
    expected_kw: FloatArray,
    grid: TimeGrid,
) -> Band | None:
    """Return the least total for a plan after raises, ``None`` where nothing recovers from one on its steps.

    Args:
        recoveries: Recoveries of requests.
        before: The plan before the requests; what its batteries would have given is no rebound.
        rows: The batteries.
        expected_kw: Total of all but the batteries, shape ``(grid.count,)``.
        grid: The steps of the plan.
    """
    room_kw = _room_kw([r for r in recoveries if r.direction is Direction.DOWN], grid)
    if np.isinf(room_kw).all():
        return None
    usual_kw = np.minimum(_usual_kw(before, rows, grid).sum(axis=0), 0.0)
    return Band(
        upper_kw=np.full(grid.count, np.inf),
        lower_kw=expected_kw + usual_kw - room_kw,
        price_cny_per_kwh=_PRICE_CNY_PER_KWH,
    )


def _room_kw(recoveries: Sequence[EnergyRecovery], grid: TimeGrid) -> FloatArray:
    """Return the power that may return in every step, infinity where nothing bounds it, shape ``(grid.count,)``."""
    starts_s, room_kw = grid.starts_s(), np.full(grid.count, np.inf)
    for recovery in recoveries:
        inside = (starts_s + grid.step_s > recovery.from_s) & (starts_s < recovery.until_s)
        room_kw = np.where(inside, np.minimum(room_kw, _AIM_RATIO * recovery.cap_kw), room_kw)
    return room_kw


def _usual_kw(before: Schedule | None, rows: IntArray, grid: TimeGrid) -> FloatArray:
    """Return what batteries would have taken, 0 where the plan before says nothing, ``(len(rows), grid.count)``."""
    usual_kw, chosen = np.zeros((len(rows), grid.count)), rows.astype(np.int32)
    if before is None:
        return usual_kw
    for step, at_s in enumerate(grid.starts_s().tolist()):
        if before.grid.start_s <= at_s < before.grid.end_s:
            usual_kw[:, step] = np.nan_to_num(before.some_at(at_s, chosen))
    return usual_kw
