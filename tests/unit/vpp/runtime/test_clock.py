"""Clocks: scaled ones agree between processes, virtual ones wake sleepers in order."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.unit.vpp.runtime.parts import SetMachine
from vpp.domain.errors import InputError
from vpp.runtime.clock import SYSTEM_CLOCK, WALL_STEP_S, ScaledClock, VirtualClock


def test_a_scaled_clock_runs_faster_by_its_speed() -> None:
    clock = ScaledClock(anchor_wall_s=SYSTEM_CLOCK.now_s() - 10.0, anchor_s=1_000.0, speed=60.0)
    assert clock.now_s() == pytest.approx(1_600.0, abs=30.0)
    assert clock.wall(120.0) == 2.0


def test_drift_is_slewed_away_without_ever_going_back() -> None:
    machine = SetMachine()
    clock = ScaledClock(machine=machine)
    machine.wall -= 0.9 * WALL_STEP_S
    before_s = clock.now_s()
    for _ in range(600):
        machine.let_pass(0.5, drift=2e-4)
        assert clock.discipline() == 0.0
        machine.let_pass(0.5, drift=2e-4)
        assert before_s < clock.now_s()
        before_s = clock.now_s()
    assert clock.now_s() == pytest.approx(machine.wall, abs=0.01)


def test_steps_between_two_looks_do_not_add_up_in_the_clock() -> None:
    machine = SetMachine()
    clock = ScaledClock(anchor_wall_s=1_000_000.0, anchor_s=0.0, speed=60.0, machine=machine)
    for step_s in (500.0, -900.0, 400.0):
        machine.wall += step_s
        machine.let_pass(1.0)
        clock.discipline()
    assert clock.now_s() == pytest.approx(180.0)


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(InputError, match="clock_speed: 0"):
        ScaledClock(speed=0)


def test_instants_are_aware_utc() -> None:
    clock = ScaledClock.starting(datetime(2026, 7, 15, 4, tzinfo=UTC), 1.0)
    assert clock.now().utcoffset() is not None
    assert clock.now().hour == 4


async def test_virtual_sleepers_wake_in_order_and_at_their_time() -> None:
    clock = VirtualClock(0.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, until_s: float) -> None:
        await clock.sleep_until(until_s)
        woken.append((name, clock.now_s()))

    tasks = [asyncio.create_task(sleeper("b", 20.0)), asyncio.create_task(sleeper("a", 10.0))]
    await asyncio.sleep(0)
    await clock.advance(30.0)
    await asyncio.gather(*tasks)
    assert woken == [("a", 10.0), ("b", 20.0)]
    assert clock.now_s() == 30.0
