"""How much a part of the fleet delivers over a hold, with its chances."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.planning.headroom import passed
from vpp.planning.outlook import Outlook, Window
from vpp.planning.room import room

Z10 = 1.2815515655446004
"""The normal distribution's 90 % point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """Deliverable power; intervals have shape ``(len(window),)``.

    Attributes:
        mean_kw: Expected power by row and interval, delivery ratio included, shape ``(n_resources, len(window))``.
        p10_kw: With nine chances in ten at least this much.
        p50_kw: With even chances at least this much.
        p90_kw: With one chance in ten at least this much.
        ramp_kw_per_min: How fast the rows together can move.
        lost_kw: What each named cause takes away.
    """

    mean_kw: FloatArray
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    ramp_kw_per_min: float
    lost_kw: dict[str, FloatArray]


def deliverable(
    outlook: Outlook,
    *,
    direction: Direction,
    window: Window,
    chosen: BoolArray,
    delivery_ratio: FloatArray,
    committed_kw: FloatArray,
    now_s: float,
) -> Deliverable:
    """Return what the rows of ``chosen`` deliver in ``direction``.

    The sum of many rows is taken as normal: variance ``sum r(1-r)k^2 + (r*min(s,k))^2 + (c*sum rk)^2`` with delivery
    ratio ``r``, room ``k``, spread ``s`` and common error ``c``.

    Args:
        outlook: The picture.
        direction: Cut or raise.
        window: Intervals of the hold.
        chosen: Rows of the area, shape ``(n_resources,)``.
        delivery_ratio: Measured chance that a row does what it is told, shape ``(n_resources,)``.
        committed_kw: Already promised to others by interval of the outlook, shape ``(grid.count,)``.
        now_s: Epoch seconds; devices can move from here on.
    """
    open_room = room(outlook, direction, window, chosen)
    through = passed(outlook, direction, window, open_room.kw)
    ratio = delivery_ratio[:, None]
    mean_kw = through.kw * ratio
    spread = np.minimum(np.nan_to_num(outlook.spread_kw[:, window.steps]), np.abs(through.kw)) * ratio
    own = (through.kw**2 * ratio * (1.0 - ratio) + spread**2).sum(axis=0)
    total = mean_kw.sum(axis=0)
    sigma = np.sqrt(own + (outlook.policy.common_error_ratio * total) ** 2)
    promised = committed_kw[window.steps]
    ramp = _ramp_kw_per_min(outlook, mean_kw)
    starts_s = outlook.grid.starts_s()[window.steps]
    reach = ramp * np.maximum((starts_s - now_s) / SECONDS_PER_MINUTE, 1.0)
    p10, p50, p90 = (np.clip(total + z * sigma - promised, 0.0, reach) for z in (-Z10, 0.0, Z10))
    lost = {
        **open_room.lost_kw,
        **through.lost_kw,
        **_lost_telemetry(outlook, window, chosen),
        "delivery ratio measured so far": (through.kw * (1.0 - ratio)).sum(axis=0),
        "already promised to other requests": promised,
        "ramp until the start": np.maximum(total - promised - reach, 0.0),
    }
    return Deliverable(mean_kw=mean_kw, p10_kw=p10, p50_kw=p50, p90_kw=p90, ramp_kw_per_min=ramp, lost_kw=lost)


def _ramp_kw_per_min(outlook: Outlook, mean_kw: FloatArray) -> float:
    """Return the joint ramp; a row is at its end within a minute at the latest if its own rate allows."""
    size = np.maximum(mean_kw.mean(axis=1), 0.0) if mean_kw.shape[1] else np.zeros(len(mean_kw))
    return float(np.minimum(outlook.state.index.ramp_kw_per_min, size).sum())


def _lost_telemetry(outlook: Outlook, window: Window, chosen: BoolArray) -> dict[str, FloatArray]:
    power = np.abs(np.nan_to_num(outlook.reference_kw[:, window.steps]))
    dark, all_rows = power[chosen & ~outlook.usable].sum(axis=0), power[chosen].sum(axis=0)
    ratio = dark.sum() / all_rows.sum() if all_rows.sum() > 0.0 else 0.0
    return {f"telemetry stale for {ratio:.0%} of power": dark} if ratio > 0.0 else {}
