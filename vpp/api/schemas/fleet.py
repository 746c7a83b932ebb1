"""Live state: the fleet, its areas, transformers and single devices."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
from pydantic import Field

from vpp.api.schemas.base import Known, Schema, json_like, known_instant
from vpp.domain.health import DeviceHealth, RejectedValue
from vpp.domain.resource import Adapter, ResourceClass
from vpp.domain.site import Operator, Site
from vpp.domain.telemetry import Quality
from vpp.domain.timegrid import instant
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, CLASSES

QUALITIES = tuple(quality.name.lower() for quality in Quality)


class ClassView(Schema):
    """All devices of one class."""

    resource_class: ResourceClass
    resources: int
    connected: int
    power_kw: float = Field(description="Net power of the metered ones, load positive.")
    declared_up_kw: Known
    declared_down_kw: Known


class FleetView(Schema):
    """The fleet now."""

    at: datetime
    cycle: int
    resources: int
    connected: int = Field(description="Devices whose link is up.")
    metered: int = Field(description="Devices whose power was ever measured.")
    freshly_metered: int = Field(0, description="Connected devices with a fresh, plausible power.")
    plugged: int = Field(description="Charging points with a car.")
    power_kw: float = Field(description="Net power of the metered devices, load positive.")
    quality: dict[str, int] = Field(description="Devices by quality of their power: good, stale, substituted, bad.")
    adapters: dict[str, int] = Field(description="Connected devices by adapter.")
    troubles: dict[str, int] = Field(default={}, description="Devices by trouble.")
    classes: list[ClassView]


class AreaView(Schema):
    """One area now."""

    id: str
    name: str
    resources: int
    connected: int
    power_kw: float
    declared_up_kw: Known
    declared_down_kw: Known


class TransformerView(Schema):
    """One transformer now."""

    id: str
    area_id: str
    parent_id: str | None
    limit_kw: Known
    export_limit_kw: Known
    base_load_kw: Known = Field(description="Load at this transformer itself that is not ours, as registered.")
    load_kw: float = Field(
        description="Base load and metered devices here and at all transformers below, load positive."
    )
    load_ratio: Known = Field(description="Load as a share of the limit, import or export.")


class LimitsView(Schema):
    """Limits stated at one level; null leaves a value to the level above."""

    soc_floor: float | None = Field(
        default=None, description="State of charge a battery is not discharged below, 0 to 1."
    )
    soc_ceiling: float | None = Field(
        default=None, description="State of charge a battery is not charged above, 0 to 1."
    )
    promise_margin_s: float | None = Field(default=None, description="Slack before departure that a promise keeps (s).")
    wear_cny_per_kwh: float | None = Field(default=None, description="Wear of a battery (CNY per kWh discharged).")


class OperatorView(LimitsView):
    """One operator."""

    id: str
    name: str


class SiteView(LimitsView):
    """One site."""

    id: str
    name: str
    area_id: str
    operator_id: str
    transformer_id: str


class ResourceView(Schema):
    """One device now."""

    id: str
    site_id: str
    area_id: str
    operator_id: str
    transformer_id: str
    resource_class: ResourceClass
    adapter: Adapter
    in_service: bool = Field(default=True, description="false once it is retired, or while its row is handed over")
    connected: bool
    quality: str = Field(description="good, stale, substituted or bad")
    power_kw: Known
    power_at: datetime | None
    energy_kwh: Known
    soc: Known
    plugged: bool
    available_min_kw: Known
    available_max_kw: Known
    limit_kw: Known
    need_kwh: Known
    departure_at: datetime | None
    sheddable: bool


class TroubleView(Schema):
    """One trouble of a device, in plain words."""

    code: str
    english: str
    chinese: str
    since: datetime | None = Field(description="time the service first saw it")


class RejectedView(Schema):
    """The last value of a device that was refused."""

    quantity: str
    kind: str = Field(description="range, rate, age, future or not_a_number")
    value: float | None = Field(description="value as sent; null where it was no number")
    nameplate_kw: float
    age_s: float
    text: str = Field(description="the same in a line: power 7,000 kW, nameplate 11 kW, 12 s ago")


class ResourceDetail(LimitsView, ResourceView):
    """One device now, its nameplate, and its abilities as tests and events showed them."""

    address: str
    p_min_kw: float
    p_max_kw: float
    floor_kw: float
    capacity_kwh: float
    efficiency: float
    phases: int
    default_kw: Known
    share_kw: Known = Field(
        default=None, description="Bound of the safe default by a change of the fleet; null for none."
    )
    ramp_kw_per_min: Known
    declared_up_kw: float
    declared_down_kw: float
    sustain_minutes: Known
    rebound_ratio: float
    troubles: list[TroubleView] = Field(default=[], description="Troubles of the device; empty without any.")
    last_rejected: RejectedView | None = Field(None, description="The last value that was refused.")
    limits_in_force: LimitsView = Field(
        default=LimitsView(),
        description="Limits that count for this device: its own, its site's, its operator's, its class's.",
    )
    card: dict[str, Any] = Field(description="Capability card.")


_NAMEPLATE = tuple(
    ResourceDetail.model_fields.keys()
    - ResourceView.model_fields.keys()
    - LimitsView.model_fields.keys()
    - {"card", "troubles", "last_rejected", "limits_in_force"}
)
_LIVE = (
    ("power_kw", float),
    ("energy_kwh", float),
    ("soc", float),
    ("available_min_kw", float),
    ("available_max_kw", float),
    ("limit_kw", float),
    ("need_kwh", float),
    ("connected", bool),
    ("plugged", bool),
    ("sheddable", bool),
)


def fleet_view(state: FleetState, troubles: Mapping[Trouble, int]) -> FleetView:
    """Return the whole fleet in a few numbers."""
    adapters = np.bincount(state.index.adapter_code[state.connected], minlength=len(ADAPTERS)).tolist()
    return FleetView(
        at=instant(state.at_s),
        cycle=state.cycle,
        resources=int(np.count_nonzero(state.index.in_service)),
        connected=int(state.connected.sum()),
        metered=int(np.isfinite(state.power_kw).sum()),
        freshly_metered=int(np.count_nonzero(state.connected & (state.quality == Quality.GOOD))),
        plugged=int(state.plugged.sum()),
        power_kw=float(np.nansum(state.power_kw)),
        quality=dict(
            zip(
                QUALITIES,
                np.bincount(state.quality[state.index.in_service], minlength=len(QUALITIES)).tolist(),
                strict=True,
            )
        ),
        adapters={adapter.value: count for adapter, count in zip(ADAPTERS, adapters, strict=True)},
        troubles={trouble.name.lower(): count for trouble, count in troubles.items()},
        classes=_classes(state),
    )


def area_views(state: FleetState) -> list[AreaView]:
    """Return every area in a few numbers."""
    index, count = state.index, len(state.index.areas)
    code, here = index.area_code, index.in_service
    resources = np.bincount(code[here], minlength=count).tolist()
    connected = np.bincount(code[state.connected & here], minlength=count).tolist()
    power_kw, up_kw, down_kw = (
        np.bincount(code[here], weights=np.nan_to_num(values[here]), minlength=count).tolist()
        for values in (state.power_kw, index.nameplate.declared_up_kw, index.nameplate.declared_down_kw)
    )
    return [
        AreaView(
            id=area.id,
            name=area.name,
            resources=resources[i],
            connected=connected[i],
            power_kw=power_kw[i],
            declared_up_kw=up_kw[i],
            declared_down_kw=down_kw[i],
        )
        for i, area in enumerate(index.areas)
        if not area.retired
    ]


def transformer_views(state: FleetState) -> list[TransformerView]:
    """Return every transformer with its load now."""
    feeders = state.index.feeders
    load_kw = feeders.load_kw(state.power_kw)
    limit_kw = feeders.limit_against_kw(load_kw).tolist()
    return [
        TransformerView(
            id=t.id,
            area_id=t.area_id,
            parent_id=t.parent_id,
            limit_kw=t.limit_kw,
            export_limit_kw=t.export_limit_kw,
            base_load_kw=t.base_load_kw,
            load_kw=load,
            load_ratio=_ratio(load, limit),
        )
        for t, load, limit in zip(state.index.transformers, load_kw.tolist(), limit_kw, strict=True)
        if not t.retired
    ]


def operator_view(operator: Operator) -> OperatorView:
    """Return one operator."""
    return OperatorView(id=operator.id, name=operator.name, **asdict(operator.limits))


def site_view(site: Site) -> SiteView:
    """Return one site."""
    own = {name: getattr(site, name) for name in SiteView.model_fields.keys() - LimitsView.model_fields.keys()}
    return SiteView(**own, **asdict(site.limits))


def resource_view(state: FleetState, row: int) -> ResourceView:
    """Return one device now."""
    return ResourceView(**_now(state, row))


def resource_detail(state: FleetState, row: int, card: object, health: DeviceHealth) -> ResourceDetail:
    """Return one device now with its nameplate, capability card and troubles."""
    resource = state.index.resources[row]
    nameplate = {name: getattr(resource, name) for name in _NAMEPLATE}
    return ResourceDetail(
        **_now(state, row),
        **nameplate,
        **asdict(resource.limits),
        limits_in_force=_limits_in_force(state, row),
        troubles=[
            TroubleView(
                code=known.trouble.name.lower(),
                english=known.words.english,
                chinese=known.words.chinese,
                since=known_instant(known.since_s),
            )
            for known in health.troubles
        ],
        last_rejected=None if health.last_rejected is None else _rejected(health.last_rejected),
        card=json_like(card),
    )


def _limits_in_force(state: FleetState, row: int) -> LimitsView:
    limits = state.index.limits
    return LimitsView(**{name: float(getattr(limits, name)[row]) for name in LimitsView.model_fields})


def _rejected(refused: RejectedValue) -> RejectedView:
    return RejectedView(
        quantity=refused.quantity.name.lower(),
        kind=refused.kind,
        value=refused.value if math.isfinite(refused.value) else None,
        nameplate_kw=refused.nameplate_kw,
        age_s=refused.age_s,
        text=refused.text,
    )


def _classes(state: FleetState) -> list[ClassView]:
    index, count = state.index, len(CLASSES)
    code, here = index.class_code, index.in_service
    resources = np.bincount(code[here], minlength=count).tolist()
    connected = np.bincount(code[state.connected & here], minlength=count).tolist()
    power_kw, up_kw, down_kw = (
        np.bincount(code[here], weights=np.nan_to_num(values[here]), minlength=count).tolist()
        for values in (state.power_kw, index.nameplate.declared_up_kw, index.nameplate.declared_down_kw)
    )
    return [
        ClassView(
            resource_class=resource_class,
            resources=resources[i],
            connected=connected[i],
            power_kw=power_kw[i],
            declared_up_kw=up_kw[i],
            declared_down_kw=down_kw[i],
        )
        for i, resource_class in enumerate(CLASSES)
        if resources[i]
    ]


def _now(state: FleetState, row: int) -> dict[str, Any]:
    resource = state.index.resources[row]
    site = state.index.site_of[resource.site_id]
    return {
        "id": resource.id,
        "site_id": site.id,
        "area_id": site.area_id,
        "operator_id": site.operator_id,
        "transformer_id": site.transformer_id,
        "resource_class": resource.resource_class,
        "adapter": resource.adapter,
        "in_service": bool(state.index.in_service[row]),
        "quality": QUALITIES[state.quality[row]],
        "power_at": known_instant(float(state.power_at_s[row])),
        "departure_at": known_instant(float(state.departure_s[row])),
        **{name: kind(getattr(state, name)[row]) for name, kind in _LIVE},
    }


def _ratio(load_kw: float, limit_kw: float) -> float | None:
    if load_kw == 0.0:
        return 0.0
    return abs(load_kw) / limit_kw if limit_kw > 0.0 else None
