"""Master data as operators send it: one record a thing."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from vpp.api.schemas.base import Kw, Ratio, Schema, Size
from vpp.domain.limits import UNSTATED, Limits
from vpp.domain.request import CITY
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@+\-]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _not_the_city(area_id: str) -> str:
    if area_id == CITY:
        raise ValueError("an id other than city, which is the area of all areas")
    return area_id


class LimitFields(Schema):
    """Limits stated at one level. A device's beat those of its site, these its operator's, these the class's."""

    soc_floor: Ratio | None = Field(
        default=None,
        description="State of charge a battery is not discharged below, 0 to 1; null leaves it to the level above."
        " Defaults: 0.3 for V2G, 0.1 for storage.",
    )
    soc_ceiling: Ratio | None = Field(
        default=None,
        description="State of charge a battery is not charged above, 0 to 1; null leaves it to the level above."
        " Defaults: 1.0 for V2G, 0.95 for storage. One below the floor in force counts as the floor.",
    )
    promise_margin_s: Size | None = Field(
        default=None,
        description="Slack before departure (s) that a driver's promise keeps: no request sheds a session with less."
        " null leaves it to the level above. Default: 600.",
    )
    wear_cny_per_kwh: Size | None = Field(
        default=None,
        description="Wear of a battery (CNY per kWh discharged), which a plan weighs against prices;"
        " null leaves it to the level above. Defaults: 0.25 for V2G, 0.1 for storage.",
    )

    def limits(self) -> Limits:
        """Return them in domain terms.

        Raises:
            InputError: They contradict one another.
        """
        stated = {name: getattr(self, name) for name in LimitFields.model_fields}
        return UNSTATED if all(value is None for value in stated.values()) else Limits(**stated)


class AreaBody(Schema):
    """A part of the city that a dispatcher can name in a request; ``city`` itself is always there."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"id": "pudong", "name": "Pudong"}]}
    )

    id: Annotated[Id, AfterValidator(_not_the_city)] = Field(description="Any id but city.")
    name: Name

    def thing(self) -> Area:
        """Return it in domain terms."""
        return Area(id=self.id, name=self.name)


_LIMIT_FIELDS = set(LimitFields.model_fields)


class OperatorBody(LimitFields):
    """A company that owns or runs sites."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"id": "op-1", "name": "Pudong Charging"}]}
    )

    id: Id
    name: Name

    def thing(self) -> Operator:
        """Return it in domain terms.

        Raises:
            InputError: Its limits contradict one another.
        """
        return Operator(id=self.id, name=self.name, limits=self.limits())


class TransformerBody(Schema):
    """A node of the feeder tree with its cap."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"id": "tr-1", "area_id": "pudong", "limit_kw": 630.0, "export_limit_kw": 630.0}]
        },
    )

    id: Id
    area_id: Id
    limit_kw: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1e8)]
    export_limit_kw: Size
    base_load_kw: Kw = Field(
        default=0.0,
        description="Load connected at this transformer itself that is not ours to move (kW, load positive): without"
        " the devices registered here and without all that hangs on transformers registered below, which is added up.",
    )
    parent_id: Id | None = None

    def thing(self) -> Transformer:
        """Return it in domain terms."""
        return Transformer(**self.model_dump())


class SiteBody(LimitFields):
    """A place with one settlement point."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "mall-7",
                    "name": "Mall 7",
                    "area_id": "pudong",
                    "operator_id": "op-1",
                    "transformer_id": "tr-1",
                }
            ]
        },
    )

    id: Id
    name: Name
    area_id: Id
    operator_id: Id
    transformer_id: Id

    def thing(self) -> Site:
        """Return it in domain terms.

        Raises:
            InputError: Its limits contradict one another.
        """
        return Site(**self.model_dump(exclude=_LIMIT_FIELDS), limits=self.limits())


class ResourceBody(LimitFields):
    """One device. Load positive: consumption and charging above zero, production and discharging below."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "mall-7-ev-1",
                    "site_id": "mall-7",
                    "resource_class": "ev",
                    "adapter": "ocpp",
                    "address": "CS-0701/1",
                    "p_min_kw": 0.0,
                    "p_max_kw": 11.0,
                    "floor_kw": 4.14,
                    "declared_up_kw": 6.0,
                }
            ]
        },
    )

    id: Id
    site_id: Id
    resource_class: ResourceClass
    adapter: Adapter
    address: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="OCPP station/connector, Modbus host:port/unit, MQTT site/device."
    )
    p_min_kw: Kw
    p_max_kw: Kw
    floor_kw: Size = 0.0
    capacity_kwh: Size = 0.0
    efficiency: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1.0)] = 1.0
    phases: Annotated[int, Field(strict=True, ge=1, le=3)] = 3
    default_kw: Kw | None = Field(default=None, description="Safe default; null for p_max_kw or its own logic.")
    ramp_kw_per_min: Size | None = Field(default=None, description="null for at once")
    declared_up_kw: Size = 0.0
    declared_down_kw: Size = 0.0
    sustain_minutes: Size | None = Field(default=None, description="null where energy is no limit")
    rebound_ratio: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=10.0)] = 0.0

    def thing(self) -> Resource:
        """Return it in domain terms; what is not stated takes the domain's default.

        Raises:
            InputError: Its fields contradict one another.
        """
        own = {name: value for name, value in self if value is not None and name not in _LIMIT_FIELDS}
        return Resource(**own, limits=self.limits())


class FleetBody(Schema):
    """Any number of everything, taken all or nothing."""

    areas: list[AreaBody] = Field(default_factory=list)
    operators: list[OperatorBody] = Field(default_factory=list)
    transformers: list[TransformerBody] = Field(default_factory=list)
    sites: list[SiteBody] = Field(default_factory=list)
    resources: list[ResourceBody] = Field(default_factory=list)


class Registered(Schema):
    """Numbers of records added."""

    areas: int = 0
    operators: int = 0
    transformers: int = 0
    sites: int = 0
    resources: int = 0


class MetersImported(Schema):
    """Numbers of metered means stored."""

    resources: int
    intervals: int
    values: int = Field(description="Numbers stored; empty fields are not counted.")
