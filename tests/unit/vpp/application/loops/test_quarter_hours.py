"""Work of every quarter of an hour: when its turn comes, and that a fault ends nothing."""

import asyncio
import contextlib
from datetime import UTC, datetime

from structlog.typing import EventDict

from vpp.application.loops.quarter_hours import every_quarter_hour
from vpp.runtime.clock import VirtualClock

BEGIN_S = datetime(2026, 7, 15, 12, 1, tzinfo=UTC).timestamp()
AFTER_S = 120.0


async def test_a_turn_comes_after_every_quarter_whatever_became_of_the_last(logs: list[EventDict]) -> None:
    clock, at_s = VirtualClock(BEGIN_S), list[float]()

    async def turn() -> None:
        at_s.append(clock.now_s() - BEGIN_S)
        if len(at_s) == 1:
            raise ValueError("wrong")

    running = asyncio.create_task(every_quarter_hour(clock, turn, after_s=AFTER_S, failed="work not done"))
    await asyncio.sleep(0.0)
    await clock.advance(BEGIN_S + 1800.0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert at_s == [60.0, 960.0]
    assert [line["event"] for line in logs] == ["work not done"]
