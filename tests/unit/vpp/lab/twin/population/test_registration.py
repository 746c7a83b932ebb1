"""The registration of a fleet as JSON, as the API reads it."""

import json
from dataclasses import replace

import pytest

from vpp.api.schemas.registration import FleetBody
from vpp.domain.errors import InputError
from vpp.domain.limits import Limits
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.registration import fleet_to_json


def test_the_api_reads_the_same_fleet() -> None:
    made = demo_fleet(scale=0.1)
    fleet = replace(
        made,
        operators=tuple(replace(one, limits=Limits(soc_floor=0.4)) for one in made.operators),
        sites=(replace(made.sites[0], limits=Limits(promise_margin_s=900.0)), *made.sites[1:]),
        resources=(replace(made.resources[0], limits=Limits(wear_cny_per_kwh=0.0)), *made.resources[1:]),
    )
    body = FleetBody.model_validate(json.loads(json.dumps(fleet_to_json(fleet), allow_nan=False)))
    again = FleetIndex(
        areas=tuple(area.thing() for area in body.areas),
        operators=tuple(operator.thing() for operator in body.operators),
        transformers=tuple(transformer.thing() for transformer in body.transformers),
        sites=tuple(site.thing() for site in body.sites),
        resources=tuple(resource.thing() for resource in body.resources),
    )
    assert again == fleet


def test_a_number_that_json_cannot_carry_is_named() -> None:
    fleet = demo_fleet(scale=0.05)
    first = replace(fleet.transformers[0], limit_kw=float("inf"))
    endless = FleetIndex(
        areas=fleet.areas,
        operators=fleet.operators,
        transformers=(first, *fleet.transformers[1:]),
        sites=fleet.sites,
        resources=fleet.resources,
    )
    with pytest.raises(InputError, match=f"{first.id}.limit_kw"):
        fleet_to_json(endless)
