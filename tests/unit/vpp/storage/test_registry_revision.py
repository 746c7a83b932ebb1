"""The registry's revision differs after every addition and is the same in every process."""

from dataclasses import replace

import sqlalchemy as sa

from vpp.domain.site import Area, Operator
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put, retire
from vpp.lab.twin.population.presets import demo_fleet
from vpp.storage.registry import SqlRegistry
from vpp.storage.registry_revision import revision_of
from vpp.storage.sql import open_database


def test_every_addition_makes_another_revision(url: str, engine: sa.Engine) -> None:
    registry, seen = SqlRegistry(engine), [revision_of(engine)]
    fleet = FleetIndex.empty()
    for change in ({"areas": [Area(id="a", name="A")]}, {"operators": [Operator(id="o", name="O")]}):
        grown = fleet.extended(**change)  # type: ignore[arg-type] # one kind at a time
        registry.add(fleet, grown)
        fleet = grown
        seen.append(revision_of(engine))
    assert len(set(seen)) == 3
    other = open_database(url)
    assert revision_of(other) == seen[-1]
    other.dispose()


def test_a_change_in_place_and_a_device_that_has_left_make_another_revision(engine: sa.Engine) -> None:
    registry, fleet = SqlRegistry(engine), demo_fleet(stations=2, inverters=1, batteries=1, v2g=0, sites=1)
    registry.add(FleetIndex.empty(), fleet)
    seen = [revision_of(engine)]
    changes = (
        put(fleet, replace(fleet.resources[0], p_max_kw=99.0), at_s=1.0, actor="a"),
        retire(fleet, "resource", fleet.resources[1].id, at_s=2.0, actor="a"),
    )
    for change in changes:
        registry.save(fleet, change)
        fleet = change.applied(fleet)
        seen.append(revision_of(engine))
    registry.forget_devices([1])
    seen.append(revision_of(engine))
    assert len(set(seen)) == 4
    assert registry.load().withheld == ()
