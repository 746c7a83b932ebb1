"""Limits in force: the nearest stated level counts, value by value."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.limits import UNSTATED, Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.fleet.index import FleetIndex


def fleet(
    *own: Limits, operator: Limits = UNSTATED, site: Limits = UNSTATED, kind: ResourceClass = ResourceClass.V2G
) -> FleetIndex:
    devices = tuple(
        Resource(
            id=str(i),
            site_id="s",
            resource_class=kind,
            adapter=Adapter.OCPP,
            address=f"{i}/1",
            p_min_kw=-10.0,
            p_max_kw=10.0,
            limits=limits,
        )
        for i, limits in enumerate(own)
    )
    whole = at_one_site(devices, limit_kw=100.0, export_limit_kw=100.0)
    return replace(
        whole,
        operators=tuple(replace(one, limits=operator) for one in whole.operators),
        sites=tuple(replace(one, limits=site) for one in whole.sites),
    )


@pytest.mark.parametrize(
    ("kind", "floor", "ceiling"), [(ResourceClass.V2G, 0.3, 1.0), (ResourceClass.STORAGE, 0.1, 0.95)]
)
def test_a_class_has_defaults(kind: ResourceClass, floor: float, ceiling: float) -> None:
    limits = fleet(UNSTATED, kind=kind).limits
    assert (limits.soc_floor[0], limits.soc_ceiling[0], limits.promise_margin_s[0]) == (floor, ceiling, 600.0)


def test_a_device_beats_its_site_and_this_its_operator_value_by_value() -> None:
    limits = fleet(
        UNSTATED,
        Limits(soc_floor=0.0),
        operator=Limits(soc_floor=0.5, wear_cny_per_kwh=0.4, promise_margin_s=900.0),
        site=Limits(soc_floor=0.4, wear_cny_per_kwh=0.0),
    ).limits
    assert limits.soc_floor.tolist() == [0.4, 0.0]
    assert limits.wear_cny_per_kwh.tolist() == [0.0, 0.0]
    assert limits.promise_margin_s.tolist() == [900.0, 900.0]
    assert limits.soc_ceiling.tolist() == [1.0, 1.0]


def test_a_ceiling_below_the_floor_in_force_counts_as_the_floor() -> None:
    limits = fleet(Limits(soc_ceiling=0.2), operator=Limits(soc_floor=0.6)).limits
    assert limits.soc_ceiling.tolist() == limits.soc_floor.tolist() == [0.6]


def test_columns_cannot_be_written_to() -> None:
    limits = fleet(UNSTATED).limits
    with pytest.raises(ValueError, match="read-only"):
        limits.soc_floor[0] = np.nan
