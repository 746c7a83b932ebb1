"""Prices of one's own in place of the tariff: a CSV of instants, or of the hours of a day."""

import csv
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.tariff import Tariff

_ZONE = ZoneInfo("Asia/Shanghai")
_PRICES = {"price_cny_per_kwh": 1.0, "price_cny_per_mwh": 1e-3}
_TIMES = ("time", "hour")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeries(Tariff):
    """Prices by instant, each until the next; where the series does not reach, by hour of day, else the tariff's.

    Attributes:
        starts_s: Epoch seconds, rising.
        prices: CNY/kWh from each start on.
        by_hour: Mean price of every hour of day in Shanghai, NaN where none is known.
    """

    starts_s: tuple[float, ...]
    prices: tuple[float, ...]
    by_hour: tuple[float, ...]

    def price_cny_per_kwh(self, grid: TimeGrid) -> FloatArray:
        """Return the price at the start of every step, shape ``(count,)``."""
        tariff = Tariff.price_cny_per_kwh(self, grid)
        own = np.array([self._own(at_s) for at_s in grid.starts_s().tolist()])
        return np.where(np.isnan(own), tariff, own)

    def _own(self, at_s: float) -> float:
        place = bisect_right(self.starts_s, at_s) - 1
        last = len(self.starts_s) - 1
        if place >= 0 and (place < last or at_s < self.starts_s[last] + SECONDS_PER_HOUR):
            return self.prices[place]
        return self.by_hour[instant(at_s).astimezone(_ZONE).hour]


def prices_from_csv(path: Path) -> PriceSeries:
    """Return prices from a CSV.

    Columns: ``time`` (ISO 8601, Shanghai's time without an offset) or ``hour`` (0-23), and ``price_cny_per_kwh`` or
    ``price_cny_per_mwh``.

    Raises:
        OSError: It cannot be read.
        InputError: A column or value is missing or makes no sense, named by line.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        header = reader.fieldnames or []
        when = next((name for name in _TIMES if name in header), None)
        price = next((name for name in _PRICES if name in header), None)
        if when is None or price is None:
            raise InputError(f"{path} header", ",".join(header), "time or hour, and price_cny_per_kwh")
        rows = [_row(row, when, price, f"{path.name} line {reader.line_num}") for row in reader]
    if not rows:
        raise InputError(str(path), "no rows", "at least one price")
    hours = [(h, value) for h, _, value in rows]
    known = {hour: float(np.mean([v for h, v in hours if h == hour])) for hour in {h for h, _ in hours}}
    series = sorted({at_s: value for _, at_s, value in rows if at_s is not None}.items())
    return PriceSeries(
        starts_s=tuple(at_s for at_s, _ in series),
        prices=tuple(value for _, value in series),
        by_hour=tuple(known.get(hour, float("nan")) for hour in range(24)),
    )


def _row(row: dict[str, str], when: str, price: str, where: str) -> tuple[int, float | None, float]:
    try:
        value = float(row[price]) * _PRICES[price]
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}, column {price}", row[price], "a number") from error
    if not np.isfinite(value):
        raise InputError(f"{where}, column {price}", row[price], "a finite number")
    try:
        if when == "hour":
            return range(24).index(int(row["hour"])), None, value
        at = datetime.fromisoformat(row["time"])
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}, column {when}", row[when], "an ISO 8601 time, or an hour from 0 to 23") from error
    local = (at if at.tzinfo else at.replace(tzinfo=_ZONE)).astimezone(_ZONE)
    return local.hour, local.astimezone(UTC).timestamp(), value
