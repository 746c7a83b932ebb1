"""Cars and V2G cars of the twin."""

import numpy as np
import pytest

from tests.unit.vpp.lab.twin.physics.parts import FLEET, STEP_S, nothing, rows_of
from vpp.domain.resource import ResourceClass
from vpp.lab.twin.physics.charging import (
    TAIL,
    V2G_TARGET_SOC,
    Chargers,
    PluggedCars,
    V2gChargers,
    deliverable_kwh,
)


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
    start_soc, floor_soc = float(cars.soc[0, 0]), FLEET.limits.soc_floor[cars.rows[0]]
    given_kwh = 0.0
    for _ in range(5000):
        given_kwh -= float(cars.step(np.full((2, 1), -15.0), np.array([15.0]), STEP_S, 0.0)[0, 0]) * STEP_S / 3600
    assert cars.soc[0, 0] == pytest.approx(floor_soc, abs=1e-6)
    assert given_kwh == pytest.approx((start_soc - floor_soc) * 60.0 * 0.95, rel=1e-3)


def test_a_v2g_car_that_must_soon_leave_refuses_to_discharge() -> None:
    cars = v2g_car()
    least_kw, _ = cars.bounds_kw()
    assert least_kw[0] == pytest.approx(-15.0)
    cars.step(nothing(1), np.array([15.0]), STEP_S, 1e6 - 3600.0)
    assert cars.bounds_kw()[0][0] == pytest.approx(0.0)
