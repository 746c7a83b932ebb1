"""Charging of cars: one-way with taper and the 6 A floor, and V2G batteries with losses.

Arrays of two worlds have shape ``(2, m)`` for ``m`` rows of the class; row 0 is actual, row 1 prepared. Bidirectional
stations are stores and have a third row, ordinary (`vpp.lab.twin.worlds`).
"""

import math
from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.worlds import WORLDS

KNEE = 0.85
"""Share of the wanted energy after which a car tapers; an assumption within the usual 80-90 %."""

ENOUGH_KWH = 1e-6
"""A car that lacks less than this is full."""

TAIL = 0.2
"""Least power of the taper, as a share of full power."""

FLOOR_TOLERANCE = 0.995
"""A limit of at least this share of the floor counts as the floor: watts and amperes on the wire are rounded."""

EV_LAG_S = 4.0
"""Time constant of a charger and its car; an assumption: a few seconds from pilot signal to current."""

V2G_LAG_S = 3.0

V2G_TARGET_SOC = 0.85
"""State of charge V2G drivers want at departure."""


def approach(step_s: float, lag_s: float) -> float:
    """Return the share of the distance a first-order lag covers in one step."""
    return -math.expm1(-step_s / lag_s)


def deliverable_kwh(
    limit_kw: FloatArray,
    car_kw: FloatArray,
    need_kwh: FloatArray,
    stay_s: FloatArray,
    knee: FloatArray | float = KNEE,
) -> FloatArray:
    """Return the energy (kWh) a tapering car takes in ``stay_s`` seconds under a constant limit; shapes ``(n,)``.

    Closed form of ``Chargers.step`` without lag: constant power, then exponential taper after the share ``knee`` of the
    need, then the constant tail.
    """
    power = np.maximum(np.minimum(limit_kw, car_kw), 1e-9)
    tail = np.minimum(TAIL * car_kw, power)
    band = need_kwh * (1.0 - knee)
    e1 = need_kwh - band * np.maximum(power / car_kw, TAIL)
    e2 = np.maximum(need_kwh - band * TAIL, e1)
    hours = np.maximum(stay_s, 0.0) / SECONDS_PER_HOUR
    t1 = e1 / power
    tau = band / car_kw
    t2 = tau * np.log((need_kwh - e1) / (need_kwh - e2))
    first = np.minimum(hours, t1) * power
    taper = (need_kwh - e1) * -np.expm1(-np.clip(hours - t1, 0.0, t2) / tau)
    return np.asarray(np.minimum(first + taper + np.maximum(hours - t1 - t2, 0.0) * tail, need_kwh))


@dataclass(frozen=True, slots=True, kw_only=True)
class PluggedCars:
    """Cars at the moment they are plugged in; shape ``(k,)`` each.

    Attributes:
        need_kwh: Energy wanted at the plug.
        car_kw: Greatest power the car takes.
        delivered_kwh: Energy taken before; above 0 only for cars that were there when the model began.
        depart_s: Epoch seconds of the departure.
    """

    need_kwh: FloatArray
    car_kw: FloatArray
    delivered_kwh: FloatArray
    depart_s: FloatArray


class Chargers:
    """One-way charging stations and the cars at them.

    Args:
        index: The fleet.
        rows: Its rows of this class.

    Attributes:
        knee: Share of the wanted energy after which the cars of each station taper, shape ``(m,)``.
    """

    def __init__(self, index: FleetIndex, rows: RowArray) -> None:
        count = len(rows)
        self.rows = rows
        default_kw, floor_kw = index.nameplate.default_kw[rows], index.nameplate.floor_kw[rows]
        self._free_kw = np.where(default_kw < floor_kw, 0.0, default_kw)
        self._least_kw = FLOOR_TOLERANCE * floor_kw
        self.plugged: BoolArray = np.zeros(count, dtype=np.bool_)
        self.need_kwh: FloatArray = np.zeros(count)
        self.car_kw: FloatArray = np.ones(count)
        self.knee: FloatArray = np.full(count, KNEE)
        self._taper_kw_per_kwh: FloatArray = np.zeros(count)
        self.delivered_kwh: FloatArray = np.zeros((WORLDS, count))
        self.power_kw: FloatArray = np.zeros((WORLDS, count))

    def fitting_kwh(self, at: RowArray, need_kwh: FloatArray) -> FloatArray:  # noqa: ARG002 - as ``V2gChargers``
        """Return the part of ``need_kwh`` that can be charged at all: whatever the car asks for."""
        return need_kwh

    def deliverable_kwh(self, at: RowArray, cars: PluggedCars, stay_s: FloatArray) -> FloatArray:
        """Return the energy that cars at positions ``at`` take in ``stay_s`` seconds under the registered default."""
        return deliverable_kwh(self._free_kw[at], cars.car_kw, cars.need_kwh, stay_s, self.knee[at])

    def plug(self, at: RowArray, cars: PluggedCars) -> None:
        """Plug cars in at positions ``at``."""
        self.plugged[at] = True
        self.need_kwh[at] = cars.need_kwh
        self.car_kw[at] = cars.car_kw
        self._taper_kw_per_kwh[at] = cars.car_kw / (cars.need_kwh * (1.0 - self.knee[at]))
        self.delivered_kwh[:, at] = cars.delivered_kwh
        self.power_kw[:, at] = 0.0

    def unplug(self, at: RowArray) -> None:
        """Unplug the cars at positions ``at``."""
        self.plugged[at] = False
        self.need_kwh[at] = 0.0
        self.delivered_kwh[:, at] = 0.0
        self.power_kw[:, at] = 0.0

    def ceiling_kw(self, world: int = 0) -> FloatArray:
        """Return each car's greatest power now in one world, shape ``(m,)``; 0 without a car or when it is full."""
        most_kw = np.empty(len(self.rows))
        kernels.ceilings(
            self.plugged,
            self.need_kwh,
            self.delivered_kwh[world],
            self.car_kw,
            self._taper_kw_per_kwh,
            TAIL,
            ENOUGH_KWH,
            most_kw,
        )
        return most_kw

    def step(self, asked_kw: FloatArray, default_kw: FloatArray, step_s: float) -> FloatArray:
        """Charge for one step and return power, shape ``(2, m)``.

        Args:
            asked_kw: Dispatch ceiling, NaN where none is in force, shape ``(2, m)``.
            default_kw: Ceiling otherwise, NaN for none, shape ``(m,)``.
            step_s: Length of the step.
        """
        kernels.charge(
            asked_kw,
            default_kw,
            self.plugged,
            self.need_kwh,
            self.car_kw,
            self._taper_kw_per_kwh,
            self._least_kw,
            self.delivered_kwh,
            self.power_kw,
            step_s / SECONDS_PER_HOUR,
            approach(step_s, EV_LAG_S),
            TAIL,
            ENOUGH_KWH,
        )
        return self.power_kw

    def bounds_kw(self) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power now in the actual world, shape ``(m,)`` each."""
        most_kw = self.ceiling_kw()
        return np.zeros_like(most_kw), most_kw


class V2gChargers:
    """V2G stations and the car batteries at them; energy is counted at the plug.

    Without a dispatch value a car charges to its driver's target under the default as a ceiling, then idles; a negative
    default discharges. A dispatch value is a power setpoint within the battery's bounds. ``delivered_kwh`` is net:
    energy at the plug between the state of charge on arrival and now.

    Args:
        index: The fleet.
        rows: Its rows of this class.
        worlds: Number of worlds, the first axis of every array of a state.
    """

    def __init__(self, index: FleetIndex, rows: RowArray, *, worlds: int = WORLDS) -> None:
        count = len(rows)
        self.rows = rows
        self._capacity_kwh = np.maximum(index.nameplate.capacity_kwh[rows], 1e-6)
        self._efficiency = index.nameplate.efficiency[rows]
        self._at_plug_kwh = self._capacity_kwh / self._efficiency
        self._discharge_kw = -index.nameplate.p_min_kw[rows]
        self._floor_soc, self._margin_s = index.limits.soc_floor[rows], index.limits.promise_margin_s[rows]
        self._free_kw = index.nameplate.default_kw[rows]
        self.plugged: BoolArray = np.zeros(count, dtype=np.bool_)
        self.need_kwh: FloatArray = np.zeros(count)
        self.car_kw: FloatArray = np.zeros(count)
        self.depart_s: FloatArray = np.full(count, np.inf)
        self._full_charge_s: FloatArray = np.zeros(count)
        self.target_soc: FloatArray = np.zeros(count)
        self.arrival_soc: FloatArray = np.zeros(count)
        self.soc: FloatArray = np.zeros((worlds, count))
        self.power_kw: FloatArray = np.zeros((worlds, count))
        self._now_s = 0.0

    def fitting_kwh(self, at: RowArray, need_kwh: FloatArray) -> FloatArray:
        """Return the part of ``need_kwh`` that fits into the batteries at positions ``at``."""
        room = (V2G_TARGET_SOC - 0.1) * self._capacity_kwh[at] / self._efficiency[at]
        return np.minimum(need_kwh, room)

    def deliverable_kwh(self, at: RowArray, cars: PluggedCars, stay_s: FloatArray) -> FloatArray:
        """Return the energy that cars at positions ``at`` take in ``stay_s`` seconds under the registered default."""
        full_kwh = np.minimum(self._free_kw[at], cars.car_kw) * np.maximum(stay_s, 0.0) / SECONDS_PER_HOUR
        return np.minimum(full_kwh, cars.need_kwh)

    def plug(self, at: RowArray, cars: PluggedCars) -> None:
        """Plug cars in at positions ``at``; their need must fit (``fitting_kwh``)."""
        per_kwh = self._efficiency[at] / self._capacity_kwh[at]
        self.plugged[at] = True
        self.need_kwh[at] = cars.need_kwh
        self.car_kw[at] = cars.car_kw
        self.depart_s[at] = cars.depart_s
        self._full_charge_s[at] = SECONDS_PER_HOUR * self._at_plug_kwh[at] / np.maximum(0.9 * cars.car_kw, 1e-6)
        self.target_soc[at] = V2G_TARGET_SOC
        self.arrival_soc[at] = V2G_TARGET_SOC - cars.need_kwh * per_kwh
        self.soc[:, at] = self.arrival_soc[at] + cars.delivered_kwh * per_kwh
        self.power_kw[:, at] = 0.0

    def unplug(self, at: RowArray) -> None:
        """Unplug the cars at positions ``at``."""
        self.plugged[at] = False
        self.need_kwh[at] = 0.0
        self.car_kw[at] = 0.0
        self.power_kw[:, at] = 0.0

    @property
    def delivered_kwh(self) -> FloatArray:
        """Net energy into each car at the plug, shape ``(worlds, m)``."""
        gained = np.where(self.plugged, self.soc - self.arrival_soc, 0.0)
        return np.asarray(gained * self._at_plug_kwh)

    def step(self, asked_kw: FloatArray, default_kw: FloatArray, step_s: float, now_s: float) -> FloatArray:
        """Move energy for one step and return power, shape ``(worlds, m)``; arguments as ``Batteries.step``."""
        hours = step_s / SECONDS_PER_HOUR
        self._now_s = now_s
        full_kw = self._at_plug_kwh / hours
        up_kw = np.maximum(1.0 - self.soc, 0.0) * full_kw
        to_target_kw = np.maximum(self.target_soc - self.soc, 0.0) * full_kw
        down_kw = self._down_kw(hours)
        free = np.isnan(asked_kw)
        most_kw = np.minimum(np.where(free, to_target_kw, up_kw), self.car_kw)
        target_kw = np.where(free, np.fmin(most_kw, default_kw), asked_kw)
        target_kw = np.minimum(np.maximum(target_kw, -down_kw), most_kw)
        self.power_kw += (target_kw - self.power_kw) * approach(step_s, V2G_LAG_S)
        np.minimum(np.maximum(self.power_kw, -down_kw, out=self.power_kw), most_kw, out=self.power_kw)
        self.soc += stored_kwh(self.power_kw, self._efficiency, hours) / self._capacity_kwh
        return self.power_kw

    def bounds_kw(self, horizon_h: float = 1.0 / 60.0) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power now in the actual world, shape ``(m,)`` each."""
        up_kw = np.maximum(1.0 - self.soc[0], 0.0) * self._at_plug_kwh / horizon_h
        return -self._down_kw(horizon_h)[0], np.minimum(up_kw, self.car_kw)

    def _down_kw(self, hours: float) -> FloatArray:
        """Return the greatest discharge of each car, ``(worlds, m)``: above the floor and with time to recharge."""
        needed_s = (self.target_soc - self.soc) * self._full_charge_s
        relaxed = needed_s < self.depart_s - self._now_s - self._margin_s
        room_kw = np.maximum(self.soc - self._floor_soc, 0.0) * (self._capacity_kwh * self._efficiency / hours)
        return np.asarray(np.minimum(room_kw, self._discharge_kw) * (relaxed & self.plugged))


def stored_kwh(power_kw: FloatArray, efficiency: FloatArray, hours: float) -> FloatArray:
    """Return the energy that reaches the cells (kWh), shape as ``power_kw``: one-way losses in either direction."""
    return np.asarray(np.where(power_kw > 0.0, power_kw * efficiency, power_kw / efficiency) * hours)
