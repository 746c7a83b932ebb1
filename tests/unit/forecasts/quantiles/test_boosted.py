"""The challenger learns what the rule cannot see, and never forecasts the impossible."""

from dataclasses import replace

import numpy as np

from forecasts.panel.panel import Panel
from forecasts.quantiles.boosted import BoostedOptions, BoostedTrees
from forecasts.quantiles.forecaster import Question
from forecasts.quantiles.levels import Forecasts, pinball
from forecasts.quantiles.seasonal_rule import SeasonalRule
from tests.unit.forecasts.quantiles.parts import daily_panel

NOW = 60 * 24
OFFSETS = np.arange(24)
OPTIONS = BoostedOptions(history_days=28, rounds=40, leaves=7, rate=0.15)


def wandering() -> Panel:
    """Return a panel whose days are larger and smaller by a common factor that yesterday tells."""
    panel = daily_panel(series=6)
    rng = np.random.default_rng(7)
    wander = np.zeros(70)
    for day in range(1, 70):
        wander[day] = 0.9 * wander[day - 1] + rng.normal(0.0, 0.3)
    factor = np.exp(np.repeat(wander, 24))[:, None]
    return replace(panel, value=(panel.value * factor).astype(np.float32))


def taught(panel: Panel) -> BoostedTrees:
    trees = BoostedTrees(OPTIONS)
    trees.fit(panel.until(NOW), [(issue, OFFSETS) for issue in range(10 * 24, NOW, 24)])
    return trees


def answer(forecaster: BoostedTrees | SeasonalRule, panel: Panel) -> Forecasts:
    return forecaster.forecast(
        [Question(view=panel.at(issue, 28), offsets=OFFSETS) for issue in range(NOW, 69 * 24, 24)]
    )


def test_it_beats_the_rule_where_yesterday_tells_of_today() -> None:
    panel = wandering()
    rule = answer(SeasonalRule(history_days=28, lower=0.0, per_capacity=1.0), panel)
    trees = answer(taught(panel), panel)
    truth = panel.value[rule.target, rule.series].astype(np.float64)
    assert pinball(truth, trees.quantiles).mean() < 0.97 * pinball(truth, rule.quantiles).mean()


def test_the_same_panel_gives_the_same_forecasts_bit_for_bit() -> None:
    first, again = (answer(taught(wandering()), wandering()) for _ in range(2))
    assert first.quantiles.tobytes() == again.quantiles.tobytes()
    assert first.mean.tobytes() == again.mean.tobytes()


def test_before_it_has_seen_enough_it_answers_with_the_seasonal_quantiles() -> None:
    panel = daily_panel()
    trees = BoostedTrees(OPTIONS)
    trees.fit(panel.until(24), [(0, OFFSETS)])
    rule = answer(SeasonalRule(history_days=28, lower=0.0, per_capacity=1.0), panel)
    np.testing.assert_array_equal(answer(trees, panel).quantiles, rule.quantiles)


def test_holes_and_a_new_series_give_proper_forecasts() -> None:
    panel = wandering()
    rng = np.random.default_rng(5)
    value = np.where(rng.random(panel.value.shape) < 0.3, np.float32(np.nan), panel.value)
    value[:, 5] = np.nan
    found = answer(taught(panel), replace(panel, value=value))
    assert not np.isnan(found.quantiles).any()
    assert not np.isnan(found.mean).any()
    assert (np.diff(found.quantiles, axis=1) >= 0.0).all()
    assert found.quantiles.min() >= 0.0
    assert found.quantiles.max() <= 12.0


def test_days_before_any_size_is_known_teach_nothing() -> None:
    panel = wandering()
    told = panel.known_from.copy()
    told[: 15 * 24] = 15 * 24
    found = answer(
        taught(replace(panel, known_from=told)), replace(panel, capacity=np.full_like(panel.capacity, np.nan))
    )
    assert found.mean.max() < 3.0 * panel.value.max()


def test_the_mean_keeps_what_the_last_value_is_above_the_usual_where_it_learns_the_change() -> None:
    panel = daily_panel(series=4)
    steps = np.zeros(panel.value.shape, dtype=np.float32)
    steps[NOW - 12 :] = 6.0
    raised = replace(panel, value=panel.value + steps, capacity=panel.capacity * 4.0)
    question = Question(view=raised.at(NOW, 28), offsets=np.array([0]))
    means = []
    for mean_anchor in ("zero", "shifted"):
        trees = BoostedTrees(replace(OPTIONS, mean_anchor=mean_anchor))
        trees.fit(panel.until(NOW), [(issue, np.array([0])) for issue in range(10 * 24, NOW, 6)])
        means.append(trees.forecast([question]).mean)
    assert (means[1] > 5.0).all()
    assert (means[0] < means[1]).all()
