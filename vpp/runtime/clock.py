"""The only place that reads the machine's clock.

Three clocks, one port (`vpp.ports.Clock`): the wall's own time, a wall that runs faster (the demo plays two hours in
two minutes), and virtual time that moves only when it is told to.
"""

import asyncio
import heapq
import itertools
import time
from dataclasses import dataclass
from datetime import datetime

from vpp.domain.errors import InputError
from vpp.domain.timegrid import instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledClock:
    """Wall time times ``speed``, so that every process given the same three numbers shows the same time.

    Attributes:
        anchor_wall_s: Wall epoch seconds at which this clock shows ``anchor_s``.
        anchor_s: What it shows then.
        speed: Its seconds per wall second, above zero.
    """

    anchor_wall_s: float = 0.0
    anchor_s: float = 0.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not self.speed > 0.0:
            raise InputError("clock_speed", self.speed, "a number above 0")

    @classmethod
    def starting(cls, start_at: datetime, speed: float) -> "ScaledClock":
        """Return a clock that shows ``start_at`` now."""
        return cls(anchor_wall_s=time.time(), anchor_s=start_at.timestamp(), speed=speed)

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        return instant(self.now_s())

    def now_s(self) -> float:
        """Return UTC epoch seconds."""
        return self.anchor_s + (time.time() - self.anchor_wall_s) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for that many of the clock's seconds."""
        await asyncio.sleep(self.wall(max(seconds, 0.0)))

    async def sleep_until(self, at_s: float) -> None:
        """Wait until epoch second ``at_s``."""
        await self.sleep(at_s - self.now_s())

    def wall(self, seconds: float) -> float:
        """Return how many wall seconds that many of the clock's seconds take."""
        return seconds / self.speed


SYSTEM_CLOCK = ScaledClock()
"""The wall's own time."""


class VirtualClock:
    """Time that moves only by ``advance``; sleepers wake in order as it passes them."""

    def __init__(self, start_s: float) -> None:
        self._now_s = start_s
        self._tie = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        return instant(self._now_s)

    def now_s(self) -> float:
        """Return UTC epoch seconds."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by ``seconds``."""
        await self.sleep_until(self._now_s + seconds)

    async def sleep_until(self, at_s: float) -> None:
        """Wait until the clock has been advanced to ``at_s``."""
        if at_s <= self._now_s:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at_s, next(self._tie), waiter))
        await waiter

    def wall(self, seconds: float) -> float:  # noqa: ARG002 - virtual seconds take no wall time
        """Return 0: virtual seconds take no wall time."""
        return 0.0

    async def advance(self, to_s: float) -> None:
        """Move to ``to_s``, waking every sleeper on the way at its own time."""
        while self._sleepers and self._sleepers[0][0] <= to_s:
            at_s, _, waiter = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, at_s)
            if not waiter.done():
                waiter.set_result(None)
            await asyncio.sleep(0)
        self._now_s = max(self._now_s, to_s)
