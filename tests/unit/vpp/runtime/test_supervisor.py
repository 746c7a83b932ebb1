"""A loop that fails is told of, started again later each time, and said to work once it has run for a while."""

import asyncio

from vpp.domain.errors import ConfigurationError, StorageError
from vpp.runtime.clock import VirtualClock
from vpp.runtime.supervisor import Supervisor, fault_in


class Loop:
    """Fails as often as it is told to, then runs."""

    def __init__(self, clock: VirtualClock, times: int, error: Exception | None = None) -> None:
        self.starts: list[float] = []
        self._clock, self._times, self._error = clock, times, error or ValueError("broken")

    async def run(self) -> None:
        """Fail, or run for ever."""
        self.starts.append(self._clock.now_s())
        if len(self.starts) <= self._times:
            raise self._error
        await self._clock.sleep(1e9)


async def settle(clock: VirtualClock, to_s: float) -> None:
    """Let time pass, and everybody do what it calls for."""
    while clock.now_s() < to_s:
        await clock.advance(clock.now_s() + 1.0)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_loop_that_fails_is_started_again_later_each_time_and_others_go_on() -> None:
    clock, told = VirtualClock(0.0), []
    supervisor = Supervisor(clock, lambda: told.append(dict(supervisor.failing())))
    bad, good = Loop(clock, 6), Loop(clock, 0)
    supervisor.watch("bad", bad.run)
    supervisor.watch("good", good.run)
    await settle(clock, 200.0)
    waits = [round(b - a) for a, b in zip(bad.starts, bad.starts[1:], strict=False)]
    assert waits == [5, 10, 20, 40, 60, 60]
    assert len(good.starts) == 1
    assert told == [{"bad": "broken"}] * 6
    await supervisor.close()


async def test_a_loop_counts_as_failing_until_it_has_run_for_a_while() -> None:
    clock = VirtualClock(0.0)
    supervisor = Supervisor(clock)
    supervisor.watch("slow", Loop(clock, 1, StorageError("database is locked")).run)
    await settle(clock, 10.0)
    assert supervisor.failing() == {"slow": "database is locked"}
    await settle(clock, 80.0)
    assert supervisor.failing() == {}
    await supervisor.close()


async def test_control_is_tried_again_soon_however_often_it_has_failed() -> None:
    clock = VirtualClock(0.0)
    supervisor, loop = Supervisor(clock), Loop(clock, 8)
    supervisor.watch("fast", loop.run, most_s=5.0)
    await settle(clock, 60.0)
    assert [round(b - a) for a, b in zip(loop.starts, loop.starts[1:], strict=False)] == [5] * 8
    await supervisor.close()


async def test_an_error_that_says_stop_ends_the_service() -> None:
    clock = VirtualClock(0.0)
    supervisor = Supervisor(clock)
    supervisor.watch("fast", Loop(clock, 1, ConfigurationError("no such fleet")).run)
    await supervisor.wait()
    assert isinstance(supervisor.failure, ConfigurationError)
    await supervisor.close()


def test_a_step_that_fails_says_why() -> None:
    assert fault_in(lambda: 1) is None
    assert isinstance(fault_in(lambda: int("x")), ValueError)
