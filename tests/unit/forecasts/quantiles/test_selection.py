"""Champion or challenger, series by series, by what was known at the time."""

from dataclasses import replace

import numpy as np

from forecasts.quantiles.levels import Forecasts
from forecasts.quantiles.selection import Selection
from tests.unit.forecasts.quantiles.parts import daily_panel


def said(value: np.ndarray) -> Forecasts:
    """Return forecasts of days 20 to 49 of two series."""
    steps = np.arange(20 * 24, 50 * 24)
    series = np.tile([0, 1], len(steps))
    target = np.repeat(steps, 2)
    quantiles = np.repeat(value[:, None], 7, axis=1)
    upper = np.full(len(target), np.nan)
    return Forecasts(series=series, issue=target, target=target, mean=value, quantiles=quantiles, upper=upper)


def test_each_series_takes_whoever_was_better() -> None:
    panel = daily_panel(series=2)
    truth = panel.value[20 * 24 : 50 * 24].astype(np.float64)
    # The champion is right about the first series, the challenger about the second.
    champion, challenger = truth + np.array([0.0, 2.0]), truth + np.array([2.0, 0.0])
    selection = Selection(step_s=3600)
    selection.remember(said(champion.ravel()), said(challenger.ravel()))
    shares = selection.shares(panel.until(50 * 24))
    assert shares[:, 0, 0].tolist() == [0.0, 0.0]
    assert shares[:, 1, 0].tolist() == [1.0, 1.0]


def test_quantiles_and_mean_have_shares_of_their_own() -> None:
    panel = daily_panel(series=2)
    truth = panel.value[20 * 24 : 50 * 24].astype(np.float64).ravel()
    champion = replace(said(truth), mean=truth + 2.0)
    challenger = replace(said(truth + 2.0), mean=truth)
    selection = Selection(step_s=3600)
    selection.remember(champion, challenger)
    assert selection.shares(panel.until(50 * 24))[:, :, 0].tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_an_hour_ahead_and_a_day_ahead_are_chosen_apart() -> None:
    panel = daily_panel(series=2)
    truth = panel.value[20 * 24 : 50 * 24].astype(np.float64).ravel()
    near, far = said(truth), said(truth + 2.0)
    day_before = {"issue": near.target - 24}
    selection = Selection(step_s=3600)
    selection.remember(near, far)
    selection.remember(replace(far, **day_before), replace(near, **day_before))
    assert selection.shares(panel.until(50 * 24))[0, 0].tolist() == [0.0, 0.75, 0.75, 1.0]


def test_before_anything_is_known_the_challenger_counts_three_quarters() -> None:
    panel = daily_panel(series=2)
    selection = Selection(step_s=3600)
    assert (selection.shares(panel.until(24)) == 0.75).all()
    ones = np.ones(30 * 24 * 2)
    selection.remember(said(ones), said(3.0 * ones))
    assert (selection.shares(panel.until(20 * 24)) == 0.75).all()
    shares = np.broadcast_to(np.array([0.5, 1.0])[None, :, None], (2, 2, 4))
    blended = selection.blended(said(ones), said(3.0 * ones), shares)
    assert blended.mean[:2].tolist() == [2.0, 3.0]
    assert blended.quantiles[:2, 0].tolist() == [2.0, 3.0]


def test_forecasts_older_than_the_window_are_forgotten() -> None:
    panel = daily_panel(days=120, series=2)
    selection = Selection(step_s=3600, window_days=30)
    ones = np.ones(30 * 24 * 2)
    selection.remember(said(ones), said(9.0 * ones))
    assert (selection.shares(panel.until(50 * 24))[:, :, 0] == 0.0).all()
    assert (selection.shares(panel.until(110 * 24)) == 0.75).all()
