"""``vpp backtest``: the signature only; what it needs is imported when it runs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_INSTANTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
_TASKS = "ev_energy_day_ahead, ev_occupancy, session, pv, load, price or city_busy"


def backtest(
    *,
    task: Annotated[str, typer.Option(help=_TASKS)],
    data: Annotated[Path, typer.Option(help="the data set: a file, Parquet or CSV, or the folder that holds it")],
    start: Annotated[datetime, typer.Option("--from", formats=_INSTANTS, help="first instant of issue, local time")],
    end: Annotated[datetime, typer.Option("--to", formats=_INSTANTS, help="end of the period, itself left out")],
    out: Annotated[Path, typer.Option(help="Parquet file: series, issued_at, target_at, truth, mean, q05 to q95")],
    json: Annotated[
        bool, typer.Option("--json", help="end with one JSON object on the last line of standard output")
    ] = False,
) -> None:
    """Forecast a period of a data set by rolling origin, each time from what was known then.

    Times are those of the data, local and without a zone. Everything before an issue may be learnt from, nothing later.
    """
    from vpp.lab.backtest.command import BacktestOptions, run_backtest

    options = BacktestOptions(task=task, data=data, start=start, end=end, out=out)
    raise typer.Exit(run_backtest(options, as_json=json))
