"""Net powers of a battery's path: every bound is kept, whatever the values of energy are."""

import numpy as np
import pytest

from optimizer.decomposition.arrays import DOWN, FLOOR, POWER, UP, VALUE
from optimizer.decomposition.devices.battery import Battery, limits
from optimizer.decomposition.devices.battery_power import realise
from tests.unit.optimizer.decomposition.devices.parts import STEPS, case_of


@pytest.mark.parametrize("seed", range(8))
def test_any_values_give_powers_within_all_bounds(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = case_of(random.uniform(0.1, 1.0, STEPS), smooth=0.1)
    rows[UP], rows[DOWN], rows[FLOOR] = 10.0, 8.0, 4.0
    rows[VALUE, :STEPS] = random.uniform(0.0, 1.5, STEPS)
    least, most = limits(rows, STEPS, 0.9, 0.02, 0.0, 4.0)
    one = Battery(STEPS, 10.0, 40.0, 20.0, 30.0, 0.9, 0.02, 4.0, False, least, most)
    missing = realise(rows, one)
    power = rows[POWER, :STEPS]
    energy = 20.0 + np.cumsum(np.where(power > 0.0, 0.9 * power, power / 0.9))
    assert (power <= 10.0 + 1e-9).all()
    assert (power >= -8.0 - 1e-9).all()
    assert (energy <= 40.0 + 1e-9).all()
    assert (energy >= 4.0 - 1e-9).all()
    assert missing == pytest.approx(max(30.0 - energy[-1], 0.0), abs=1e-9)
