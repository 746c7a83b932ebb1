"""Projection of a schedule onto what each device can do: the nearest feasible power, step by step.

A linear model may charge and discharge a battery in one step to burn energy at a negative price, rounding may overfill
a car by a millionth, a mixture of schedules may end beyond a bound. Every schedule passes through here before it is
priced, so whatever is reported can be done. Kernels change rows of the schedule, of single or double precision, in
place.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray, IntArray
from numerics.jit import njit
from optimizer.problem.devices import Charging, Flexible, Solar, Storing
from optimizer.problem.validation import PowerArray


class _Cars(NamedTuple):
    """Windows, powers and needs; kWh are kW-steps here, ``(n,)`` each."""

    arrive: IntArray
    depart: IntArray
    p_max: FloatArray
    need: FloatArray


class _Stores(NamedTuple):
    """Windows, powers, energy gained and drained per kW-step, and its bounds, ``(n,)`` each.

    ``limit`` is the greatest charge step by step, ``(n, T)``, or empty where it is ``p_max`` in all of them.
    """

    arrive: IntArray
    depart: IntArray
    p_min: FloatArray
    p_max: FloatArray
    limit: FloatArray
    gain: FloatArray
    drain: FloatArray
    low: FloatArray
    high: FloatArray


class _Loads(NamedTuple):
    """Loads, ``(n, T)`` and ``(n,)``; ``share`` of a cut comes back in each of the next ``span`` steps."""

    baseline: FloatArray
    most: FloatArray
    budget: FloatArray
    share: FloatArray
    span: int


def realise_charging(cars: Charging, power_kw: PowerArray, step_h: float) -> FloatArray:
    """Keep cars in their window, power and need, in place; return the energy they lack, kWh, shape ``(n,)``."""
    missing = np.zeros(len(cars))
    need = _floats(cars.need_kwh) / step_h
    _charge(power_kw, _Cars(_ints(cars.arrive), _ints(cars.depart), _floats(cars.p_max_kw), need), missing)
    return missing * step_h


def realise_storing(stores: Storing, power_kw: PowerArray, step_h: float) -> FloatArray:
    """Keep stores in their window, power and energy, in place; return the energy they lack, kWh, shape ``(n,)``."""
    low, high = stores.energy_bounds_kwh()
    stored = stores.soc_start * stores.capacity_kwh
    facts = _Stores(
        arrive=_ints(stores.arrive),
        depart=_ints(stores.depart),
        p_min=_floats(stores.p_min_kw),
        p_max=_floats(stores.p_max_kw),
        limit=_floats(stores.charge_limit_kw),
        gain=stores.efficiency * step_h,
        drain=step_h / stores.efficiency,
        low=low,
        high=high,
    )
    _store(power_kw, facts, stored)
    return np.maximum(stores.soc_end * stores.capacity_kwh - stored, 0.0)


def realise_solar(panels: Solar, power_kw: PowerArray) -> None:
    """Keep photovoltaics between what the sun gives and nothing, in place."""
    fixed = panels.curtailable == 0
    np.clip(power_kw, -panels.available_kw, 0.0, out=power_kw, casting="same_kind")
    power_kw[fixed] = -panels.available_kw[fixed]


def realise_flexible(loads: Flexible, power_kw: PowerArray, step_h: float) -> FloatArray:
    """Keep loads within their cuts and the rebound of these, in place; return the cuts, kW, shape ``(n, T)``."""
    cut = np.zeros(power_kw.shape)
    facts = _Loads(
        baseline=_floats(loads.baseline_kw),
        most=_floats(loads.max_cut_kw),
        budget=loads.max_cut_kwh / step_h,
        share=loads.rebound_ratio / loads.rebound_steps,
        span=loads.rebound_steps,
    )
    _cut(power_kw, facts, cut)
    return cut


def node_sum_kw(power_kw: PowerArray, node: IntArray, nodes: int) -> FloatArray:
    """Return the sum of ``power_kw``, shape ``(n, T)``, at each of ``nodes`` nodes, shape ``(nodes, T)``."""
    total = np.zeros((nodes, power_kw.shape[1]))
    _add_rows(power_kw, _ints(node), total)
    return total


def _floats(array: npt.NDArray[np.generic]) -> FloatArray:
    """Return a contiguous array that may be written to, the one kind compiled code meets."""
    return np.require(array, dtype=np.float64, requirements=["C", "W"])


def _ints(array: npt.NDArray[np.generic]) -> IntArray:
    return np.require(array, dtype=np.int64, requirements=["C", "W"])


@njit()
def _charge(power: PowerArray, cars: _Cars, missing: FloatArray) -> None:
    for i in range(power.shape[0]):
        energy = 0.0
        for t in range(power.shape[1]):
            inside = (t >= cars.arrive[i]) & (t < cars.depart[i])
            x = min(max(float(power[i, t]), 0.0), cars.p_max[i]) if inside else 0.0
            power[i, t] = x
            energy += x
        if energy > cars.need[i]:
            for t in range(cars.arrive[i], cars.depart[i]):
                power[i, t] *= cars.need[i] / energy
            energy = cars.need[i]
        missing[i] = cars.need[i] - energy


@njit()
def _store(power: PowerArray, stores: _Stores, stored: FloatArray) -> None:
    for i in range(power.shape[0]):
        gain, drain = stores.gain[i], stores.drain[i]
        for t in range(power.shape[1]):
            if (t < stores.arrive[i]) | (t >= stores.depart[i]):
                power[i, t] = 0.0
                continue
            charge = stores.limit[i, t] if len(stores.limit) else stores.p_max[i]
            most = min(charge, max(stores.high[i] - stored[i], 0.0) / gain)
            least = max(stores.p_min[i], -max(stored[i] - stores.low[i], 0.0) / drain)
            x = min(max(float(power[i, t]), least), most)
            power[i, t] = x
            stored[i] += x * gain if x > 0.0 else x * drain


@njit()
def _cut(power: PowerArray, loads: _Loads, cut: FloatArray) -> None:
    """Read the cuts off the net power, earliest first: what has come back by ``t`` follows from the cuts before."""
    for i in range(power.shape[0]):
        left = loads.budget[i]
        for t in range(power.shape[1]):
            back = 0.0
            for s in range(max(t - loads.span, 0), t):
                back += cut[i, s] * loads.share[i]
            free = loads.baseline[i, t] + back
            x = min(max(free - float(power[i, t]), 0.0), loads.most[i, t], left)
            # What single precision leaves over is no cut.
            x = 0.0 if x < 1e-6 * abs(free) else x
            cut[i, t] = x
            left -= x
            power[i, t] = free - x


@njit()
def _add_rows(power: PowerArray, node: IntArray, total: FloatArray) -> None:
    for i in range(power.shape[0]):
        for t in range(power.shape[1]):
            total[node[i], t] += power[i, t]
