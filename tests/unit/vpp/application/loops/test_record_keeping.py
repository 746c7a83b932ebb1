"""Steps of the upkeep run in order; one that fails holds up those behind it, and nothing else."""

import asyncio

import pytest

from vpp.application.loops.record_keeping import RecordKeeping, Step
from vpp.domain.errors import AuditError, StorageError
from vpp.runtime.clock import VirtualClock


def _steps(log: list[str], failing: dict[str, Exception]) -> dict[str, Step]:
    def step(name: str) -> Step:
        async def run() -> None:
            log.append(name)
            if name in failing:
                raise failing.pop(name)

        return run

    return {name: step(name) for name in ("checkpoint", "archive", "export")}


async def test_a_failing_step_is_tried_again_with_the_next_turn() -> None:
    log: list[str] = []
    keeping = RecordKeeping(VirtualClock(0.0), 300.0)
    keeping.steps = _steps(log, {"archive": StorageError("away")})
    told: list[tuple[bool, str]] = []
    keeping.tell = lambda failing, why: told.append((failing, why))
    assert not await keeping.turn()
    assert log == ["checkpoint", "archive"]
    assert told == [(True, "archive: away")]
    assert await keeping.turn()
    assert log[2:] == ["checkpoint", "archive", "export"]
    assert told[1:] == [(False, "")]


async def test_nothing_is_done_from_the_step_on_at_which_the_process_leads_no_more() -> None:
    log: list[str] = []
    keeping = RecordKeeping(VirtualClock(0.0), 300.0)
    keeping.steps = _steps(log, {})
    keeping.may_write = lambda: log != ["checkpoint"]
    assert not await keeping.turn()
    assert log == ["checkpoint"]


async def test_what_must_stop_the_service_is_passed_on() -> None:
    keeping = RecordKeeping(VirtualClock(0.0), 300.0)
    keeping.steps = _steps([], {"checkpoint": AuditError("broken")})
    with pytest.raises(AuditError):
        await keeping.turn()


async def test_a_turn_comes_every_period_and_at_once_where_it_is_overdue() -> None:
    clock = VirtualClock(0.0)
    at_s: list[float] = []
    keeping = RecordKeeping(clock, 300.0)

    async def step() -> None:
        at_s.append(clock.now_s())

    keeping.steps = {"checkpoint": step}
    running = asyncio.create_task(keeping.run(at_once=True))
    for second in range(700):
        await asyncio.sleep(0)
        await clock.advance(float(second))
    running.cancel()
    assert at_s == [0.0, 300.0, 600.0]
