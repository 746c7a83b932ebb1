"""The demo fleet: counts, caps, addresses."""

import numpy as np
import pytest

from vpp.domain.resource import Adapter, ResourceClass
from vpp.lab.twin.population.presets import demo_fleet


def test_the_demo_fleet_has_the_promised_numbers() -> None:
    fleet = demo_fleet()
    counts = {cls: int(fleet.is_class(cls).sum()) for cls in ResourceClass}
    assert counts == {
        ResourceClass.EV: 1000,
        ResourceClass.V2G: 50,
        ResourceClass.STORAGE: 50,
        ResourceClass.PV: 200,
        ResourceClass.HVAC: 10,
        ResourceClass.INDUSTRY: 10,
    }
    assert len(fleet.areas) == 4


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 2.0])
def test_defaults_and_the_load_of_others_fit_under_every_leaf_transformer(scale: float) -> None:
    fleet = demo_fleet(scale=scale)
    defaults = np.bincount(
        fleet.transformer_code, weights=np.maximum(fleet.nameplate.default_kw, 0.0), minlength=len(fleet.transformers)
    )
    assert (defaults + fleet.feeders.base_kw <= fleet.feeders.limit_kw).all()
    assert (fleet.nameplate.default_kw >= fleet.nameplate.floor_kw)[fleet.is_class(ResourceClass.EV)].all()


def test_old_compounds_have_more_nameplate_than_headroom() -> None:
    fleet = demo_fleet()
    weak = np.array(["home-old" in r.site_id for r in fleet.resources])
    nameplate = np.bincount(
        fleet.transformer_code[weak], weights=fleet.nameplate.p_max_kw[weak], minlength=len(fleet.transformers)
    )
    over = nameplate > fleet.feeders.limit_kw - fleet.feeders.base_kw
    assert over.sum() >= 10


def test_addresses_are_unique_and_modbus_ports_carry_fifty_units() -> None:
    fleet = demo_fleet(modbus_port=20000)
    addresses = {adapter: [r.address for r in fleet.resources if r.adapter is adapter] for adapter in Adapter}
    for of_one in addresses.values():
        assert len(set(of_one)) == len(of_one)
    units: dict[str, int] = {}
    for address in addresses[Adapter.MODBUS]:
        units[address.split("/")[0]] = units.get(address.split("/")[0], 0) + 1
    assert list(units) == [f"127.0.0.1:{port}" for port in range(20000, 20005)]
    assert max(units.values()) == 50
    assert "CP00001/1" in addresses[Adapter.OCPP]
    assert "SITE01/main" in addresses[Adapter.MQTT]
