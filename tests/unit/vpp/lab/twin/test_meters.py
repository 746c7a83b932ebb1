"""Registers without error, samples and intervals with it."""

import numpy as np
import pytest

from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S
from vpp.lab.twin.meters import Meters

BEGIN_S = 1_752_638_400.0


def meters(count: int = 2) -> Meters:
    samples, intervals = (np.random.default_rng(seed) for seed in (1, 2))
    return Meters(count, BEGIN_S, samples=samples, intervals=intervals)


def test_the_register_counts_what_is_taken_in_and_net_energy_both_directions() -> None:
    made = meters()
    made.count(np.array([[4.0, -4.0], [2.0, 0.0]]), np.zeros(0), 900.0)
    made.count(np.array([[-4.0, 4.0], [2.0, 0.0]]), np.zeros(0), 900.0)
    assert made.register_kwh.tolist() == [1.0, 1.0]
    assert made.net_kwh.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_an_interval_is_the_mean_of_the_actual_world_without_noise_where_there_is_none() -> None:
    made = meters()
    made.count(np.array([[4.0, -4.0], [9.0, 9.0]]), np.zeros(0), 900.0)
    made.close_interval(BEGIN_S + STEP_S, 0.0)
    grid = TimeGrid(start_at=instant(BEGIN_S), count=2)
    table = made.history.read(grid)
    assert table[:, 0].tolist() == [4.0, -4.0]
    assert np.isnan(table[:, 1]).all()
    assert [start_s for start_s, _ in made.history.drain()] == [BEGIN_S]
    assert np.isnan(made.history.read(grid)).all()


def test_samples_scatter_in_proportion_to_the_power() -> None:
    made = meters()
    shown = made.sample_kw(np.full(20_000, 50.0), 0.01)
    assert shown.mean() == pytest.approx(50.0, abs=0.02)
    assert shown.std() == pytest.approx(0.5, rel=0.05)
    assert made.sample_kw(np.zeros(3), 0.01).tolist() == [0.0] * 3
