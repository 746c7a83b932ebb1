"""Energy prices of a user in place of the tariff: a CSV of instants, or of the hours of a day."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from vpp.domain.csv_table import CsvLine, lines_in_file, number_in
from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.calendar import SHANGHAI
from vpp.planning.tariff import Tariff

_PRICES = {"price_cny_per_kwh": 1.0, "price_cny_per_mwh": 1e-3}
_TIMES = ("time", "hour")
_MOST_CNY_PER_KWH = 100.0
"""Beyond any price of energy: what is larger was meant per MWh."""
_YEARS = range(2000, 2100)
_LONGEST_STEP_S = float(SECONDS_PER_HOUR)
"""A price stands for an hour at most, or for the series' own step where that is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeries(Tariff):
    """Prices by instant, each until the next; where the series does not reach, by hour of day, else the tariff's.

    Attributes:
        starts_s: Epoch seconds, rising.
        prices: CNY/kWh from each start on.
        last_s: How long the last of them holds.
        by_hour: Mean price of every hour of day in Shanghai, NaN where none is known.
    """

    starts_s: tuple[float, ...]
    prices: tuple[float, ...]
    by_hour: tuple[float, ...]
    last_s: float = _LONGEST_STEP_S

    def price_cny_per_kwh(self, grid: TimeGrid) -> FloatArray:
        """Return the price at the start of every step, shape ``(count,)``."""
        tariff = Tariff.price_cny_per_kwh(self, grid)
        own = np.array([self._own(at_s) for at_s in grid.starts_s().tolist()])
        return np.where(np.isnan(own), tariff, own)

    def _own(self, at_s: float) -> float:
        place = bisect_right(self.starts_s, at_s) - 1
        last = len(self.starts_s) - 1
        if place >= 0 and (place < last or at_s < self.starts_s[last] + self.last_s):
            return self.prices[place]
        return self.by_hour[instant(at_s).astimezone(SHANGHAI).hour]


def prices_from_csv(path: Path) -> PriceSeries:
    """Return prices from a CSV.

    Columns: ``time`` (ISO 8601, Shanghai's time without an offset) or ``hour`` (0-23), and ``price_cny_per_kwh`` or
    ``price_cny_per_mwh``. Lines may come in any order; each instant, or hour, is stated once, and a series has no hole:
    its instants lie an hour apart at most, or as far apart throughout as the closest two.

    Raises:
        OSError: It cannot be read.
        InputError: A column or value is missing or makes no sense, named by line.
    """
    lines = lines_in_file(path)
    header = next(lines).cells
    when = next((name for name in _TIMES if name in header), None)
    price = next((name for name in _PRICES if name in header), None)
    if when is None or price is None:
        raise InputError(f"{path.name} header", ",".join(header), "time or hour, and price_cny_per_kwh")
    rows = [_row(line, line.named(header), when, price) for line in lines]
    rows.sort(key=_place)
    _check_once(rows, when)
    steps_s = _steps_s(rows) if when == "time" else []
    known = {hour: float(np.mean([r.price for r in rows if r.hour == hour])) for hour in {r.hour for r in rows}}
    series = [r for r in rows if r.at_s is not None]
    return PriceSeries(
        starts_s=tuple(r.at_s for r in series if r.at_s is not None),
        prices=tuple(r.price for r in series),
        by_hour=tuple(known.get(hour, float("nan")) for hour in range(24)),
        last_s=steps_s[-1] if steps_s else _LONGEST_STEP_S,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line: an instant or an hour of day in Shanghai, and its price in CNY/kWh."""

    where: str
    said: str
    hour: int
    at_s: float | None
    price: float


def _place(row: _Row) -> float:
    return float(row.hour) if row.at_s is None else row.at_s


def _check_once(rows: Sequence[_Row], when: str) -> None:
    for before, row in pairwise(rows):
        if _place(before) == _place(row):
            accepted = f"each {'instant' if when == 'time' else 'hour'} once; {before.where} has it too"
            raise InputError(f"{row.where}, column {when}", row.said, accepted)


def _steps_s(rows: Sequence[_Row]) -> list[float]:
    """Return the distances of a series' instants; raises InputError for a hole."""
    steps_s = [_place(row) - _place(before) for before, row in pairwise(rows)]
    most_s = max(_LONGEST_STEP_S, min(steps_s, default=0.0))
    for (before, row), step_s in zip(pairwise(rows), steps_s, strict=True):
        if step_s > most_s:
            accepted = (
                f"a time at most {most_s / SECONDS_PER_HOUR:g} h after {before.said} of {before.where}: a series has "
                "no hole; give every step, or prices by the column hour"
            )
            raise InputError(f"{row.where}, column time", row.said, accepted)
    return steps_s


def _row(line: CsvLine, cells: Mapping[str, str], when: str, price: str) -> _Row:
    value, said = _price(line, cells[price], price), cells[when]
    try:
        if when == "hour":
            hour = range(24).index(int(said))
            return _Row(where=line.where, said=said, hour=hour, at_s=None, price=value)
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise InputError(line.at(when), said, "an ISO 8601 time, or an hour from 0 to 23") from error
    if at.year not in _YEARS:
        raise InputError(line.at("time"), said, "a time from 2000 to 2099")
    local = (at if at.tzinfo else at.replace(tzinfo=SHANGHAI)).astimezone(SHANGHAI)
    return _Row(where=line.where, said=said, hour=local.hour, at_s=local.timestamp(), price=value)


def _price(line: CsvLine, cell: str, column: str) -> float:
    value = number_in(cell) * _PRICES[column]
    if not abs(value) <= _MOST_CNY_PER_KWH:
        most = _MOST_CNY_PER_KWH / _PRICES[column]
        raise InputError(line.at(column), cell, f"a number from -{most:g} to {most:g}, by the unit in the name")
    return value
