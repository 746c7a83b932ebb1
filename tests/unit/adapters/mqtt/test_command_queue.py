"""Commands that wait for their site: replaced, answered once, ended with their lease."""

import math

from adapters.mqtt.command_queue import CommandQueue, QueuedCommand
from adapters.mqtt.payload import Command
from vpp.domain.setpoint import Layer


def _errand(identity: int, row: int = 0, *, site: str = "s", until_s: float = math.inf) -> QueuedCommand:
    command = Command(id=identity, device=f"d{row}", layer=Layer.DISPATCH, power_kw=1.0, until_s=until_s, epoch=1)
    return QueuedCommand(row=row, site=site, command=command)


def test_a_waiting_errand_is_replaced_and_one_under_way_is_not() -> None:
    queue = CommandQueue(30.0)
    first, second, third = _errand(1), _errand(2), _errand(3)
    assert queue.add(first) is None
    assert queue.add(second) is first
    assert queue.take_due(0.0) == ([second], [])
    assert queue.add(third) is None
    assert queue.take_due(0.0) == ([], [])
    assert queue.settle(2, "s", "d0") is second
    assert queue.take_due(0.0) == ([third], [])


def test_an_answer_counts_once_and_only_from_where_it_was_asked() -> None:
    queue = CommandQueue(30.0)
    queue.add(_errand(1))
    queue.take_due(0.0)
    assert queue.settle(1, "elsewhere", "d0") is None
    assert queue.settle(1, "s", "d9") is None
    assert queue.settle(1, "s", "d0") is not None
    assert queue.settle(1, "s", "d0") is None


def test_errands_fall_due_in_the_order_they_left() -> None:
    queue = CommandQueue(30.0)
    for identity, at_s in ((1, 0.0), (2, 10.0)):
        queue.add(_errand(identity, identity))
        queue.take_due(at_s)
    assert [queued.command.id for queued in queue.overdue(29.0)] == []
    assert [queued.command.id for queued in queue.overdue(30.0)] == [1]
    assert [queued.command.id for queued in queue.overdue(100.0)] == [2]
    assert len(queue) == 0


def test_a_lease_that_ended_while_waiting_does_not_leave() -> None:
    queue = CommandQueue(30.0)
    ended = _errand(1, until_s=50.0)
    queue.add(ended)
    assert queue.take_due(50.0) == ([], [ended])
    assert len(queue) == 0


def test_a_lost_site_gives_up_its_own_errands_only() -> None:
    queue = CommandQueue(30.0)
    queue.add(_errand(1, 1, site="a"))
    queue.add(_errand(2, 2, site="b"))
    queue.take_due(0.0)
    queue.add(_errand(3, 1, site="a"))
    assert [queued.command.id for queued in queue.give_up("a")] == [1, 3]
    assert len(queue) == 1
