"""Skill of forecasts of plugged-in cars, and of which rows."""

from itertools import product

import numpy as np
import pandas as pd

from vpp.lab.backtest.session_judgement import held_out_hours, session_figures
from vpp.lab.backtest.sessions import connectors_of


def test_knowing_everything_is_a_skill_of_one_and_knowing_the_hour_of_nothing() -> None:
    issued = pd.date_range("2020-01-01", periods=48, freq="h")
    series, ahead = "x/s/p", pd.to_timedelta([1, 2], unit="h")
    rows = [
        {"series": series, "issued_at": at, "target_at": at + hours, "truth": float(at.hour % 2 == (at.day == 2))}
        for at, hours in product(issued, ahead)
    ]
    table = pd.DataFrame(rows)
    perfect = session_figures(table.assign(mean=table["truth"]), {"x": 0})
    assert [figure.value for figure in perfect[:2]] == [1.0, 1.0]
    usual = session_figures(table.assign(mean=0.5), {"x": 0})
    np.testing.assert_allclose([figure.value for figure in usual[:2]], 0.0, atol=1e-9)
    assert perfect[0].name == "x_brier_skill_1h"


def test_each_city_is_judged_from_its_own_split() -> None:
    days = pd.date_range("2020-03-01", periods=100, freq="D")
    table = pd.DataFrame({"city": "x", "site": "s", "port": "p", "start": days, "end": days + pd.Timedelta(hours=3)})
    period, begins = held_out_hours(connectors_of(table))
    assert begins == {"x": int(pd.Timestamp("2020-03-01").timestamp()) + 54 * 86_400}
    assert period.start_s == begins["x"]
