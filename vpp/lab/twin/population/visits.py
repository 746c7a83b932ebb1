"""The diary of cars: who arrives next, and what became of everyone who came."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.fleet import FleetIndex
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.lab.twin.physics.charging import WORLDS
from vpp.lab.twin.population.sessions import SessionSource, Visits, day_start_s, joined, local_day

LOOK_BACK_DAYS = 3
"""Cars that came that long ago may still be plugged in: no visit is longer than 72 hours."""

LEAST_STAY_S = 60.0
"""Shorter visits are not worth simulating."""


class VisitLog:
    """Arrivals in order of time, fetched a day at a time.

    Args:
        index: The fleet.
        source: Where visits come from.
        start_s: Begin of the simulation.
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

    def arrivals(self, now_s: float) -> Visits | None:
        """Return the cars that have come up to ``now_s`` and stay on, each once; ``None`` for none."""
        while now_s >= self._tomorrow_s:
            self._turn_page()
        if self._next >= len(self._queue) or self._queue.arrive_s[self._next] > now_s:
            return None
        first, self._next = self._next, int(np.searchsorted(self._queue.arrive_s, now_s, side="right"))
        found = self._queue.take(np.arange(first, self._next, dtype=np.int32))
        found = found.take(found.depart_s > now_s + LEAST_STAY_S)
        return found if len(found) else None

    def _turn_page(self) -> None:
        left = self._queue.take(np.arange(self._next, len(self._queue), dtype=np.int32))
        self._day += 1
        self._tomorrow_s = day_start_s(self._day + 1)
        fresh = self._source.day(self._index, self._day).without_collisions(self._free_from_s)
        self._queue = joined([left, fresh])
        self._next = 0


@dataclass(kw_only=True)
class _Columns:
    """Growing columns of the log; see ``SessionLog``."""

    rows: RowArray
    arrive_s: FloatArray
    depart_s: FloatArray
    need_kwh: FloatArray
    promised_kwh: FloatArray
    car_kw: FloatArray
    delivered_kwh: FloatArray
    finished: FloatArray


class SessionLog:
    """Everyone who came: what was wanted, promised and given in both worlds. A visit's number is its position."""

    def __init__(self) -> None:
        self._count = 0
        self._columns = _allocated(256)

    def __len__(self) -> int:
        return self._count

    def open(self, visits: Visits, promised_kwh: FloatArray, now_s: float) -> RowArray:
        """Add arrivals; return their numbers."""
        numbers = np.arange(self._count, self._count + len(visits), dtype=np.int32)
        self._count += len(visits)
        while self._count > len(self._columns.rows):
            self._grow()
        columns = self._columns
        columns.rows[numbers] = visits.rows
        columns.arrive_s[numbers] = np.minimum(visits.arrive_s, now_s)
        columns.depart_s[numbers] = visits.depart_s
        columns.need_kwh[numbers] = visits.need_kwh
        columns.promised_kwh[numbers] = promised_kwh
        columns.car_kw[numbers] = visits.power_kw
        return numbers

    def close(self, numbers: RowArray, delivered_kwh: FloatArray) -> None:
        """Write down what leaving cars got, shape ``(2, len(numbers))``."""
        self._columns.delivered_kwh[:, numbers] = delivered_kwh
        self._columns.finished[numbers] = 1.0

    def update(self, numbers: RowArray, delivered_kwh: FloatArray) -> None:
        """Write down what cars have got so far, shape ``(2, len(numbers))``."""
        self._columns.delivered_kwh[:, numbers] = delivered_kwh

    def column(self, name: str) -> FloatArray:
        """Return a column by name, up to the last visit; ``delivered_kwh`` has shape ``(2, n_visits)``."""
        return np.array(getattr(self._columns, name)[..., : self._count])

    def _grow(self) -> None:
        old, self._columns = self._columns, _allocated(2 * len(self._columns.rows))
        kept = len(old.rows)
        for name in vars(old):
            getattr(self._columns, name)[..., :kept] = getattr(old, name)


def _allocated(count: int) -> _Columns:
    return _Columns(
        rows=np.zeros(count, dtype=np.int32),
        arrive_s=np.zeros(count),
        depart_s=np.zeros(count),
        need_kwh=np.zeros(count),
        promised_kwh=np.zeros(count),
        car_kw=np.zeros(count),
        delivered_kwh=np.zeros((WORLDS, count)),
        finished=np.zeros(count),
    )
