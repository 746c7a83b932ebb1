"""Metered intervals and recorded samples as frames."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.domain.errors import FrameError, InputError, StorageError
from vpp.domain.telemetry import TelemetryBatch
from vpp.domain.timegrid import TimeGrid
from vpp.storage import interval_store
from vpp.storage.codec import decode, encode
from vpp.storage.interval_store import IntervalStore
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.sql import open_database

START = datetime(2026, 7, 15, tzinfo=UTC)
START_S = START.timestamp()


def grid(count: int, *, skip: int = 0) -> TimeGrid:
    return TimeGrid(start_at=datetime.fromtimestamp(START_S + 900 * skip, tz=UTC), count=count)


def rows(*numbers: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array(numbers, dtype=np.int32)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'vpp.sqlite3'}")
    yield engine
    engine.dispose()


def test_an_interval_comes_back_from_memory_and_from_disk(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    store.write(START_S, np.array([1.5, np.nan, -3.25]), np.array([1.0, 0.0, 0.5]))
    expected = [[1.5], [np.nan], [-3.25]]

    for read in (store, IntervalStore(engine)):
        np.testing.assert_array_equal(read.read(grid(1)), expected)
        np.testing.assert_array_equal(read.read_completeness(grid(1)), [[1.0], [0.0], [0.5]])


def test_what_was_never_measured_is_unknown(engine: sa.Engine) -> None:
    store = IntervalStore(engine, n_resources=2)
    assert np.isnan(store.read(grid(3))).all()
    assert store.read(grid(3)).shape == (2, 3)
    assert store.read(grid(0)).shape == (2, 0)
    assert not store.read_completeness(grid(3)).any()


def test_rows_that_joined_later_are_unknown_before(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    store.write(START_S, np.array([1.0]), np.ones(1))
    store.write(START_S + 900, np.array([2.0, 3.0]), np.ones(2))
    store.grow(3)

    np.testing.assert_array_equal(store.read(grid(2)), [[1.0, 2.0], [np.nan, 3.0], [np.nan, np.nan]])
    assert IntervalStore(engine).n_resources == 2


def test_writing_an_interval_again_replaces_it(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    for value in (1.0, 2.0):
        store.write(START_S, np.array([value]), np.ones(1))
    assert store.read(grid(1)).tolist() == [[2.0]]
    assert IntervalStore(engine).read(grid(1)).tolist() == [[2.0]]


def test_imported_rows_merge_into_what_is_there_and_unknown_leaves_it(engine: sa.Engine) -> None:
    store = IntervalStore(engine, n_resources=3)
    store.write(START_S, np.array([1.0, 2.0, np.nan]), np.array([0.5, 1.0, 0.0]))
    count = store.import_rows(grid(2), rows(2, 0), np.array([[30.0, 31.0], [np.nan, 11.0]]))

    assert count == 3
    for read in (store, IntervalStore(engine)):
        np.testing.assert_array_equal(read.read(grid(2)), [[1.0, 11.0], [2.0, np.nan], [30.0, 31.0]])
        np.testing.assert_array_equal(read.read_completeness(grid(2)), [[0.5, 1.0], [1.0, 0.0], [1.0, 1.0]])


def test_an_import_leaves_its_neighbours_alone(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    for step in range(4):
        store.write(START_S + 900 * step, np.array([float(step)]), np.ones(1))
    store.import_rows(grid(2, skip=1), rows(0), np.array([[10.0, 20.0]]))

    assert IntervalStore(engine).read(grid(4)).tolist() == [[0.0, 10.0, 20.0, 3.0]]


def test_nine_days_of_the_demo_fleet_come_back(engine: sa.Engine) -> None:
    means = np.random.default_rng(1).uniform(-50.0, 50.0, size=(1320, 9 * 96))
    store = IntervalStore(engine)

    assert store.import_rows(grid(9 * 96), np.arange(1320, dtype=np.int32), means) == means.size
    np.testing.assert_allclose(IntervalStore(engine).read(grid(9 * 96)), means, atol=1e-5)


def test_memory_is_bounded_and_nothing_is_lost_by_it(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_store, "_CACHE_BYTES", 3 * 10 * 6)
    store = IntervalStore(engine)
    means = np.arange(100.0).reshape(10, 10)
    for step in range(10):
        store.write(START_S + 900 * step, means[:, step], np.ones(10))

    assert len(store._frames) == 3
    for _ in range(2):
        np.testing.assert_array_equal(store.read(grid(10)), means)
        assert len(store._frames) == 3


@pytest.mark.parametrize("start_s", [START_S + 1.0, START_S + 450.0])
def test_intervals_start_on_quarters_of_an_hour(engine: sa.Engine, start_s: float) -> None:
    with pytest.raises(InputError, match="multiple of 900"):
        IntervalStore(engine).write(start_s, np.ones(1), np.ones(1))


def test_shapes_and_steps_are_checked(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    with pytest.raises(InputError, match="step_s"):
        store.read(TimeGrid(start_at=START, step_s=60, count=2))
    with pytest.raises(InputError, match="completeness"):
        store.write(START_S, np.ones(2), np.ones(3))
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        store.import_rows(grid(2), rows(0), np.ones((2, 1)))


def batch(count: int) -> TelemetryBatch:
    random = np.random.default_rng(count)
    return TelemetryBatch(
        rows=random.integers(0, 300_000, count).astype(np.int32),
        quantities=random.integers(0, 8, count).astype(np.uint8),
        values=np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
        at_s=START_S + random.random(count),
    )


def same(one: TelemetryBatch, other: TelemetryBatch) -> bool:
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("rows", "quantities", "values", "at_s")
    )


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_batch_survives_the_codec_to_the_bit(count: int) -> None:
    assert same(decode(encode(batch(count))), batch(count))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame[:0],
        lambda frame: frame[:5],
        lambda frame: b"XX" + frame[2:],
        lambda frame: frame[:2] + b"\x09" + frame[3:],
        lambda frame: frame[:-4],
        lambda frame: frame[:3] + b"\x01\x00\x00\x00" + frame[7:],
    ],
)
def test_a_spoilt_frame_is_refused(spoil: "object") -> None:
    with pytest.raises(FrameError):
        decode(spoil(encode(batch(10))))


async def test_samples_are_replayed_in_the_order_they_were_heard(engine: sa.Engine) -> None:
    log = SqlTelemetryLog(engine)
    for cycle in range(450):
        log.append(cycle, START_S + cycle, batch(cycle % 7))
    await log.flush()

    frames = list(log.iterate())
    assert [frame.cycle for frame in frames] == list(range(450))
    assert all(same(frame.batch, batch(frame.cycle % 7)) for frame in frames)
    some = [frame.cycle for frame in log.iterate(from_s=START_S + 10.0, until_s=START_S + 13.0)]
    assert some == [10, 11, 12]
    log.close()


async def test_cycles_that_start_again_after_a_restart_do_not_collide(engine: sa.Engine) -> None:
    for _ in range(2):
        log = SqlTelemetryLog(engine)
        log.append(1, START_S, batch(3))
        log.append(2, START_S + 1.0, batch(3))
        log.close()
    log = SqlTelemetryLog(engine)
    assert [frame.cycle for frame in log.iterate()] == [1, 2, 1, 2]
    assert (log.prune(START_S + 1.0), len(list(log.iterate()))) == (2, 2)
    log.close()


async def test_samples_that_could_not_be_written_are_told_of_and_kept(engine: sa.Engine) -> None:
    log = SqlTelemetryLog(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE telemetry_frames RENAME TO gone")
    log.append(1, START_S, batch(3))
    with pytest.raises(StorageError, match="the samples cannot be written"):
        await log.flush()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO telemetry_frames")
    await log.flush()
    assert [frame.cycle for frame in log.iterate()] == [1]
    log.close()
