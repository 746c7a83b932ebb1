"""The bound of a flexible load with rebound and a past."""

import numpy as np
import pytest

from optimizer.decomposition.arrays import Loads, Previous
from optimizer.decomposition.devices.flexible import loads_bound


def load(seed: int) -> tuple[Loads, np.ndarray]:
    """Return a random load with rebound, and prices of its node, shape ``(1, T)``."""
    random = np.random.default_rng(seed)
    loads = Loads(
        first=np.array([0, 1]),
        most=random.uniform(0.0, 5.0, (1, 12)),
        energy=random.uniform(3.0, 20.0, 1),
        price=random.uniform(0.1, 0.4, 1),
        rebound=random.uniform(0.0, 1.0, 1),
        rebound_steps=3,
    )
    return loads, random.uniform(0.0, 0.6, (1, 12))


def remembering(past: np.ndarray) -> Previous:
    """Return a price of 0.05 on leaving ``past``, shape ``(T,)``."""
    none = np.zeros(0, np.float32)
    return Previous(0.05, none, none, none, past.astype(np.float32))


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_of_a_load_with_rebound_and_a_past_lies_below_its_least_cost(seed: int) -> None:
    loads, grid = load(seed)
    random = np.random.default_rng(100 + seed)
    for past in (np.zeros(12), random.integers(-12, 4, 12) / 4.0):
        proven = loads_bound(loads, remembering(past), random.uniform(0.0, 1.0, (1, 12)) * loads.most, grid)
        assert proven <= least_cost(loads, past, 0.05, grid[0]) + 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_of_a_load_that_returns_nothing_and_was_left_alone_is_its_least_cost(seed: int) -> None:
    loads, grid = load(seed)
    loads = loads._replace(rebound=np.zeros(1))
    proven = loads_bound(loads, remembering(np.zeros(12)), np.zeros((1, 12)), grid)
    assert proven == pytest.approx(least_cost(loads, np.zeros(12), 0.05, grid[0]), abs=1e-6)


def least_cost(loads: Loads, past: np.ndarray, kink: float, grid: np.ndarray) -> float:
    """Return the exact least cost by a linear program over cuts and differences."""
    optimize = pytest.importorskip("scipy.optimize")
    steps = len(grid)
    share = loads.rebound[0] / loads.rebound_steps
    back = np.zeros((steps, steps))
    for t in range(steps):
        back[t + 1 : t + 1 + loads.rebound_steps, t] = share
    net = back - np.eye(steps)
    cost = np.concatenate([grid @ net + loads.price[0], np.full(steps, kink)])
    above = np.block([[net, -np.eye(steps)], [-net, -np.eye(steps)]])
    above = np.vstack([above, np.concatenate([np.ones(steps), np.zeros(steps)])])
    most = np.concatenate([past, -past, loads.energy])
    bounds = [(0.0, float(m)) for m in loads.most[0]] + [(0.0, None)] * steps
    return float(optimize.linprog(cost, A_ub=above, b_ub=most, bounds=bounds, method="highs").fun)
