"""Batteries and inverters of the twin."""

import numpy as np
import pytest

from tests.unit.vpp.lab.twin.physics.parts import FLEET, STEP_S, rows_of
from vpp.domain.resource import ResourceClass
from vpp.lab.twin.physics.stationary import Batteries, Inverters
from vpp.lab.twin.physics.weather import Weather


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
