"""Command ids come from blocks reserved ahead, so that an outage of the database is outlived."""

import threading

import numpy as np
import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.application.command_ids import CommandIds
from vpp.domain.errors import StorageError


class Counter:
    """Sequences whose database may be away, or slow."""

    def __init__(self) -> None:
        self.next = 1
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def next_epoch(self) -> int:
        """Return an epoch."""
        return 1

    def reserve_ids(self, count: int) -> int:
        """Reserve ids, unless the database is away."""
        assert self.open.wait(PATIENCE_WALL_S)
        if self.away:
            raise StorageError("the counters cannot be written")
        first, self.next = self.next, self.next + count
        return first


def begun(counter: Counter) -> CommandIds:
    """Return ids whose first block is reserved."""
    ids = CommandIds(counter)
    ids.begin()
    return ids


def settled(ids: CommandIds) -> CommandIds:
    """Return the ids once what was reserved ahead is there, or has failed."""
    assert ids._spare is not None
    ids._spare.exception()
    return ids


def test_ids_rise_and_are_never_given_twice() -> None:
    counter = Counter()
    one = begun(counter)
    taken = [one.take(count) for count in (1, 3000, 9000, 20_000, 5)]
    other = begun(counter)
    taken.append(other.take(10))
    every = np.concatenate(taken)
    assert (np.diff(every) > 0).all()
    assert every[-1] < counter.next


def test_an_outage_is_outlived_by_what_was_reserved_ahead() -> None:
    counter = Counter()
    ids = begun(counter)
    ids.take(100)
    settled(ids)
    counter.away = True
    taken = [settled(ids).take(100) for _ in range(150)]
    assert len(np.unique(np.concatenate(taken))) == 15_000
    with pytest.raises(StorageError):
        settled(ids).take(9000)
    counter.away = False
    assert ids.take(100)[0] > taken[-1][-1]


def test_a_reservation_that_failed_is_repeated_before_the_block_ends() -> None:
    counter = Counter()
    ids = settled(begun(counter))
    counter.away = True
    ids.take(8000)
    ids.take(8000)  # the spare block; the next cannot be reserved
    settled(ids)
    counter.away = False
    ids.take(1)
    settled(ids)
    counter.away = True
    assert ids.take(8000)[0] > 16_000


def test_an_outage_may_begin_before_the_first_command() -> None:
    counter = Counter()
    ids = settled(begun(counter))
    counter.away = True
    assert len(np.unique(np.concatenate([settled(ids).take(1000) for _ in range(16)]))) == 16_000


def test_a_slow_database_is_not_waited_for_while_a_block_lasts() -> None:
    counter = Counter()
    ids = begun(counter)
    ids.take(10)
    settled(ids)
    counter.open.clear()
    ids.take(8000)
    ids.take(8000)  # the spare block; the next one is being reserved
    counter.open.set()
    assert settled(ids).take(8000)[0] > 16_000


def test_blocks_are_as_large_as_the_fleet_needs() -> None:
    counter = Counter()
    ids = begun(counter)
    ids.take(50_000)
    settled(ids)
    assert counter.next > 50_000 * 16


def test_nothing_is_reserved_before_the_service_leads() -> None:
    counter = Counter()
    CommandIds(counter)
    assert counter.next == 1
