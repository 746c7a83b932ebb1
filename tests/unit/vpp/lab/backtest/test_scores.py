"""Scores of forecasts beside their truth."""

import numpy as np
import pandas as pd

from forecasts.quantiles.levels import LEVELS
from vpp.lab.backtest.scores import at_horizon, many_levels_pinball, overall, through_seven

NAMES = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")


def table() -> pd.DataFrame:
    issued = pd.to_datetime(["2020-01-01", "2020-01-01", "2020-01-01"])
    rows = {
        "issued_at": issued,
        "target_at": issued + pd.to_timedelta([0, 1, 1], unit="h"),
        "truth": [1.0, 3.0, np.nan],
    }
    return pd.DataFrame(rows | {"mean": [2.0, 3.0, 0.0]} | {name: [2.0, 2.0, 2.0] for name in NAMES})


def test_rows_without_a_truth_do_not_count() -> None:
    found = overall(table())
    assert found == {"mae": 1.0, "rmse": np.sqrt(0.5), "pinball": 0.5, "wmape": 0.5}


def test_nothing_judged_is_nan() -> None:
    assert all(np.isnan(value) for value in overall(table().iloc[2:]).values())


def test_rows_are_picked_by_the_hours_ahead() -> None:
    assert len(at_horizon(table(), 1)) == 2


def test_one_value_at_99_levels_costs_half_its_absolute_error() -> None:
    np.testing.assert_allclose(many_levels_pinball(table().iloc[:2]), 0.5)


def test_a_normal_law_is_drawn_through_its_seven_quantiles() -> None:
    known = through_seven(
        np.array([[-1.6449, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.6449]]), np.array([0.01, 0.5, 0.9])
    )
    np.testing.assert_allclose(known, [[-2.3263, 0.0, 1.2816]], atol=1e-3)
    assert len(LEVELS) == 7
