"""The charging of one car: cheapest steps, energy left unserved, a plan that is kept."""

import numpy as np
import pytest

from optimizer.decomposition.arrays import (
    BACK,
    KINK,
    POWER,
)
from optimizer.decomposition.devices.charging import water_level
from tests.unit.optimizer.decomposition.devices.parts import SMOOTH, case_of


def test_a_car_fills_the_cheapest_steps_and_lacks_what_does_not_fit() -> None:
    case = case_of(np.array([0.4, 0.1, 0.3, 0.2]), power=7.0)
    level, short = water_level(case, False, 4, 7.0, 17.5, 1.0, 0.9)
    np.testing.assert_allclose(case[POWER, :4], [0.0, 7.0, 3.5, 7.0], atol=1e-5)
    assert 0.3 <= level <= 0.3 + SMOOTH
    assert short == 0.0
    _, short = water_level(case, False, 4, 7.0, 30.0, 1.0, 0.1)
    assert short == pytest.approx(2.0)
    np.testing.assert_allclose(case[POWER, :4], 7.0)


def test_a_car_leaves_energy_unserved_where_power_is_dearer_than_that() -> None:
    case = case_of(np.array([0.4, 5.0, 6.0]), power=7.0)
    _, short = water_level(case, False, 3, 7.0, 14.0, 1.0, 0.0)
    np.testing.assert_allclose(case[POWER, :3], [7.0, 0.0, 0.0])
    assert short == pytest.approx(7.0)


def test_a_car_stays_with_its_past_where_leaving_costs_more_than_it_saves() -> None:
    case = case_of(np.array([0.30, 0.28, 0.50]), power=7.0)
    case[KINK, :3], case[BACK, :3] = 0.02, [7.0, 0.0, 0.0]
    water_level(case, True, 3, 7.0, 7.0, 1.0, 0.0)
    np.testing.assert_allclose(case[POWER, :3], [7.0, 0.0, 0.0], atol=1e-3)
    case[KINK, :3] = 0.005
    water_level(case, True, 3, 7.0, 7.0, 1.0, 0.0)
    np.testing.assert_allclose(case[POWER, :3], [0.0, 7.0, 0.0], atol=1e-3)
