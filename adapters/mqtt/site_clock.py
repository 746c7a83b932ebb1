"""Clock offset of a site, measured by its live messages.

A reading is never older than its time on the way: the least of `now - stamp` over the messages of the last minutes is
how far the site's clock is behind. Only an offset that keeps steady is the clock's: that of a queue being worked off
falls. A stamp that is repeated says nothing.
"""

import math
from collections import deque
from itertools import islice

WINDOW_S = 600.0
"""Messages that are older say nothing of the clock any more."""
BAND_S = 600.0
"""A stamp further off than this counts only once the clock's offset is known."""
_LEAST_OFF_S = 30.0
"""Below this an offset is the network's and the device's own delay."""
_SPAN_S = 60.0
"""An offset must have been seen for so long, in at least so many messages."""
_LEAST_MESSAGES = 3
_STEADY_S = 30.0
"""The middle one of the offsets seen may lie this far above the least."""
_REMEMBERED = 64
_APART_S = 1e-3


class SiteClock:
    """One site's clock.

    Attributes:
        offset_s: Seconds it is behind ours, negative where it is fast; 0 while that is unknown or too small to matter.
    """

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._last_s = math.nan
        self._newest = (-math.inf, -math.inf)
        self._offsets: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    def note(self, stamp_s: float, now_s: float) -> None:
        """Take the stamp of a message that has just arrived."""
        if stamp_s == self._last_s:
            return
        self._last_s = stamp_s
        if not self._offsets and abs(now_s - stamp_s) < _LEAST_OFF_S:
            return  # as nearly always: there is nothing to measure
        self._offsets.append((now_s, now_s - stamp_s))
        while self._offsets and now_s - self._offsets[0][0] > WINDOW_S:
            self._offsets.popleft()
        self.offset_s = self._measured()
        if not self.offset_s and max(abs(offset) for _, offset in self._offsets) < _LEAST_OFF_S:
            self._offsets.clear()

    def instant_s(self, stamp_s: float, now_s: float) -> float | None:
        """Return when something stamped ``stamp_s`` was, by our clock; ``None`` where it says nothing of now."""
        at_s = stamp_s + self.offset_s
        if not -BAND_S <= now_s - at_s <= BAND_S:
            return None
        if stamp_s > self._newest[0]:
            # The offset may just have been found smaller: what was stamped later never comes out as earlier.
            at_s = max(at_s, self._newest[1] + _APART_S)
            self._newest = (stamp_s, min(at_s, now_s))
        return min(at_s, now_s)

    def _measured(self) -> float:
        latest = list(self._offsets)[-_LEAST_MESSAGES:]
        if min(offset for _, offset in latest) > min(offset for _, offset in self._offsets) + _STEADY_S:
            self._offsets = deque(latest, maxlen=_REMEMBERED)  # it was set back: what was before says nothing of it
        first_s, last_s = self._offsets[0][0], self._offsets[-1][0]
        if len(self._offsets) < _LEAST_MESSAGES or last_s - first_s < _SPAN_S:
            return self.offset_s
        offsets = sorted(offset for _, offset in self._offsets)
        least = offsets[0]
        middle = next(islice(offsets, len(offsets) // 2, None))
        steady = middle - least <= _STEADY_S
        return least if steady and abs(least) >= _LEAST_OFF_S else 0.0
