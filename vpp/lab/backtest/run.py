"""A task over a period of a data set, and its forecasts as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from forecasts.panel.grid import panel_of
from forecasts.panel.panel import Panel, PanelError
from forecasts.quantiles.levels import LEVELS, Forecasts
from vpp.domain.errors import ConfigurationError, InputError
from vpp.lab.backtest.data import read_table
from vpp.lab.backtest.rolling import rolled
from vpp.lab.backtest.soiling import soiled
from vpp.lab.backtest.tasks import PanelTask

QUANTILE_COLUMNS = tuple(f"q{round(level * 100):02d}" for level in LEVELS)
"""q05 to q95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Instants of issue from ``start_s`` to before ``end_s``, epoch seconds, local and without a zone."""

    start_s: int
    end_s: int

    @classmethod
    def of(cls, start: datetime, end: datetime) -> "Period":
        """Return the period between two instants.

        Raises:
            InputError: It is empty.
        """
        if end <= start:
            raise InputError("to", f"{end}", f"an instant after from, {start}")
        return cls(start_s=_seconds(start), end_s=_seconds(end))

    def steps(self, start_s: int, step_s: int, count: int, *, beyond: int = 0) -> tuple[int, int]:
        """Return its first step on a grid and the one after its last.

        Args:
            start_s: Epoch seconds at which the grid's first step starts.
            step_s: Length of a step.
            count: Steps of the grid.
            beyond: Steps after the grid's end at which may still be issued.

        Raises:
            InputError: It does not touch the grid.
        """
        first, last = (-(-(at_s - start_s) // step_s) for at_s in (self.start_s, self.end_s))
        if first >= count + beyond or last <= 0:
            begin, end = (np.datetime64(start_s + step * step_s, "s") for step in (0, count))
            asked = f"{np.datetime64(self.start_s, 's')} to {np.datetime64(self.end_s, 's')}"
            raise InputError("from, to", asked, f"a period that touches the data, {begin} to {end}")
        return max(first, 0), last


def load_panel(task: PanelTask, data: Path, *, soiled_by: int | None = None) -> Panel:
    """Return the panel of a task's data.

    Args:
        task: What is forecast.
        data: File of the data set, or its folder.
        soiled_by: Seed by which the data are soiled first, ``None`` for as they are.

    Raises:
        InputError: The file cannot be read or does not hold what the task needs.
    """
    try:
        table = read_table(data, task.file)
        if soiled_by is not None:
            table = soiled(table, task.columns, soiled_by)
        return panel_of(table, task.columns, step_s=task.step_s, bounds=task.bounds)
    except PanelError as error:
        raise InputError("data", str(data), f"a table for the task {task.name}: {error}") from error


def backtest(task: PanelTask, panel: Panel, period: Period, told: Callable[[int], None]) -> pd.DataFrame:
    """Return the forecasts of a period as a table.

    Args:
        task: What is forecast.
        panel: Its data.
        period: Instants of issue.
        told: Called with the number of issues answered since the last call.

    Returns:
        Columns series, issued_at, target_at, truth, mean, q05 to q95, in the order of issues, targets and series. The
        truth is NaN where the data have none.

    Raises:
        ConfigurationError: A package that learning needs is not there.
    """
    try:
        return _table(panel, rolled(panel, task.plan, task.options, _span(panel, period), told))
    except PanelError as error:
        raise ConfigurationError(str(error)) from error


def issues_of(task: PanelTask, panel: Panel, period: Period) -> int:
    """Return how many issues a backtest will answer."""
    return len(task.plan.asked(panel, *_span(panel, period)))


def _span(panel: Panel, period: Period) -> tuple[int, int]:
    """Return the steps of a panel that a period spans; the day after the data can be forecast from them."""
    return period.steps(panel.start_s, panel.step_s, len(panel.value), beyond=panel.steps_per_day)


def _table(panel: Panel, found: Forecasts) -> pd.DataFrame:
    """Return forecasts beside their truth."""
    known = found.target < len(panel.value)
    truth = np.full(len(found), np.nan)
    truth[known] = panel.recorded[found.target[known], found.series[known]]
    columns = {
        "series": np.asarray(panel.series, dtype=object)[found.series],
        "issued_at": _times(panel, found.issue),
        "target_at": _times(panel, found.target),
        "truth": truth,
        "mean": found.mean,
    }
    return pd.DataFrame(columns | dict(zip(QUANTILE_COLUMNS, found.quantiles.T, strict=True)))


def _times(
    panel: Panel, steps: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    """Return the starts of steps."""
    return (panel.start_s + steps * panel.step_s).astype("datetime64[s]")


def _seconds(at: datetime) -> int:
    """Return epoch seconds of an instant without a zone."""
    return int(np.datetime64(at, "s").astype(np.int64))
