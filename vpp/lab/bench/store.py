"""``vpp bench store``: fill and query the telemetry store with synthetic minutes of a city, against SQLite rows.

A row is one sample: one device, one quantity, one value, one instant. Each device reports once a minute at a second of
its own; 40 % are active and report power (to 10 W, a slow random walk) and state of charge (to 0.1 %), the others only
a power of 0. A tenth of the reports are a second late.
"""

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from vpp.domain.telemetry import IdArray, Quantity, TelemetryBatch
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.telemetry.store import TelemetryStore

_DAY_S = 86_400
_START_S = 20_600 * _DAY_S
_ACTIVE_RATIO = 0.4
_SWITCHING_RATIO = 1.0 / 90.0
"""Share of the devices whose session begins or ends each minute: sessions of an hour and a half."""
_AREAS = 16
_COMPACT_EVERY = 15
_DAY_DEVICES_RATIO = 20
_QUERIES = 20
_RIVAL_SAMPLES = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """Figures of the run; times are wall-clock medians over queries; ``cpu_s`` covers all writing and compaction.

    Attributes:
        rows_per_s_sustained: Samples made durable and compacted a second, over the whole fill.
        rows_per_s_burst: Samples a second of one minute of all devices in one durable write, the slowest of three.
        bytes_per_row: Bytes of files a sample, after compaction, roll-ups included.
        day_devices: Devices of the day that is queried.
        device_day_ms: One device's samples of a day, in a store of ``day_devices``.
        city_day_ms: The city's power by minute of a day, ibid.
    """

    devices: int
    minutes: int
    rows: int
    rows_per_s_sustained: float
    rows_per_s_burst: float
    bytes_per_row: float
    device_day_ms: float
    city_day_ms: float
    day_devices: int
    day_rows: int
    day_bytes_per_row: float
    cpu_s: float
    alternative: str
    alternative_rows_per_s: float
    alternative_bytes_per_row: float
    alternative_device_day_ms: float
    alternative_city_day_ms: float


class SyntheticCity:
    """Minutes of telemetry in sequence, the same for one seed."""

    def __init__(self, devices: int, *, seed: int = 0) -> None:
        self._chance = np.random.default_rng(seed)
        self._rows = np.arange(devices, dtype=np.int32)
        self._second = self._chance.integers(0, 58, devices)
        self._active = self._chance.random(devices) < _ACTIVE_RATIO
        self._power_w10 = self._chance.integers(60, 1100, devices)
        self._soc = self._chance.integers(100, 900, devices).astype(np.float64)
        self.area_of_row = (self._rows % _AREAS).astype(np.int32)

    def minute(self, number: int) -> TelemetryBatch:
        """Return the telemetry of all devices of one minute."""
        chance, count = self._chance, len(self._rows)
        switching = chance.random(count) < _SWITCHING_RATIO * np.where(self._active, 1.0 - _ACTIVE_RATIO, _ACTIVE_RATIO)
        self._active ^= switching
        moved = chance.random(count) < 0.8  # noqa: PLR2004 - most meters show a change
        self._power_w10 = np.clip(self._power_w10 + np.where(moved, chance.integers(-3, 4, count), 0), 60, 1100)
        self._soc = np.where(self._active, np.minimum(self._soc + self._power_w10 / 3600.0, 1000.0), self._soc)
        at_s = _START_S + 60 * number + self._second + (chance.random(count) < 0.1)  # noqa: PLR2004 - a tenth is late
        power_kw = np.where(self._active, self._power_w10 / 100.0, 0.0)
        active = np.flatnonzero(self._active)
        return TelemetryBatch(
            rows=np.concatenate((self._rows, self._rows[active])),
            quantities=np.repeat(np.array([Quantity.POWER_KW, Quantity.SOC], dtype=np.uint8), [count, len(active)]),
            values=np.concatenate((power_kw, np.rint(self._soc[active]) / 1000.0)),
            at_s=np.concatenate((at_s, at_s[active])).astype(np.float64),
        )


def run_store(*, devices: int, minutes: int, as_json: bool) -> int:
    """Fill, ask, compare; print a table or one JSON object. Returns the exit code."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="vpp-bench-store-") as folder:
        figures = _measured(devices, minutes, Path(folder), console)
    if as_json:
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
    else:
        for name, value in asdict(figures).items():
            sys.stdout.write(f"{name:28} {value:,.3f}\n" if isinstance(value, float) else f"{name:28} {value}\n")
    return 0


def _measured(devices: int, minutes: int, folder: Path, console: Console) -> StoreFigures:
    filled = _fill(devices, minutes, folder / "fill", console, "fill")
    whole = minutes >= _DAY_S // 60
    day_devices = devices if whole else max(devices // _DAY_DEVICES_RATIO, 1)
    day = (
        filled
        if whole
        else _fill(day_devices, _DAY_S // 60, folder / "day", console, "a day of fewer devices", minutes_a_write=15)
    )
    day.store.merge_days(before_s=_START_S + _DAY_S, at_s=SYSTEM_CLOCK.now_s())
    day_size = day.store.size()
    chosen = np.random.default_rng(1).integers(0, day_devices, _QUERIES).tolist()
    history = partial(day.store.history, from_s=_START_S, to_s=_START_S + _DAY_S)
    device_day_ms = _median_ms([partial(history, row) for row in chosen])
    city_day_ms = _median_ms([lambda: day.store.minutes(from_s=_START_S, to_s=_START_S + _DAY_S)] * _QUERIES)
    rival = _rival(folder / "rows.sqlite3", day_devices, console)
    size = filled.store.size()
    return StoreFigures(
        devices=devices,
        minutes=minutes,
        rows=filled.rows,
        rows_per_s_sustained=filled.rows / filled.wall_s,
        rows_per_s_burst=filled.burst,
        bytes_per_row=(size.size_bytes + filled.store.rollup_bytes()) / size.rows,
        device_day_ms=device_day_ms,
        city_day_ms=city_day_ms,
        day_devices=day_devices,
        day_rows=day_size.rows,
        day_bytes_per_row=(day_size.size_bytes + day.store.rollup_bytes()) / day_size.rows,
        cpu_s=filled.cpu_s,
        alternative=rival.name,
        alternative_rows_per_s=rival.rows_per_s,
        alternative_bytes_per_row=rival.bytes_per_row,
        alternative_device_day_ms=rival.device_day_ms,
        alternative_city_day_ms=rival.city_day_ms,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    store: TelemetryStore
    rows: int
    wall_s: float
    cpu_s: float
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rival:
    name: str
    rows_per_s: float
    bytes_per_row: float
    device_day_ms: float
    city_day_ms: float


def _fill(
    devices: int, minutes: int, folder: Path, console: Console, what: str, *, minutes_a_write: int = 1
) -> _Filled:
    city, store = SyntheticCity(devices), TelemetryStore(str(folder))
    store.assign(city.area_of_row)
    rows, wall_s, cpu_s, bursts = 0, 0.0, 0.0, []
    waiting: list[TelemetryBatch] = []
    for number in track(range(minutes), description=what, console=console):
        waiting.append(city.minute(number))
        if (number + 1) % minutes_a_write and number < minutes - 1:
            continue
        began, began_cpu = time.perf_counter(), time.process_time()
        rows += store.write(waiting, at_s=SYSTEM_CLOCK.now_s())
        bursts.append(sum(map(len, waiting)) / (time.perf_counter() - began))
        waiting.clear()
        if number % _COMPACT_EVERY == _COMPACT_EVERY - 1 or number == minutes - 1:
            store.compact(at_s=SYSTEM_CLOCK.now_s())
        wall_s += time.perf_counter() - began
        cpu_s += time.process_time() - began_cpu
    return _Filled(store=store, rows=rows, wall_s=wall_s, cpu_s=cpu_s, burst=min(bursts[1:4] or bursts))


def _rival(path: Path, devices: int, console: Console) -> _Rival:
    """Do the same with one row a sample in SQLite, keyed by device and time, for a bounded number of samples."""
    minutes = max(1, min(_DAY_S // 60, round(_RIVAL_SAMPLES / (devices * (1.0 + _ACTIVE_RATIO)))))
    city = SyntheticCity(devices)
    rows, wall_s = 0, 0.0
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(
            "CREATE TABLE sample (row INTEGER, quantity INTEGER, at_s INTEGER, value INTEGER,"
            " PRIMARY KEY (row, quantity, at_s)) WITHOUT ROWID"
        )
        for number in track(range(minutes), description="SQLite rows", console=console):
            batch = city.minute(number)
            columns = (batch.rows, batch.quantities, batch.at_s.astype(np.int64), _steps(batch))
            listed = list(zip(*(column.tolist() for column in columns), strict=True))
            began = time.perf_counter()
            database.execute("BEGIN")
            database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", listed)
            database.execute("COMMIT")
            wall_s += time.perf_counter() - began
            rows += len(listed)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        chosen = np.random.default_rng(1).integers(0, devices, _QUERIES).tolist()
        device_ms = _median_ms([_asking(database, "SELECT * FROM sample WHERE row = ?", row) for row in chosen])
        city_ms = _median_ms(
            [_asking(database, "SELECT at_s / 60, sum(value) FROM sample WHERE quantity = ? GROUP BY 1", 0)] * 3
        )
    return _Rival(
        name=f"SQLite, a row a sample, {minutes} minutes of {devices} devices, queries scaled up to a day",
        rows_per_s=rows / wall_s,
        bytes_per_row=path.stat().st_size / rows,
        device_day_ms=device_ms * (_DAY_S // 60) / minutes,
        city_day_ms=city_ms * (_DAY_S // 60) / minutes,
    )


def _steps(batch: TelemetryBatch) -> IdArray:
    return np.rint(batch.values * 1000.0).astype(np.int64)


def _asking(database: sqlite3.Connection, query: str, value: int) -> Callable[[], object]:
    return lambda: database.execute(query, (value,)).fetchall()


def _median_ms(asks: "list[Callable[[], object]]") -> float:
    asks[0]()  # the first pays for opening files
    times = []
    for ask in asks:
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000.0)
