"""Buildings and plants: baseline load, load reduction and rebound."""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.lab.twin.worlds import ACTUAL, PREPARED, WORLDS

HVAC_KW = 900.0
"""Chiller load of one building on the design day."""

HVAC_HOURS = (0.0, 3.0, 6.0, 8.0, 9.0, 11.0, 13.0, 15.0, 18.0, 20.0, 22.0, 24.0)
HVAC_SHARE = (0.18, 0.15, 0.25, 0.62, 0.78, 0.90, 0.92, 0.90, 0.66, 0.50, 0.30, 0.18)
"""Share of design load on the built-in July workday, from the fleet model's hourly cut of buildings divided by its
25 % depth and 90 % availability."""

PLANT_HOURS = (0.0, 3.0, 6.0, 8.0, 11.0, 13.0, 15.0, 18.0, 20.0, 22.0, 24.0)
PLANT_SHARE = (0.55, 0.52, 0.60, 0.85, 0.80, 0.80, 0.85, 0.75, 0.70, 0.65, 0.55)
"""Share of nameplate by shift (assumption, shaped like the fleet model's industry row)."""

TEMP_PER_K = 0.03
"""Change of a building's load per kelvin: internal gains dominate in offices (assumption)."""

DEEP_CUT, LONG_CUT = 0.25, 0.15
"""Share of its load that a building can cut for at most an hour, and for two (fleet model)."""

DEEP_S = 3600.0
RECOVERY = 0.5
"""Seconds of deep cut a building regains per second without one."""

PLANT_CUT = 0.45
"""Share of its load a plant can interrupt at most; its contract is the other bound."""

HVAC_RAISE, PLANT_RAISE = 0.10, 1.0 / 3.0
"""Pre-cooling as a share of load; a plant's raise as a share of its contracted cut."""

REBOUND_S = 2400.0
"""Time constant in which deferred heat is made good: 95 % within two hours."""

HVAC_LAG_S, PLANT_LAG_S = 30.0, 10.0
WEEKEND_HVAC, WEEKEND_PLANT = (0.4, 1.0), (0.6, 0.9)
ESTIMATE_SPREAD = 0.02
"""Standard deviation of the error a site's own controller makes about what it can cut."""


class Loads:
    """Buildings and plants in one set of arrays.

    The state is the deviation from the baseline, so that without a command power is the baseline exactly. A building
    accumulates deferred heat: a share of the energy cut (its rebound ratio) is made good after release.

    Args:
        index: The fleet.
        rows: Its rows of both classes.
        random: Stream of what distinguishes sites.
    """

    def __init__(self, index: FleetIndex, rows: RowArray, random: np.random.Generator) -> None:
        count = len(rows)
        self.rows = rows
        self.hvac = index.class_code[rows] == CLASSES.index(ResourceClass.HVAC)
        contract_kw = index.nameplate.declared_up_kw[rows]
        self._p_max_kw = index.nameplate.p_max_kw[rows]
        self._ramp_kw_s = index.nameplate.ramp_kw_per_min[rows] / 60.0
        self._rebound = index.nameplate.rebound_ratio[rows]
        self._size_kw = np.where(self.hvac, np.minimum(HVAC_KW, self._p_max_kw), self._p_max_kw)
        self._size_kw = self._size_kw * random.uniform(0.93, 1.0, count)
        self._shift_h = random.uniform(-0.3, 0.3, count)
        self._weekend = np.where(self.hvac, random.uniform(*WEEKEND_HVAC, count), random.uniform(*WEEKEND_PLANT, count))
        self._estimate = 1.0 + ESTIMATE_SPREAD * random.standard_normal(count)
        self._cut_cap_kw = np.where(self.hvac, np.inf, contract_kw)
        self._raise_ratio = np.where(self.hvac, HVAC_RAISE, np.inf)
        self._raise_cap_kw = np.where(self.hvac, np.inf, PLANT_RAISE * contract_kw)
        self._lag_s = np.where(self.hvac, HVAC_LAG_S, PLANT_LAG_S)
        self.base_kw: FloatArray = np.zeros(count)
        self.deviation_kw: FloatArray = np.zeros((WORLDS, count))
        self.deferred_kwh: FloatArray = np.zeros((WORLDS, count))
        self._deep_s: FloatArray = np.zeros((WORLDS, count))

    def misreport(self, bias: float, spread: float, random: np.random.Generator) -> None:
        """Let every site's controller err about what it can cut by a lasting share.

        Args:
            bias: Mean of it; above 0 the controllers say they can go lower than they can.
            spread: Standard deviation.
            random: Stream of the shares.
        """
        self._estimate = 1.0 - bias + spread * random.standard_normal(len(self.rows))

    def baseline_kw(self, hour: float, temp_c: float, noise: FloatArray, *, rest: float) -> FloatArray:
        """Return the sites' load without any command, shape ``(m,)``; ``rest`` is part of a day of rest, 0 to 1."""
        hours = (hour + self._shift_h) % 24.0
        warm = 1.0 + TEMP_PER_K * (temp_c - _hot_day_c(hours))
        building = np.interp(hours, HVAC_HOURS, HVAC_SHARE) * np.minimum(np.maximum(warm, 0.3), 1.1)
        share = np.where(self.hvac, building, np.interp(hours, PLANT_HOURS, PLANT_SHARE))
        if rest == 1.0:
            share = share * self._weekend
        elif rest > 0.0:
            share = share * (1.0 - rest * (1.0 - self._weekend))
        return np.minimum(self._size_kw * share * noise, self._p_max_kw)

    def step(self, asked_kw: FloatArray, default_kw: FloatArray, step_s: float, base_kw: FloatArray) -> FloatArray:
        """Move for one step and return power, shape ``(2, m)``.

        Args:
            asked_kw: Power to take, NaN where no dispatch is in force, shape ``(2, m)``.
            default_kw: Ceiling otherwise, NaN for none, shape ``(m,)``.
            step_s: Length of the step.
            base_kw: Baseline of this step, shape ``(m,)``.
        """
        self.base_kw = base_kw
        least_kw = base_kw - self._cut_kw(base_kw)
        own_kw = base_kw + self.deferred_kwh * (SECONDS_PER_HOUR / REBOUND_S)
        raised_kw = base_kw + np.minimum(self._raise_ratio * base_kw, self._raise_cap_kw)
        free_kw = np.maximum(np.fmin(own_kw, default_kw), least_kw)
        commanded_kw = np.minimum(np.maximum(asked_kw, least_kw), np.maximum(own_kw, raised_kw))
        target_kw = np.minimum(np.where(np.isnan(asked_kw), free_kw, commanded_kw), self._p_max_kw)
        self._move(target_kw - base_kw, step_s)
        self._accumulate(step_s)
        return np.asarray(base_kw + self.deviation_kw)

    def bounds_kw(self) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power as the sites' controllers estimate them, shape ``(m,)`` each.

        The least has each controller's own error and the greatest is the nameplate, so that neither reveals the
        baseline.
        """
        cut_kw = self._cut_kw(self.base_kw)[0]
        return (self.base_kw - cut_kw) * self._estimate, self._p_max_kw

    def rejoin(self) -> None:
        """Let the prepared world go on from the actual one: deviation, heat deferred, time in a deep cut."""
        for state in (self.deviation_kw, self.deferred_kwh, self._deep_s):
            state[PREPARED] = state[ACTUAL]

    def _cut_kw(self, base_kw: FloatArray) -> FloatArray:
        depth = np.where(self.hvac, np.where(self._deep_s < DEEP_S, DEEP_CUT, LONG_CUT), PLANT_CUT)
        return np.minimum(depth * base_kw, self._cut_cap_kw)

    def _move(self, target_kw: FloatArray, step_s: float) -> None:
        share = 1.0 - np.exp(-step_s / self._lag_s)
        most_kw = self._ramp_kw_s * step_s
        change_kw = (target_kw - self.deviation_kw) * share
        self.deviation_kw += np.minimum(np.maximum(change_kw, -most_kw), most_kw)

    def _accumulate(self, step_s: float) -> None:
        """Add up deferred heat and the time spent in a deep cut."""
        if not self.deviation_kw.any() and not self.deferred_kwh.any():
            self._deep_s = np.maximum(self._deep_s - RECOVERY * step_s, 0.0)
            return
        cut_kwh = self.deviation_kw * (-step_s / SECONDS_PER_HOUR)
        deeper = cut_kwh * self.deferred_kwh >= 0.0
        deferred_kwh = self.deferred_kwh + np.where(deeper, self._rebound * cut_kwh, cut_kwh)
        self.deferred_kwh = np.where(self.deferred_kwh * deferred_kwh < 0.0, 0.0, deferred_kwh) * (self._rebound > 0.0)
        deep = self.deviation_kw < -(LONG_CUT + 0.01) * self.base_kw
        self._deep_s = np.where(deep, self._deep_s + step_s, np.maximum(self._deep_s - RECOVERY * step_s, 0.0))


def _hot_day_c(hour: FloatArray) -> FloatArray:
    """Return the temperature of the day that the building table stands for: ``Weather.builtin``."""
    return np.asarray(32.65 + 3.45 * np.cos(2.0 * np.pi * (hour - 14.5) / 24.0))
