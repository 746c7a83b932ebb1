"""The smallest fleet there is: one area, operator, transformer and site for whatever devices a test needs."""

from vpp.domain.resource import Resource
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
