"""What compiled code sees of the fleet, its snapshot, the roster and the commands: columns side by side, read-only.

Compiled code is made anew for every combination of types it meets, so all columns come as views nobody can write to.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vpp.dispatch.columns import CommandTable, RosterTable
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import ADAPTERS, CLASSES, FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray

Column = TypeVar("Column", bound=npt.NDArray[Any])

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
"""Codes of the classes."""


class Devices(NamedTuple):
    """What the registry says of every row."""

    kind: CodeArray
    adapter: CodeArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray
    floor_kw: FloatArray
    default_kw: FloatArray
    capacity_kwh: FloatArray
    efficiency: FloatArray
    ramp_kw_per_min: FloatArray
    rebound_ratio: FloatArray


class Meters(NamedTuple):
    """What the snapshot says of every row."""

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


class Roster(NamedTuple):
    """What the controller holds of every row."""

    owner: RowArray
    setpoint_kw: FloatArray
    free_kw: FloatArray
    anchor_kw: FloatArray
    cap_kw: FloatArray
    lost_s: FloatArray
    returning_s: FloatArray
    paused_s: FloatArray


class Commands(NamedTuple):
    """What the outbox knows of every row."""

    out_id: IdArray
    wait_id: IdArray
    wait_layer: CodeArray
    wait_kw: FloatArray
    wait_s: FloatArray
    dispatch_kw: FloatArray
    limited_s: FloatArray
    released_s: FloatArray
    blocked_s: FloatArray
    ignored: BoolArray
    away_s: FloatArray


class Rules(NamedTuple):
    """The settings that compiled code needs."""

    cycle_s: float
    laxity_margin_s: float
    soc_min: float
    soc_max: float
    v2g_soc_min: float
    lost_trust_s: float
    horizon_s: float


class Kinds(NamedTuple):
    """What holds for whole classes and adapters.

    Attributes:
        planned: Which class codes carry the plan in their default value.
        meter_s: Time until a meter shows an accepted command, by adapter code.
    """

    planned: BoolArray
    meter_s: FloatArray


def read_only(column: Column) -> Column:
    """Return a view nobody can write to."""
    view = column.view()
    view.flags.writeable = False
    return view


def devices_of(index: FleetIndex) -> Devices:
    """Return the registry's columns."""
    return Devices(
        kind=read_only(index.class_code),
        adapter=read_only(index.adapter_code),
        p_min_kw=read_only(index.nameplate.p_min_kw),
        p_max_kw=read_only(index.nameplate.p_max_kw),
        floor_kw=read_only(index.nameplate.floor_kw),
        default_kw=read_only(index.nameplate.default_kw),
        capacity_kwh=read_only(index.nameplate.capacity_kwh),
        efficiency=read_only(index.nameplate.efficiency),
        ramp_kw_per_min=read_only(index.nameplate.ramp_kw_per_min),
        rebound_ratio=read_only(index.nameplate.rebound_ratio),
    )


def meters_of(state: FleetState) -> Meters:
    """Return the snapshot's columns."""
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


def roster_of(table: RosterTable) -> Roster:
    """Return the roster's columns."""
    return Roster(
        owner=read_only(table.owner),
        setpoint_kw=read_only(table.setpoint_kw),
        free_kw=read_only(table.free_kw),
        anchor_kw=read_only(table.anchor_kw),
        cap_kw=read_only(table.cap_kw),
        lost_s=read_only(table.lost_s),
        returning_s=read_only(table.returning_s),
        paused_s=read_only(table.paused_s),
    )


def commands_of(table: CommandTable) -> Commands:
    """Return the outbox's columns."""
    return Commands(
        out_id=read_only(table.out_id),
        wait_id=read_only(table.wait_id),
        wait_layer=read_only(table.wait_layer),
        wait_kw=read_only(table.wait_kw),
        wait_s=read_only(table.wait_s),
        dispatch_kw=read_only(table.dispatch_kw),
        limited_s=read_only(table.limited_s),
        released_s=read_only(table.released_s),
        blocked_s=read_only(table.blocked_s),
        ignored=read_only(table.ignored),
        away_s=read_only(table.away_s),
    )


def rules_of(settings: DispatchSettings) -> Rules:
    """Return the settings as numbers."""
    return Rules(
        cycle_s=settings.cycle_s,
        laxity_margin_s=settings.laxity_margin_s,
        soc_min=settings.soc_min,
        soc_max=settings.soc_max,
        v2g_soc_min=settings.v2g_soc_min,
        lost_trust_s=settings.lost_trust_s,
        horizon_s=settings.horizon_s,
    )


def kinds_of(settings: DispatchSettings) -> Kinds:
    """Return what the settings say of classes and adapters."""
    planned = np.array([kind in settings.plan_classes for kind in CLASSES])
    meter_s = np.array([settings.meter_s[adapter] for adapter in ADAPTERS], dtype=np.float64)
    return Kinds(planned=read_only(planned), meter_s=read_only(meter_s))
