"""Fleets of one kind of device, all behind one transformer, for load tests of device links."""

from collections.abc import Sequence
from dataclasses import replace

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex

CHARGER = Resource(
    id="r",
    site_id="s",
    resource_class=ResourceClass.EV,
    adapter=Adapter.OCPP,
    address="",
    p_min_kw=0.0,
    p_max_kw=11.0,
    floor_kw=3.96,
    default_kw=9.0,
)
INVERTER = Resource(
    id="r",
    site_id="s",
    resource_class=ResourceClass.PV,
    adapter=Adapter.MODBUS,
    address="",
    p_min_kw=-30.0,
    p_max_kw=0.0,
)
BUILDING = Resource(
    id="r",
    site_id="s",
    resource_class=ResourceClass.HVAC,
    adapter=Adapter.MQTT,
    address="",
    p_min_kw=0.0,
    p_max_kw=60.0,
)


def uniform_fleet(device: Resource, addresses: Sequence[str]) -> FleetIndex:
    """Return a fleet of one ``device`` at every address."""
    return FleetIndex(
        areas=(Area(id="a", name="Area"),),
        operators=(Operator(id="o", name="Operator"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=1e7, export_limit_kw=1e7),),
        sites=(Site(id="s", name="Site", area_id="a", operator_id="o", transformer_id="t"),),
        resources=tuple(replace(device, id=f"r{n}", address=address) for n, address in enumerate(addresses)),
    )
