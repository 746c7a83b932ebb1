"""The same clock time on earlier days, pooled where data are few."""

from dataclasses import replace

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.levels import LEVELS
from forecasts.quantiles.same_slot import SameSlot, Targets, scale_of
from tests.unit.forecasts.quantiles.parts import daily_panel


def slots(panel: Panel, issue: int, offsets: list[int], *, days: int = 56) -> SameSlot:
    view = panel.at(issue, days)
    return SameSlot(view, view.value.astype(np.float64), view.zone, Targets.of(view, np.array(offsets)))


def test_weekends_are_forecast_from_weekends() -> None:
    panel = daily_panel(series=1)
    # 1 January 1970 was a Thursday: day 65 is a Saturday, day 67 a Monday.
    noon = 12
    weekend, workday = slots(panel, 65 * 24, [noon, 2 * 24 + noon]).of_type()[:, 0]
    assert 0.4 < weekend < 0.65
    assert 0.85 < workday < 1.15


def test_lags_are_those_of_the_last_days_and_unknown_beyond_the_history() -> None:
    panel = daily_panel()
    found = slots(panel, 60 * 24, [5, 12], days=7)
    np.testing.assert_array_equal(found.lag(2), panel.value[[58 * 24 + 5, 58 * 24 + 12]])
    assert np.isnan(found.lag(8)).all()


def test_quantiles_do_not_fall_and_hold_the_middle_day() -> None:
    found = slots(daily_panel(), 60 * 24, [12]).quantiles()
    assert found.shape == (len(LEVELS), 1, 3)
    assert (np.diff(found, axis=0) >= 0.0).all()
    assert 0.7 < found[3, 0, 0] < 1.3


def test_a_series_without_history_has_the_profile_of_its_zone() -> None:
    panel = daily_panel()
    value = panel.value / (1.0 + np.arange(3, dtype=np.float32))
    value[:, 2] = np.nan
    found = slots(replace(panel, value=value), 60 * 24, [12])
    assert abs(found.of_type()[0, 2] - found.of_type()[0, :2].mean()) < 0.1
    assert not np.isnan(found.quantiles()).any()


def test_without_any_data_everything_is_zero_and_nothing_is_nan() -> None:
    panel = daily_panel()
    found = slots(replace(panel, value=np.full_like(panel.value, np.nan)), 60 * 24, [12])
    assert (found.of_type() == 0.0).all()
    assert (found.quantiles() == 0.0).all()


def test_scale_is_the_own_mean_after_weeks_and_the_zones_per_capacity_before() -> None:
    values = np.full((56 * 24, 2), np.nan)
    values[:, 0] = 10.0
    values[-24:, 1] = 1.0
    scale = scale_of(values, np.zeros(2, dtype=np.int64), np.array([5.0, 10.0]), 24)
    assert 9.9 < scale[0] < 10.1
    assert 13.0 < scale[1] < 18.0
