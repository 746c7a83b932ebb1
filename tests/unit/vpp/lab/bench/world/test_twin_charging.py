"""Groups of the twin's stations that are like a town of the field."""

import numpy as np
import pytest

from vpp.lab.bench.world.twin_charging import Town, TwinStations
from vpp.lab.bench.world.twin_series import Stretch
from vpp.lab.twin.environment.world_file import KIND_WORLD
from vpp.lab.twin.population.distributions import Kind
from vpp.lab.twin.population.presets import demo_fleet


@pytest.fixture(scope="module")
def stations() -> TwinStations:
    return TwinStations(Stretch(fleet=demo_fleet(scale=8.0), world=KIND_WORLD, seed=1, first_day=20_600, days=14))


@pytest.mark.parametrize(("cars", "stay_h"), [(5.0, 3.0), (12.0, 2.0)])
def test_a_town_has_the_cars_that_were_asked_for(stations: TwinStations, cars: float, stay_h: float) -> None:
    groups = stations.like(Town(cars=cars, stay_h=stay_h), (Kind.PUBLIC, Kind.RAPID), per_day=24)
    assert len(groups) > 3
    assert np.mean([one.scale for one in groups]) == pytest.approx(cars, rel=0.1)


def test_longer_stays_make_steadier_towns(stations: TwinStations) -> None:
    short, long = (
        stations.like(Town(cars=6.0, stay_h=stay_h), (Kind.PUBLIC, Kind.RAPID), per_day=24) for stay_h in (1.5, 5.0)
    )
    changes = [np.mean([np.abs(np.diff(one.values.ravel())).mean() for one in groups]) for groups in (short, long)]
    assert changes[0] > 1.5 * changes[1]


def test_a_whole_city_is_one_group(stations: TwinStations) -> None:
    (one,) = stations.like(Town(cars=100.0, stay_h=1.5, whole_city=True), (Kind.PUBLIC, Kind.RAPID), per_day=96)
    assert one.values.shape == (14, 96)
    assert one.scale == pytest.approx(100.0, rel=0.1)
