"""One timing wheel for every connection of a process, instead of timers for each (Varghese and Lauck 1987)."""

import asyncio
import logging
import math
from typing import Protocol

log = logging.getLogger(__name__)

SLOT_WALL_S = 0.1


class Timed(Protocol):
    """Something with deadlines.

    Attributes:
        alarm: When the wheel will look at it next, infinite while it will not; the wheel's to write.
    """

    alarm: float

    def due(self, now: float) -> float:
        """Deal with what has become due and return when to look again, infinite for never."""
        ...

    def crashed(self, error: Exception) -> None:
        """Hear that ``due`` ended in an exception: count it, log it, and give up what cannot go on."""
        ...


class TimingWheel:
    """Deadlines in slots of a tenth of a second of loop time.

    An entry is never taken out: one that comes too early asks its owner for the true deadline and moves on. So
    setting and lifting the deadline of a call, which happens millions of times, costs a comparison.
    """

    def __init__(self) -> None:
        self._slots: dict[int, list[Timed]] = {}
        self._next = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to turn, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._next = int(self._loop.time() / SLOT_WALL_S)
        self._turn()

    def stop(self) -> None:
        """Stop turning and forget everything."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._loop = None, None
        self._slots.clear()

    def look(self, timed: Timed, at: float) -> None:
        """Have ``timed`` looked at once loop time is ``at``, unless that happens earlier anyway."""
        if at >= timed.alarm or at == math.inf:
            return
        timed.alarm = at
        slot = max(int(at / SLOT_WALL_S) + 1, self._next)
        known = self._slots.get(slot)
        if known is None:
            self._slots[slot] = [timed]
        else:
            known.append(timed)

    def advance(self, now: float) -> None:
        """Serve every slot up to loop time ``now``."""
        last = int(now / SLOT_WALL_S)
        while self._next <= last:
            slot, self._next = self._next, self._next + 1
            for timed in self._slots.pop(slot, ()):
                if timed.alarm <= now:
                    timed.alarm = math.inf
                    self.look(timed, self._due(timed, now))

    @staticmethod
    def _due(timed: Timed, now: float) -> float:
        """Return when to look again; one that fails is looked at no more, and stops nobody else's time."""
        try:
            return timed.due(now)
        except Exception as error:  # noqa: BLE001 - as in the poller
            try:
                timed.crashed(error)
            except Exception:
                log.exception("a connection could not be given up in order")
            return math.inf

    def _turn(self) -> None:
        if self._loop is not None:
            self._handle = self._loop.call_later(SLOT_WALL_S, self._turn)
            self.advance(self._loop.time())
