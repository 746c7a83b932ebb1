"""A wall clock that is set under a running service."""

import pytest

from tests.unit.vpp.runtime.parts import SetMachine
from vpp.runtime.clock import ScaledClock
from vpp.runtime.clock_guard import ClockGuard


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 10.0, -10.0])
def test_a_wall_that_is_set_is_not_followed_and_said_once(step_s: float) -> None:
    machine, told = SetMachine(), list[float]()
    clock = ScaledClock(machine=machine)
    guard = ClockGuard(clock, told.append)
    machine.wall += step_s
    for _ in range(5):
        machine.let_pass(1.0)
        guard.look()
    assert clock.now_s() == pytest.approx(1_000_005.0)
    assert told == [pytest.approx(step_s)]
    machine.wall -= step_s
    machine.let_pass(1.0)
    guard.look()
    assert told == [pytest.approx(step_s), 0.0]
    assert clock.now_s() == pytest.approx(1_000_006.0)
