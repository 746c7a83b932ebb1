"""A lease ends by time, by release, or by what the device's own timer shows."""

import math

import pytest

from adapters.modbus.lease import Lease, OwnersRecord
from adapters.modbus.memory import VolatileMemory


@pytest.mark.parametrize(
    ("left_s", "dispatched", "until_s"),
    [(30.0, True, 130.0), (30.0, False, 130.0), (0.0, True, 500.0), (0.0, False, 100.0), (math.nan, True, 500.0)],
)
def test_a_timer_that_runs_is_believed_and_one_at_zero_only_where_nothing_of_ours_was_written(
    left_s: float, until_s: float, *, dispatched: bool
) -> None:
    lease = Lease(until_s=500.0, dispatched=dispatched)
    lease.show(left_s, 100.0)
    assert lease.until_s == until_s


def test_a_release_ends_the_time_and_an_end_the_warning() -> None:
    lease = Lease()
    lease.begin(50.0)
    lease.overdue = True
    assert (lease.dispatched, lease.until_s) == (True, 50.0)
    lease.end()
    assert (lease.dispatched, lease.overdue, lease.until_s) == (False, False, 50.0)
    lease.release()
    assert lease.until_s == 0.0


async def test_a_record_is_recalled_once_and_rests_for_a_minute_after_a_failure() -> None:
    memory = VolatileMemory()
    await memory.remember(3, {"WMaxLimPct": 80.0})
    record = OwnersRecord(3, memory)
    assert not record.recalled
    assert await record.recall() == {"WMaxLimPct": 80.0}
    assert record.recalled
    await record.remember({})
    assert await memory.recall(3) == {}
    record.postpone(100.0)
    assert not record.due(159.0)
    assert record.due(160.0)
