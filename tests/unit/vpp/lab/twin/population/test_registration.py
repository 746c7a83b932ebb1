"""The registration of a fleet as JSON, both ways."""

import json

import pytest

from vpp.domain.errors import InputError
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.registration import fleet_from_json, fleet_to_json


def test_a_fleet_survives_the_way_through_json() -> None:
    fleet = demo_fleet(scale=0.1)
    body = json.loads(json.dumps(fleet_to_json(fleet), allow_nan=False))
    again = fleet_from_json(body)
    assert again == fleet


def test_a_registration_without_a_part_names_the_part() -> None:
    body = fleet_to_json(demo_fleet(scale=0.05))
    del body["sites"]
    with pytest.raises(InputError, match="sites"):
        fleet_from_json(body)


def test_a_registration_with_an_unknown_class_is_refused() -> None:
    body = fleet_to_json(demo_fleet(scale=0.05))
    body["resources"][0]["resource_class"] = "kettle"
    with pytest.raises(InputError, match="kettle"):
        fleet_from_json(body)
