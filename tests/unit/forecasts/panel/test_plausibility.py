"""Faults of meters become unknown, without looking ahead."""

import numpy as np

from forecasts.panel.plausibility import Plausible, plausible


def judged(values: list[float], bounds: Plausible, capacity: float = np.nan) -> list[float]:
    table = np.array(values, dtype=np.float32)[:, None]
    return plausible(table, np.full_like(table, capacity), bounds)[:, 0].tolist()


def known(values: list[float], bounds: Plausible, capacity: float = np.nan) -> list[bool]:
    return [not np.isnan(value) for value in judged(values, bounds, capacity)]


def test_sentinels_and_impossible_sizes_are_unknown() -> None:
    bounds = Plausible(low=0.0, high=1000.0)
    assert known([3.0, -99.0, 999.0, 6553.5, np.inf, 4.0], bounds) == [True, False, False, False, False, True]


def test_the_largest_value_goes_with_the_capacity_where_it_is_known() -> None:
    bounds = Plausible(low=0.0, high=1.2, per_capacity=True)
    assert known([11.0, 13.0], bounds, capacity=10.0) == [True, False]
    assert known([11.0, 13.0], bounds) == [True, True]


def test_a_reading_that_repeats_too_long_is_stuck_and_zero_never_is() -> None:
    bounds = Plausible(low=0.0, high=10.0, stuck_after=2, stuck_whole_after=3)
    assert known([0.0, 0.0, 0.0, 0.0, 0.0], bounds) == [True] * 5
    assert known([1.5, 1.5, 1.5, 1.5, 2.5], bounds) == [True, True, False, False, True]
    assert known([2.0, 2.0, 2.0, 2.0, 2.0], bounds) == [True, True, True, False, False]
