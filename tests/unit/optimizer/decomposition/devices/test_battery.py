"""A battery at one value of stored energy."""

import numpy as np
import pytest

from optimizer.decomposition.arrays import DOWN, UP, Floats
from optimizer.decomposition.devices.battery import Battery, flat, gained, limits, root, unburnt
from tests.unit.optimizer.decomposition.devices.parts import STEPS, case_of

PRICE = np.linspace(0.2, 0.8, STEPS)


def case() -> Floats:
    rows = case_of(PRICE, smooth=0.05)
    rows[UP], rows[DOWN] = 10.0, 8.0
    return rows


def battery(rows: Floats, *, eta: float = 0.9, wear: float = 0.02) -> Battery:
    least, most = limits(rows, STEPS, eta, wear, 0.0, 4.0)
    return Battery(STEPS, 10.0, 100.0, 50.0, 50.0, eta, wear, 4.0, False, least, most)


def test_beyond_its_limits_every_step_charges_or_discharges_at_full_power() -> None:
    rows = case()
    one = battery(rows)
    assert gained(rows, one, 0, STEPS - 1, one.most)[0] == pytest.approx(0.9 * 10.0 * STEPS)
    assert gained(rows, one, 0, STEPS - 1, one.least)[0] == pytest.approx(-8.0 * STEPS / 0.9)


def test_energy_gained_never_falls_as_its_value_rises_and_the_slope_is_its_derivative() -> None:
    rows = case()
    one = battery(rows)
    values = np.linspace(one.least, one.most, 400)
    amounts = np.array([gained(rows, one, 0, STEPS - 1, value)[0] for value in values])
    assert (np.diff(amounts) >= -1e-9).all()
    value, step = 0.53, 1e-7
    amount, slope = gained(rows, one, 3, 7, value)
    assert (gained(rows, one, 3, 7, value + step)[0] - amount) / step == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("target", [-20.0, 0.5, 31.0])
def test_the_root_gains_the_target_from_any_guess(target: float) -> None:
    rows = case()
    one = battery(rows)
    for guess in (one.least, 0.4, one.most):
        value, slope = root(rows, one, 0, STEPS - 1, target, guess, one.least, one.most)
        assert slope >= 0.0
        assert gained(rows, one, 0, STEPS - 1, value)[0] == pytest.approx(target, abs=1e-5)


def test_a_target_out_of_reach_is_said_to_be() -> None:
    rows = case()
    one = battery(rows)
    value, slope = root(rows, one, 0, 1, 1e3, 0.4, one.least, one.most)
    assert slope == -1.0
    assert value == pytest.approx(one.most)


def test_between_the_corners_of_a_flat_stretch_nothing_is_gained() -> None:
    rows = case_of(PRICE)
    rows[UP], rows[DOWN] = 10.0, 8.0
    one = battery(rows)
    value = (PRICE[4] + PRICE[5]) / 2.0 / 0.9
    low, high = flat(rows, one, 0, STEPS - 1, value)
    assert low < value < high
    inside = [gained(rows, one, 0, STEPS - 1, low + share * (high - low))[0] for share in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(inside, inside[0])


def test_burning_energy_pays_only_below_what_wear_and_losses_allow() -> None:
    assert unburnt(battery(case())) == pytest.approx(-0.02 / (1.0 / 0.9 - 0.9))
    assert unburnt(battery(case(), eta=1.0)) < -1e99
