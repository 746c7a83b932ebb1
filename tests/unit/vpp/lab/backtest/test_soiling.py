"""Soiled tables keep what they do not soil."""

import numpy as np
import pandas as pd

from forecasts.panel.grid import Columns
from vpp.lab.backtest.soiling import MISSING_RATIO, soiled

COLUMNS = Columns(time="time", value="load", live=("temp",))


def clean() -> pd.DataFrame:
    times = pd.date_range("2020-01-01", periods=20_000, freq="h")
    rng = np.random.default_rng(1)
    return pd.DataFrame({"time": times, "load": rng.uniform(1.0, 2.0, len(times)), "temp": rng.normal(size=len(times))})


def test_a_fifth_is_missing_and_some_are_stuck_sentinels_or_late() -> None:
    table = clean()
    dirty = soiled(table, COLUMNS, 1)
    assert abs(len(dirty) / len(table) - (1.0 - MISSING_RATIO)) < 0.02
    both = dirty.merge(table, on="time", suffixes=("", "_clean"))
    changed = both["load"] != both["load_clean"]
    assert 0.01 < changed.mean() < 0.05
    assert set(dirty.loc[(dirty["load"] > 2.0) | (dirty["load"] < 1.0), "load"]) == {-99.0, 6553.5, 65535.0}
    late = dirty["available_at"] - dirty["time"]
    assert 0.07 < (late > pd.Timedelta(0)).mean() < 0.13
    assert late.max() <= pd.Timedelta(hours=6)


def test_the_same_seed_soils_the_same() -> None:
    pd.testing.assert_frame_equal(soiled(clean(), COLUMNS, 3), soiled(clean(), COLUMNS, 3))
