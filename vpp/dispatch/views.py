"""Read-only columns of the fleet, its snapshot and the settings for compiled code.

Numba compiles anew for every combination of types it meets, so all columns come as read-only views.
"""

from typing import NamedTuple

import numpy as np

from numerics.views import read_only
from vpp.dispatch.settings import DeviceRules, DispatchSettings
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, CLASSES, FleetIndex

EV, V2G, STORAGE, PV, HVAC, INDUSTRY = (
    CLASSES.index(kind)
    for kind in (
        ResourceClass.EV,
        ResourceClass.V2G,
        ResourceClass.STORAGE,
        ResourceClass.PV,
        ResourceClass.HVAC,
        ResourceClass.INDUSTRY,
    )
)
"""Codes of the resource classes."""


class Devices(NamedTuple):
    """Nameplate and limits of every row."""

    kind: CodeArray
    adapter: CodeArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray
    floor_kw: FloatArray
    least_charging_kw: FloatArray
    default_kw: FloatArray
    capacity_kwh: FloatArray
    efficiency: FloatArray
    ramp_kw_per_min: FloatArray
    rebound_ratio: FloatArray
    soc_floor: FloatArray
    soc_ceiling: FloatArray
    promise_margin_s: FloatArray


class Meters(NamedTuple):
    """Snapshot of every row: meter, link, car and what the device says it can take."""

    power_kw: FloatArray
    power_at_s: FloatArray
    quality: CodeArray
    soc: FloatArray
    connected: BoolArray
    plugged: BoolArray
    low_kw: FloatArray
    high_kw: FloatArray
    need_kwh: FloatArray
    departure_s: FloatArray
    sheddable: BoolArray


class Rules(NamedTuple):
    """Settings that compiled code needs."""

    cycle_s: float
    lost_trust_s: float
    horizon_s: float


class Kinds(NamedTuple):
    """Settings by class and by adapter.

    Attributes:
        planned: Class codes whose default value carries the plan, by class code.
        meter_s: Seconds until a meter shows an accepted command, by adapter code.
    """

    planned: BoolArray
    meter_s: FloatArray


def devices_of(index: FleetIndex) -> Devices:
    """Return the columns of a fleet's nameplates and limits."""
    return Devices(
        kind=read_only(index.class_code),
        adapter=read_only(index.adapter_code),
        p_min_kw=read_only(index.nameplate.p_min_kw),
        p_max_kw=read_only(index.nameplate.p_max_kw),
        floor_kw=read_only(index.nameplate.floor_kw),
        least_charging_kw=read_only(index.nameplate.least_charging_kw),
        default_kw=read_only(index.nameplate.default_kw),
        capacity_kwh=read_only(index.nameplate.capacity_kwh),
        efficiency=read_only(index.nameplate.efficiency),
        ramp_kw_per_min=read_only(index.nameplate.ramp_kw_per_min),
        rebound_ratio=read_only(index.nameplate.rebound_ratio),
        soc_floor=read_only(index.limits.soc_floor),
        soc_ceiling=read_only(index.limits.soc_ceiling),
        promise_margin_s=read_only(index.limits.promise_margin_s),
    )


def meters_of(state: FleetState) -> Meters:
    """Return the columns of a snapshot."""
    return Meters(
        power_kw=read_only(state.power_kw),
        power_at_s=read_only(state.power_at_s),
        quality=read_only(state.quality),
        soc=read_only(state.soc),
        connected=read_only(state.connected),
        plugged=read_only(state.plugged),
        low_kw=read_only(state.available_min_kw),
        high_kw=read_only(state.available_max_kw),
        need_kwh=read_only(state.need_kwh),
        departure_s=read_only(state.departure_s),
        sheddable=read_only(state.sheddable),
    )


def rules_of(settings: DispatchSettings) -> Rules:
    """Return the settings that compiled code needs."""
    devices = settings.devices
    return Rules(
        cycle_s=settings.cycle_s,
        lost_trust_s=devices.lost_trust_s,
        horizon_s=devices.horizon_s,
    )


def kinds_of(devices: DeviceRules) -> Kinds:
    """Return the settings by class and by adapter."""
    planned = np.array([kind in devices.plan_classes for kind in CLASSES])
    meter_s = np.array([devices.meter_s[adapter] for adapter in ADAPTERS], dtype=np.float64)
    return Kinds(planned=read_only(planned), meter_s=read_only(meter_s))
