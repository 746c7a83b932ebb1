"""Champion or challenger, series by series, by what was known at the time."""

import numpy as np

from forecasts.quantiles.levels import Forecasts
from forecasts.quantiles.selection import Selection
from tests.unit.forecasts.quantiles.parts import daily_panel


def said(value: np.ndarray) -> Forecasts:
    """Return forecasts of days 20 to 49 of two series."""
    steps = np.arange(20 * 24, 50 * 24)
    series = np.tile([0, 1], len(steps))
    target = np.repeat(steps, 2)
    return Forecasts(
        series=series, issue=target, target=target, mean=value, quantiles=np.repeat(value[:, None], 7, axis=1)
    )


def test_each_series_takes_whoever_was_better() -> None:
    panel = daily_panel(series=2)
    truth = panel.value[20 * 24 : 50 * 24].astype(np.float64)
    # The champion is right about the first series, the challenger about the second.
    champion, challenger = truth + np.array([0.0, 2.0]), truth + np.array([2.0, 0.0])
    selection = Selection()
    selection.remember(said(champion.ravel()), said(challenger.ravel()))
    assert selection.shares(panel.until(50 * 24)).tolist() == [0.0, 1.0]


def test_before_anything_is_known_both_count_half() -> None:
    panel = daily_panel(series=2)
    selection = Selection()
    assert selection.shares(panel.until(24)).tolist() == [0.5, 0.5]
    ones = np.ones(30 * 24 * 2)
    selection.remember(said(ones), said(3.0 * ones))
    assert selection.shares(panel.until(20 * 24)).tolist() == [0.5, 0.5]
    blended = Selection.blended(said(ones), said(3.0 * ones), np.array([0.5, 1.0]))
    assert blended.mean[:2].tolist() == [2.0, 3.0]


def test_forecasts_older_than_the_window_are_forgotten() -> None:
    panel = daily_panel(days=120, series=2)
    selection = Selection(window_days=30)
    ones = np.ones(30 * 24 * 2)
    selection.remember(said(ones), said(9.0 * ones))
    assert selection.shares(panel.until(50 * 24)).tolist() == [0.0, 0.0]
    assert selection.shares(panel.until(110 * 24)).tolist() == [0.5, 0.5]
