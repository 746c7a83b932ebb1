"""Stationary batteries and photovoltaic inverters, which follow a setpoint within seconds."""

import math

import numpy as np

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics import solar
from vpp.lab.twin.physics.charging import approach, stored_kwh
from vpp.lab.twin.physics.weather import Sky
from vpp.lab.twin.worlds import WORLDS

STORAGE_LAG_S = 1.0
PV_LAG_S = 2.0
FULL_SOC = 1.0


class Batteries:
    """Stationary batteries: they follow the dispatch value, else the default (the plan), else they idle.

    Args:
        index: The fleet.
        rows: Its rows of this class.
        random: Stream of the initial state of charge.
        worlds: Number of worlds, the first axis of every array of a state.
    """

    def __init__(self, index: FleetIndex, rows: RowArray, random: np.random.Generator, *, worlds: int = WORLDS) -> None:
        self.rows = rows
        self._capacity_kwh = np.maximum(index.nameplate.capacity_kwh[rows], 1e-6)
        self._efficiency = index.nameplate.efficiency[rows]
        self._least_kw = index.nameplate.p_min_kw[rows]
        self._most_kw = index.nameplate.p_max_kw[rows]
        self._floor_soc = index.limits.soc_floor[rows]
        self.soc: FloatArray = np.tile(random.uniform(0.5, 0.8, len(rows)), (worlds, 1))
        self.power_kw: FloatArray = np.zeros((worlds, len(rows)))

    def step(self, asked_kw: FloatArray, default_kw: FloatArray, step_s: float) -> FloatArray:
        """Move energy for one step and return power, shape ``(worlds, m)``; NaN in both values means idle.

        Args:
            asked_kw: Dispatch value, NaN where none is in force, shape ``(worlds, m)``.
            default_kw: Value otherwise, NaN for none, of every world or of all alike: ``(worlds, m)`` or ``(m,)``.
            step_s: Length of the step.
        """
        hours = step_s / SECONDS_PER_HOUR
        plan_kw = np.where(np.isnan(default_kw), 0.0, default_kw)
        target_kw = np.where(np.isnan(asked_kw), plan_kw, asked_kw)
        least_kw, most_kw = self._room_kw(hours)
        self.power_kw += (target_kw - self.power_kw) * approach(step_s, STORAGE_LAG_S)
        np.minimum(np.maximum(self.power_kw, least_kw, out=self.power_kw), most_kw, out=self.power_kw)
        self.soc += stored_kwh(self.power_kw, self._efficiency, hours) / self._capacity_kwh
        return self.power_kw

    def bounds_kw(self, horizon_h: float = 1.0 / 60.0) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power now in the actual world, shape ``(m,)`` each."""
        least_kw, most_kw = self._room_kw(horizon_h)
        return least_kw[0], most_kw[0]

    def _room_kw(self, hours: float) -> tuple[FloatArray, FloatArray]:
        out_kw = np.maximum(self.soc - self._floor_soc, 0.0) * (self._capacity_kwh * self._efficiency / hours)
        in_kw = np.maximum(FULL_SOC - self.soc, 0.0) * (self._capacity_kwh / self._efficiency / hours)
        return np.maximum(self._least_kw, -out_kw), np.minimum(self._most_kw, in_kw)


def plane_w_m2(sky: Sky) -> float:
    """Return irradiance on a south roof."""
    if sky.zenith_cos <= 0.0:
        return 0.0
    return solar.plane_irradiance_w_m2(
        math.degrees(math.acos(min(sky.zenith_cos, 1.0))),
        math.degrees(sky.azimuth_rad) + solar.SOUTH_DEG,
        ghi_w_m2=sky.ghi_w_m2,
        dni_w_m2=sky.dni_w_m2,
        dhi_w_m2=sky.dhi_w_m2,
    )


def yield_ratio(sky: Sky) -> float:
    """Return available AC power as a share of the AC rating, from 0."""
    return solar.ac_ratio(plane_w_m2(sky), sky.temp_c)


class Inverters:
    """Photovoltaic inverters: available power, limited by a feed-in ceiling.

    Args:
        index: The fleet.
        rows: Its rows of this class.
        random: Stream of what distinguishes roofs: soiling, shade, age.
    """

    def __init__(self, index: FleetIndex, rows: RowArray, random: np.random.Generator) -> None:
        self.rows = rows
        self._rated_kw = -index.nameplate.p_min_kw[rows]
        self._factor = random.uniform(0.88, 1.0, len(rows))
        self.available_kw: FloatArray = np.zeros(len(rows))
        self.power_kw: FloatArray = np.zeros((WORLDS, len(rows)))

    def step(
        self, asked_kw: FloatArray, default_kw: FloatArray, step_s: float, *, sky: Sky, transmission: FloatArray
    ) -> FloatArray:
        """Produce for one step and return power at or below 0, shape ``(2, m)``.

        Args:
            asked_kw: Most that may be fed in (negative), NaN where no dispatch is in force, shape ``(2, m)``.
            default_kw: The same otherwise, NaN for no bound, shape ``(m,)``.
            step_s: Length of the step.
            sky: The weather.
            transmission: Of passing clouds, around 1, shape ``(m,)``.
        """
        self.available_kw = -np.minimum(self._rated_kw * self._factor * transmission * yield_ratio(sky), self._rated_kw)
        bound_kw = np.minimum(np.where(np.isnan(asked_kw), default_kw, asked_kw), 0.0)
        target_kw = np.fmax(self.available_kw, bound_kw)
        self.power_kw += (target_kw - self.power_kw) * approach(step_s, PV_LAG_S)
        np.maximum(self.power_kw, self.available_kw, out=self.power_kw)
        return self.power_kw

    def bounds_kw(self) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power now, shape ``(m,)`` each."""
        return self.available_kw, np.zeros_like(self.available_kw)
