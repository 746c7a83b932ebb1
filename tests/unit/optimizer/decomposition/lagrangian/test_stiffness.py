"""Stiffness: its growth from sweep to sweep."""

import numpy as np
import pytest

from optimizer.decomposition.arrays import Prices, Stiffness
from optimizer.decomposition.lagrangian.stiffness import grown

STIFF = Stiffness(np.array([1.0, 2.0]), 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)


def prices(up: float, down: float) -> Prices:
    none, hours = np.zeros(3), np.zeros((2, 3))
    hours_up, hours_down = hours.copy(), hours.copy()
    hours_up[0, 1], hours_down[1, 2] = up, down
    return Prices(hours_up, hours_down, none, none, none, none, none, none, none, np.zeros(1))


@pytest.mark.parametrize(("sweeps", "growth"), [(8, 1.0), (9, 1.1), (25, 1.1), (26, 1.0)])
def test_the_citys_slopes_grow_for_some_sweeps_only(sweeps: int, growth: float) -> None:
    found = grown(STIFF, STIFF.node, prices(0.0, 0.0), sweeps=sweeps, unit=1.0)
    assert (found.total, found.moved, found.band) == pytest.approx((3.0 * growth, 5.0 * growth, 4.0 * growth))
    assert (found.hold, found.car, found.store, found.large) == (6.0, 7.0, 8.0, 9.0)


def test_a_nodes_slope_follows_its_dearest_price_and_never_falls_below_its_first() -> None:
    found = grown(STIFF, STIFF.node, prices(up=8.0, down=1.0), sweeps=1, unit=2.0)
    np.testing.assert_allclose(found.node, [1.0 * 0.5 * 8.0 / 2.0, 2.0])
