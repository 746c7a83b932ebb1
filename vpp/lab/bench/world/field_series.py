"""Real series by class, from the project's folder of public data."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from vpp.domain.errors import InputError
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.lab.bench.world.simple_forecast import Series

_WORKDAYS = 5
_EPOCH_WEEKDAY = 3
_QUARTERS, _HOURS, _FIVE_MINUTES = 96, 24, 288
_NIGHT = 0.05
"""Usual power at or below this share of the rating counts as night."""

TOWNS = ("dundee", "perth", "boulder", "caltech")
"""Councils' public stations, and a campus."""


def needed(folder: Path, name: str) -> Path:
    """Return the path of a file; raises InputError where it is not there."""
    path = folder / name
    if not path.is_file():
        raise InputError("--data", str(folder), f"a folder with {name}, the project's public data")
    return path


def photovoltaics(folder: Path) -> list[Series]:
    """Return the plants of the State Grid set, as shares of their rating."""
    table = pq.read_table(needed(folder, "pv_stategrid_15min.parquet"))
    found = []
    for site in pc.unique(table.column("site")).to_pylist():
        own = table.filter(pc.equal(table.column("site"), site))
        cap_mw = float(own.column("cap_mw")[0].as_py())
        power = np.array(own.column("power_mw").to_numpy(), dtype=np.float64)
        power[(power < -0.02 * cap_mw) | (power > 1.2 * cap_mw)] = np.nan
        values, rest = _regular(own.column("time"), np.clip(power / cap_mw, 0.0, None), per_day=_QUARTERS)
        found.append(Series(values=values, rest=rest, scale=1.0, least=_NIGHT))
    return found


def charging(folder: Path) -> Mapping[str, tuple[Series, float]]:
    """Return occupied connectors of the session sets, added up by town, and the mean stay there in hours."""
    table = pq.read_table(needed(folder, "ev_panel_hourly.parquet"), columns=["city", "time", "occ", "arrivals"])
    found = {}
    for town in TOWNS:
        own = table.filter(pc.equal(table.column("city"), town)).group_by("time")
        sums = own.aggregate([("occ", "sum"), ("arrivals", "sum")])
        if sums.num_rows:
            values, rest = _regular(sums.column("time"), sums.column("occ_sum").to_numpy(), per_day=_HOURS, missing=0.0)
            stay_h = pc.sum(sums.column("occ_sum")).as_py() / pc.sum(sums.column("arrivals_sum")).as_py()
            found[town] = (Series.of(values.ravel(), rest, per_day=_HOURS), float(stay_h))
    return found


def city_charging(folder: Path) -> list[Series]:
    """Return the busy piles of a whole city (ST-EVCDP, Shenzhen)."""
    table = _csv(needed(folder, "stevcdp_city_5min.csv.gz"))
    values, rest = _regular(table.column("time"), table.column("busy_piles").to_numpy(), per_day=_FIVE_MINUTES)
    return [Series.of(values.ravel(), rest, per_day=_FIVE_MINUTES)]


def utility_load(folder: Path) -> list[Series]:
    """Return the load of a utility (GEFCom 2014)."""
    table = _csv(needed(folder, "gefcom14_load.csv.gz"))
    values, rest = _regular(table.column("time"), table.column("load").to_numpy(), per_day=_HOURS)
    return [Series.of(values.ravel(), rest, per_day=_HOURS)]


def transformer_load(folder: Path) -> list[Series]:
    """Return the loads of the transformers of the ETT set, each of its three kinds of load."""
    found = []
    for name in ("ETTh1.csv.gz", "ETTh2.csv.gz"):
        table = _csv(needed(folder, name))
        for column in ("HUFL", "MUFL", "LUFL"):
            load = np.clip(table.column(column).to_numpy(), 0.0, None)
            values, rest = _regular(table.column("date"), load, per_day=_HOURS)
            found.append(Series.of(values.ravel(), rest, per_day=_HOURS))
    return found


def _csv(path: Path) -> pa.Table:
    with gzip.open(path) as stream:
        return pyarrow.csv.read_csv(stream)


def _regular(
    times: pa.ChunkedArray, values: npt.NDArray[np.float64] | Sequence[float], *, per_day: int, missing: float = np.nan
) -> tuple[FloatArray, BoolArray]:
    """Return values by day and step from the first midnight on, and which days are Saturdays or Sundays."""
    seconds = times.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
    first = -(-int(seconds.min()) // 86_400)
    place = (seconds - first * 86_400) // (86_400 // per_day)
    days = int((seconds.max() - first * 86_400) // 86_400)
    table = np.full(days * per_day, missing)
    kept = (place >= 0) & (place < len(table))
    table[place[kept]] = np.asarray(values, dtype=np.float64)[kept]
    weekday = (first + np.arange(days) + _EPOCH_WEEKDAY) % 7
    return table.reshape(days, per_day), np.asarray(weekday >= _WORKDAYS)
