"""The registry's revision differs after every addition and is the same in every process."""

import sqlalchemy as sa

from vpp.domain.site import Area, Operator
from vpp.fleet.index import FleetIndex
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
