"""Clock of a process by its settings, for as long as the process runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from vpp.config import Settings
from vpp.ports import Clock
from vpp.runtime.clock import ScaledClock
from vpp.runtime.clock_guard import ClockGuard
from vpp.runtime.pace import PacedClock, PaceFile


@asynccontextmanager
async def running_clock(settings: Settings) -> AsyncIterator[Clock]:
    """Yield the clock that the settings describe; a paced one reports this process's progress meanwhile.

    Raises:
        ConfigurationError: There is no pace file where the settings say.
    """
    if settings.clock_pace is None:
        yield ScaledClock(
            anchor_wall_s=settings.clock_anchor_wall_s, anchor_s=settings.clock_anchor_s, speed=settings.clock_speed
        )
        return
    page = PaceFile.open(settings.clock_pace)
    clock = PacedClock(page)
    beating = asyncio.create_task(clock.beat(), name="pace")
    try:
        yield clock
    finally:
        beating.cancel()
        await asyncio.wait((beating,))
        page.close()


def instant_of(settings: Settings) -> float:
    """Return the present of the clock that the settings describe, epoch seconds; a paced one is as the wall's."""
    clock = ScaledClock(
        anchor_wall_s=settings.clock_anchor_wall_s, anchor_s=settings.clock_anchor_s, speed=settings.clock_speed
    )
    return clock.now_s()


def guard_of(clock: Clock, stepped: Callable[[float], None] | None = None) -> ClockGuard | None:
    """Return the guard of a clock disciplined by the machine's, ``None`` for any other."""
    return ClockGuard(clock, stepped) if isinstance(clock, ScaledClock) else None
