"""The simplest forecasts: the usual day, and the last value carried on along it."""

import numpy as np
import pytest

from vpp.lab.bench.world.simple_forecast import Series, rmse_ratio, usual_days

DAYS = 30
REST = (np.arange(DAYS) % 7) >= 5


def series(values: np.ndarray) -> Series:
    return Series.of(values.ravel(), REST, per_day=24)


def test_what_repeats_itself_is_forecast_without_error() -> None:
    day = 2.0 + np.sin(np.arange(24))
    values = np.where(REST[:, None], 0.5 * day, day)
    for horizon_h in (1.0, 4.0, 24.0):
        assert rmse_ratio(series(values), horizon_h) == pytest.approx(0.0, abs=1e-12)


def test_noise_of_its_own_comes_through_whole_a_day_ahead_and_doubly_an_hour_ahead() -> None:
    values = 10.0 + np.random.default_rng(1).standard_normal((DAYS, 24))
    assert rmse_ratio(series(values), 24.0) == pytest.approx(0.1 * (1 + 1 / 8) ** 0.5, rel=0.1)
    assert rmse_ratio(series(values), 1.0) == pytest.approx(0.1 * (2 * (1 + 1 / 8)) ** 0.5, rel=0.1)


def test_a_day_that_is_higher_as_a_whole_is_seen_within_the_day() -> None:
    levels = 10.0 + np.random.default_rng(1).standard_normal(DAYS)
    one = series(np.repeat(levels[:, None], 24, axis=1))
    assert rmse_ratio(one, 1.0) < 0.5 * rmse_ratio(one, 24.0)


def test_usual_days_look_back_only_and_at_days_of_the_same_kind() -> None:
    values = np.repeat(np.arange(DAYS, dtype=float)[:, None], 24, axis=1)
    usual = usual_days(series(values))
    assert np.isnan(usual[1]).all()
    assert usual[2, 0] == 0.5
    assert usual[13, 0] == pytest.approx(np.mean([5, 6, 12]))


def test_unknown_values_and_nights_are_left_out() -> None:
    values = np.tile(np.concatenate([np.zeros(12), np.full(12, 0.5)]), (DAYS, 1))
    values[20, 15] = np.nan
    values[25, 3] = 0.4
    one = Series(values=values, rest=REST, scale=1.0, least=0.05)
    assert rmse_ratio(one, 24.0) == pytest.approx(0.0, abs=1e-9)
