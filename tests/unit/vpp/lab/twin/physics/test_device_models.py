"""All classes stepped together, in whatever order their rows stand."""

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics.device_models import DeviceModels
from vpp.lab.twin.physics.scenarios import Conditions
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.worlds import ACTUAL, ORDINARY, PREPARED

FLEET = demo_fleet(stations=6, inverters=4, batteries=4, v2g=2, sites=4)
NOON_S = 1_752_638_400.0
SKY = Weather.builtin().at(NOON_S)


def mixed() -> FleetIndex:
    """Return the fleet with its rows dealt out, so that no class has neighbours."""
    order = np.random.default_rng(1).permutation(len(FLEET))
    return FleetIndex(
        areas=FLEET.areas,
        operators=FLEET.operators,
        transformers=FLEET.transformers,
        sites=FLEET.sites,
        resources=tuple(FLEET.resources[row] for row in order),
    )


def stepped(fleet: FleetIndex, asked_kw: FloatArray, steps: int = 20) -> tuple[DeviceModels, FloatArray]:
    models = DeviceModels(fleet, np.random.default_rng(3))
    conditions = Conditions(
        hour=12.0,
        rest=False,
        sky=SKY,
        transmission=np.ones(len(models.inverters.rows)),
        site_noise=np.ones(len(models.loads.rows)),
    )
    for _ in range(steps):
        power_kw = models.step(asked_kw, fleet.nameplate.default_kw, conditions, now_s=NOON_S, step_s=5.0)
    return models, power_kw


@pytest.mark.parametrize("fleet", [FLEET, mixed()])
def test_every_row_is_moved_by_the_model_of_its_class(fleet: FleetIndex) -> None:
    asked = np.full((2, len(fleet)), np.nan)
    stores = fleet.is_class(ResourceClass.STORAGE)
    asked[ACTUAL, stores] = -40.0
    models, power_kw = stepped(fleet, asked)
    assert power_kw[ACTUAL, stores] == pytest.approx(-40.0)
    assert power_kw[PREPARED, stores] == pytest.approx(0.0)
    assert (power_kw[:, fleet.is_class(ResourceClass.PV)] < 0.0).all()
    assert (power_kw[:, fleet.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)] > 0.0).all()
    assert (power_kw[:, fleet.is_class(ResourceClass.EV, ResourceClass.V2G)] == 0.0).all()
    for rows in (models.batteries.rows, models.inverters.rows, models.loads.rows):
        assert models.position[rows].tolist() == list(range(len(rows)))


@pytest.mark.parametrize("fleet", [FLEET, mixed()])
def test_capability_has_bounds_for_all_and_a_state_of_charge_for_stores(fleet: FleetIndex) -> None:
    models, _ = stepped(fleet, np.full((2, len(fleet)), np.nan))
    found = models.capability()
    stores = fleet.is_class(ResourceClass.STORAGE)
    assert (~np.isnan(found.soc) == stores).all()
    assert (found.p_min_kw <= found.p_max_kw).all()
    assert (found.p_max_kw[fleet.is_class(ResourceClass.PV)] == 0.0).all()
    assert found.p_max_kw[stores] == pytest.approx(fleet.nameplate.p_max_kw[stores])


def test_the_prepared_world_goes_on_from_the_actual_one_when_they_rejoin() -> None:
    asked = np.full((2, len(FLEET)), np.nan)
    asked[ACTUAL, FLEET.is_class(ResourceClass.STORAGE)] = -40.0
    asked[ACTUAL, FLEET.is_class(ResourceClass.HVAC)] = 0.0
    models, _ = stepped(FLEET, asked, steps=120)
    batteries, loads = models.batteries, models.loads
    assert (batteries.soc[ACTUAL] < batteries.soc[PREPARED]).all()
    assert (loads.deferred_kwh[ACTUAL] - loads.deferred_kwh[PREPARED]).max() > 0.0
    models.rejoin()
    for state in (batteries.soc, loads.deviation_kw, loads.deferred_kwh):
        assert state[PREPARED].tolist() == state[ACTUAL].tolist()
    assert not np.array_equal(batteries.soc[ORDINARY], batteries.soc[PREPARED])
