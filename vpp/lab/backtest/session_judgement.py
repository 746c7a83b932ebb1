"""Figures by which forecasts of plugged-in cars are judged, beside the bars set for the development data."""

from typing import Final

import numpy as np
import pandas as pd

from vpp.lab.backtest.judgement import TRAINED_RATIO, Figure
from vpp.lab.backtest.run import Period
from vpp.lab.backtest.scores import at_horizon
from vpp.lab.backtest.sessions import Connectors

_DAY_H: Final = 24
_BARS: Final = {
    ("dundee", 1): 0.74,
    ("dundee", 2): 0.63,
    ("dundee", 4): 0.51,
    ("caltech", 1): 0.69,
    ("caltech", 2): 0.53,
    ("caltech", 4): 0.36,
}


def held_out_hours(made: Connectors) -> tuple[Period, dict[str, int]]:
    """Return the period to forecast, and for every city the first second that is judged."""
    begins: dict[str, int] = {}
    for code in np.unique(made.zone):
        members = np.flatnonzero(made.zone == code)
        first = int(np.argmax(made.timeline.seen[:, members].any(axis=1)))
        last = int(made.recorded[:, members[0]].sum())
        split = int(first + TRAINED_RATIO * (last - first)) // _DAY_H * _DAY_H
        begins[made.names[members[0]].partition("/")[0]] = made.start_s + split * 3600
    return Period(start_s=min(begins.values()), end_s=made.start_s + made.instants * 3600), begins


def session_figures(table: pd.DataFrame, begins: dict[str, int]) -> list[Figure]:
    """Return the Brier skill against the share of each hour of the day, by city and hours ahead; larger is better.

    The shares are those of the judged rows themselves, which is the harder comparison.

    Args:
        table: Forecasts beside their truth.
        begins: First second that is judged, by city.
    """
    judged = table[table["truth"].notna()]
    city = judged["series"].str.partition("/")[0]
    issued = judged["issued_at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    judged = judged.assign(city=city)[issued >= city.map(begins).to_numpy()]
    found = []
    for name, rows in judged.groupby("city"):
        for hours in (1, 2, 4):
            figure = _skill(at_horizon(rows, hours))
            found.append(Figure(f"{name}_brier_skill_{hours}h", figure, _BARS.get((str(name), hours), float("nan"))))
    return found


def _skill(rows: pd.DataFrame) -> float:
    """Return 1 - Brier score over that of the hour's share; Brier (1950)."""
    usual = rows.groupby(rows["target_at"].dt.hour)["truth"].transform("mean")
    score, climate = (float(((rows["truth"] - said) ** 2).mean()) for said in (rows["mean"], usual))
    return 1.0 - score / climate if climate > 0.0 else float("nan")
