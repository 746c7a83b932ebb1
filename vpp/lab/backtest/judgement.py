"""Figures by which each task is judged, beside the bars set for the development data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from forecasts.panel.panel import Panel
from numerics.arrays import IntArray
from vpp.lab.backtest.data import read_table
from vpp.lab.backtest.run import Period
from vpp.lab.backtest.scores import at_horizon, many_levels_pinball, overall

TRAINED_RATIO: Final = 0.55
"""Share of each zone's record that is never judged."""
_OFFICIAL_FILE: Final = "gefcom14_load_official_benchmark.csv.gz"
_OFFICIAL: Final = "official_benchmark_load_prev_year"
_WEEK_H: Final = 168


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and its bar; smaller is better.

    Attributes:
        name: What it is.
        value: As measured; NaN where nothing could be judged.
        bar: What it should not exceed; NaN where none is set.
    """

    name: str
    value: float
    bar: float


def held_out(panel: Panel, judged_days: int) -> tuple[Period, IntArray]:
    """Return the period to forecast, and for every series the first step that is judged, shape ``(S,)``.

    Args:
        panel: Data of a task.
        judged_days: Last days of each zone that are judged; 0 for what follows ``TRAINED_RATIO`` of its record.
    """
    first = np.zeros(len(panel.series), dtype=np.int64)
    day = panel.steps_per_day
    for zone in np.unique(panel.zone):
        members = panel.zone == zone
        rows = np.flatnonzero(panel.listed[:, members].any(axis=1))
        begin, end = int(rows[0]), int(rows[-1]) + 1
        split = end - judged_days * day if judged_days else begin + TRAINED_RATIO * (end - begin)
        first[members] = int(split) // day * day
    start_s = panel.start_s + int(first.min()) * panel.step_s
    return Period(start_s=start_s, end_s=panel.start_s + len(panel.value) * panel.step_s), first


def judged_rows(table: pd.DataFrame, panel: Panel, first: IntArray) -> pd.DataFrame:
    """Return the rows of a backtest that are judged: with a truth, and not before their series' first step."""
    place = pd.Series(first * panel.step_s + panel.start_s, index=list(panel.series))
    begins = table["series"].map(place).to_numpy()
    target = table["target_at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return table[table["truth"].notna().to_numpy() & (target >= begins)]


def _energy(table: pd.DataFrame, _panel: Panel, _folder: Path) -> list[Figure]:
    found = overall(table)
    bars = {"mae": 1.10, "rmse": 3.21, "pinball": 0.342}
    return [Figure(f"{name}_kwh", found[name], bar) for name, bar in bars.items()]


def _occupancy(table: pd.DataFrame, _panel: Panel, _folder: Path) -> list[Figure]:
    hour = table["issued_at"].dt.hour
    found = overall(table[hour == 0])
    bars = {"mae": 0.234, "rmse": 0.547, "pinball": 0.0702}
    figures = [Figure(f"day_ahead_{name}", found[name], bar) for name, bar in bars.items()]
    # The first hour ahead is the one that begins with the issue.
    return figures + [
        Figure(f"rmse_{hours}h", overall(at_horizon(table, hours - 1))["rmse"], bar)
        for hours, bar in {1: 0.329, 3: 0.500, 6: 0.603, 12: 0.656}.items()
    ]


def _pv(table: pd.DataFrame, panel: Panel, _folder: Path) -> list[Figure]:
    capacity = pd.Series(np.nanmax(panel.capacity, axis=0), index=list(panel.series))
    relative = table["series"].map(capacity)
    scaled = table.assign(truth=table["truth"] / relative, mean=table["mean"] / relative)
    return [
        Figure(f"nrmse_{name}", _rmse(at_horizon(scaled, hours - 0.25)), bar)
        for name, hours, bar in (("15min", 0.25, 0.0522), ("1h", 1.0, 0.0836), ("4h", 4.0, 0.133))
    ]


def _busy(table: pd.DataFrame, _panel: Panel, _folder: Path) -> list[Figure]:
    return [
        Figure(f"wmape_{minutes}min", overall(at_horizon(table, (minutes - 5) / 60.0))["wmape"], bar)
        for minutes, bar in {15: 0.0125, 30: float("nan"), 60: 0.0188, 240: 0.0223}.items()
    ]


def _load(table: pd.DataFrame, _panel: Panel, folder: Path) -> list[Figure]:
    official = read_table(folder, _OFFICIAL_FILE)
    known = pd.Series(official[_OFFICIAL].to_numpy(), index=pd.to_datetime(official["time"]))
    off = table["truth"].to_numpy() - known.reindex(table["target_at"]).to_numpy(dtype=np.float64)
    # The pinball of one value at all levels, in the mean over symmetric levels, is half its absolute error.
    benchmark = 0.5 * float(np.nanmean(np.abs(off)))
    return [
        Figure("pinball_of_99_to_official", many_levels_pinball(table) / benchmark, 0.62),
        Figure("pinball_of_99", many_levels_pinball(table), float("nan")),
    ]


def _price(table: pd.DataFrame, panel: Panel, _folder: Path) -> list[Figure]:
    target = (table["target_at"].to_numpy().astype("datetime64[s]").astype(np.int64) - panel.start_s) // panel.step_s
    week_ago = panel.value[target - _WEEK_H * 3600 // panel.step_s, 0].astype(np.float64)
    rule = float(np.nanmean(np.abs(table["truth"].to_numpy() - week_ago)))
    mae = overall(table)["mae"]
    return [Figure("mae_to_last_week", mae / rule, 0.60), Figure("mae_eur_mwh", mae, float("nan"))]


def _rmse(table: pd.DataFrame) -> float:
    return overall(table)["rmse"]


def dirty_figure(table: pd.DataFrame, dirty: pd.DataFrame, panel: Panel, first: IntArray) -> Figure:
    """Return the median's absolute error from soiled data over that from clean data, both against the clean truth.

    Args:
        table: Forecasts from clean data.
        dirty: Forecasts from soiled data for the same questions.
        panel: The clean panel.
        first: First step that is judged, by series.
    """
    keys = ["series", "issued_at", "target_at"]
    both = judged_rows(table, panel, first).merge(dirty[[*keys, "q50"]], on=keys, suffixes=("", "_dirty"))
    clean, soiled = ((both["truth"] - both[name]).abs().mean() for name in ("q50", "q50_dirty"))
    return Figure("dirty_to_clean_mae", float(soiled / clean), 1.15)


Judge = Callable[[pd.DataFrame, Panel, Path], list[Figure]]
JUDGES: Final[Mapping[str, Judge]] = {
    "ev_energy_day_ahead": _energy,
    "ev_occupancy": _occupancy,
    "pv": _pv,
    "city_busy": _busy,
    "load": _load,
    "price": _price,
}
"""Figures of every task: of the judged rows, the panel, and the folder of the data."""
JUDGED_DAYS: Final[Mapping[str, int]] = {"load": 30}
"""Tasks of which the last days are judged; of the others, what follows the trained share."""
