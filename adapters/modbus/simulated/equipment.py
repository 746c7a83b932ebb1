"""Simulated SunSpec equipment: a photovoltaic inverter, and a battery with its inverter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from adapters.modbus.simulated.sunspec_unit import ControlPoints, RevertingSetpoint, SimulatedDevice
from vpp.domain.device import DeviceReadings
from vpp.domain.resource import Resource

_W_PER_KW = 1000.0
_WH_PER_KWH = 1000.0
_FULL_PCT = 100.0
_VOLT, _HERTZ = 230.0, 50.0
_LINE_VOLT = 400.0
_DC_VOLT = 700.0
_CABINET_C = 35.0
_QUADRANTS = (1, 2, 3, 4)
_CONNECTED_AND_OPERATING = 0b111
"""Connected, available and operating, in model 122."""
_EFFICIENCY = 0.97
"""From direct to alternating current."""
_STRINGS = 2
_HEADROOM = 1.5
"""Range of the meters as a multiple of the rating."""
_INT16 = 32_000.0
_PCT_SF = -2
_MPPT, _THROTTLED, _SLEEPING = 4, 5, 2
"""Operating states of model 103."""
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
"""Charge states of model 802."""

_AC_SCALES = {"A_SF": -1, "V_SF": -1, "Hz_SF": -2, "PF_SF": -2}


@dataclass(slots=True, kw_only=True)
class SimulatedInverter(SimulatedDevice):
    """A photovoltaic inverter: the old models 103-160 and the new 701-704 side by side, with one ceiling."""

    controls: ClassVar[Sequence[ControlPoints]] = (
        ControlPoints(
            number=704,
            enabled="WMaxLimPctEna",
            value="WMaxLimPct",
            timer="WMaxLimPctRvrtTms",
            default="WMaxLimPctRvrt",
            reverted_enabled="WMaxLimPctEnaRvrt",
            remaining="WMaxLimPctRvrtRem",
        ),
        ControlPoints(number=123, enabled="WMaxLim_Ena", value="WMaxLimPct", timer="WMaxLimPct_RvrtTms"),
    )

    @property
    def rated_w(self) -> float:
        """Greatest production."""
        return -self.resource.p_min_kw * _W_PER_KW

    def chain(self) -> Sequence[tuple[int, int]]:
        """Return the models, the DC module with one group a string."""
        return (*((n, 0) for n in (1, 103, 120, 121, 122, 123)), (160, _STRINGS), *((n, 0) for n in (701, 702, 704)))

    def scales(self) -> Mapping[int, Mapping[str, int]]:
        """Return scale factors by which the rating fits 16 bits."""
        watt = watt_exponent(self.rated_w)
        return {
            103: {
                **_AC_SCALES,
                "W_SF": watt,
                "VA_SF": watt,
                "WH_SF": 0,
                "DCV_SF": -1,
                "DCW_SF": watt,
                "Tmp_SF": 0,
            },
            120: {"WRtg_SF": watt, "VARtg_SF": watt, "VArRtg_SF": watt, "ARtg_SF": 0, "PFRtg_SF": -2},
            121: {"WMax_SF": watt, "VRef_SF": 0, "VRefOfs_SF": 0},
            122: {"WAval_SF": watt},
            123: {"WMaxLimPct_SF": _PCT_SF, "OutPFSet_SF": -2},
            160: {"DCV_SF": -1, "DCW_SF": watt, "DCA_SF": -1},
            701: {**_AC_SCALES, "W_SF": watt, "VA_SF": watt, "TotWh_SF": 0},
            702: {"W_SF": watt, "V_SF": -1},
            704: {"WMaxLimPct_SF": _PCT_SF},
        }

    def idle_setpoint(self) -> RevertingSetpoint:
        """Return the ceiling without any command, in per cent."""
        return RevertingSetpoint(value=_FULL_PCT)

    def nameplate(self) -> None:
        """Show identity, ratings and switched-off controls."""
        _identify(self, "PV inverter")
        photovoltaic = 4
        for number, name, value in (
            (120, "DERTyp", photovoltaic),
            (120, "WRtg", self.rated_w),
            (120, "VARtg", self.rated_w),
            *((120, f"VArRtgQ{quadrant}", 0) for quadrant in _QUADRANTS),
            (120, "ARtg", _amperes(self.rated_w)),
            *((120, f"PFRtgQ{quadrant}", 1) for quadrant in _QUADRANTS),
            (121, "WMax", self.rated_w),
            (121, "VRef", _LINE_VOLT),
            (121, "VRefOfs", 0),
            (122, "PVConn", _CONNECTED_AND_OPERATING),
            (122, "StorConn", 0),
            (122, "ECPConn", 1),
            (123, "Conn", 1),
            (123, "OutPFSet", 1),
            (123, "OutPFSet_Ena", 0),
            (123, "VArPct_Ena", 0),
            (123, "WMaxLimPct_WinTms", 0),
            (123, "WMaxLimPct_RvrtTms", 0),
            (123, "WMaxLimPct_RmpTms", 0),
            (160, "N", _STRINGS),
            (702, "WMaxRtg", self.rated_w),
            (702, "WMax", self.rated_w),
            (702, "VNomRtg", _LINE_VOLT),
            (704, "WMaxLimPctRvrt", _FULL_PCT),
            (704, "WMaxLimPctEnaRvrt", 0),
            (704, "WMaxLimPctRvrtTms", 0),
        ):
            self.image.put(number, name, value)

    def power_kw(self, value: float) -> float:
        """Return a ceiling in per cent as net power."""
        return -self.rated_w * value / _FULL_PCT / _W_PER_KW

    def fits(self, value: float) -> bool:
        """Return whether a ceiling lies within 0-100 %."""
        return 0.0 <= value <= _FULL_PCT

    def measure(self, readings: DeviceReadings) -> None:
        """Show both meters, what could be produced, and the strings."""
        watts = -float(readings.power_kw[self.row]) * _W_PER_KW
        available = -float(readings.p_min_kw[self.row]) * _W_PER_KW
        put = self.image.put
        _show_ac(self, watts, float(readings.energy_kwh[self.row]))
        held_back = self.setpoint.enabled and self.power_kw(self.setpoint.value) * -_W_PER_KW < available
        put(103, "W", watts)
        put(103, "VA", abs(watts))
        put(103, "A", _amperes(watts))
        for phase in "ABC":
            put(103, f"Aph{phase}", _amperes(watts))
            put(103, f"PhVph{phase}", _VOLT)
        put(103, "TmpCab", _CABINET_C)
        put(103, "Evt1", 0)
        put(103, "Evt2", 0)
        put(103, "Hz", _HERTZ)
        put(103, "WH", self.injected_kwh * _WH_PER_KWH)
        put(103, "DCW", watts / _EFFICIENCY)
        put(103, "St", _SLEEPING if available <= 0.0 else _THROTTLED if held_back else _MPPT)
        put(122, "WAval", available)
        for string in range(_STRINGS):
            direct_w = max(watts, 0.0) / _EFFICIENCY / _STRINGS
            put(160, "module.ID", string + 1, group=string)
            put(160, "module.DCW", direct_w, group=string)
            put(160, "module.DCV", _DC_VOLT, group=string)
            put(160, "module.DCA", direct_w / _DC_VOLT, group=string)


@dataclass(slots=True, kw_only=True)
class SimulatedBattery(SimulatedDevice):
    """A battery with its inverter: models 701-704, 713 and 802; the setpoint in watts is in 704."""

    controls: ClassVar[Sequence[ControlPoints]] = (
        ControlPoints(
            number=704,
            enabled="WSetEna",
            value="WSet",
            timer="WSetRvrtTms",
            default="WSetRvrt",
            reverted_enabled="WSetEnaRvrt",
            remaining="WSetRvrtRem",
        ),
    )

    @property
    def rated_w(self) -> float:
        """Greatest power in either direction."""
        return max(-self.resource.p_min_kw, self.resource.p_max_kw) * _W_PER_KW

    def chain(self) -> Sequence[tuple[int, int]]:
        """Return the models."""
        return [(number, 0) for number in (1, 701, 702, 703, 704, 713, 802)]

    def scales(self) -> Mapping[int, Mapping[str, int]]:
        """Return scale factors by which ratings and capacity fit 16 bits."""
        watt = watt_exponent(self.rated_w)
        hours = watt_exponent(self.resource.capacity_kwh * _WH_PER_KWH)
        return {
            701: {**_AC_SCALES, "W_SF": watt, "VA_SF": watt, "TotWh_SF": 0},
            702: {"W_SF": watt, "V_SF": -1},
            703: {"V_SF": -1, "Hz_SF": -2},
            704: {"WSet_SF": 0, "WSetPct_SF": _PCT_SF},
            713: {"WH_SF": hours, "Pct_SF": _PCT_SF},
            802: {
                "WHRtg_SF": hours,
                "WChaDisChaMax_SF": watt,
                "SoC_SF": _PCT_SF,
                "SoH_SF": 0,
                "V_SF": -1,
                "W_SF": watt,
                "AHRtg_SF": 0,
                "CellV_SF": -3,
                "A_SF": 0,
                "AMax_SF": 0,
            },
        }

    def idle_setpoint(self) -> RevertingSetpoint:
        """Return a battery that idles."""
        return RevertingSetpoint(value=0.0)

    def nameplate(self) -> None:
        """Show identity, ratings and switched-off controls."""
        _identify(self, "Battery")
        watts, lithium_ion, connected, connecting, started = 1, 4, 3, 1, 3
        capacity_wh = self.resource.capacity_kwh * _WH_PER_KWH
        for number, name, value in (
            (702, "WMaxRtg", self.rated_w),
            (702, "WMax", self.rated_w),
            (702, "WChaRteMaxRtg", self.resource.p_max_kw * _W_PER_KW),
            (702, "WDisChaRteMaxRtg", -self.resource.p_min_kw * _W_PER_KW),
            (702, "VNomRtg", _LINE_VOLT),
            (703, "ES", 1),
            (704, "WSetMod", watts),
            (704, "WSetRvrt", 0),
            (704, "WSetPct", 0),
            (704, "WSetPctRvrt", 0),
            (704, "WSetEnaRvrt", 0),
            (704, "WSetRvrtTms", 0),
            (713, "WHRtg", capacity_wh),
            (713, "SoH", _FULL_PCT),
            (713, "Sta", 0),
            (802, "WHRtg", capacity_wh),
            (802, "SoCMax", _FULL_PCT),
            (802, "SoCMin", 0),
            (802, "SoH", _FULL_PCT),
            (802, "Typ", lithium_ion),
            (802, "State", connected),
            (802, "AHRtg", capacity_wh / _DC_VOLT),
            *((802, name, 0) for name in ("LocRemCtl", "AlmRst", "Evt1", "Evt2", "EvtVnd1", "EvtVnd2")),
            (802, "SetOp", connecting),
            (802, "SetInvState", started),
        ):
            self.image.put(number, name, value)

    def power_kw(self, value: float) -> float:
        """Return a setpoint in watts, discharging positive, as net power."""
        return -value / _W_PER_KW + 0.0

    def fits(self, value: float) -> bool:
        """Return whether a setpoint lies within the ratings, to the watt."""
        resource = self.resource
        return -resource.p_max_kw * _W_PER_KW - 1.0 <= value <= -resource.p_min_kw * _W_PER_KW + 1.0

    def measure(self, readings: DeviceReadings) -> None:
        """Show the meter, the state of charge and the rates possible now."""
        power_kw, soc = float(readings.power_kw[self.row]), float(readings.soc[self.row])
        charge_w = max(float(readings.p_max_kw[self.row]), 0.0) * _W_PER_KW
        discharge_w = max(-float(readings.p_min_kw[self.row]), 0.0) * _W_PER_KW
        put = self.image.put
        _show_ac(self, -power_kw * _W_PER_KW, float(readings.energy_kwh[self.row]))
        put(702, "WChaRteMax", charge_w)
        put(702, "WDisChaRteMax", discharge_w)
        put(713, "SoC", soc * _FULL_PCT)
        put(713, "WHAvail", soc * self.resource.capacity_kwh * _WH_PER_KWH)
        put(802, "SoC", soc * _FULL_PCT)
        put(802, "WChaRteMax", charge_w)
        put(802, "WDisChaRteMax", discharge_w)
        put(802, "W", -power_kw * _W_PER_KW)
        put(802, "V", _DC_VOLT)
        put(802, "A", -power_kw * _W_PER_KW / _DC_VOLT)
        put(802, "ChaSt", _charge_state(power_kw, soc))


def watt_exponent(most: float) -> int:
    """Return the least scale factor, from 0 up, by which ``most`` with some headroom fits 16 bits with a sign."""
    return max(0, math.ceil(math.log10(max(most * _HEADROOM, 1.0) / _INT16)))


def _amperes(watts: float) -> float:
    """Return the current of each of three phases."""
    return abs(watts) / (math.sqrt(3) * _LINE_VOLT)


def _charge_state(power_kw: float, soc: float) -> int:
    if power_kw:
        return _CHARGING if power_kw > 0.0 else _DISCHARGING
    return _FULL if soc >= 1.0 else _EMPTY if soc <= 0.0 else _HOLDING


def _identify(device: SimulatedDevice, kind: str) -> None:
    resource: Resource = device.resource
    for name, text in (("Mn", "Simulated"), ("Md", kind), ("Vr", "1.0"), ("SN", resource.id)):
        device.image.put_text(1, name, text)


def _show_ac(device: SimulatedDevice, watts: float, absorbed_kwh: float) -> None:
    """Show model 701: production positive."""
    put = device.image.put
    running, connected, three_phase = 3, 1, 2
    put(701, "ACType", three_phase)
    put(701, "St", 1)
    put(701, "InvSt", running)
    put(701, "ConnSt", connected)
    put(701, "W", watts)
    put(701, "VA", abs(watts))
    put(701, "A", _amperes(watts))
    put(701, "LNV", _VOLT)
    put(701, "LLV", _LINE_VOLT)
    put(701, "Hz", _HERTZ)
    put(701, "TotWhInj", device.injected_kwh * _WH_PER_KWH)
    put(701, "TotWhAbs", max(absorbed_kwh, 0.0) * _WH_PER_KWH)
