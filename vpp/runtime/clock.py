"""Clocks: the only place that reads the machine's clock.

Clocks behind one port (`vpp.ports.Clock`): the wall's own time, a wall that runs faster, and virtual time that moves
only by ``advance``. `vpp.runtime.pace` has a fourth, which several processes share and which waits for the slowest.

The wall may be set by hand or by NTP at any moment; a service that followed would end a hold early or take every
measurement for one of the future. So time runs on the machine's steady counter, and the wall only disciplines it.
"""

import asyncio
import heapq
import itertools
import math
import sys
import time
from datetime import datetime

from vpp.domain.errors import InputError
from vpp.domain.timegrid import instant

WALL_STEP_S = 2.0
"""Distance of wall and steady time above which the wall was set; below it drift is slewed away."""
_SLEW_RATIO = 0.01
"""Share of a second by which a second is stretched or shortened to slew."""


class MachineTime:
    """The machine's two clocks: the wall clock, and a steady counter that cannot be set."""

    def wall_s(self) -> float:
        """Return UTC epoch seconds as the machine believes them now."""
        return time.time()

    def steady_s(self) -> float:
        """Return seconds since the machine started, its sleep included where the system can tell (Linux)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


_MACHINE = MachineTime()


class ScaledClock:
    """Steady time that began at the wall's, times ``speed``: processes given the same numbers show the same time.

    Args:
        anchor_wall_s: Wall epoch seconds at which this clock shows ``anchor_s``.
        anchor_s: Epoch seconds it shows then.
        speed: Its seconds per wall second, above zero.
        machine: Where wall and steady time come from.

    Raises:
        InputError: The speed is not above zero.
    """

    def __init__(
        self,
        *,
        anchor_wall_s: float = 0.0,
        anchor_s: float = 0.0,
        speed: float = 1.0,
        machine: MachineTime = _MACHINE,
    ) -> None:
        if not speed > 0.0:
            raise InputError("clock_speed", speed, "a number above 0")
        self.anchor_wall_s, self.anchor_s, self.speed = anchor_wall_s, anchor_s, speed
        self._machine, self._steady_s = machine, machine.steady_s
        self._go_on(machine.steady_s(), machine.wall_s(), slew_s=0.0)

    @classmethod
    def starting(cls, start_at: datetime, speed: float) -> "ScaledClock":
        """Return a clock that shows ``start_at`` now."""
        return cls(anchor_wall_s=_MACHINE.wall_s(), anchor_s=start_at.timestamp(), speed=speed)

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        return instant(self.now_s())

    def now_s(self) -> float:
        """Return UTC epoch seconds; they never fall. Read once a frame, so it is two products at most."""
        passed_s = self._steady_s() - self._since_s
        if passed_s < self._slewing_s:
            return self._begin_s + passed_s * self._slewed_speed
        return self._slewed_s + passed_s * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for that many of the clock's seconds."""
        await asyncio.sleep(self.wall(max(seconds, 0.0)))

    async def sleep_until(self, at_s: float) -> None:
        """Wait until epoch second ``at_s``."""
        await self.sleep(at_s - self.now_s())

    def wall(self, seconds: float) -> float:
        """Return how many wall seconds that many of the clock's seconds take."""
        return seconds / self.speed

    def discipline(self) -> float:
        """Compare with the wall and return by how many seconds the wall was set, 0.0 while the two agree.

        A distance of up to ``WALL_STEP_S`` is drift or a leap second: it is slewed away until the next call. A
        greater one is a step. It is not followed: only an operator can tell which of the two is right, and until then
        what was begun ends when it was to end.
        """
        steady_s = self._machine.steady_s()
        wall_s = self._wall_at(steady_s)
        ahead_s = self._machine.wall_s() - wall_s
        stepped = abs(ahead_s) > WALL_STEP_S
        self._go_on(steady_s, wall_s, slew_s=0.0 if stepped else ahead_s)
        return ahead_s if stepped else 0.0

    def _wall_at(self, steady_s: float) -> float:
        """Return wall seconds as the steady counter continues them, slewed."""
        passed_s = steady_s - self._since_s
        return self._wall_s + passed_s + math.copysign(min(abs(self._slew_s), passed_s * _SLEW_RATIO), self._slew_s)

    def _go_on(self, steady_s: float, wall_s: float, *, slew_s: float) -> None:
        """Continue from ``wall_s`` at ``steady_s``, with so many seconds to be slewed away."""
        self._since_s, self._wall_s, self._slew_s = steady_s, wall_s, slew_s
        self._begin_s = self.anchor_s + (wall_s - self.anchor_wall_s) * self.speed
        self._slewed_s = self._begin_s + slew_s * self.speed
        self._slewing_s = abs(slew_s) / _SLEW_RATIO
        self._slewed_speed = self.speed * (1.0 + math.copysign(_SLEW_RATIO, slew_s))


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
