"""Who is plugged in, hour by hour, from sessions that had begun by then."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from forecasts.panel.panel import PanelError
from vpp.lab.backtest.run import Period
from vpp.lab.backtest.sessions import backtest_sessions, connectors_of

DAYS = 40
PERIOD = Period.of(datetime(2020, 3, 28), datetime(2020, 4, 8))  # noqa: DTZ001 - local and without a zone


def sessions(seed: int = 1) -> pd.DataFrame:
    """Return cars that come at about eight and stay for about nine hours on workdays, at four connectors."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in pd.date_range("2020-03-02", periods=DAYS, freq="D"):
        for port in range(4):
            if day.weekday() < 5 and rng.random() < 0.8:
                start = day + pd.Timedelta(hours=8.0 + rng.normal(0.0, 0.7))
                rows.append((f"p{port}", start, start + pd.Timedelta(hours=9.0 + rng.normal(0.0, 1.0))))
    table = pd.DataFrame(rows, columns=["port", "start", "end"])
    return table.assign(city="x", site="s", estimated_departure=None)


def test_the_chance_is_better_than_that_of_the_hour() -> None:
    table = backtest_sessions(connectors_of(sessions()), PERIOD, lambda _count: None).dropna()
    near = table[table["target_at"] - table["issued_at"] == pd.Timedelta(hours=1)]
    usual = near.groupby(near["target_at"].dt.hour)["truth"].transform("mean")
    brier, climate = (((near["truth"] - said) ** 2).mean() for said in (near["mean"], usual))
    assert brier < 0.4 * climate
    assert table["mean"].between(0.0, 1.0).all()
    assert set(table["truth"]) == {0.0, 1.0}


def test_a_file_cut_at_an_instant_gives_the_same_earlier_forecasts() -> None:
    rows = sessions()
    cut = pd.Timestamp("2020-04-02 11:00")
    said = []
    for part in (rows, rows[rows["start"] < cut]):
        table = backtest_sessions(connectors_of(part), PERIOD, lambda _count: None)
        kept = table[table["issued_at"] <= cut].reset_index(drop=True)
        said.append(kept.drop(columns="truth"))
    assert len(said[0]) > 0
    pd.testing.assert_frame_equal(*said)


def test_missing_columns_are_named() -> None:
    with pytest.raises(PanelError, match="columns missing: site, port"):
        connectors_of(sessions().drop(columns=["site", "port"]))
