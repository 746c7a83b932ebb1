"""Metered intervals: merged, bounded in memory, unknown where nothing was measured."""

from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa

from tests.unit.vpp.storage.parts import START, START_S, rows
from vpp.domain.errors import InputError, StorageError
from vpp.domain.timegrid import TimeGrid
from vpp.storage import interval_store
from vpp.storage.interval_store import IntervalStore


def grid(count: int, *, skip: int = 0) -> TimeGrid:
    return TimeGrid(start_at=datetime.fromtimestamp(START_S + 900 * skip, tz=UTC), count=count)


def test_an_interval_comes_back_from_memory_and_from_disk(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    store.write(START_S, np.array([1.5, np.nan, -3.25]), np.array([1.0, 0.0, 0.5]))
    expected = [[1.5], [np.nan], [-3.25]]

    for read in (store, IntervalStore(engine)):
        np.testing.assert_array_equal(read.read(grid(1)), expected)
        np.testing.assert_array_equal(read.read_completeness(grid(1)), [[1.0], [0.0], [0.5]])


def test_an_interval_of_which_less_than_half_was_metered_is_unknown(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    store.write(START_S, np.array([7.0, 7.0, 7.0]), np.array([0.4, 0.5, 0.6]))
    for read in (store, IntervalStore(engine)):
        np.testing.assert_array_equal(read.read(grid(1)), [[np.nan], [7.0], [7.0]])
        np.testing.assert_allclose(read.read_completeness(grid(1))[:, 0], [0.4, 0.5, 0.6], rtol=1e-3)


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


def test_intervals_of_before_are_deleted_from_memory_and_disk(engine: sa.Engine) -> None:
    store = IntervalStore(engine)
    for step in range(3):
        store.write(START_S + 900 * step, np.array([float(step)]), np.ones(1))
    store.keep(START_S - 900, np.array([9.0]), np.ones(1))
    assert store.forget(START_S + 900) == 2
    assert store.forget(START_S + 900) == 0
    store.flush_now()
    for read in (store, IntervalStore(engine)):
        np.testing.assert_array_equal(read.read(grid(3)), [[np.nan, 1.0, 2.0]])
    assert len(IntervalStore(engine)._starts) == 2


def test_intervals_are_deleted_a_few_at_a_time_the_oldest_first(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interval_store, "_FORGOTTEN_AT_ONCE", 2)
    store, begun = IntervalStore(engine), list[int]()
    for step in range(7):
        store.write(START_S + 900 * step, np.array([float(step)]), np.ones(1))

    def fail(_: sa.Connection) -> None:
        begun.append(len(begun))
        if len(begun) == 3:
            raise sa.exc.OperationalError("delete", {}, OSError("the disk is full"))

    sa.event.listen(engine, "begin", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        store.forget(START_S + 900 * 6)
    assert store.first_s == START_S + 900 * 4, "what was deleted is"
    assert store.forget(START_S + 900 * 6) == 2
    assert store.first_s == START_S + 900 * 6
    assert len(begun) == 4
