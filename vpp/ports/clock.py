"""Time: the one clock of a process."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """The only source of time. Seconds are the clock's own, which may run faster than the wall's."""

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        ...

    def now_s(self) -> float:
        """Return UTC epoch seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that many of the clock's seconds."""
        ...

    async def sleep_until(self, at_s: float) -> None:
        """Wait until epoch second ``at_s``; return at once if it has passed."""
        ...

    def wall(self, seconds: float) -> float:
        """Return how many wall seconds that many of the clock's seconds take."""
        ...


@runtime_checkable
class YieldingClock(Clock, Protocol):
    """A simulated clock, which waits for work that is late."""

    def owing(self, at_s: float) -> AbstractContextManager[None]:
        """Keep time from running more than a little beyond ``at_s`` while inside."""
        ...


def owing(clock: Clock, at_s: float) -> AbstractContextManager[None]:
    """Return a context for work due at ``at_s``; a `YieldingClock` waits for it."""
    return clock.owing(at_s) if isinstance(clock, YieldingClock) else nullcontext()
