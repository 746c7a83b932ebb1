"""Charging need: full power from plug-in until the promised energy is delivered or the car departs."""

from typing import NamedTuple

import numpy as np

from numerics.arrays import BoolArray, FloatArray

_SECONDS_PER_HOUR = 3600.0


class ChargingNeeds(NamedTuple):
    """Plugged-in cars with a promise, shape ``(n,)`` each.

    Attributes:
        promised: Rows with such a car.
        power_kw: Power it takes when nobody limits it.
        charged_by_s: Epoch seconds at which it stops: charged, or gone.
        departure_s: Epoch seconds of its departure.
    """

    promised: BoolArray
    power_kw: FloatArray
    charged_by_s: FloatArray
    departure_s: FloatArray

    @classmethod
    def of(
        cls,
        promised: BoolArray,
        *,
        power_kw: FloatArray,
        need_kwh: FloatArray,
        departure_s: FloatArray,
        start_s: float,
    ) -> "ChargingNeeds":
        """Return the needs of cars that begin to charge at ``start_s``.

        Args:
            promised: Rows with a plugged-in car that has a promise, shape ``(n,)``.
            power_kw: Power of each, shape ``(n,)``.
            need_kwh: Energy still lacking, read for promised rows only, shape ``(n,)``.
            departure_s: Epoch seconds of departure, NaN where unknown, shape ``(n,)``.
            start_s: Epoch seconds.
        """
        need = np.where(promised, need_kwh, 0.0)
        leaves_s = np.nan_to_num(departure_s)
        # A car without power is never charged: its time is infinite.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            hours = np.where(need > 0.0, need / power_kw, 0.0)
            charged_by_s = np.fmin(start_s + _SECONDS_PER_HOUR * np.nan_to_num(hours), leaves_s)
        return cls(promised, power_kw, charged_by_s, leaves_s)

    def profile_kw(self, starts_s: FloatArray, step_s: float) -> FloatArray:
        """Return the mean power on every step, 0 without a promise, shape ``(n, count)``.

        Args:
            starts_s: Epoch seconds at which each step starts, shape ``(count,)``.
            step_s: Length of a step in seconds.
        """
        overlap_s = np.clip(self.charged_by_s[:, None] - starts_s[None, :], 0.0, step_s)
        return np.asarray(self.power_kw[:, None] * overlap_s / step_s)
