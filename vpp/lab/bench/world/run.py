"""``vpp bench world``: errors of the simplest forecasts on the twin's series and on real ones, class by class."""

import json
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vpp.lab.bench.world.comparison import Row, compared
from vpp.lab.bench.world.field_series import needed
from vpp.lab.bench.world.twin_charging import CHARGING_PLACES
from vpp.lab.bench.world.twin_series import Stretch
from vpp.lab.twin.environment.world_file import world
from vpp.lab.twin.population.city_model import CityModel, shipped_path

_EPOCH = date(1970, 1, 1)
_ROUND = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """Options of ``vpp bench world``; see its ``--help``."""

    data: Path
    world: str
    scale: float
    first: date
    days: int
    seed: int


def run_world(options: WorldOptions, *, as_json: bool) -> int:
    """Compare and print; the exit code is 0.

    Raises:
        InputError: A file of the data is missing, or there is no such world.
    """
    needed(options.data, "pv_stategrid_15min.parquet")
    model = CityModel.read(shipped_path("shanghai-2026"))
    places = tuple(place for place in model.places if place.kind in CHARGING_PLACES)
    stretch = Stretch(
        fleet=model.fleet(scale=options.scale),
        world=world(options.world),
        seed=options.seed,
        first_day=(options.first - _EPOCH).days,
        days=options.days,
    )
    console = Console(stderr=True, highlight=False)
    with Progress(console=console) as progress:
        bar = progress.add_task(f"{options.days} days of the {stretch.world.title} world", total=options.days)
        stations = replace(stretch, fleet=replace(model, places=places).fleet())
        rows = compared(options.data, stretch, stations, lambda: progress.advance(bar))
    console.print(_table(rows))
    if as_json:
        body = {"world": stretch.world.title, "days": options.days, "rows": [_body(row) for row in rows]}
        sys.stdout.write(json.dumps(body) + "\n")
    return 0


def _body(row: Row) -> dict[str, object]:
    return {
        "class": row.name,
        "horizon_h": row.horizon_h,
        "twin_rmse_ratio": round(row.twin, _ROUND),
        "data_rmse_ratio": round(row.data, _ROUND),
        "least_rmse_ratio": round(row.least, _ROUND),
        "most_rmse_ratio": round(row.most, _ROUND),
        "within": row.within,
        "judged": row.judged,
    }


def _said(row: Row) -> str:
    if not row.judged:
        return "not judged alone"
    return "" if row.within else "outside"


def _table(rows: list[Row]) -> Table:
    table = Table("class", "hours ahead", "twin RMSE", "data RMSE", "accepted", "")
    for row in rows:
        figures = (f"{row.twin:.1%}", f"{row.data:.1%}", f"{row.least:.1%} to {row.most:.1%}")
        table.add_row(row.name, f"{row.horizon_h:g}", *figures, _said(row))
    return table
