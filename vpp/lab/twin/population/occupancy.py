"""Occupancy of the charging stations and its plug events, as columns.

In a city tens of thousands of cars come and go an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from vpp.domain.device import PlugEvent
from vpp.domain.session import Promise
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.population.sessions import Arrivals

FLOOR_KWH, FLOOR_SHARE = 2.0, 0.2
"""Floor energy of a promise: at most that much, at most that share of the promised energy."""


@dataclass(frozen=True, kw_only=True)
class PlugBatch:
    """Plug events in order; shape ``(n,)`` each.

    Attributes:
        rows: Fleet rows.
        sessions: Numbers of the sessions.
        plugged: Plugged in, else out; the promise of a car that left means nothing.
        at_s: Epoch seconds.
        meter_kwh: Register at that moment.
        promised_kwh: Energy promised.
        depart_s: Epoch seconds of the departure as stated, NaN where nothing was.
        floor_kwh: Energy to be given first.
        opted_out: The driver takes no part.
        boost: The driver wants full power.
    """

    rows: RowArray
    sessions: RowArray
    plugged: BoolArray
    at_s: FloatArray
    meter_kwh: FloatArray
    promised_kwh: FloatArray
    depart_s: FloatArray
    floor_kwh: FloatArray
    opted_out: BoolArray
    boost: BoolArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: BoolArray) -> "PlugBatch":
        """Return the chosen ones."""
        return PlugBatch(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def events(self) -> list[PlugEvent]:
        """Return the same as objects, for simulators of single stations."""
        promises = [
            Promise(energy_kwh=kwh, departure_s=depart_s, floor_kwh=floor_kwh, opted_out=out, boost=boost)
            if plugged and depart_s == depart_s  # noqa: PLR0124 - not NaN: nothing stated, nothing promised
            else None
            for plugged, kwh, depart_s, floor_kwh, out, boost in zip(
                self.plugged.tolist(),
                self.promised_kwh.tolist(),
                self.depart_s.tolist(),
                self.floor_kwh.tolist(),
                self.opted_out.tolist(),
                self.boost.tolist(),
                strict=True,
            )
        ]
        columns = (self.rows, self.sessions, self.plugged, self.at_s, self.meter_kwh)
        return [
            PlugEvent(row=row, session=number, plugged=plugged, at_s=at_s, meter_kwh=meter_kwh, promise=promise)
            for (row, number, plugged, at_s, meter_kwh), promise in zip(
                zip(*(column.tolist() for column in columns), strict=True), promises, strict=True
            )
        ]


def joined_events(parts: Sequence[PlugBatch]) -> PlugBatch:
    """Return the events of all parts, one after the other."""
    return PlugBatch(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(PlugBatch)})


class StationOccupancy:
    """The car at every charging station and the promise to its driver.

    Args:
        count: Rows of the fleet.

    Attributes:
        session: Number of the session in every row, -1 where there is none, shape ``(n,)``.
        depart_s: Epoch seconds of the car's departure, infinite where there is none.
    """

    def __init__(self, count: int) -> None:
        self.session: RowArray = np.full(count, -1, dtype=np.int32)
        self.depart_s: FloatArray = np.full(count, np.inf)
        self._stated_s = np.full(count, np.nan)
        self._arrive_s = np.full(count, np.nan)
        self._promised_kwh = np.zeros(count)
        self._meter_kwh = np.zeros(count)
        self._opted_out = np.zeros(count, dtype=np.bool_)
        self._boost = np.zeros(count, dtype=np.bool_)
        self._next_departure_s = np.inf
        self._leaving: RowArray = np.empty(count, dtype=np.int32)
        self._events: list[PlugBatch] | None = None

    def plugged(self) -> BoolArray:
        """Return where a car is plugged in, shape ``(n,)``."""
        return np.asarray(self.session >= 0)

    def leaving(self, now_s: float) -> RowArray:
        """Return the rows whose car leaves by ``now_s``."""
        if now_s < self._next_departure_s:
            return self._leaving[:0]
        count, self._next_departure_s = kernels.due(self.depart_s, now_s, self._leaving)
        return self._leaving[:count].copy()

    def plug(
        self, arrivals: Arrivals, numbers: RowArray, *, promised_kwh: FloatArray, meter_kwh: FloatArray, now_s: float
    ) -> None:
        """Plug cars in: session numbers, promises and registers at the begin, shape ``(len(arrivals),)`` each."""
        rows = arrivals.rows
        self.session[rows] = numbers
        self.depart_s[rows] = arrivals.depart_s
        self._stated_s[rows] = arrivals.stated_s
        self._arrive_s[rows] = np.minimum(arrivals.arrive_s, now_s)
        self._promised_kwh[rows] = promised_kwh
        self._meter_kwh[rows] = meter_kwh
        self._opted_out[rows] = arrivals.opted_out
        self._boost[rows] = arrivals.boost
        self._next_departure_s = min(self._next_departure_s, float(arrivals.depart_s.min(initial=np.inf)))
        if self._events is not None:
            self._events.append(self._batch(rows, plugged=True, at_s=np.full(len(rows), now_s), meter_kwh=meter_kwh))

    def unplug(self, rows: RowArray, *, meter_kwh: FloatArray, now_s: float) -> None:
        """Unplug the cars in ``rows``; their registers have shape ``(len(rows),)``."""
        if self._events is not None and len(rows):
            self._events.append(self._batch(rows, plugged=False, at_s=np.full(len(rows), now_s), meter_kwh=meter_kwh))
        self.session[rows] = -1
        self.depart_s[rows] = np.inf

    def opt_out(self, rows: RowArray) -> None:
        """Let the drivers at ``rows`` take no part any more."""
        self._opted_out[rows] = True

    def promises(self, rows: RowArray, *, at_s: float) -> PlugBatch:
        """Return what is promised at ``rows`` now, as if their cars were plugged in at ``at_s``."""
        return self._batch(rows, plugged=True, at_s=np.full(len(rows), at_s), meter_kwh=self._meter_kwh[rows])

    def take_events(self) -> PlugBatch:
        """Return and forget the events since the last call; at first, all cars that are plugged in."""
        here = np.flatnonzero(self.session >= 0).astype(np.int32) if self._events is None else self._leaving[:0]
        first = self._batch(here, plugged=True, at_s=self._arrive_s[here], meter_kwh=self._meter_kwh[here])
        parts, self._events = [first, *(self._events or [])], []
        return joined_events(parts)

    def _batch(self, rows: RowArray, *, plugged: bool, at_s: FloatArray, meter_kwh: FloatArray) -> PlugBatch:
        promised_kwh = self._promised_kwh[rows]
        return PlugBatch(
            rows=rows,
            sessions=self.session[rows],
            plugged=np.full(len(rows), plugged),
            at_s=at_s,
            meter_kwh=meter_kwh,
            promised_kwh=promised_kwh,
            depart_s=self._stated_s[rows],
            floor_kwh=np.minimum(FLOOR_KWH, FLOOR_SHARE * promised_kwh),
            opted_out=self._opted_out[rows],
            boost=self._boost[rows],
        )
