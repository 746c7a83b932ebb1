"""``vpp backtest``: forecasts of a period of a data set, written as Parquet."""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vpp.domain.errors import InputError
from vpp.lab.backtest import sessions
from vpp.lab.backtest.run import Period, backtest, issues_of, load_panel
from vpp.lab.backtest.scores import or_null, overall
from vpp.lab.backtest.tasks import PANEL_TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What is asked on the command line.

    Attributes:
        task: Name of the task.
        data: File of the data set, or its folder.
        start: First instant of issue, local and without a zone.
        end: The period's end, itself left out.
        out: File for the forecasts.
    """

    task: str
    data: Path
    start: datetime
    end: datetime
    out: Path


def run_backtest(options: BacktestOptions, *, as_json: bool) -> int:
    """Write the forecasts of a period and show how good they were; the exit code is 0."""
    if options.out.suffix != ".parquet":
        raise InputError("out", str(options.out), "a file that ends with .parquet")
    if options.task not in (*PANEL_TASKS, sessions.NAME):
        raise InputError("task", options.task, f"one of {', '.join((*PANEL_TASKS, sessions.NAME))}")
    period = Period.of(options.start, options.end)
    with progress_bar() as bar:
        run = _sessions if options.task == sessions.NAME else _series
        table = run(options, period, bar)
    _write(table, options.out)
    written, scores = {"task": options.task, "rows": len(table), "out": str(options.out)}, overall(table)
    if as_json:
        sys.stdout.write(json.dumps(written | {name: or_null(score) for name, score in scores.items()}) + "\n")
    else:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in (written | scores).items()))
    return 0


def _series(options: BacktestOptions, period: Period, bar: Progress) -> pd.DataFrame:
    """Return the forecasts of a task of series on a grid."""
    task = PANEL_TASKS[options.task]
    panel = load_panel(task, options.data)
    shown = bar.add_task(task.name, total=issues_of(task, panel, period))
    return backtest(task, panel, period, partial(bar.advance, shown))


def _sessions(options: BacktestOptions, period: Period, bar: Progress) -> pd.DataFrame:
    """Return the forecasts of plugged-in cars."""
    made = sessions.load_connectors(options.data)
    first, last = sessions.hours_of(made, period)
    shown = bar.add_task(sessions.NAME, total=last - first)
    return sessions.backtest_sessions(made, period, partial(bar.advance, shown))


def progress_bar() -> Progress:
    """Return a bar of issues answered, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _write(table: pd.DataFrame, out: Path) -> None:
    """Write a table beside its place and then move it there, so that a stopped run leaves no half file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        table.to_parquet(part, index=False, compression="zstd")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
