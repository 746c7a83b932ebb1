"""Who is plugged in, hour by hour, from sessions that had begun by then."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from forecasts.panel.panel import PanelError
from vpp.domain.errors import InputError
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
    with pytest.raises(PanelError, match="columns missing: site, port; found: start"):
        connectors_of(sessions().drop(columns=["site", "port"]))


def test_sessions_without_a_port_are_no_sessions() -> None:
    with pytest.raises(PanelError, match="no rows with a port"):
        connectors_of(sessions().assign(port=None))


def test_a_period_beyond_the_data_is_refused_with_that_of_the_data() -> None:
    later = Period.of(datetime(2021, 1, 1), datetime(2021, 1, 2))  # noqa: DTZ001 - local and without a zone
    with pytest.raises(InputError, match=r"2021-01-01T00:00:00 to .* a period that touches the data, 2020-03-02T"):
        backtest_sessions(connectors_of(sessions()), later, lambda _count: None)


def test_times_with_a_zone_are_read_off_the_wall_clock_the_stated_ones_as_well() -> None:
    plain = sessions().assign(estimated_departure=lambda table: table["end"])
    zoned = plain.copy()
    for name in ("start", "end", "estimated_departure"):
        zoned[name] = zoned[name].dt.tz_localize("America/Los_Angeles")
    stated_h = [connectors_of(table).timeline.stated_h for table in (plain, zoned)]
    assert np.isfinite(stated_h[0]).any()
    np.testing.assert_array_equal(*stated_h)
