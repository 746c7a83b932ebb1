"""Seasonal forecasts: the same time on days of the same type, levelled by today."""

import numpy as np
import pytest

from forecasts.seasonal import seasonal
from forecasts.series import History, SeriesError

PER_DAY = 4


def history(power_kw: np.ndarray, **changes: float) -> History:
    values = {"end_s": 1000.0, "available_at_s": 1000.0} | changes
    return History(power_kw=power_kw, steps_per_day=PER_DAY, step_s=900.0, **values)


def days(*values: list[float]) -> np.ndarray:
    return np.concatenate([np.array(value, dtype=float) for value in values])[None, :]


EVERY = np.ones((3, PER_DAY), dtype=bool)


def test_a_steady_row_is_forecast_as_itself() -> None:
    found = seasonal(history(days([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4])), EVERY)
    np.testing.assert_allclose(found.mean_kw, [[1, 2, 3, 4]])
    np.testing.assert_allclose(found.p10_kw, found.p90_kw)
    np.testing.assert_allclose(found.spread_kw, 0.0)
    assert found.start_s == 1000.0
    assert found.available_at_s == 1000.0


def test_only_days_of_the_same_type_count() -> None:
    weekend_last = np.array([[True] * 4, [True] * 4, [False] * 4])
    found = seasonal(history(days([1] * 4, [3] * 4, [100] * 4)), weekend_last, recent_steps=0)
    np.testing.assert_allclose(found.mean_kw, 2.0)


def test_a_step_without_any_day_of_its_type_uses_all_days() -> None:
    found = seasonal(history(days([1] * 4, [3] * 4, [5] * 4)), np.zeros((3, 4), dtype=bool), recent_steps=0)
    np.testing.assert_allclose(found.mean_kw, 3.0)


def test_a_horizon_beyond_a_day_repeats_the_clock() -> None:
    found = seasonal(history(days([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4])), np.ones((3, 6), dtype=bool))
    np.testing.assert_allclose(found.mean_kw, [[1, 2, 3, 4, 1, 2]])


def test_today_running_high_lifts_the_next_hours_within_limits() -> None:
    usual, today = [10.0] * 4, [10.0, 10.0, 12.0, 12.0]
    found = seasonal(history(days(usual, usual, today)), EVERY, recent_steps=2)
    assert 10.0 < found.mean_kw[0, 0] <= 13.0
    wild = seasonal(history(days(usual, usual, [10.0, 10.0, 900.0, 900.0])), EVERY, recent_steps=2)
    assert wild.mean_kw[0, 0] <= 1.6 * (10.0 + 10.0 + 10.0) / 3 + 1e-9


def test_a_group_shares_its_level() -> None:
    usual = np.concatenate([days([10] * 4, [10] * 4, [10, 10, 20, 20]), days([10] * 4, [10] * 4, [10, 10, 4, 4])])
    found = seasonal(history(usual), EVERY, group=np.array([0, 0]), recent_steps=2)
    np.testing.assert_allclose(found.mean_kw[0, :2], found.mean_kw[1, :2])


def test_quantiles_are_ordered_and_unknown_values_are_left_out() -> None:
    power = days([1, np.nan, 3, 4], [2, 5, np.nan, 9], [3, 7, 8, 1])
    found = seasonal(history(power), EVERY, recent_steps=0)
    assert (found.p10_kw <= found.p50_kw).all()
    assert (found.p50_kw <= found.p90_kw).all()
    np.testing.assert_allclose(found.mean_kw[0, 1], 6.0)


def test_a_row_without_history_stays_unknown() -> None:
    found = seasonal(history(np.full((1, 12), np.nan)), EVERY)
    assert np.isnan(found.mean_kw).all()


def test_days_that_do_not_resemble_now_can_be_left_out_row_by_row() -> None:
    power = np.concatenate([days([1] * 4, [3] * 4, [5] * 4)] * 2)
    usable = np.array([[True, False, False], [False, False, False]])
    found = seasonal(history(power), EVERY, usable=usable, recent_steps=0)
    np.testing.assert_allclose(found.mean_kw[0], 1.0)
    np.testing.assert_allclose(found.mean_kw[1], 3.0)


def test_looking_ahead_cannot_be_written_down() -> None:
    with pytest.raises(SeriesError, match="cannot be available"):
        history(days([1] * 4), available_at_s=999.0)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(SeriesError, match="same_type"):
        seasonal(history(days([1] * 4, [1] * 4)), EVERY)
    with pytest.raises(SeriesError, match="power_kw"):
        history(np.zeros((1, 5)))
