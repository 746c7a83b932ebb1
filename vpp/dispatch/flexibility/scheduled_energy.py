"""Scheduled energy of stores until a hold ends.

What a store has must last for its schedule and for what is asked beyond it.
"""

from typing import NamedTuple

import numpy as np

from numerics.views import read_only
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.resource import STORING
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex


class ScheduledEnergy(NamedTuple):
    """Scheduled energy of the stores from now on; ``m`` stores, ``K`` steps that are left.

    Attributes:
        place: Place of every row in ``kwh``, -1 for rows that follow no schedule, shape ``(n_resources,)``.
        kwh: Energy at the meter gained by the end of each step, as what could be given again, shape ``(m, K)``.
        hours: Time until then, shape ``(K,)``.
    """

    place: RowArray
    kwh: FloatArray
    hours: FloatArray


def ahead_of(
    index: FleetIndex, portfolio: BoolArray, curve: BaselineCurve | None, *, now_s: float, end_s: float
) -> ScheduledEnergy:
    """Return the scheduled energy of the stores of ``portfolio`` from ``now_s`` to ``end_s``.

    Args:
        index: The fleet.
        portfolio: Rows that count, shape ``(n_resources,)``.
        curve: Their frozen baseline, ``None`` where there is none.
        now_s: The present.
        end_s: End of the hold.
    """
    place = np.full(len(portfolio), -1, dtype=np.int32)
    if curve is None or end_s <= now_s:
        return _ahead(place, np.zeros((0, 0)), np.zeros(0))
    rows = np.flatnonzero(curve.steps & portfolio & index.is_class(*STORING)).astype(np.int32)
    ends_s = curve.ends_s(now_s, end_s)
    lengths_h = np.diff(ends_s, prepend=now_s) / SECONDS_PER_HOUR
    power = np.nan_to_num(curve.ahead_kw(rows, ends_s))
    # A kWh that is charged loses twice before it is given again.
    gained = np.where(power > 0.0, power * index.nameplate.efficiency[rows, None] ** 2, power) * lengths_h
    place[rows] = np.arange(len(rows))
    return _ahead(place, np.cumsum(gained, axis=1), np.cumsum(lengths_h))


def _ahead(place: RowArray, kwh: FloatArray, hours: FloatArray) -> ScheduledEnergy:
    return ScheduledEnergy(read_only(place), read_only(kwh), read_only(hours))
