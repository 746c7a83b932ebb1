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
    """Enter with the clock that settings describe; inside, a paced one reports this process's progress.

    Raises:
        ConfigurationError: The pace file is none.
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


def guard_of(clock: Clock, told: Callable[[float], None] | None = None) -> ClockGuard | None:
    """Return the guard of a clock that runs beside the wall, ``None`` for one that does not."""
    return ClockGuard(clock, told) if isinstance(clock, ScaledClock) else None
