"""The command writes the forecasts of a period, and says what is wrong with what it was given."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from vpp.cli import app
from vpp.domain.errors import ConfigurationError, InputError

COLUMNS = ["series", "issued_at", "target_at", "truth", "mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]


@pytest.fixture
def loads(tmp_path: Path) -> Path:
    """A month of hourly load, in a file."""
    times = pd.date_range("2020-03-01", periods=31 * 24, freq="h")
    load = (
        100.0 + 30.0 * np.sin(times.hour / 24.0 * 2.0 * np.pi) + np.random.default_rng(1).normal(0.0, 2.0, len(times))
    )
    file = tmp_path / "load.csv"
    pd.DataFrame({"time": times, "load": load}).to_csv(file, index=False)
    return file


def arguments(data: Path, **changes: str) -> list[str]:
    given = {"task": "load", "data": str(data), "from": "2020-03-28", "to": "2020-03-31"} | changes
    given = {"out": str(data.parent / "out.parquet")} | given
    return ["backtest", *(part for name, value in given.items() for part in (f"--{name}", value)), "--json"]


def test_the_forecasts_of_a_period_are_written_beside_their_truth(loads: Path) -> None:
    done = CliRunner().invoke(app, arguments(loads))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    table = pd.read_parquet(told["out"])
    assert list(table.columns) == COLUMNS
    assert len(table) == told["rows"] == 3 * 24
    assert table["issued_at"].min() == pd.Timestamp("2020-03-28")
    assert table["target_at"].max() == pd.Timestamp("2020-03-30 23:00")
    assert not table.isna().any().any()
    assert told["mae"] < 5.0
    assert sorted(path.name for path in loads.parent.iterdir()) == ["load.csv", "out.parquet"]


def test_the_day_after_the_data_is_forecast_and_its_scores_are_null(loads: Path) -> None:
    done = CliRunner().invoke(app, arguments(loads, **{"from": "2020-04-01", "to": "2020-04-02"}))
    assert done.exit_code == 0, done.output
    body = done.stdout.splitlines()[-1]
    assert "NaN" not in body
    told = json.loads(body)
    assert (told["rows"], told["mae"], told["wmape"]) == (24, None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "tides"}, r"task: 'tides' is not accepted; give one of ev_energy_day_ahead, ev_occupancy, pv"),
        ({"task": "pv"}, r"columns missing: site, power_mw, cap_mw; found: time, load"),
        ({"to": "2020-03-28"}, "to: .* an instant after from"),
        ({"from": "2021-01-01", "to": "2021-01-02"}, "a period that touches the data, 2020-03-01T00:00:00 to"),
        ({"out": "x.csv"}, r"out: 'x.csv' is not accepted; give a file that ends with .parquet"),
    ],
)
def test_what_is_wrong_is_named(loads: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, arguments(loads, **changes), catch_exceptions=False)


def test_without_the_package_that_learns_it_is_named(loads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigurationError, match=r"need the package lightgbm .* pip install 'vpp\[forecasts\]'"):
        CliRunner().invoke(app, arguments(loads), catch_exceptions=False)
