"""Compiled loops over every device: a city has hundreds of thousands of chargers, each in two worlds.

Arrays of two worlds have shape ``(2, m)``; positions are those of the class, rows those of the fleet.
"""

import math

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray


@njit()
def charge(  # noqa: PLR0917 - kernels take arrays by position
    asked_kw: FloatArray,
    default_kw: FloatArray,
    plugged: BoolArray,
    need_kwh: FloatArray,
    car_kw: FloatArray,
    taper_kw_per_kwh: FloatArray,
    least_kw: FloatArray,
    delivered_kwh: FloatArray,
    power_kw: FloatArray,
    hours: float,
    share: float,
    tail: float,
    enough_kwh: float,
) -> None:
    """Charge every plugged car for one step in both worlds; ``delivered_kwh`` and ``power_kw`` are updated.

    Args:
        asked_kw: Dispatch ceiling, NaN where none is in force, shape ``(2, m)``.
        default_kw: Ceiling otherwise, NaN for none.
        plugged: Whether a car is there.
        need_kwh: Energy it wants.
        car_kw: Greatest power it takes.
        taper_kw_per_kwh: Slope of its taper.
        least_kw: Limits below this are a pause.
        delivered_kwh: Energy delivered so far.
        power_kw: Power it takes.
        hours: Length of the step.
        share: Share of the distance to its target that the power covers in the step.
        tail: Least power of the taper, as a share of full power.
        enough_kwh: A car that lacks less is full.
    """
    for i in range(plugged.shape[0]):
        if not plugged[i]:
            continue
        for world in range(2):
            limit_kw = asked_kw[world, i]
            if math.isnan(limit_kw):
                limit_kw = default_kw[i]
            left_kwh = max(need_kwh[i] - delivered_kwh[world, i], 0.0)
            target_kw = 0.0
            if left_kwh > enough_kwh and not limit_kw < least_kw[i]:
                target_kw = min(max(left_kwh * taper_kw_per_kwh[i], tail * car_kw[i]), car_kw[i])
                if limit_kw < target_kw:  # noqa: PLR1730 - NaN is no limit, which min() does not promise
                    target_kw = limit_kw
            power = power_kw[world, i]
            power = min(power + (target_kw - power) * share, left_kwh / hours)
            power_kw[world, i] = power
            delivered_kwh[world, i] += power * hours


@njit()
def ceilings(  # noqa: PLR0917 - kernels take arrays by position
    plugged: BoolArray,
    need_kwh: FloatArray,
    delivered_kwh: FloatArray,
    car_kw: FloatArray,
    taper_kw_per_kwh: FloatArray,
    tail: float,
    enough_kwh: float,
    out_kw: FloatArray,
) -> None:
    """Write the greatest power of every car now into ``out_kw``, 0 without a car; shapes ``(m,)``, one world."""
    for i in range(plugged.shape[0]):
        left_kwh = need_kwh[i] - delivered_kwh[i]
        if not plugged[i] or left_kwh <= enough_kwh:
            out_kw[i] = 0.0
        else:
            out_kw[i] = min(max(left_kwh * taper_kw_per_kwh[i], tail * car_kw[i]), car_kw[i])


@njit()
def register(power_kw: FloatArray, hours: float, net_kwh: FloatArray, taken_in_kwh: FloatArray) -> None:
    """Add one step's energy to both worlds' net energy, shape ``(2, n)``, and to the registers, shape ``(n,)``."""
    for i in range(taken_in_kwh.shape[0]):
        energy_kwh = power_kw[0, i] * hours
        net_kwh[0, i] += energy_kwh
        net_kwh[1, i] += power_kw[1, i] * hours
        if energy_kwh > 0.0:
            taken_in_kwh[i] += energy_kwh


@njit()
def in_force(until_s: FloatArray, dispatch_kw: FloatArray, now_s: float, out_kw: FloatArray) -> None:
    """Write the dispatch values whose lease holds, NaN elsewhere, into ``out_kw``; shapes ``(n,)``."""
    for i in range(until_s.shape[0]):
        out_kw[i] = dispatch_kw[i] if until_s[i] > now_s else np.nan


@njit()
def due(depart_s: FloatArray, now_s: float, out_rows: RowArray) -> tuple[int, float]:
    """Write the rows whose car leaves by ``now_s`` into ``out_rows``; return their number and the next departure."""
    count, next_s = 0, np.inf
    for i in range(depart_s.shape[0]):
        if depart_s[i] <= now_s:
            out_rows[count] = i
            count += 1
        elif depart_s[i] < next_s:
            next_s = depart_s[i]
    return count, next_s


@njit()
def means(  # noqa: PLR0917 - kernels take arrays by position
    net_kwh: FloatArray,
    last_kwh: FloatArray,
    per_kwh: float,
    class_code: CodeArray,
    area_code: RowArray,
    transformer_code: RowArray,
    class_kw: FloatArray,
    area_kw: FloatArray,
    transformer_kw: FloatArray,
) -> None:
    """Add up mean powers since ``last_kwh``, which is set to ``net_kwh``, by class, area and own transformer.

    Sums have shapes ``(2, n_classes)``, ``(2, n_areas)``, ``(2, n_transformers)`` and must come as zeros.
    """
    for world in range(2):
        for i in range(class_code.shape[0]):
            energy_kwh = net_kwh[world, i]
            mean_kw = (energy_kwh - last_kwh[world, i]) * per_kwh
            last_kwh[world, i] = energy_kwh
            class_kw[world, class_code[i]] += mean_kw
            area_kw[world, area_code[i]] += mean_kw
            transformer_kw[world, transformer_code[i]] += mean_kw


@njit()
def without_collisions(
    rows: RowArray, arrive_s: FloatArray, depart_s: FloatArray, changeover_s: float, free_from_s: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return which cars, in order of arrival, find their station free; ``free_from_s`` is updated."""
    kept = np.zeros(rows.shape[0], dtype=np.bool_)
    for i in range(rows.shape[0]):
        row = rows[i]
        if arrive_s[i] >= free_from_s[row]:
            kept[i] = True
            free_from_s[row] = depart_s[i] + changeover_s
    return kept
