"""``vpp bench forecast``: every task of the backtest on the development data, beside its bars."""

import json
import sys
from functools import partial
from pathlib import Path

from rich.progress import Progress

from vpp.domain.errors import InputError
from vpp.lab.backtest import sessions
from vpp.lab.backtest.command import progress_bar
from vpp.lab.backtest.judgement import JUDGED_DAYS, JUDGES, Figure, dirty_figure, held_out, judged_rows
from vpp.lab.backtest.run import backtest, issues_of, load_panel
from vpp.lab.backtest.scores import or_null
from vpp.lab.backtest.session_judgement import held_out_hours, session_figures
from vpp.lab.backtest.tasks import PANEL_TASKS

_SEED = 1


def run_forecast(data: Path, *, tasks: tuple[str, ...], dirty: bool, as_json: bool) -> int:
    """Forecast the last part of every data set and print the figures; the exit code is 0.

    Args:
        data: Folder of the data sets.
        tasks: Names of tasks, none for all.
        dirty: Whether to forecast from soiled data as well.
        as_json: Whether to end with one JSON object.
    """
    known = (*JUDGES, sessions.NAME)
    if not data.is_dir():
        raise InputError("data", str(data), "the folder of the data sets")
    unknown = [name for name in tasks if name not in known]
    if unknown:
        raise InputError("task", unknown[0], f"one of {', '.join(known)}")
    found: dict[str, list[Figure]] = {}
    with progress_bar() as bar:
        for name in tasks or known:
            found[name] = _sessions(data, bar) if name == sessions.NAME else _series(name, data, bar, dirty=dirty)
    sys.stdout.write(json.dumps(_body(found)) + "\n" if as_json else _text(found))
    return 0


def _series(name: str, data: Path, bar: Progress, *, dirty: bool) -> list[Figure]:
    """Return the figures of a task of series on a grid."""
    task = PANEL_TASKS[name]
    panel = load_panel(task, data)
    period, first = held_out(panel, JUDGED_DAYS.get(name, 0))
    shown = bar.add_task(name, total=issues_of(task, panel, period))
    table = backtest(task, panel, period, partial(bar.advance, shown))
    figures = JUDGES[name](judged_rows(table, panel, first), panel, data)
    if dirty:
        soiled = load_panel(task, data, soiled_by=_SEED)
        shown = bar.add_task(f"{name}, soiled", total=issues_of(task, soiled, period))
        figures.append(dirty_figure(table, backtest(task, soiled, period, partial(bar.advance, shown)), panel, first))
    return figures


def _sessions(data: Path, bar: Progress) -> list[Figure]:
    """Return the figures of plugged-in cars."""
    made = sessions.load_connectors(data)
    period, begins = held_out_hours(made)
    first, last = sessions.hours_of(made, period)
    shown = bar.add_task(sessions.NAME, total=last - first)
    return session_figures(sessions.backtest_sessions(made, period, partial(bar.advance, shown)), begins)


def _body(found: dict[str, list[Figure]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return figures and bars by task and name; a bar that is not set is null."""
    return {
        name: {
            figure.name: {"value": or_null(round(figure.value, 5)), "bar": or_null(figure.bar)} for figure in figures
        }
        for name, figures in found.items()
    }


def _text(found: dict[str, list[Figure]]) -> str:
    """Return the figures for people."""
    lines = []
    for name, figures in found.items():
        for figure in figures:
            bar = "" if or_null(figure.bar) is None else f"bar {figure.bar:g}"
            lines.append(f"{name:22} {figure.name:28} {figure.value:10.4f}  {bar}".rstrip())
    return "\n".join(lines) + "\n"
