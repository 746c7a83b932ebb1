"""Devices one class at a time."""

import numpy as np
import pytest

from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.lab.twin.physics.charging import (
    TAIL,
    V2G_FLOOR_SOC,
    V2G_TARGET_SOC,
    Chargers,
    PluggedCars,
    V2gChargers,
    deliverable_kwh,
)
from vpp.lab.twin.physics.loads import Loads
from vpp.lab.twin.physics.stationary import Batteries, Inverters
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet

FLEET = demo_fleet(stations=40, inverters=10, batteries=4, v2g=5, sites=4)
STEP_S = 5.0


def rows_of(*classes: ResourceClass, fleet: FleetIndex = FLEET) -> RowArray:
    return np.flatnonzero(fleet.is_class(*classes)).astype(np.int32)


def nothing(count: int) -> FloatArray:
    return np.full((2, count), np.nan)


def charger(need_kwh: float = 10.0) -> Chargers:
    thing = Chargers(FLEET, rows_of(ResourceClass.EV)[:1])
    thing.plug(
        np.array([0], dtype=np.int32),
        PluggedCars(
            need_kwh=np.array([need_kwh]),
            car_kw=np.array([7.04]),
            delivered_kwh=np.zeros(1),
            depart_s=np.array([1e6]),
        ),
    )
    return thing


def test_a_car_charges_at_full_power_tapers_and_stops_at_its_need() -> None:
    thing = charger()
    powers = [float(thing.step(nothing(1), np.array([7.04]), STEP_S)[0, 0]) for _ in range(2000)]
    assert powers[20] == pytest.approx(7.04, rel=1e-3)
    tail = [p for p in powers if 0.01 < p < 7.0]
    assert tail
    assert min(powers[1000:1100]) >= TAIL * 7.04 - 1e-6
    assert thing.delivered_kwh[0, 0] == pytest.approx(10.0, abs=1e-3)
    assert powers[-1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("limit_kw", "expected_kw"), [(1.0, 0.0), (1.31, 0.0), (1.32, 1.32), (3.0, 3.0), (99.0, 7.04)])
def test_a_limit_below_six_amperes_stops_the_car(limit_kw: float, expected_kw: float) -> None:
    thing = charger()
    for _ in range(30):
        power_kw = thing.step(np.array([[limit_kw], [np.nan]]), np.array([7.04]), STEP_S)
    assert power_kw[0, 0] == pytest.approx(expected_kw, abs=1e-3)
    assert power_kw[1, 0] == pytest.approx(7.04, abs=1e-3)


@pytest.mark.parametrize("limit_kw", [1.0, 2.0, 5.0, 7.04])
@pytest.mark.parametrize("minutes", [3, 40, 90, 300])
def test_the_closed_form_agrees_with_the_steps(limit_kw: float, minutes: int) -> None:
    thing = charger(9.0)
    thing._least_kw[:] = 0.0
    for _ in range(30 * minutes):
        thing.step(nothing(1), np.array([limit_kw]), 2.0)
    expected = deliverable_kwh(np.array([limit_kw]), np.array([7.04]), np.array([9.0]), np.array([60.0 * minutes]))
    assert thing.delivered_kwh[0, 0] == pytest.approx(float(expected[0]), abs=0.02)


def v2g_car(need_kwh: float = 20.0) -> V2gChargers:
    cars = V2gChargers(FLEET, rows_of(ResourceClass.V2G)[:1])
    cars.plug(
        np.array([0], dtype=np.int32),
        PluggedCars(
            need_kwh=np.array([need_kwh]),
            car_kw=np.array([15.0]),
            delivered_kwh=np.zeros(1),
            depart_s=np.array([1e6]),
        ),
    )
    return cars


def test_a_v2g_car_charges_to_its_wish_and_idles() -> None:
    cars = v2g_car()
    for _ in range(3000):
        power_kw = cars.step(nothing(1), np.array([15.0]), STEP_S, 0.0)
    assert cars.soc[0, 0] == pytest.approx(V2G_TARGET_SOC, abs=1e-6)
    assert cars.delivered_kwh[0, 0] == pytest.approx(20.0, abs=1e-3)
    assert power_kw[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_a_v2g_car_discharges_to_its_floor_with_losses_both_ways() -> None:
    cars = v2g_car()
    start_soc = float(cars.soc[0, 0])
    given_kwh = 0.0
    for _ in range(5000):
        given_kwh -= float(cars.step(np.full((2, 1), -15.0), np.array([15.0]), STEP_S, 0.0)[0, 0]) * STEP_S / 3600
    assert cars.soc[0, 0] == pytest.approx(V2G_FLOOR_SOC, abs=1e-6)
    assert given_kwh == pytest.approx((start_soc - V2G_FLOOR_SOC) * 60.0 * 0.95, rel=1e-3)


def test_a_v2g_car_that_must_soon_leave_refuses_to_discharge() -> None:
    cars = v2g_car()
    least_kw, _ = cars.bounds_kw()
    assert least_kw[0] == pytest.approx(-15.0)
    cars.step(nothing(1), np.array([15.0]), STEP_S, 1e6 - 3600.0)
    assert cars.bounds_kw()[0][0] == pytest.approx(0.0)


def test_a_battery_keeps_its_energy_books() -> None:
    batteries = Batteries(FLEET, rows_of(ResourceClass.STORAGE), np.random.default_rng(1))
    before = batteries.soc.copy()
    charged_kwh = np.zeros(4)
    for _ in range(100):
        charged_kwh += batteries.step(np.full((2, 4), 50.0), np.zeros(4), STEP_S)[0] * STEP_S / 3600
    assert (batteries.soc - before)[0] * 261.0 == pytest.approx(charged_kwh * 0.93)


def test_a_battery_stops_at_ten_per_cent_and_idles_without_orders() -> None:
    batteries = Batteries(FLEET, rows_of(ResourceClass.STORAGE), np.random.default_rng(1))
    for _ in range(3000):
        batteries.step(np.stack([np.full(4, -125.0), np.full(4, np.nan)]), np.full(4, np.nan), STEP_S)
    assert batteries.soc[0] == pytest.approx(np.full(4, 0.10))
    assert (batteries.power_kw == 0.0).all()


def test_an_inverter_can_only_be_held_back() -> None:
    inverters = Inverters(FLEET, rows_of(ResourceClass.PV), np.random.default_rng(1))
    sky = Weather.builtin().at(1_752_638_400.0)
    transmission = np.ones(10)
    for _ in range(20):
        asked = np.stack([np.full(10, -5.0), np.full(10, np.nan)])
        power_kw = inverters.step(asked, np.full(10, np.nan), STEP_S, sky=sky, transmission=transmission)
    assert power_kw[0] == pytest.approx(np.maximum(inverters.available_kw, -5.0), rel=1e-3)
    assert power_kw[1] == pytest.approx(inverters.available_kw, rel=1e-3)


def buildings() -> Loads:
    return Loads(FLEET, rows_of(ResourceClass.HVAC), np.random.default_rng(1))


def run(loads: Loads, asked: FloatArray, minutes: float, base_kw: float = 800.0) -> FloatArray:
    """Return power at the end of every step, shape ``(n_steps, 2, m)``."""
    count = len(loads.rows)
    steps = round(60 * minutes / STEP_S)
    base = np.full(count, base_kw)
    return np.stack([loads.step(asked, np.full(count, np.nan), STEP_S, base) for _ in range(steps)])


def test_a_building_without_orders_takes_its_baseline() -> None:
    loads = buildings()
    assert (run(loads, nothing(2), 10) == 800.0).all()


def test_a_building_cuts_a_quarter_for_an_hour_and_less_after() -> None:
    loads = buildings()
    power_kw = run(loads, np.zeros((2, 2)), 150)
    assert power_kw[720 - 1, 0] == pytest.approx(np.full(2, 600.0), abs=1.0)
    assert power_kw[-1, 0] == pytest.approx(np.full(2, 680.0), abs=15.0)


def test_ten_to_twenty_per_cent_of_the_cut_comes_back_within_two_hours() -> None:
    loads = buildings()
    cut_kwh = (800.0 - run(loads, np.zeros((2, 2)), 60)[:, 0, 0]).sum() * STEP_S / 3600
    after_kw = run(loads, nothing(2), 120)[:, 0, 0]
    cut_kwh += np.maximum(800.0 - after_kw, 0.0).sum() * STEP_S / 3600
    back_kwh = np.maximum(after_kw - 800.0, 0.0).sum() * STEP_S / 3600
    assert 0.10 <= back_kwh / cut_kwh <= 0.20


def test_a_plant_cuts_its_contract_by_its_ramp_and_does_not_rebound() -> None:
    loads = Loads(FLEET, rows_of(ResourceClass.INDUSTRY), np.random.default_rng(1))
    power_kw = run(loads, np.zeros((2, 2)), 30, base_kw=2600.0)
    assert power_kw[12 * 4, 0, 0] > 2600.0 - 0.6 * 1000.0
    assert power_kw[-1, 0] == pytest.approx([1600.0, 1500.0], abs=1.0)
    after_kw = run(loads, nothing(2), 60, base_kw=2600.0)
    assert after_kw.max() <= 2600.0 + 1e-9
