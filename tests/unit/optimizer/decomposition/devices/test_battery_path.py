"""The path of one battery against a general solver."""

import numpy as np
import pytest
from scipy.optimize import linprog

from optimizer.decomposition.arrays import (
    BACK,
    DOWN,
    FLOOR,
    KINK,
    POWER,
    PRICE,
    VALUE,
    Floats,
)
from optimizer.decomposition.bound import proven
from optimizer.decomposition.devices.battery import Battery, limits
from optimizer.decomposition.devices.battery_path import best_path, funnel, mended
from optimizer.decomposition.devices.battery_power import realise
from tests.unit.optimizer.decomposition.devices.parts import STEPS, case_of


def battery(case: Floats, *, begin: float, due: float, eta: float, price: float = 4.0, kink: float = 0.0) -> Battery:
    """Return a battery of 10 kW both ways between the floor of its case and 40 kW-steps."""
    least, most = limits(case, STEPS, eta, 0.02, kink, price)
    return Battery(STEPS, 10.0, 40.0, begin, due, eta, 0.02, price, kink > 0.0, least, most)


def linear_optimum(case: Floats, cell: Battery) -> float:
    """Return the least cost of the battery as a linear program: charge, discharge, difference, missing."""
    n = cell.length
    gain = np.tril(np.ones((n, n)))
    zero, eye = np.zeros((n, n)), np.eye(n)
    stored = np.hstack([cell.eta * gain, -gain / cell.eta, zero, np.zeros((n, 1))])
    rows = [
        stored,
        -stored,
        np.hstack([eye, -eye, -eye, np.zeros((n, 1))]),
        np.hstack([-eye, eye, -eye, np.zeros((n, 1))]),
    ]
    rows.append(np.hstack([-stored[-1, :-1], [-1.0]])[None, :])
    limit = [
        np.full(n, cell.high - cell.begin),
        cell.begin - case[FLOOR, :n],
        case[BACK, :n],
        -case[BACK, :n],
        [cell.begin - cell.due],
    ]
    price = case[PRICE, :n]
    cost = np.concatenate([price, cell.wear - price, case[KINK, :n], [cell.price]])
    bounds = [(0.0, cell.charge)] * n + [(0.0, d) for d in case[DOWN, :n]] + [(0.0, None)] * (n + 1)
    found = linprog(cost, A_ub=np.vstack(rows), b_ub=np.concatenate(limit), bounds=bounds, method="highs")
    assert found.status == 0
    return float(found.fun)


def cost_of(case: Floats, cell: Battery, short: float) -> float:
    power = case[POWER, : cell.length]
    wear = cell.wear * np.maximum(-power, 0.0).sum()
    away = (case[KINK, : cell.length] * np.abs(power - case[BACK, : cell.length])).sum()
    return float(case[PRICE, : cell.length] @ power + wear + away + cell.price * short)


@pytest.mark.parametrize("eta", [0.85, 0.95, 1.0])
@pytest.mark.parametrize("kink", [0.0, 0.03])
def test_a_battery_reaches_the_optimum_and_its_values_prove_it(eta: float, kink: float) -> None:
    random = np.random.default_rng(int(100 * eta + 1000 * kink))
    for _ in range(40):
        case = case_of(random.uniform(0.02, 0.5, STEPS))
        case[FLOOR], case[DOWN] = 5.0, 10.0
        if kink:
            case[KINK, :STEPS], case[BACK, :STEPS] = kink, random.uniform(-12.0, 12.0, STEPS)
        cell = battery(case, begin=random.uniform(5.0, 40.0), due=random.uniform(0.0, 45.0), eta=eta, kink=kink)
        short = best_path(case, np.zeros((2, STEPS + 2), np.int64), cell)
        optimum = linear_optimum(case, cell)
        assert cost_of(case, cell, short) == pytest.approx(optimum, abs=2e-3)
        assert proven(case, cell) <= optimum + 1e-7
        assert proven(case, cell) == pytest.approx(optimum, abs=5e-3)


def test_mending_a_wrong_guess_and_the_funnel_agree() -> None:
    random = np.random.default_rng(5)
    for _ in range(40):
        case = case_of(random.uniform(-0.1, 0.5, STEPS), smooth=1e-2)
        case[FLOOR], case[DOWN] = random.choice([0.0, 5.0, 20.0]), 10.0
        case[VALUE] = random.choice([0.1, 0.2, 0.3], STEPS + 1)
        cell = battery(case, begin=20.0, due=25.0, eta=0.95)
        other = case.copy()
        assert mended(case, np.zeros((2, STEPS + 2), np.int64), cell)
        realise(case, cell)
        funnel(other, cell)
        realise(other, cell)
        np.testing.assert_allclose(case[POWER], other[POWER], atol=1e-3)


def test_a_battery_never_leaves_its_bounds() -> None:
    random = np.random.default_rng(6)
    for _ in range(40):
        case = case_of(random.normal(0.0, 0.5, STEPS))
        case[FLOOR], case[DOWN] = 5.0, 10.0
        cell = battery(case, begin=random.uniform(5.0, 40.0), due=50.0, eta=0.9)
        short = best_path(case, np.zeros((2, STEPS + 2), np.int64), cell)
        power = case[POWER, :STEPS]
        energy = cell.begin + np.cumsum(0.9 * np.maximum(power, 0.0) - np.maximum(-power, 0.0) / 0.9)
        assert energy.min() >= 5.0 - 1e-6
        assert energy.max() <= 40.0 + 1e-6
        assert np.abs(power).max() <= 10.0
        assert short == pytest.approx(max(50.0 - energy[-1], 0.0), abs=1e-6)
