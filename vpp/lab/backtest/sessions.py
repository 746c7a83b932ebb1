"""The task ``session``: who is plugged in one, two and four hours ahead, hour by hour, connector by connector."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from forecasts.panel.grid import seconds, wall_clock_s
from forecasts.panel.panel import PanelError
from forecasts.quantiles.levels import LEVELS
from forecasts.sessions.plugged_state import PluggedState, states_of
from forecasts.sessions.timeline import Sessions, Timeline
from numerics.arrays import BoolArray, FloatArray, IntArray
from vpp.domain.errors import InputError
from vpp.lab.backtest.data import read_table
from vpp.lab.backtest.run import QUANTILE_COLUMNS, Period

NAME: Final = "session"
FILE: Final = "ev_sessions.csv.gz"
HORIZONS_H: Final = (1, 2, 4)
_NEEDED: Final = ("city", "site", "port", "start", "end")
_STATED: Final = "estimated_departure"
_HOUR_S, _DAY_H, _DAY_S = 3600, 24, 86_400
_GONE_H: Final = 60 * 24
"""A connector without a car for so long is taken to be gone."""
_WEEKDAY_OF_EPOCH, _SATURDAY = 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectors:
    """Connectors of a table of sessions on hourly instants.

    Attributes:
        names: City, site and connector, shape ``(C,)``.
        zone: City of each, shape ``(C,)``.
        site: Site of each, shape ``(C,)``.
        start_s: The first instant, a midnight, local and without a zone.
        timeline: States, shape ``(T, C)``.
        recorded: Instants before the last session of the city has ended, shape ``(T, C)``.
    """

    names: tuple[str, ...]
    zone: IntArray
    site: IntArray
    start_s: int
    timeline: Timeline
    recorded: BoolArray

    @property
    def instants(self) -> int:
        """Number of instants."""
        return len(self.recorded)

    def hour(self, instants: IntArray) -> IntArray:
        """Return the hour of the day."""
        return np.asarray((self.start_s // _HOUR_S + instants) % _DAY_H)

    def weekend(self, instants: IntArray) -> IntArray:
        """Return 1 on Saturdays and Sundays."""
        day = (self.start_s + instants * _HOUR_S) // _DAY_S
        return ((day + _WEEKDAY_OF_EPOCH) % 7 >= _SATURDAY).astype(np.int64)


def load_connectors(data: Path) -> Connectors:
    """Return the connectors of a data set.

    Raises:
        InputError: The file cannot be read or does not hold sessions.
    """
    frame = read_table(data, FILE)
    try:
        return connectors_of(frame)
    except PanelError as error:
        raise InputError("data", str(data), f"a table for the task {NAME}: {error}") from error


def connectors_of(frame: pd.DataFrame) -> Connectors:
    """Return the connectors of a table of sessions.

    Raises:
        PanelError: A column is missing or holds no times.
    """
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise PanelError(f"columns missing: {', '.join(missing)}; found: {', '.join(map(str, frame.columns))}")
    frame = frame[frame["port"].notna()]
    if frame.empty:
        raise PanelError("no rows with a port")
    site = frame["city"].astype(str) + "/" + frame["site"].astype(str)
    name = site + "/" + frame["port"].astype(str)
    names, port = np.unique(name.to_numpy(dtype=object).astype(str), return_inverse=True)
    first = np.unique(port, return_index=True)[1]
    start_s, end_s = (seconds(frame, column).astype(np.float64) for column in ("start", "end"))
    begin_s = int(start_s.min()) // _DAY_S * _DAY_S
    zone = np.unique(frame["city"].astype(str).to_numpy()[first], return_inverse=True)[1].astype(np.int64)
    last_s = np.zeros(int(zone.max()) + 1)
    np.maximum.at(last_s, zone[port], end_s)
    instants_s = np.arange(begin_s, end_s.max() + _DAY_S, _HOUR_S, dtype=np.float64)
    sessions = Sessions(port=port, start_s=start_s, end_s=end_s, stated_s=_stated(frame))
    return Connectors(
        names=tuple(str(name) for name in names),
        zone=zone,
        site=np.unique(site.to_numpy(dtype=object).astype(str)[first], return_inverse=True)[1].astype(np.int64),
        start_s=begin_s,
        timeline=Timeline.of(sessions, len(names), instants_s),
        recorded=instants_s[:, None] <= last_s[zone][None, :],
    )


def _stated(frame: pd.DataFrame) -> FloatArray:
    """Return the stated departures in epoch seconds, NaN where there are none."""
    if _STATED not in frame.columns:
        return np.full(len(frame), np.nan)
    times = pd.to_datetime(frame[_STATED], errors="coerce", format="ISO8601")
    return np.where(times.isna(), np.nan, wall_clock_s(times).astype(np.float64))


def backtest_sessions(made: Connectors, period: Period, told: Callable[[int], None]) -> pd.DataFrame:
    """Return the chance that a connector is plugged in, for every hour of a period and every horizon.

    Args:
        made: The connectors.
        period: Instants of issue.
        told: Called with the number of issues answered since the last call.

    Returns:
        Columns series, issued_at, target_at, truth, mean, q05 to q95. ``mean`` is the chance, ``truth`` 1 or 0, NaN
        after the end of the record; the quantiles are those of the two values.
    """
    first, last = hours_of(made, period)
    tables = {horizon: PluggedState(made.zone, made.site) for horizon in HORIZONS_H}
    states = {horizon: states_of(made.timeline, horizon) for horizon in HORIZONS_H}
    parts: list[pd.DataFrame] = []
    for now in range(first % _DAY_H, last, _DAY_H):
        for horizon, table in tables.items():
            table.age(1.0)
            _learn(made, table, states[horizon], horizon, now)
        if now >= first:
            hours = np.arange(now, min(now + _DAY_H, last))
            parts += [_answered(made, tables[horizon], states[horizon], horizon, hours) for horizon in HORIZONS_H]
            told(len(hours))
    return pd.concat(parts, ignore_index=True) if parts else _frame(made, *(np.empty(0, np.int64),) * 3, np.empty(0))


def hours_of(made: Connectors, period: Period) -> tuple[int, int]:
    """Return the first hour of a period and the one after its last."""
    first, last = period.steps(made.start_s, _HOUR_S, made.instants)
    return first, min(last, made.instants)


def _learn(made: Connectors, table: PluggedState, states: IntArray, horizon: int, now: int) -> None:
    """Count what followed the states of a day; the last is followed by what is the case now."""
    issued = np.arange(max(now - horizon - _DAY_H + 1, 0), max(now - horizon + 1, 0))
    hour, port = np.nonzero(made.timeline.seen[issued])
    instant = issued[hour]
    plugged = made.timeline.plugged[instant + horizon, port].astype(np.float64)
    table.learn(states[instant, port], made.hour(instant), made.weekend(instant), port, plugged)


def _answered(made: Connectors, table: PluggedState, states: IntArray, horizon: int, hours: IntArray) -> pd.DataFrame:
    """Return the forecasts of some hours for one horizon."""
    there = made.timeline.seen[hours] & ((made.timeline.since_h[hours] < _GONE_H) | made.timeline.plugged[hours])
    hour, port = np.nonzero(there)
    instant = hours[hour]
    chance = table.chance(states[instant, port], made.hour(instant), made.weekend(instant), port)
    return _frame(made, instant, instant + horizon, port, chance)


def _frame(made: Connectors, issued: IntArray, target: IntArray, port: IntArray, chance: FloatArray) -> pd.DataFrame:
    """Return forecasts beside their truth."""
    truth = np.full(len(issued), np.nan)
    inside = np.flatnonzero(target < made.instants)
    inside = inside[made.recorded[target[inside], port[inside]]]
    truth[inside] = made.timeline.plugged[target[inside], port[inside]]
    columns = {
        "series": np.asarray(made.names, dtype=object)[port],
        "issued_at": (made.start_s + issued * _HOUR_S).astype("datetime64[s]"),
        "target_at": (made.start_s + target * _HOUR_S).astype("datetime64[s]"),
        "truth": truth,
        "mean": chance,
    }
    quantiles = {
        name: (chance > 1.0 - level).astype(np.float64) for name, level in zip(QUANTILE_COLUMNS, LEVELS, strict=True)
    }
    return pd.DataFrame(columns | quantiles)
