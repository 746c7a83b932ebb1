"""Composite schedule (OCPP GetCompositeSchedule): what a station reports as in force, in kW."""

import math

from adapters.ocpp.messages.ocpp_j import Json, Version, parse_stamp
from adapters.ocpp.profiles.nameplates import Nameplate, is_dc
from adapters.ocpp.profiles.power_units import RateUnit, Supply
from vpp.domain.device_schedule import DeviceSchedule


def read_composite(version: Version, payload: Json, resource: Nameplate, supply: Supply) -> DeviceSchedule | None:
    """Return the schedule in a response, ``None`` if it holds none; W and A both are understood.

    A station may answer in the other unit than it was asked for (sap-labs-france/ev-server#1837).
    """
    schedule = payload.get("chargingSchedule" if version is Version.V16 else "schedule")
    if schedule is None:
        return None
    start = payload.get("scheduleStart") if version is Version.V16 else schedule["scheduleStart"]
    periods = schedule["chargingSchedulePeriod"]
    unit = RateUnit(schedule["chargingRateUnit"])
    return DeviceSchedule(
        start_s=parse_stamp(start or schedule.get("startSchedule")),
        offsets_s=tuple(float(period["startPeriod"]) for period in periods),
        power_kw=tuple(_power_kw(period, unit, resource, supply) for period in periods),
    )


def _power_kw(period: Json, unit: RateUnit, resource: Nameplate, supply: Supply) -> float:
    value: float = period["setpoint"] if "setpoint" in period else period.get("limit", math.nan)
    if unit is RateUnit.A and is_dc(resource):
        return value * supply.kw_per_a(resource)
    phases = period.get("numberPhases", resource.phases)
    return value / 1000.0 if unit is RateUnit.W else supply.kw(value, phases)
