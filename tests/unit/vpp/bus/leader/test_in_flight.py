"""Instructions in flight: each ends once, its legs are timed."""

import numpy as np

from tests.conformance.bus_parts import orders
from vpp.bus.leader.in_flight import InFlight, Legs


def test_every_instruction_ends_once() -> None:
    outstanding = InFlight()
    outstanding.add(orders([1, 2, 3], [0, 1, 2]), gateway=0, sent_s=0.0, deadline_s=10.0)
    outstanding.add(orders([4, 5], [0, 1]), gateway=1, sent_s=0.0, deadline_s=20.0)
    known, touched = outstanding.settle(np.array([5, 2, 2, 99, 1]))
    assert known.tolist() == [True, True, False, False, True]
    assert [(d.gateway, places.tolist()) for d, places, _ in touched] == [(0, [1, 0]), (1, [1])]
    assert outstanding.settle(np.array([2]))[0].tolist() == [False]
    assert [batch.ids.tolist() for batch in outstanding.overdue(10.0)] == [[3]]
    assert [batch.ids.tolist() for batch in outstanding.of_gateway(1)] == [[4]]
    assert len(outstanding) == 0


def test_a_lost_gateway_ends_its_own_commands_only() -> None:
    outstanding = InFlight()
    outstanding.add(orders([1, 2], [0, 1]), gateway=0, sent_s=0.0, deadline_s=10.0)
    outstanding.add(orders([3], [2]), gateway=1, sent_s=0.0, deadline_s=10.0)
    assert [batch.ids.tolist() for batch in outstanding.of_gateway(0)] == [[1, 2]]
    assert len(outstanding) == 1
    assert [batch.ids.tolist() for batch in outstanding.all()] == [[3]]


def test_legs_are_counted_without_those_that_are_not_known() -> None:
    legs = Legs()
    legs.note("deliver", np.array([1.0, np.nan, 3.0]))
    assert legs.report() == {"deliver": {"count": 2.0, "p50_s": 2.0, "p99_s": 2.98, "max_s": 3.0}}
