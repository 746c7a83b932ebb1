"""Counters of epochs and command ids."""

import pytest
import sqlalchemy as sa

from vpp.domain.errors import InputError
from vpp.storage.sequences import Sequences
from vpp.storage.sql import counters, open_database


def test_epochs_and_command_ids_rise_over_restarts(url: str) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        engine = open_database(url)
        leases = Sequences(engine)
        seen.append((leases.next_epoch(), leases.reserve_ids(100)))
        engine.dispose()
    assert seen == [(1, 1), (2, 101), (3, 201)]


@pytest.mark.parametrize("reached", [2**31 - 5, 2**40, 2**62])
def test_command_ids_go_on_from_wherever_a_database_stands(url: str, reached: int) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(sa.update(counters).where(counters.c.name == "command_id").values(value=reached))
    assert [Sequences(engine).reserve_ids(10) for _ in range(3)] == [reached + 1, reached + 11, reached + 21]
    engine.dispose()
    again = open_database(url)
    assert Sequences(again).reserve_ids(1) == reached + 31
    again.dispose()


@pytest.mark.parametrize("count", [0, -1])
def test_a_block_of_no_ids_is_refused(engine: sa.Engine, count: int) -> None:
    with pytest.raises(InputError):
        Sequences(engine).reserve_ids(count)
