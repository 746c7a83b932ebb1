"""The seasonal profile: days of the right type that are usable, else all of the right type."""

import numpy as np
import pytest

from forecasts.seasonal import seasonal
from forecasts.seasonal_profile import seasonal_profile
from forecasts.series import History, SeriesError

EVERY = np.ones((3, 2), dtype=bool)


def history(*rows: list[float]) -> History:
    return History(power_kw=np.array(rows), steps_per_day=2, step_s=900.0, end_s=0.0, available_at_s=0.0)


def test_mean_and_sample_deviation_of_the_known_days() -> None:
    mean, spread = seasonal_profile(history([1.0, 4.0, 3.0, np.nan, 5.0, 4.0]), EVERY, recent_steps=0)
    np.testing.assert_allclose(mean, [[3.0, 4.0]])
    np.testing.assert_allclose(spread, [[2.0, 0.0]])


def test_unusable_days_count_only_where_there_is_no_other() -> None:
    power, usable = history(*[[1.0, 1.0, 3.0, 3.0, 5.0, 5.0]] * 2), np.array([[True, False, False], [False] * 3])
    mean, _ = seasonal_profile(power, EVERY, usable=usable, recent_steps=0)
    np.testing.assert_allclose(mean, [[1.0, 1.0], [3.0, 3.0]])


def test_a_shape_that_does_not_fit_is_named() -> None:
    with pytest.raises(SeriesError, match=r"expected shape \(3, count\), got \(2, 2\) for same_type"):
        seasonal_profile(history([1.0] * 6), EVERY[:2])


def test_the_usual_day_in_blocks_is_the_seasonal_mean_and_spread() -> None:
    random = np.random.default_rng(3)
    power = random.uniform(0.0, 9.0, (700, 7 * 96))
    power[random.random(power.shape) < 0.1] = np.nan
    history = History(power_kw=power, steps_per_day=96, step_s=900, end_s=86_400.0, available_at_s=86_400.0)
    same = random.random((7, 120)) < 0.6
    usable = random.random((700, 7)) < 0.7
    group = random.integers(0, 4, 700)
    whole = seasonal(history, same, group=group, usable=usable)
    mean, spread = seasonal_profile(history, same, group=group, usable=usable)
    np.testing.assert_allclose(mean, whole.mean_kw, rtol=1e-5)
    np.testing.assert_allclose(spread, whole.spread_kw, rtol=1e-4, atol=1e-4)
