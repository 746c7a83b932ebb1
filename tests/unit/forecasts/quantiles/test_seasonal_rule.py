"""The champion answers from its view alone."""

import numpy as np

from forecasts.quantiles.forecaster import Question
from forecasts.quantiles.levels import pinball
from forecasts.quantiles.seasonal_rule import SeasonalRule
from tests.unit.forecasts.quantiles.parts import daily_panel


def test_forecasts_are_proper_and_better_than_nothing() -> None:
    panel = daily_panel()
    rule = SeasonalRule(history_days=56, lower=0.0, per_capacity=1.0)
    rule.fit(panel.until(60 * 24), [])
    found = rule.forecast([Question(view=panel.at(60 * 24, 56), offsets=np.arange(24))])
    truth = panel.value[found.target, found.series].astype(np.float64)
    assert (np.diff(found.quantiles, axis=1) >= 0.0).all()
    assert found.quantiles.min() >= 0.0
    assert found.quantiles.max() <= 12.0
    assert pinball(truth, found.quantiles).mean() < 0.4 * pinball(truth, np.full((len(truth), 7), truth.mean())).mean()


def test_no_question_no_answer() -> None:
    assert len(SeasonalRule(history_days=7, lower=0.0, per_capacity=1.0).forecast([])) == 0
