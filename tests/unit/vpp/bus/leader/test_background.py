"""Background tasks: a fault ends one of them, closing ends all."""

import asyncio

from structlog.testing import capture_logs

from tests.patience import PATIENCE_WALL_S
from vpp.bus.leader.background import BackgroundTasks, publish_once
from vpp.bus.transport.inprocess import InProcessBus


async def test_a_fault_is_logged_and_ends_that_task_alone() -> None:
    tasks, done = BackgroundTasks(), asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken")

    async def go_on() -> None:
        await asyncio.sleep(0.01)
        done.set()

    with capture_logs() as logs:
        tasks.start(fail())
        tasks.start(go_on())
        async with asyncio.timeout(PATIENCE_WALL_S):
            await done.wait()
    assert [(entry["log_level"], str(entry["exc_info"])) for entry in logs] == [("error", "broken")]
    await tasks.close()


async def test_closing_cancels_what_still_runs_and_waits_for_it() -> None:
    tasks, ended = BackgroundTasks(), list[str]()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    tasks.start(wait())
    await asyncio.sleep(0)
    await tasks.close()
    assert ended == ["ended"]


async def test_publishing_to_a_bus_that_is_away_passes() -> None:
    bus = InProcessBus()
    await bus.close()
    await publish_once(bus, "vpp.v1.leader", b"")
