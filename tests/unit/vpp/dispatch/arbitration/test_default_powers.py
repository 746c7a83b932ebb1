"""Default values of bidirectional stations: a car that is short of time charges, whatever was planned."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.dispatch.arbitration.default_powers import default_values
from vpp.dispatch.flexibility.car_power import CarPower
from vpp.dispatch.settings import DeviceRules
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage

AT = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
STATION_KW, CAR_KW = 15.0, 7.5


@pytest.fixture
def index() -> FleetIndex:
    """Return one bidirectional station."""
    station = Resource(
        id="v2g",
        site_id="s",
        resource_class=ResourceClass.V2G,
        adapter=Adapter.OCPP,
        address="v2g",
        p_min_kw=-STATION_KW,
        p_max_kw=STATION_KW,
        capacity_kwh=60.0,
        efficiency=0.95,
    )
    return at_one_site((station,), limit_kw=100.0, export_limit_kw=100.0)


def picture(index: FleetIndex, *, power_kw: float, need_kwh: float, stays_h: float, plugged: bool = True) -> FleetState:
    """Return what is seen of a car that wants so much and stays so long."""
    state = ProcessImage(index).swap(AT.timestamp(), np.zeros(1, dtype=np.uint8))
    return replace(
        state,
        power_kw=np.array([power_kw]),
        plugged=np.array([plugged]),
        connected=np.array([True]),
        need_kwh=np.array([need_kwh]),
        departure_s=np.array([AT.timestamp() + 3600.0 * stays_h]),
    )


def default_of(state: FleetState, car_kw: FloatArray) -> float:
    """Return the default value under a plan that wants nothing."""
    grid = TimeGrid(start_at=AT, count=4)
    plan = Schedule(
        grid=grid,
        power_kw=np.zeros((1, 4)),
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
    unset, devices = np.full(len(state), np.nan), DeviceRules()
    return float(default_values(state, unset, plan, (), car_kw=car_kw, devices=devices, cycle_s=10.0)[0])


def test_time_is_reckoned_with_what_the_car_takes_not_with_what_the_station_could_give(index: FleetIndex) -> None:
    cars = CarPower(index)
    seen = picture(index, power_kw=CAR_KW, need_kwh=10.0, stays_h=1.5)
    cars.follow(seen)
    # At 15 kW there would be 50 minutes to spare, at 7.5 kW there are ten.
    assert default_of(seen, cars.most_kw()) == STATION_KW
    assert default_of(picture(index, power_kw=CAR_KW, need_kwh=5.0, stays_h=1.5), cars.most_kw()) == 0.0


def test_a_car_that_wants_energy_shows_first_what_it_takes(index: FleetIndex) -> None:
    unknown = np.array([np.nan])
    assert default_of(picture(index, power_kw=0.0, need_kwh=10.0, stays_h=9.0), unknown) == STATION_KW
    assert default_of(picture(index, power_kw=0.0, need_kwh=0.0, stays_h=9.0), unknown) == 0.0


def test_what_one_car_took_says_nothing_of_the_next(index: FleetIndex) -> None:
    cars = CarPower(index)
    cars.follow(picture(index, power_kw=CAR_KW, need_kwh=10.0, stays_h=5.0))
    assert cars.most_kw().tolist() == [CAR_KW]
    cars.follow(picture(index, power_kw=0.0, need_kwh=np.nan, stays_h=np.nan, plugged=False))
    assert np.isnan(cars.most_kw()).all()
