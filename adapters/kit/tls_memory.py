"""Return of heap memory to the system after a rush of TLS handshakes.

A handshake needs 50 KB for a moment, the connection 15 KB for good (OpenSSL 3.0). After a thousand at a time the heap
is full of holes, which glibc keeps: 2,000 TLS devices that had connected at once held 46 KB each, and hold 23 KB since
the holes are returned.
"""

import ctypes
import math
from collections.abc import Callable

import structlog

from adapters.kit.timing_wheel import TimingWheel

_log = structlog.get_logger(__name__)

RUSH = 100
"""Handshakes in a rush from which on trimming the heap is worth its time."""
CALM = 20
"""Handshakes in one window that are no rush: some device always reconnects."""
WINDOW_WALL_S = 2.0


def release() -> None:
    """Return free heap memory to the system, 0.1 ms per MB of holes; no effect without glibc (musl, macOS)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class TlsMemory:
    """Counts handshakes and trims the heap once a rush is over.

    Args:
        timers: Runs the windows.
        trim: Returns free memory.

    Attributes:
        alarm: The timing wheel's.
    """

    __slots__ = ("_count", "_fresh", "_timers", "_trim", "alarm")

    def __init__(self, timers: TimingWheel, trim: Callable[[], None] = release) -> None:
        self.alarm = math.inf
        self._timers = timers
        self._trim = trim
        self._count = 0
        self._fresh = 0

    def handshake_done(self, now: float) -> None:
        """Count a handshake that is complete at loop time ``now``."""
        self._fresh += 1
        self._timers.schedule(self, now + WINDOW_WALL_S)

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: a window is over."""
        fresh, self._fresh = self._fresh, 0
        self._count += fresh
        if fresh > CALM:
            return now + WINDOW_WALL_S
        count, self._count = self._count, 0
        if count >= RUSH:
            self._trim()
        return math.inf

    def crashed(self, error: Exception) -> None:
        """See ``timing_wheel.Timed``."""
        _log.error("heap could not be trimmed after TLS handshakes", exc_info=error)
