"""Guard of the service's clock against steps of the machine's clock."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)
_LOOK_WALL_S = 1.0


class DisciplinedClock(Protocol):
    """A clock that compares itself with the wall (`vpp.runtime.clock.ScaledClock`)."""

    def discipline(self) -> float:
        """Return by how many seconds the wall was set, 0.0 while the two agree."""
        ...


class ClockGuard:
    """Compares with the machine's clock every second; reports once when it was set, and once when the two agree again.

    Args:
        clock: The service's clock.
        stepped: Called with the lead of the machine's clock in seconds when it was set, with 0.0 when the two agree.
    """

    def __init__(self, clock: DisciplinedClock, stepped: Callable[[float], None] | None = None) -> None:
        self._clock = clock
        self._report = stepped
        self._stepped = False

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_WALL_S)

    def look(self) -> None:
        """Compare once."""
        ahead_s = self._clock.discipline()
        if bool(ahead_s) is self._stepped:
            return
        self._stepped = bool(ahead_s)
        if self._stepped:
            _log.error("the machine's clock was set and is not followed", ahead_s=round(ahead_s, 3))
        else:
            _log.info("the machine's clock agrees again")
        if self._report is not None:
            self._report(ahead_s)
