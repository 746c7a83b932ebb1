"""What a plan may take back once nobody watches any more: what was drawn for a request returns at a bounded rate.

The rebound cap of a request ends with its watch, but the batteries that gave it are empty then. A plan that is free to
fill them would do so at once, wherever the price is the same for hours. So for some hours the plan keeps the total
below what it would have been by the plan before the request, and so much more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.problem import Band
from optimizer.validation import IntArray
from vpp.domain.request import Direction
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid

_AIM_RATIO = 0.9
"""Share of the cap that batteries may use: buildings and cars come back beside them."""
_PRICE_CNY_PER_KWH = 8.0
"""A kWh beyond costs as one beyond a request's band: less than a driver's unserved one, far less than an overload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
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


def recovery_band(
    recoveries: Sequence[Recovery],
    *,
    before: Schedule | None,
    stores: IntArray,
    expected_kw: FloatArray,
    grid: TimeGrid,
) -> Band | None:
    """Return the bounds of the total for a plan, ``None`` where nothing recovers on its steps.

    Args:
        recoveries: What recovers.
        before: The plan before the requests; what its batteries would have done is nobody's rebound.
        stores: Rows of the batteries.
        expected_kw: Total of all but the batteries, shape ``(grid.count,)``.
        grid: The steps of the plan.
    """
    starts_s = grid.starts_s()
    upper, lower = np.full(grid.count, np.inf), np.full(grid.count, -np.inf)
    for recovery in recoveries:
        inside = (starts_s + grid.step_s > recovery.from_s) & (starts_s < recovery.until_s)
        room_kw = np.where(inside, _AIM_RATIO * recovery.cap_kw, np.inf)
        if recovery.direction is Direction.UP:
            upper = np.minimum(upper, room_kw)
        else:
            lower = np.maximum(lower, -room_kw)
    if np.isinf(upper).all() and np.isinf(lower).all():
        return None
    usual_kw = _usual_kw(before, stores, grid)
    return Band(
        upper_kw=expected_kw + np.maximum(usual_kw, 0.0) + upper,
        lower_kw=expected_kw + np.minimum(usual_kw, 0.0) + lower,
        price_cny_per_kwh=_PRICE_CNY_PER_KWH,
    )


def _usual_kw(before: Schedule | None, stores: IntArray, grid: TimeGrid) -> FloatArray:
    """Return what the batteries would have taken, 0 where the plan before says nothing, shape ``(grid.count,)``."""
    usual = np.zeros(grid.count)
    if before is None:
        return usual
    known = stores[stores < len(before.power_kw)]
    for step, at_s in enumerate(grid.starts_s().tolist()):
        if before.grid.start_s <= at_s < before.grid.end_s:
            usual[step] = float(before.at(at_s)[known].sum())
    return usual
