"""The fleet a path benchmark begins with."""

from pathlib import Path

from vpp.bootstrap.store import Store
from vpp.lab.bench.path.processes import create_database
from vpp.lab.twin.population.presets import demo_fleet


def test_a_fleet_is_founded_with_a_past_and_an_epoch_that_is_over(tmp_path: Path) -> None:
    index = demo_fleet(stations=30, inverters=0, batteries=0, v2g=0, sites=0)
    store = Store.open(create_database(tmp_path, index, 1_784_091_660.0))
    assert len(store.registry.load()) == len(index) == store.meters.n_resources
    assert store.leases.next_epoch() == 2
    store.close()
