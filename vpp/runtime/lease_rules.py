"""Rules of the lease of leadership, on steady time: how long its holder may act, and when others may take it.

No wall clock is compared with another. The holder counts from the beginning of its last successful renewal, a standby
from the moment it saw that renewal, which is later: as long as both clocks run at the same rate, the holder has stopped
before a standby may begin, whatever anybody's wall clock shows.
"""

import math

from vpp.runtime.lease import LeaseRecord

_HELD_RATIO = 0.8
"""Share of the time to live in which the holder acts; the rest is for clocks of unequal rate and for its last batch."""
_WATCHED_TTLS = 10.0
"""Times to live after its last visit for which a standby counts as watching."""


class Tenure:
    """The holder's side of the lease.

    While a standby watches, a holder that cannot renew may not act: the standby leads next. Where none watches, an
    outage of the database is survived as before: the holder acts as long as it goes on trying to renew, so that a
    process that was frozen does not.

    Args:
        ttl_s: Time to live of the lease.
        taken_s: Steady seconds at which the attempt to take it began.
        visits: Visits of standbys when it was taken.
    """

    def __init__(self, ttl_s: float, *, taken_s: float, visits: int) -> None:
        self.deposed = False
        self._ttl_s = ttl_s
        self._visits = visits
        self._renewed_s = self._tried_s = taken_s
        self._trying = False
        self._visited_s = -math.inf

    def tries(self) -> None:
        """Note that an attempt to renew has begun."""
        self._trying = True

    def renewed(self, began_s: float, visits: int, *, ended_s: float) -> None:
        """Take a renewal from ``began_s`` to ``ended_s`` that found so many visits of standbys."""
        if visits != self._visits:
            self._visits, self._visited_s = visits, began_s
        self._renewed_s = began_s
        self.tried(ended_s)

    def tried(self, ended_s: float) -> None:
        """Note that an attempt to renew has ended; by itself, one that the database did not answer."""
        self._tried_s, self._trying = ended_s, False

    def lose(self) -> None:
        """Another process holds the lease."""
        self.deposed = True

    @property
    def watched(self) -> bool:
        """Whether a standby was watching at the last renewal."""
        return self._renewed_s - self._visited_s < _WATCHED_TTLS * self._ttl_s

    def holds(self, now_s: float) -> bool:
        """Return whether the holder may act at steady second ``now_s``."""
        if self.deposed:
            return False
        if self.watched:
            return now_s - self._renewed_s < _HELD_RATIO * self._ttl_s
        return self._trying or now_s - self._tried_s < _HELD_RATIO * self._ttl_s


class Watch:
    """A standby's side of the lease.

    Args:
        ttl_s: Time to live of the lease.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._last: tuple[str, int, int] | None = None
        self._changed_s = math.inf

    def saw(self, record: LeaseRecord, seen_s: float) -> None:
        """Take the lease as it was read, at steady second ``seen_s`` when the reading had ended."""
        shown = (record.holder, record.epoch, record.renewals)
        if shown != self._last:
            self._last, self._changed_s = shown, seen_s

    def ended(self, now_s: float) -> bool:
        """Return whether nobody has shown for a time to live that it holds the lease; a free one has ended at once."""
        free = self._last is not None and not self._last[0]
        return free or now_s - self._changed_s >= self._ttl_s
