"""Quantiles that held too seldom are widened, and those that held are left alone."""

import numpy as np
from scipy.stats import norm

from forecasts.quantiles.levels import LEVELS, Forecasts
from forecasts.quantiles.selection import BANDS
from forecasts.quantiles.spread import Spread
from tests.unit.forecasts.quantiles.parts import daily_panel

DAYS = range(20 * 24, 50 * 24)


def said(sigma: float, *, upper: float = np.nan) -> Forecasts:
    """Return forecasts for days 20 to 49 around the truth, which lies a unit of spread off them."""
    truth = daily_panel(series=1).value[DAYS.start : DAYS.stop, 0].astype(np.float64)
    middle = truth + np.random.default_rng(2).normal(0.0, 1.0, len(truth))
    steps = np.arange(DAYS.start, DAYS.stop)
    return Forecasts(
        series=np.zeros(len(steps), dtype=np.int64),
        issue=steps,
        target=steps,
        mean=middle,
        quantiles=middle[:, None] + sigma * norm.ppf(LEVELS)[None, :],
        upper=np.full(len(steps), upper),
    )


def factors(sigma: float, now: int) -> np.ndarray:
    spread = Spread(step_s=3600)
    spread.remember(said(sigma))
    return spread.factors(daily_panel(series=1).until(now))


def test_too_narrow_is_widened_and_right_is_left_alone() -> None:
    assert factors(0.6, DAYS.stop)[0, 0] in (1.5, 1.75)
    assert factors(1.0, DAYS.stop)[0, 0] == 1.0


def test_truths_that_are_not_yet_known_do_not_count() -> None:
    assert (factors(0.6, DAYS.start) == 1.0).all()


def test_wider_quantiles_keep_the_median_and_their_bounds() -> None:
    narrow = said(0.5, upper=1.0)
    wide = Spread(step_s=3600).applied(narrow, np.full((1, BANDS), 2.0), 0.0)
    np.testing.assert_allclose(wide.quantiles[:, 3], np.clip(narrow.quantiles[:, 3], 0.0, 1.0))
    assert wide.quantiles.min() == 0.0
    assert wide.quantiles.max() == 1.0
    assert (np.diff(wide.quantiles, axis=1) >= 0.0).all()
