"""kW to W and A, in steps a station takes, never between zero and the least power it can hold."""

import math
from dataclasses import dataclass
from enum import StrEnum

from adapters.ocpp.profiles.nameplates import Nameplate, is_dc
from vpp.domain.charging import MIN_AC_A

DC_LEAST_V, DC_MOST_V = 200.0, 1000.0
"""Voltages a car is charged at (CCS, IEC 61851-23); the car decides which it is."""
_DC_CLIMBS = 1.1
"""A battery's voltage climbs while it is charged."""
FINEST_STEP = 0.1
"""What OCPP allows: limits have one decimal (multipleOf 0.1)."""
_W = 1000.0
_SLACK = 1e-6


class RateUnit(StrEnum):
    """``chargingRateUnit``."""

    W = "W"
    A = "A"


@dataclass(slots=True)
class WireValue:
    """A limit or setpoint as written on the wire; one is made for every instruction and never changed.

    Attributes:
        value: In ``unit``, one decimal; negative to discharge.
        power_kw: Its power, load positive.
    """

    unit: RateUnit
    value: float
    power_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The grid at the stations.

    Attributes:
        volts: Phase-to-neutral voltage; 220 V is China's nominal (GB/T 12325).
    """

    volts: float = 220.0

    def kw(self, amperes: float, phases: int) -> float:
        """Return the power of ``amperes`` on each of ``phases``."""
        return amperes * self.volts * phases / _W

    def kw_per_a(self, resource: Nameplate, car_v: float = math.nan) -> float:
        """Return the power of one ampere: on all phases of AC, at the car's voltage on DC.

        ``car_v`` is the voltage last metered; while it is unknown it may be any, so that no ceiling is exceeded.
        """
        if not is_dc(resource):
            return self.volts * resource.phases / _W
        return DC_MOST_V / _W if math.isnan(car_v) else min(max(car_v * _DC_CLIMBS, DC_LEAST_V), DC_MOST_V) / _W

    def limit(
        self,
        power_kw: float,
        unit: RateUnit,
        resource: Nameplate,
        step: float = FINEST_STEP,
        car_v: float = math.nan,
    ) -> WireValue:
        """Return a ceiling for ``resource``: cut to its nameplate, rounded down, 0 or at least its floor.

        The floor is the resource's own; on AC (any resource with a floor) never below 6 A, whatever it states.

        Args:
            power_kw: Wanted ceiling.
            unit: What it is written in.
            resource: Its nameplate.
            step: Smallest difference the station takes, in ``unit``.
            car_v: Voltage of the car where the point is DC and it is known, else NaN.
        """
        ceiling_kw = min(max(power_kw, 0.0), max(resource.p_max_kw, 0.0))
        if unit is RateUnit.A and is_dc(resource) and ceiling_kw >= resource.p_max_kw:
            # Nothing is to be held back, whatever the car's voltage.
            return WireValue(unit, _down(ceiling_kw * _W / DC_LEAST_V, step), ceiling_kw)
        per_kw = _W if unit is RateUnit.W else 1.0 / self.kw_per_a(resource, car_v)
        value = _down(ceiling_kw * per_kw, step)
        if ceiling_kw > 0.0 and resource.floor_kw > 0.0:
            floor = round(math.ceil((resource.floor_kw * per_kw - _SLACK) / step) * step, 1)
            value = max(value, floor if unit is RateUnit.W or is_dc(resource) else max(floor, MIN_AC_A))
        return WireValue(unit, value, value / per_kw)

    def setpoint(self, power_kw: float, unit: RateUnit, resource: Nameplate, step: float = FINEST_STEP) -> WireValue:
        """Return the power to take, negative to discharge, within the nameplate and rounded towards zero."""
        target_kw = min(max(power_kw, resource.p_min_kw), resource.p_max_kw)
        per_kw = _W if unit is RateUnit.W else 1.0 / self.kw_per_a(resource)
        value = math.copysign(_down(abs(target_kw) * per_kw, step), target_kw)
        return WireValue(unit, value, value / per_kw)


def _down(value: float, step: float) -> float:
    """Round down to a multiple of ``step``, forgiving what binary fractions lose."""
    return round(math.floor((value + _SLACK) / step) * step, 1)
