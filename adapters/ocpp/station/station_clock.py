"""Estimate of a station's clock: its offset from ours, and the time of its stamps by our clock.

A live message is never older than the way it took, so the least ``now - stamp`` of the last minutes is the offset of
the clock (the filter of NTP, RFC 5905, 10, over one direction). OCPP sets clocks by the answers to boots and
heartbeats (1.6, 4.2 and 4.6), and stations that do not obey are minutes off (lbbrhzn/ocpp#45, steve#136), or hours
where they write local time as UTC. What comes later than the offset explains is an old message, not a slow clock:
a queue empties faster than time passes, while a clock that was set back stays as far behind as it is.
"""

import math
from functools import lru_cache

import msgspec

from vpp.domain.units import SECONDS_PER_DAY

WINDOW_S = 600.0
"""How long a message speaks for the clock; two halves, so that a step costs a comparison."""
LEAST_OFFSET_S = 10.0
"""Offset that a message's delay may account for: nothing to correct in what a station is sent."""
CLOCK_OFF_S = 60.0
"""Offset from which on the clock is reported as off."""
LONGEST_PAST_S = 7 * SECONDS_PER_DAY
"""Stamps further off are invalid: 1970, or a mistyped year (MicroOcpp#354)."""
_DELAY_S = 60.0
"""How much later than the best one a live message may come."""
_AGREES_S = 5.0
_AGREES_AFTER_S = 30.0
"""Two messages that far apart and as late as one another show that the clock was set back or sprang."""
_HALF_S = WINDOW_S / 2.0


@lru_cache(maxsize=16)
def _turn_of(second: int) -> float:
    return second + _HALF_S


def _turn_s(now_s: float) -> float:
    """Return the end of half a window that begins now, to the second: one object for thousands of clocks."""
    return _turn_of(math.ceil(now_s))


class StationClock(msgspec.Struct, gc=False):
    """Turns a station's stamps into epoch seconds of our clock.

    Attributes:
        offset_s: How far the station's clock is behind ours, negative where it is ahead, NaN while not known.
        astray: Its last stamp was invalid.
        changed: The offset has changed since this was last reset.
    """

    offset_s: float = math.nan
    astray: bool = False
    changed: bool = False
    _least_s: float = math.inf
    _before_s: float = math.inf
    _turn_s: float = -math.inf
    _doubt: tuple[float, float] | None = None

    @property
    def is_off(self) -> bool:
        """The clock is so far off that it is a trouble."""
        return self.astray or abs(self.offset_s) > CLOCK_OFF_S

    @property
    def beyond_s(self) -> float:
        """The offset where it is more than the way of a message, else 0."""
        return self.offset_s if abs(self.offset_s) > LEAST_OFFSET_S else 0.0

    def live(self, now_s: float, stamp_s: float) -> float:
        """Return the time of a live message by our clock; never after ``now_s``, and ``now_s`` without a stamp.

        Args:
            now_s: When it came.
            stamp_s: What its stamp says, NaN where it has none.
        """
        lag_s = now_s - stamp_s
        if 0.0 <= lag_s - self.offset_s <= _DELAY_S and now_s < self._turn_s:
            if lag_s < self._least_s:  # noqa: PLR1730 - in the frequent path
                self._least_s = lag_s
            return stamp_s + self.offset_s
        return self._judged(now_s, stamp_s, lag_s)

    def queued(self, now_s: float, stamp_s: float) -> float:
        """Return the time of a message that may be late; it bounds the offset from one side only."""
        lag_s = now_s - stamp_s
        if not abs(lag_s) <= LONGEST_PAST_S:
            return now_s
        if math.isnan(self.offset_s):
            return min(stamp_s, now_s)
        return self.live(now_s, stamp_s) if lag_s < self.offset_s else stamp_s + self.offset_s

    def _judged(self, now_s: float, stamp_s: float, lag_s: float) -> float:
        if math.isnan(lag_s):
            return now_s
        self.changed = True
        self.astray = abs(lag_s) > LONGEST_PAST_S
        if self.astray:
            return now_s
        if math.isnan(self.offset_s):
            return self._set(now_s, lag_s)
        self._turn(now_s)
        late_s = lag_s - self.offset_s
        if 0.0 <= late_s <= _DELAY_S:
            self._least_s = min(self._least_s, lag_s)
            return stamp_s + self.offset_s
        if -SECONDS_PER_DAY < late_s < 0.0 or self._agreed(now_s, lag_s):
            return self._set(now_s, lag_s)
        return min(stamp_s + self.offset_s, now_s)

    def _set(self, now_s: float, lag_s: float) -> float:
        self.offset_s = self._least_s = lag_s
        self._before_s, self._turn_s, self._doubt = math.inf, _turn_s(now_s), None
        return now_s

    def _turn(self, now_s: float) -> None:
        """Begin another half of the window once one is over; the best of two halves is the offset."""
        if now_s < self._turn_s:
            return
        least_s = min(self._before_s, self._least_s)
        if math.isfinite(least_s):
            self.offset_s = least_s
        self._before_s, self._least_s, self._turn_s = self._least_s, math.inf, _turn_s(now_s)

    def _agreed(self, now_s: float, lag_s: float) -> bool:
        """Tell whether an earlier message was as far off as this one."""
        if self._doubt is None or abs(self._doubt[0] - lag_s) > _AGREES_S:
            self._doubt = (lag_s, now_s)
        return now_s - self._doubt[1] >= _AGREES_AFTER_S
