"""The smallest fleet there is: one area, operator, transformer and site for whatever devices a test needs."""

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex


def at_one_site(
    resources: tuple[Resource, ...], *, limit_kw: float, export_limit_kw: float, base_load_kw: float = 0.0
) -> FleetIndex:
    """Return resources of site ``s`` behind transformer ``t`` in area ``a``."""
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(
                id="t", area_id="a", limit_kw=limit_kw, export_limit_kw=export_limit_kw, base_load_kw=base_load_kw
            ),
        ),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=resources,
    )


def chargers(count: int, *, p_max_kw: float, floor_kw: float, default_kw: float) -> tuple[Resource, ...]:
    """Return chargers ``c0``, ``c1``… of site ``s``, all alike."""
    return tuple(
        Resource(
            id=f"c{number}",
            site_id="s",
            resource_class=ResourceClass.EV,
            adapter=Adapter.OCPP,
            address=f"c{number}/1",
            p_min_kw=0.0,
            p_max_kw=p_max_kw,
            floor_kw=floor_kw,
            default_kw=default_kw,
        )
        for number in range(count)
    )
