"""Nameplate columns: safe defaults and contract bounds by class."""

import numpy as np
import pytest

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.fleet.nameplate import NameplateColumns


def resource(kind: ResourceClass, *, p_min_kw: float = 0.0, p_max_kw: float = 50.0, **values: float) -> Resource:
    return Resource(
        id=kind.value,
        site_id="s",
        resource_class=kind,
        adapter=Adapter.MQTT,
        address=kind.value,
        p_min_kw=p_min_kw,
        p_max_kw=p_max_kw,
        **values,  # type: ignore[arg-type]  # numbers by name
    )


def test_a_column_has_one_value_a_row_in_the_order_of_the_fleet() -> None:
    columns = NameplateColumns([resource(ResourceClass.EV, p_max_kw=7.0), resource(ResourceClass.PV, p_min_kw=-9.0)])
    assert columns.p_max_kw.tolist() == [7.0, 50.0]
    assert columns.p_min_kw.tolist() == [0.0, -9.0]
    assert NameplateColumns([]).p_max_kw.shape == (0,)


def test_a_charger_without_a_floor_has_the_least_power_of_a_car() -> None:
    stated, plain = resource(ResourceClass.EV, p_max_kw=11.0, floor_kw=3.96), resource(ResourceClass.EV, p_max_kw=11.0)
    columns = NameplateColumns([stated, plain, resource(ResourceClass.V2G)])
    assert columns.least_charging_kw.tolist() == pytest.approx([3.96, 4.14, 0.0])


@pytest.mark.parametrize(
    ("kind", "stated_kw", "default_kw"),
    [
        (ResourceClass.EV, np.nan, 50.0),
        (ResourceClass.HVAC, np.nan, 50.0),
        (ResourceClass.EV, 4.0, 4.0),
        (ResourceClass.STORAGE, np.nan, np.nan),
        (ResourceClass.PV, np.nan, np.nan),
        (ResourceClass.STORAGE, 0.0, 0.0),
    ],
)
def test_the_safe_default_is_the_greatest_power_of_a_load_and_the_devices_own_matter_elsewhere(
    kind: ResourceClass, stated_kw: float, default_kw: float
) -> None:
    columns = NameplateColumns([resource(kind, default_kw=stated_kw)])
    np.testing.assert_array_equal(columns.default_kw, [default_kw])


@pytest.mark.parametrize("kind", list(ResourceClass))
def test_a_contract_bounds_buildings_and_plants_alone(kind: ResourceClass) -> None:
    columns = NameplateColumns([resource(kind, declared_up_kw=20.0, declared_down_kw=5.0)])
    bounded = kind in {ResourceClass.HVAC, ResourceClass.INDUSTRY}
    assert columns.contract_up_kw.tolist() == [20.0 if bounded else np.inf]
    assert columns.contract_down_kw.tolist() == [5.0 if bounded else np.inf]
