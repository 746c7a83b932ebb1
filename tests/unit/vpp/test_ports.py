"""Debts of work a clock waits for."""

from vpp.ports import owing
from vpp.runtime.clock import SYSTEM_CLOCK


def test_a_clock_that_cannot_wait_is_owed_nothing() -> None:
    with owing(SYSTEM_CLOCK, 0.0):
        assert SYSTEM_CLOCK.now_s() > 0.0
