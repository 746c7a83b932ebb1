"""Counters of epochs and command ids."""

import pytest
import sqlalchemy as sa

from vpp.domain.errors import InputError, StopError
from vpp.storage.sequences import Sequences
from vpp.storage.sql import open_database


def test_epochs_and_command_ids_rise_over_restarts(url: str) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        engine = open_database(url)
        leases = Sequences(engine)
        seen.append((leases.next_epoch(), leases.reserve_ids(100)))
        engine.dispose()
    assert seen == [(1, 1), (2, 101), (3, 201)]


def test_command_ids_end_below_two_to_the_thirty_first(engine: sa.Engine) -> None:
    leases = Sequences(engine)
    assert leases.reserve_ids(2**31 - 2) == 1
    assert leases.reserve_ids(1) == 2**31 - 1
    with pytest.raises(StopError):
        leases.reserve_ids(1)


@pytest.mark.parametrize("count", [0, -1])
def test_a_block_of_no_ids_is_refused(engine: sa.Engine, count: int) -> None:
    with pytest.raises(InputError):
        Sequences(engine).reserve_ids(count)
