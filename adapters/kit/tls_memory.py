"""What a rush of TLS handshakes leaves behind goes back to the system.

A handshake needs 50 KB for a moment, the connection 15 KB for good (OpenSSL 3.0). After a thousand at a time the heap
is full of holes between what stays, which glibc keeps: 2,000 TLS stations that had come at once held 46 KB each, and
hold 23 since their holes are given back.
"""

import ctypes
import logging
import math
from collections.abc import Callable

from adapters.kit.timing_wheel import TimingWheel

log = logging.getLogger(__name__)

RUSH = 100
"""Handshakes in windows that were not calm from which on it is worth the look."""
CALM = 20
"""Handshakes in one window that are no rush, or no longer one: somebody always comes back."""
WINDOW_WALL_S = 2.0


def release() -> None:
    """Give back what is free: 0.1 ms per MB of holes; does nothing where the C library cannot (musl, macOS)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class TlsMemory:
    """Counts handshakes and tidies up once a rush is over.

    Args:
        wheel: Tells when.
        tidy: What to do then.

    Attributes:
        alarm: The wheel's.
    """

    __slots__ = ("_count", "_fresh", "_tidy", "_wheel", "alarm")

    def __init__(self, wheel: TimingWheel, tidy: Callable[[], None] = release) -> None:
        self.alarm = math.inf
        self._wheel = wheel
        self._tidy = tidy
        self._count = 0
        self._fresh = 0

    def shaken(self, now: float) -> None:
        """Note that a handshake is complete at loop time ``now``."""
        self._fresh += 1
        self._wheel.look(self, now + WINDOW_WALL_S)

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: a window is over."""
        fresh, self._fresh = self._fresh, 0
        self._count += fresh
        if fresh > CALM:
            return now + WINDOW_WALL_S
        count, self._count = self._count, 0
        if count >= RUSH:
            self._tidy()
        return math.inf

    def crashed(self, error: Exception) -> None:
        """See ``timing_wheel.Timed``."""
        log.error("what a rush of handshakes left behind could not be given back", exc_info=error)
