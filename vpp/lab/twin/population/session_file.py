"""Charging sessions replayed from a file of real ones."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vpp.domain.csv_table import check_columns, lines_in_file, number_in
from vpp.domain.errors import InputError, SkipError
from vpp.domain.telemetry import RowArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import weekday
from vpp.lab.twin.population.sessions import RAPID_KW, Arrivals, ChargingPoints, driver_choices

REQUIRED = ("city", "site", "port", "start", "end", "kwh")
_RAPID_WORDS = ("rapid", "50kw", "raption", "dc", "fast")
_MOST_KWH = 200.0
_MOST_KW = 400.0
"""No car of the time charges faster on average over its stay."""
_MOST_STAY_S = 72 * SECONDS_PER_HOUR
_WEEK = 7
_KEPT_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One real session: local seconds after the midnight of ``day``."""

    day: int
    arrive_s: float
    stay_s: float
    need_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One real charging port in the densest weeks of its city.

    Attributes:
        rapid: A direct-current rapid charger.
        days: Its sessions by day, counted from the Monday the window begins with.
    """

    rapid: bool
    days: Mapping[int, tuple[Record, ...]]


class FileSessions:
    """Real sessions, replayed at the simulated stations.

    Each station is given one real port: rapid ports to stations from 20 kW, the others to the rest; where ports are
    fewer than stations, a port is used again with its weeks shifted. A scenario day takes a real day of the same
    weekday, out of the ``weeks`` consecutive weeks in which its city was busiest. Local times of day stay local times.

    Args:
        path: CSV, gzipped if its name ends in ``.gz``; columns ``city, site, port, start, end, kwh`` and optionally
            ``model`` (naive local times; further columns are ignored).
        seed: Seed of the drivers' choices.
        weeks: Length of the window that is replayed in turn.

    Attributes:
        skipped: Rows that were left out, by field; ``row`` for those that repeat another.
        problems: The first of them as text.
        used: Number of sessions in the windows.

    Raises:
        OSError: The file cannot be read.
        InputError: A column is missing, or no row can be used.
    """

    def __init__(self, path: Path | str, *, seed: int = 0, weeks: int = 8) -> None:
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []
        self._seed = seed
        self._weeks = weeks
        cities = self._read(Path(path))
        self._ports = [port for records in cities.values() for port in _ports(records, weeks)]
        self.used = sum(len(day) for port in self._ports for day in port.days.values())
        if self.used == 0:
            raise InputError(str(path), "no usable row", "a file with at least one good session")
        self._given: tuple[FleetIndex, ChargingPoints, RowArray, RowArray] | None = None

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the sessions that begin on local day number ``day``."""
        if self._given is None or self._given[0] is not index:
            self._given = (index, *self._assign(index))
        _, stations, ports, shifts = self._given
        week = (day - weekday(day)) // _WEEK
        found: list[tuple[int, Record, float]] = []
        for row, nameplate_kw, port, shift in zip(stations.rows, stations.power_kw, ports, shifts, strict=True):
            source_day = (week + int(shift)) % self._weeks * _WEEK + weekday(day)
            found += [(row, r, nameplate_kw) for r in self._ports[port].days.get(source_day, ())]
        return self._arrivals(found, day)

    def _arrivals(self, found: list[tuple[int, Record, float]], day: int) -> Arrivals:
        arrive_s = day_start_s(day) + np.array([r.arrive_s for _, r, _ in found], dtype=np.float64)
        return Arrivals(
            rows=np.array([row for row, _, _ in found], dtype=np.int32),
            arrive_s=arrive_s,
            depart_s=arrive_s + np.array([r.stay_s for _, r, _ in found], dtype=np.float64),
            need_kwh=np.array([r.need_kwh for _, r, _ in found], dtype=np.float64),
            power_kw=np.array([kw for _, _, kw in found], dtype=np.float64),
            **driver_choices(np.random.default_rng([self._seed, day]), len(found)),
        ).in_order()

    def _assign(self, index: FleetIndex) -> tuple[ChargingPoints, RowArray, RowArray]:
        stations = ChargingPoints(index)
        rapid_station = stations.power_kw >= RAPID_KW
        rapid_port = np.array([port.rapid for port in self._ports])
        port_of = np.zeros(len(stations.rows), dtype=np.int32)
        shift_of = np.zeros(len(stations.rows), dtype=np.int32)
        for rapid in (False, True):
            ports = np.flatnonzero(rapid_port == rapid)
            ports = ports if len(ports) else np.arange(len(self._ports))
            here = np.flatnonzero(rapid_station == rapid)
            port_of[here] = ports[np.arange(len(here)) % len(ports)]
            shift_of[here] = np.arange(len(here)) // len(ports)
        return stations, port_of, shift_of

    def _read(self, path: Path) -> dict[str, list[tuple[str, bool, Record]]]:
        cities: dict[str, list[tuple[str, bool, Record]]] = defaultdict(list)
        first: dict[tuple[str, ...], int] = {}
        lines = lines_in_file(path)
        header = next(lines).cells
        check_columns(f"{path} columns", header, required=REQUIRED)
        for line in lines:
            row = line.named(header)
            try:
                record = _record(row)
                _check_new(row, line.number, first)
            except InputError as error:
                self._skip(line.number, error)
                continue
            model = row.get("model", "").lower()
            rapid = any(word in model for word in _RAPID_WORDS)
            cities[row["city"]].append((f"{row['site']}/{row['port']}", rapid, record))
        return cities

    def _skip(self, line: int, error: InputError) -> None:
        self.skipped[error.field] += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(f"line {line}: {error}")


def _record(row: Mapping[str, str]) -> Record:
    start_s, end_s = _local_s(row, "start"), _local_s(row, "end")
    if not 0.0 < end_s - start_s <= _MOST_STAY_S:
        raise InputError("end", row["end"], f"a time within 72 h after start = {row['start']}")
    kwh = number_in(row["kwh"])
    if not 0.0 < kwh <= _MOST_KWH:
        raise InputError("kwh", row["kwh"], f"a number above 0 and at most {_MOST_KWH:g}")
    if kwh * SECONDS_PER_HOUR > _MOST_KW * (end_s - start_s):
        minutes = (end_s - start_s) / SECONDS_PER_MINUTE
        raise InputError("kwh", row["kwh"], f"no more than {_MOST_KW:g} kW can charge in {minutes:g} minutes")
    day = int(start_s // SECONDS_PER_DAY)
    return Record(day=day, arrive_s=start_s - day * SECONDS_PER_DAY, stay_s=end_s - start_s, need_kwh=kwh)


def _check_new(row: Mapping[str, str], line: int, first: dict[tuple[str, ...], int]) -> None:
    """Refuse a session that was stated before; raises InputError."""
    before = first.setdefault(tuple(row[name] for name in REQUIRED), line)
    if before != line:
        raise InputError("row", f"as line {before}", "each session once")


def _local_s(row: Mapping[str, str], field: str) -> float:
    try:
        moment = datetime.fromisoformat(row[field])
    except ValueError as error:
        raise InputError(field, row[field], "a local time such as 2019-07-01 08:30:00") from error
    return moment.replace(tzinfo=UTC).timestamp()


def _ports(records: list[tuple[str, bool, Record]], weeks: int) -> list[Port]:
    """Return the ports of one city over its busiest ``weeks`` weeks, Monday first."""
    first = _busiest_monday([record.day for _, _, record in records], weeks)
    last = first + weeks * _WEEK
    by_port: dict[str, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    rapid_of: dict[str, bool] = {}
    for name, rapid, record in records:
        if first <= record.day < last:
            by_port[name][record.day - first].append(record)
            rapid_of[name] = rapid
    return [
        Port(rapid=rapid_of[name], days={day: tuple(found) for day, found in days.items()})
        for name, days in sorted(by_port.items())
    ]


def _busiest_monday(days: list[int], weeks: int) -> int:
    if not days:
        raise SkipError("a city without sessions has no busiest week")
    mondays = np.array(days) - np.array([weekday(day) for day in days])
    first = int(mondays.min())
    counts = np.bincount((mondays - first) // _WEEK, minlength=weeks)
    running = np.convolve(counts, np.ones(weeks, dtype=np.int64), mode="valid")
    return first + int(np.argmax(running)) * _WEEK
