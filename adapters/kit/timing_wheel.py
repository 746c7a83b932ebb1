"""Timing wheel: one timer for the deadlines of all connections of a process (Varghese and Lauck 1987)."""

import asyncio
import math
from functools import lru_cache
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

SLOT_WALL_S = 0.1
"""Width of a slot, and how late a deadline may be served."""


@lru_cache(maxsize=8192)
def _end_of(slot: int) -> float:
    """Return the loop time at which a slot is served, one object for all whose deadline lies in it."""
    return slot * SLOT_WALL_S


def shared_deadline(at: float) -> float:
    """Return a deadline put off to the end of its slot, one object for all deadlines of that slot."""
    return _end_of(math.ceil(at / SLOT_WALL_S)) if math.isfinite(at) else at


class Timed(Protocol):
    """Something with deadlines.

    Attributes:
        alarm: Loop time at which the wheel calls ``due`` next, infinite while it will not; written by the wheel.
    """

    alarm: float

    def due(self, now: float) -> float:
        """Handle what is due at loop time ``now``; return the next deadline, infinite for none."""
        ...

    def crashed(self, error: Exception) -> None:
        """Take note that ``due`` ended in an exception: count it, log it, give up what cannot go on."""
        ...


class TimingWheel:
    """Deadlines in slots of a tenth of a second of loop time.

    An entry is never taken out: one that comes too early asks its owner for the present deadline and moves on. So
    setting and lifting the deadline of a call, which happens millions of times, costs a comparison.
    """

    def __init__(self) -> None:
        self._slots: dict[int, list[Timed]] = {}
        self._next = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start turning, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._next = int(self._loop.time() / SLOT_WALL_S)
        self._turn()

    def stop(self) -> None:
        """Stop turning and forget everything."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._loop = None, None
        self._slots.clear()

    def schedule(self, timed: Timed, at: float) -> None:
        """Have ``timed.due`` called once loop time is ``at``, unless an earlier call is scheduled already."""
        if at >= timed.alarm or at == math.inf:
            return
        slot = max(int(at / SLOT_WALL_S) + 1, self._next)
        end = _end_of(slot)
        if end >= timed.alarm:
            return
        timed.alarm = end
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
            end = _end_of(slot)
            for timed in self._slots.pop(slot, ()):
                if timed.alarm <= end:
                    timed.alarm = math.inf
                    self.schedule(timed, self._due(timed, now))

    @staticmethod
    def _due(timed: Timed, now: float) -> float:
        """Return the next deadline; one that fails has none any more and delays no other."""
        try:
            return timed.due(now)
        except Exception as error:  # noqa: BLE001 - as in the poller
            try:
                timed.crashed(error)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("connection could not be given up in order")
            return math.inf

    def _turn(self) -> None:
        if self._loop is not None:
            self._handle = self._loop.call_later(SLOT_WALL_S, self._turn)
            self.advance(self._loop.time())
