"""The registry: every bit, in the order of arrival, and only ever more."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from vpp.domain.errors import ConflictError
from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import open_database

WORN = Limits(wear_cny_per_kwh=0.7, promise_margin_s=0.0)


def fleet(*resources: Resource) -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="a", name="浦东"),),
        operators=(Operator(id="o", name="O", limits=Limits(soc_floor=0.1 + 0.2)),),
        transformers=(
            Transformer(id="t", area_id="a", limit_kw=float("inf"), export_limit_kw=1.0, parent_id="u"),
            Transformer(id="u", area_id="a", limit_kw=5.0, export_limit_kw=1.0),
        ),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=resources,
    )


def charger(identity: str) -> Resource:
    return Resource(
        id=identity,
        site_id="s",
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=f"{identity}/1",
        p_min_kw=0.0,
        p_max_kw=0.1 + 0.2,
    )


def test_the_registry_gives_back_every_bit_in_the_order_of_arrival(url: str) -> None:
    engine = open_database(url)
    registry = SqlRegistry(engine)
    small = fleet(
        charger("b"), replace(charger("a"), ramp_kw_per_min=1.5, default_kw=4.0, sustain_minutes=30.0, limits=WORN)
    )
    large = small.extended(areas=[Area(id="z", name="Z")], resources=[charger("c")])
    registry.add(FleetIndex.empty(), small)
    registry.add(small, large)
    registry.add(large, large)
    engine.dispose()

    engine = open_database(url)
    loaded = SqlRegistry(engine).load()
    assert repr(loaded) == repr(large), "by repr, since NaN is not equal to itself"
    engine.dispose()


def test_an_empty_registry_is_an_empty_fleet(engine: sa.Engine) -> None:
    assert SqlRegistry(engine).load() == FleetIndex.empty()


def test_the_registry_only_ever_grows(engine: sa.Engine) -> None:
    registry = SqlRegistry(engine)
    one, other = fleet(charger("a")), fleet(charger("b"))
    registry.add(FleetIndex.empty(), one)
    for before, after in ((FleetIndex.empty(), one), (one, other), (one, fleet())):
        with pytest.raises(ConflictError):
            registry.add(before, after)
    assert registry.load().row_of == {"a": 0}
