"""Growth of the journal in a day of a city: two calls with holds of two hours, two hours of regulation at 4 s.

Each stretch of the day is run for some minutes in a real SQLite database and counted for its length in the day; single
entries (plans, re-dispatches, baselines) are written once and counted by how often they come. Bytes are those of the
database's pages, so that indexes and free space count as well, or of the archive's files.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import sqlalchemy as sa
from rich.console import Console

from vpp.domain.request import Product
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_MINUTE
from vpp.lab.bench.journal.city_journal import CITY_ROWS, CityJournal
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.sql import journal, open_database

_BEGIN = datetime(2026, 7, 15, 4, tzinfo=UTC)
_CALL_KW, _REGULATION_KW = 1e6, 3e5
_HOLD_MINUTES = 120.0
_CALLS, _REQUESTS = 2, 3
_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of the day: minutes that are run, and minutes it has in the day."""

    name: str
    run: float
    whole: float


_CALL = (
    Stretch(name="ramp", run=11.0, whole=_CALLS * 11.0),
    Stretch(name="hold", run=15.0, whole=_CALLS * _HOLD_MINUTES),
)
_REGULATION = Stretch(name="regulation", run=4.0, whole=_HOLD_MINUTES)
_REGULATION_RAMP = Stretch(name="before regulation", run=11.0, whole=11.0)
_AFTER = Stretch(name="after a call", run=15.0, whole=_CALLS * 75.0)
_BUSY_MINUTES = sum(one.whole for one in (*_CALL, _REGULATION, _REGULATION_RAMP, _AFTER))
_IDLE = Stretch(name="idle", run=5.0, whole=SECONDS_PER_DAY / SECONDS_PER_MINUTE - _BUSY_MINUTES)
_SINGLE: Mapping[str, tuple[Callable[[CityJournal], None], float]] = {
    "plans": (CityJournal.plan, 96.0),
    "re-dispatches": (CityJournal.redispatch, _CALLS * 20.0),
    "session baselines": (CityJournal.sessions, _CALLS * 14.0 + 9.0),
}


@dataclass(slots=True, kw_only=True)
class Growth:
    """What a day writes.

    Attributes:
        entries: Entries in a day.
        table_mb: Megabytes of the database in a day, as stored.
        archive_mb: Megabytes of the same entries in archive segments.
        by_kind_mb: Bodies in a day by kind, largest first.
        by_stretch_mb: As stored, by stretch of the day and kind of single entry.
    """

    entries: float = 0.0
    table_mb: float = 0.0
    archive_mb: float = 0.0
    by_kind_mb: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    by_stretch_mb: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {
            "entries_per_day": round(self.entries),
            "journal_mb_per_day": round(self.table_mb, 1),
            "archive_mb_per_day": round(self.archive_mb, 1),
            "by_kind_mb": _largest_first(self.by_kind_mb),
            "by_stretch_mb": _largest_first(self.by_stretch_mb),
        }


def _largest_first(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(mb, 2) for name, mb in sorted(figures.items(), key=lambda item: -item[1])}


class _Meter:
    """Counts what one part of the day adds to the database."""

    def __init__(self, database: sa.Engine, city: CityJournal) -> None:
        self._database, self._city = database, city
        self.growth = Growth()

    def count(self, name: str, times: float, work: Callable[[], object]) -> None:
        """Do something and count what it has written ``times`` times."""
        first, pages = self._city.journal.sequence, self._pages()
        work()
        self._city.journal.flush_now()
        growth = self.growth
        mb = times * (self._pages() - pages) / _MEGABYTE
        growth.table_mb += mb
        growth.by_stretch_mb[name] += mb
        growth.entries += times * (self._city.journal.sequence - first)
        for kind, size in self._sizes(first):
            growth.by_kind_mb[kind] += times * size / _MEGABYTE

    def archived_ratio(self, first: int, until: int) -> float:
        """Return the bytes of a part of the journal in segments over those it has in the table."""
        table = sum(size for _, size in self._sizes(first, until))
        archive = RecordArchive(self._database, self._city.journal, SegmentRules(least_bytes=1))
        archive.archive_until(until, self._city.now_s)
        files = sum(one.size for one in self._city.journal.shelf.all())
        return files / max(table, 1)

    def _pages(self) -> int:
        with self._database.connect() as connection:
            names = ("page_count", "page_size", "freelist_count")
            count, size, free = (int(connection.exec_driver_sql(f"PRAGMA {n}").scalar() or 0) for n in names)
        return (count - free) * size

    def _sizes(self, first: int, until: int | None = None) -> list[tuple[str, int]]:
        table = journal.c
        size = sa.func.sum(sa.func.length(table.body) + sa.func.coalesce(sa.func.length(table.packed), 0))
        chosen = sa.select(table.kind, size).where(table.sequence > first).group_by(table.kind)
        if until is not None:
            chosen = chosen.where(table.sequence <= until)
        with self._database.connect() as connection:
            return [(str(kind), int(total)) for kind, total in connection.execute(chosen)]


def measured_growth(devices: int = CITY_ROWS, *, tell: Callable[[str], object] = lambda _: None) -> Growth:
    """Return what a day of a fleet of ``devices`` rows writes; takes about three minutes for a city."""
    with TemporaryDirectory(prefix="vpp-journal-") as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'vpp.sqlite3'}")
        try:
            return _day(database, devices, tell)
        finally:
            database.dispose()


def _day(database: sa.Engine, devices: int, tell: Callable[[str], object]) -> Growth:
    city = CityJournal(database, devices, _BEGIN)
    meter = _Meter(database, city)
    meter.count("start", 1.0, lambda: city.run(SECONDS_PER_MINUTE))

    def run(stretch: Stretch) -> None:
        tell(f"{stretch.name}: {stretch.run:g} minutes")
        meter.count(stretch.name, stretch.whole / stretch.run, lambda: city.run(SECONDS_PER_MINUTE * stretch.run))

    run(_IDLE)
    for name, (write, times) in _SINGLE.items():
        meter.count(name, times, lambda write=write: write(city))  # type: ignore[misc]  # bound now
    meter.count("baselines", _REQUESTS, lambda: city.accept(_CALL_KW, Product.PEAK_SHAVING, _CALL[1].run))
    for stretch in (*_CALL, _AFTER):
        run(stretch)
    city.run(SECONDS_PER_MINUTE * 65.0)
    city.accept(_REGULATION_KW, Product.REGULATION, _HOLD_MINUTES)
    for stretch in (_REGULATION_RAMP, _REGULATION):
        run(stretch)
    growth = meter.growth
    growth.archive_mb = sum(growth.by_kind_mb.values()) * meter.archived_ratio(0, city.journal.sequence - 1)
    return growth


def run_journal(*, devices: int, as_json: bool) -> int:
    """Measure the growth of the journal and print it."""
    console = Console(stderr=True)
    growth = measured_growth(devices, tell=console.print)
    body = {"devices": devices, **growth.body()}
    if as_json:
        sys.stdout.write(orjson.dumps(body).decode() + "\n")
        return 0
    lines = [f"{growth.entries:,.0f} entries, {growth.table_mb:.1f} MB a day, {growth.archive_mb:.1f} MB archived"]
    lines += [f"{mb:10.2f} MB  {kind}" for kind, mb in _largest_first(growth.by_kind_mb).items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
