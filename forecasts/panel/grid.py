"""Panels out of tables: rows of any order and with gaps onto one time grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from forecasts.panel.availability import known_after_idle
from forecasts.panel.panel import Panel, PanelError
from forecasts.panel.plausibility import Plausible, plausible
from numerics.arrays import FloatTable, IntArray

AVAILABLE_AT: Final = "available_at"
"""Column of instants from which a row is known, where a table has it; otherwise from the end of its step."""
_WHOLE: Final = "all"
"""Name of the only series of a table without a column that tells series apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of a table and what they mean.

    Attributes:
        time: Start of the step, local and without a zone.
        value: What is forecast.
        series: Columns that together name a series, none for a single one.
        zone: The one of them by which series are pooled, empty for all together.
        capacity: Column of the largest possible value, empty where there is none.
        live: Columns of quantities known at the end of their step, used where the table has them.
        averaged: Begin of the names of columns that are averaged into one live quantity, empty for none.
        session_hours: Longest session, where the value is told only when the sessions that made it have ended; 0
            where it is told at the end of its step.
        occupied: Live column of connector-hours, by which sessions are seen to have ended.
    """

    time: str
    value: str
    series: tuple[str, ...] = ()
    zone: str = ""
    capacity: str = ""
    live: tuple[str, ...] = ()
    averaged: str = ""
    session_hours: int = 0
    occupied: str = ""

    def needed(self) -> tuple[str, ...]:
        """Return the columns a table must have."""
        optional = (self.capacity, self.occupied)
        return tuple(dict.fromkeys((self.time, *self.series, self.value, *(name for name in optional if name))))


def panel_of(frame: pd.DataFrame, columns: Columns, *, step_s: int, bounds: Mapping[str, Plausible]) -> Panel:
    """Return the panel of a table.

    Args:
        frame: Rows in any order; of rows for the same series and time the last counts.
        columns: What its columns mean.
        step_s: Length of a step in seconds; times are taken to the start of theirs.
        bounds: What is plausible, by column; a column without bounds is taken as it is.

    Raises:
        PanelError: A column is missing or holds no times or numbers, or there is no row at all.
    """
    missing = [name for name in columns.needed() if name not in frame.columns]
    if missing:
        raise PanelError(f"columns missing: {', '.join(missing)}; found: {', '.join(map(str, frame.columns))}")
    rows = _Rows(frame, columns, step_s)
    capacity = rows.table(columns.capacity) if columns.capacity else rows.nothing()
    kept = {name: rows.table(name) for name in columns.live if name in frame.columns}
    kept[columns.value] = rows.table(columns.value)
    trusted = {
        name: plausible(table, capacity, bounds[name]) if name in bounds else table for name, table in kept.items()
    }
    if columns.averaged:
        names = [name for name in frame.columns if str(name).startswith(columns.averaged) and name[1:].isdigit()]
        if names:
            trusted["averaged"] = rows.table_of(frame[names].mean(axis=1))
    value = trusted.pop(columns.value)
    live_from = rows.known_from()
    return Panel(
        series=rows.series,
        zone=rows.zone,
        start_s=rows.start_s,
        step_s=step_s,
        recorded=kept[columns.value],
        value=value,
        known_from=np.maximum(live_from, _told_from(trusted, columns, step_s, value)),
        live=trusted,
        live_from=live_from,
        capacity=capacity,
        stand_in=columns.occupied,
        listed=~np.isnan(rows.table_of(pd.Series(0.0, index=frame.index))),
    )


def _told_from(live: Mapping[str, FloatTable], columns: Columns, step_s: int, value: FloatTable) -> IntArray:
    """Return the first step at which each value has been told, by the sessions that made it, shape ``(T, S)``."""
    if columns.session_hours:
        return known_after_idle(live[columns.occupied], columns.session_hours * 3600 // step_s)
    ends = np.arange(1, len(value) + 1, dtype=np.int64)[:, None]
    return np.broadcast_to(ends, value.shape)


class _Rows:
    """Places of a table's rows on the grid.

    Args:
        frame: Rows in any order.
        columns: What its columns mean.
        step_s: Length of a step in seconds.
    """

    def __init__(self, frame: pd.DataFrame, columns: Columns, step_s: int) -> None:
        if frame.empty:
            raise PanelError("no rows")
        at_s = seconds(frame, columns.time)
        names = _names(frame, columns.series)
        self.series: tuple[str, ...] = tuple(sorted(set(names)))
        codes = pd.Index(self.series).get_indexer(names)
        self._column = codes.astype(np.int64)
        self.start_s = int(at_s.min() // 86_400 * 86_400)
        self._row = (at_s - self.start_s) // step_s
        self._shape = (int(self._row.max()) + 1, len(self.series))
        self._frame = frame
        self._step_s = step_s
        first = np.zeros(len(self.series), dtype=np.int64)
        first[self._column[::-1]] = np.arange(len(frame))[::-1]
        zones = frame[columns.zone].astype(str).to_numpy()[first] if columns.zone else np.zeros(len(first))
        self.zone: IntArray = np.unique(zones, return_inverse=True)[1].astype(np.int64)

    def nothing(self) -> FloatTable:
        """Return a table of unknown values."""
        return np.full(self._shape, np.nan, dtype=np.float32)

    def table(self, name: str) -> FloatTable:
        """Return a column on the grid, NaN where it has no row, shape ``(T, S)``."""
        numbers = pd.to_numeric(self._frame[name], errors="coerce")
        if numbers.isna().all() and not self._frame[name].isna().all():
            raise PanelError(f"{name}: no numbers, for example {self._frame[name].iloc[0]!r}")
        return self.table_of(numbers)

    def table_of(self, numbers: "pd.Series[float]") -> FloatTable:
        """Return numbers of the table's rows on the grid, NaN where it has no row, shape ``(T, S)``."""
        found = self.nothing()
        found[self._row, self._column] = numbers.to_numpy(dtype=np.float32)
        return found

    def known_from(self) -> IntArray:
        """Return the first step at which each row is known, by its own column where it has one, shape ``(T, S)``."""
        ends = np.arange(1, self._shape[0] + 1, dtype=np.int64)[:, None]
        found = np.broadcast_to(ends, self._shape).copy()
        if AVAILABLE_AT in self._frame.columns:
            told_s = seconds(self._frame, AVAILABLE_AT)
            told = -(-(told_s - self.start_s) // self._step_s)
            found[self._row, self._column] = np.maximum(told, self._row + 1)
        return found


def seconds(frame: pd.DataFrame, name: str) -> IntArray:
    """Return a column of times as epoch seconds, local and without a zone, shape ``(n,)``.

    Raises:
        PanelError: A time is missing or cannot be read.
    """
    column = frame[name]
    try:
        times = pd.to_datetime(column, format=None if pd.api.types.is_datetime64_any_dtype(column) else "ISO8601")
    except (ValueError, TypeError) as error:
        raise PanelError(f"{name}: expected times such as 2019-07-01 00:00:00, got {column.iloc[0]!r}") from error
    if times.isna().any():
        raise PanelError(f"{name}: a time is missing in row {int(np.argmax(times.isna()))}")
    return wall_clock_s(times)


def wall_clock_s(times: "pd.Series[pd.Timestamp]") -> IntArray:
    """Return times as epoch seconds, local and without a zone, shape ``(n,)``."""
    local = times if times.dt.tz is None else times.dt.tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[s]").astype(np.int64))


def _names(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    """Return the name of every row's series."""
    if not columns:
        return [_WHOLE] * len(frame)
    named = frame[columns[0]].astype(str)
    for column in columns[1:]:
        named = named + "/" + frame[column].astype(str)
    return [str(name) for name in named]
