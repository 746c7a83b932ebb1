"""Arrivals of cars in order of time, fetched a day at a time from a session source."""

import numpy as np

from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import local_day
from vpp.lab.twin.population.sessions import Arrivals, SessionSource, joined

LOOK_BACK_DAYS = 3
"""Days before the begin whose cars may still be plugged in: no session is longer than 72 hours."""

LEAST_STAY_S = 60.0
"""Shorter sessions are left out."""


class ArrivalQueue:
    """Arrivals in order of time, from some days before the begin.

    Args:
        index: The fleet.
        source: Source of the sessions.
        start_s: Epoch seconds at which the simulation begins.
    """

    def __init__(self, index: FleetIndex, source: SessionSource, start_s: float) -> None:
        self._index = index
        self._source = source
        self._free_from_s = np.full(len(index), -np.inf)
        self._day = local_day(start_s)
        earlier = joined([source.day(index, self._day - back) for back in range(LOOK_BACK_DAYS, 0, -1)])
        today = self._source.day(index, self._day)
        self._queue = joined([earlier.in_order(), today]).without_collisions(self._free_from_s)
        self._next = 0
        self._tomorrow_s = day_start_s(self._day + 1)

    def due(self, now_s: float) -> Arrivals | None:
        """Return the cars that have arrived by ``now_s`` and stay on, each once; ``None`` for none."""
        while now_s >= self._tomorrow_s:
            self._fetch_day()
        if self._next >= len(self._queue) or self._queue.arrive_s[self._next] > now_s:
            return None
        first, self._next = self._next, int(np.searchsorted(self._queue.arrive_s, now_s, side="right"))
        found = self._queue.take(np.arange(first, self._next, dtype=np.int32))
        found = found.take(found.depart_s > now_s + LEAST_STAY_S)
        return found if len(found) else None

    def _fetch_day(self) -> None:
        left = self._queue.take(np.arange(self._next, len(self._queue), dtype=np.int32))
        self._day += 1
        self._tomorrow_s = day_start_s(self._day + 1)
        fresh = self._source.day(self._index, self._day).without_collisions(self._free_from_s)
        self._queue = joined([left, fresh])
        self._next = 0
