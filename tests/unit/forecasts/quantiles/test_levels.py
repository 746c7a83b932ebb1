"""Quantiles of a forecast do not fall and lie within their bounds."""

import numpy as np

from forecasts.quantiles.levels import LEVELS, Forecasts, pinball, proper


def test_crossed_quantiles_are_sorted_and_bounded() -> None:
    crossed = np.array([[-1.0, 3.0, 2.0, 4.0, 5.0, 9.0, 8.0]])
    mean, quantiles = proper(np.array([7.0]), crossed, 0.0, np.array([6.0]))
    assert quantiles.tolist() == [[0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0]]
    assert mean.tolist() == [6.0]


def test_an_unknown_capacity_bounds_nothing() -> None:
    mean, _ = proper(np.array([1e6]), np.full((1, 7), 1e6), float("-inf"), np.array([np.nan]))
    assert mean.tolist() == [1e6]


def test_pinball_is_half_the_absolute_error_where_all_quantiles_are_one_value() -> None:
    np.testing.assert_allclose(pinball(np.array([3.0, -1.0]), np.full((2, len(LEVELS)), 1.0)), [1.0, 1.0])


def test_no_tables_join_to_an_empty_one() -> None:
    assert len(Forecasts.joined([])) == 0
