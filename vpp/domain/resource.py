"""Resources: devices that are measured and perhaps controlled, by class and protocol."""

import math
from dataclasses import dataclass
from enum import StrEnum

from vpp.domain.errors import InputError
from vpp.domain.limits import UNSTATED, Limits
from vpp.domain.site import Member


class ResourceClass(StrEnum):
    """Kinds of flexibility: electric vehicles, vehicle-to-grid, batteries, photovoltaics, buildings, industry."""

    EV = "ev"
    V2G = "v2g"
    STORAGE = "storage"
    PV = "pv"
    HVAC = "hvac"
    INDUSTRY = "industry"


class Adapter(StrEnum):
    """The protocol a resource speaks."""

    OCPP = "ocpp"
    MODBUS = "modbus"
    MQTT = "mqtt"


CHARGING = (ResourceClass.EV, ResourceClass.V2G)
"""Classes of charging points."""

LOADS = (ResourceClass.HVAC, ResourceClass.INDUSTRY)
"""Classes of buildings and plants."""

STORING = (ResourceClass.V2G, ResourceClass.STORAGE)
"""Classes that store energy and can feed it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Member):
    """One device behind one settlement point (OpenADR resource, IEEE 2030.5 DER, OCPP EVSE).

    Attributes:
        adapter: Protocol it is reached by.
        address: Where that protocol finds it: OCPP ``station/connector``, Modbus ``host:port/unit``,
            MQTT ``site/device``.
        p_min_kw: Least net power it can take, negative where it can feed in.
        p_max_kw: Greatest net power it can take; 0 for photovoltaics.
        floor_kw: Least power it can hold without stopping (6 A for AC charging); 0 where there is none.
        capacity_kwh: Energy it can store; 0 where it stores none.
        efficiency: One-way efficiency, in (0, 1].
        phases: Number of AC phases.
        default_kw: Safe default: power it may take without any command, installed under every setpoint. NaN means
            ``p_max_kw`` for loads and the device's own logic for the rest.
        ramp_kw_per_min: Greatest rate of change of its power.
        declared_up_kw: Contracted cut of net load, at least 0.
        declared_down_kw: Contracted raise of net load, at least 0.
        sustain_minutes: Longest hold of a cut; infinite where energy is no limit.
        rebound_ratio: Share of the cut energy that comes back after release.
        limits: Limits of this device, before those of its site and operator.
        share_kw: Share of its transformers' capacity: bound of ``default_kw``, and of the plan for storage and V2G; NaN
            for none. The registry's own, set by changes of the fleet (`vpp.fleet.members.safe_shares`).
    """

    site_id: str
    resource_class: ResourceClass
    adapter: Adapter
    address: str
    p_min_kw: float
    p_max_kw: float
    floor_kw: float = 0.0
    capacity_kwh: float = 0.0
    efficiency: float = 1.0
    phases: int = 3
    default_kw: float = float("nan")
    ramp_kw_per_min: float = float("inf")
    declared_up_kw: float = 0.0
    declared_down_kw: float = 0.0
    sustain_minutes: float = float("inf")
    rebound_ratio: float = 0.0
    limits: Limits = UNSTATED
    share_kw: float = float("nan")

    def __post_init__(self) -> None:
        if not self.p_min_kw <= self.p_max_kw:
            raise InputError("p_min_kw", self.p_min_kw, f"a number at or below p_max_kw = {self.p_max_kw}")
        if not 0.0 < self.efficiency <= 1.0:
            raise InputError("efficiency", self.efficiency, "a number above 0 and at most 1")
        if self.capacity_kwh < 0.0:
            raise InputError("capacity_kwh", self.capacity_kwh, "0 or more")

    @property
    def safe_kw(self) -> float:
        """Power it may take without any command: its default within its share, NaN for the device's own logic."""
        own_logic = self.resource_class in {ResourceClass.STORAGE, ResourceClass.PV}
        stated_kw = self.p_max_kw if math.isnan(self.default_kw) and not own_logic else self.default_kw
        return stated_kw if math.isnan(self.share_kw) else min(stated_kw, self.share_kw)
