"""A fleet cut into parts: everybody is in one, nobody in two, and what belongs together stays together."""

from dataclasses import replace

import pytest

from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.parts import MOST_STATIONS, parts_needed, parts_of
from vpp.lab.twin.population.presets import demo_fleet

MANY = 1_000_000


@pytest.fixture(scope="module")
def fleet() -> FleetIndex:
    return demo_fleet(stations=300, inverters=60, batteries=20, v2g=10, sites=7)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_resource_is_in_one_part_as_it_was(fleet: FleetIndex, count: int) -> None:
    parts = parts_of(fleet, count)
    assert len(parts) == count
    found = [resource for part in parts for resource in part.resources]
    assert sorted(found, key=lambda r: fleet.row_of[r.id]) == list(fleet.resources)


def test_stations_are_shared_out_evenly_and_all_else_is_in_the_first_part(fleet: FleetIndex) -> None:
    parts = parts_of(fleet, 4)
    stations = [sum(r.adapter is Adapter.OCPP for r in part.resources) for part in parts]
    assert max(stations) - min(stations) <= 1
    assert all(r.adapter is Adapter.OCPP for part in parts[1:] for r in part.resources)


def test_the_connectors_of_a_station_stay_together() -> None:
    few = demo_fleet(stations=6, inverters=0, batteries=0, v2g=0, sites=0)
    doubled = FleetIndex(
        areas=few.areas,
        operators=few.operators,
        transformers=few.transformers,
        sites=few.sites,
        resources=tuple(
            replace(resource, address=f"{row // 2}/{row % 2 + 1}") for row, resource in enumerate(few.resources)
        ),
    )
    for part in parts_of(doubled, 2):
        numbers = [r.address.partition("/")[0] for r in part.resources]
        assert numbers
        assert all(numbers.count(number) == 2 for number in numbers)


def test_transformers_above_a_part_are_there_up_to_the_root(fleet: FleetIndex) -> None:
    for part in parts_of(fleet, 3):
        known = {t.id for t in part.transformers}
        assert {site.transformer_id for site in part.sites} <= known
        assert {t.parent_id for t in part.transformers if t.parent_id is not None} <= known


def test_one_process_is_enough_for_few_and_a_city_takes_as_many_as_its_stations_need(fleet: FleetIndex) -> None:
    assert parts_needed(fleet, 20_000) == 1
    assert parts_needed(fleet, MANY) == 1
    assert parts_needed(fleet, 1_100) == 4, "310 stations, 3 Modbus sockets and 7 MQTT sites into 100 each"
    assert parts_needed(demo_fleet(stations=2 * MOST_STATIONS + 1), MANY) == 3


def test_a_limit_of_files_that_others_alone_exceed_is_said(fleet: FleetIndex) -> None:
    with pytest.raises(InputError, match="ulimit -n"):
        parts_needed(fleet, 1_001)
