"""A database that is full, or that somebody else has locked: nothing is lost, out of order or twice, and nobody waits.

Real SQLite throughout: full by its limit of pages, locked by a second connection.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.domain.errors import StorageError
from vpp.domain.site import Area
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.index import FleetIndex
from vpp.storage.interval_store import IntervalStore
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.registry import SqlRegistry
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.sequences import Sequences
from vpp.storage.sql import open_database

START_S = 1_784_088_000.0
WIDE = 5000
"""Rows whose intervals need pages of their own."""
INCOMPRESSIBLE = np.random.default_rng(0).bytes(5000).hex()
Trouble = Callable[[sa.Engine], "contextmanager[None]"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'vpp.sqlite3'}")
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=20"))
    engine.dispose()
    yield engine
    engine.dispose()


@contextmanager
def full(engine: sa.Engine) -> Iterator[None]:
    """Leave a database no page more than it has."""
    limit = lambda raw, _: raw.execute("PRAGMA max_page_count=1")  # noqa: E731 - SQLite makes it what there is
    engine.dispose()
    sa.event.listen(engine, "connect", limit)
    yield
    sa.event.remove(engine, "connect", limit)
    engine.dispose()


@contextmanager
def locked(engine: sa.Engine) -> Iterator[None]:
    """Have somebody else hold the right to write."""
    other = sqlite3.connect(str(engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@pytest.fixture(params=[full, locked])
def trouble(request: pytest.FixtureRequest) -> Trouble:
    chosen: Trouble = request.param
    return chosen


def samples(number: int) -> TelemetryBatch:
    return TelemetryBatch.of([(row, Quantity.POWER_KW, np.sin(7.0 * number + row), START_S) for row in range(2000)])


async def test_decisions_wait_in_memory_and_are_written_in_order_later(engine: sa.Engine, trouble: Trouble) -> None:
    record = SqlJournal(engine)
    record.append("before", 0.0, {})
    await record.flush()
    with trouble(engine):
        for number in range(600):
            record.append("decision", float(number), {"number": number, "text": INCOMPRESSIBLE})
            if number % 200 == 0:
                with pytest.raises(StorageError, match="the journal cannot be written or read: database"):
                    await record.flush()
        assert (record.pending, record.pending_bytes > 5000 * 600) == (600, True)
    await record.flush()

    assert (record.pending, record.pending_bytes) == (0, 0)
    assert [e.body["number"] for e in record.entries(["decision"])] == list(range(600))
    assert verify(engine).count == 601
    record.close()


async def test_samples_wait_in_memory_and_the_oldest_are_dropped_above_the_bound(
    engine: sa.Engine, trouble: Trouble
) -> None:
    log = SqlTelemetryLog(engine, most_bytes=400_000)
    with trouble(engine):
        for number in range(100):
            log.append(number, START_S + number, samples(number))
        with pytest.raises(StorageError, match="the samples"):
            await log.flush()
        kept = log.pending
        assert 0 < kept < 100
        assert log.dropped == (100 - kept) * 2000
    await log.flush()
    assert [frame.cycle for frame in log.iterate()] == list(range(100 - kept, 100))
    log.close()


async def test_metered_intervals_are_read_from_memory_and_written_later(engine: sa.Engine, trouble: Trouble) -> None:
    store, grid = IntervalStore(engine), TimeGrid(start_at=instant(START_S), count=2)
    with trouble(engine):
        store.keep(START_S, np.ones(WIDE), np.ones(WIDE))
        store.keep(START_S + 900.0, np.full(WIDE, 2.0), np.ones(WIDE))
        with pytest.raises(StorageError, match="the metered intervals"):
            await store.flush()
        with pytest.raises(StorageError):
            store.import_rows(grid, np.array([0], dtype=np.int32), np.full((1, 2), 9.0))
        assert store.pending == 2
        assert store.read(grid).tolist() == [[1.0, 2.0]] * WIDE
    await store.flush()
    assert store.pending == 0
    assert IntervalStore(engine).read(grid).tolist() == [[1.0, 2.0]] * WIDE


async def test_an_import_keeps_what_was_metered_and_is_not_written_yet(engine: sa.Engine) -> None:
    store, grid = IntervalStore(engine), TimeGrid(start_at=instant(START_S), count=1)
    store.keep(START_S, np.ones(WIDE), np.ones(WIDE))
    store.import_rows(grid, np.array([0], dtype=np.int32), np.full((1, 1), 9.0))
    assert store.pending == 0
    assert IntervalStore(engine).read(grid).tolist() == [[9.0], *[[1.0]] * (WIDE - 1)]


def test_what_cannot_be_put_off_says_that_it_is_to_be_tried_again(engine: sa.Engine, trouble: Trouble) -> None:
    text = "x" * 250
    larger = FleetIndex.empty().extended(areas=[Area(id=f"{k}{text}"[:200], name=text) for k in range(200)])
    with trouble(engine), pytest.raises(StorageError, match="the registry"):
        SqlRegistry(engine).add(FleetIndex.empty(), larger)
    SqlRegistry(engine).add(FleetIndex.empty(), larger)
    assert SqlRegistry(engine).load() == larger


def test_no_ids_are_given_out_that_are_not_reserved(engine: sa.Engine) -> None:
    with locked(engine), pytest.raises(StorageError, match="the counters"):
        Sequences(engine).reserve_ids(10)
    assert Sequences(engine).reserve_ids(10) == 1
