"""Who is plugged in where, with what promise, and the news of it, as columns: tens of thousands come and go an hour."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from vpp.domain.device import PlugEvent
from vpp.domain.session import Promise
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.population.sessions import Visits

FLOOR_KWH, FLOOR_SHARE = 2.0, 0.2
"""Energy a driver gets first: at most that much, at most that share of the promise."""


@dataclass(frozen=True, kw_only=True)
class PlugBatch:
    """Cars that came and went, in order; shape ``(n,)`` each.

    Attributes:
        rows: Fleet rows.
        visits: Numbers of the visits.
        plugged: Came, else went; the promise of one that went means nothing.
        at_s: Epoch seconds.
        meter_kwh: Register at that moment.
        promised_kwh: Energy promised.
        depart_s: Epoch seconds of the departure.
        floor_kwh: Energy to be given first.
        opted_out: The driver takes no part.
        boost: The driver wants full power.
    """

    rows: RowArray
    visits: RowArray
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
        """Return the same as objects, for simulators that speak for single stations."""
        promises = [
            Promise(energy_kwh=kwh, departure_s=depart_s, floor_kwh=floor_kwh, opted_out=out, boost=boost)
            if plugged
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
        columns = (self.rows, self.visits, self.plugged, self.at_s, self.meter_kwh)
        return [
            PlugEvent(row=row, session=visit, plugged=plugged, at_s=at_s, meter_kwh=meter_kwh, promise=promise)
            for (row, visit, plugged, at_s, meter_kwh), promise in zip(
                zip(*(column.tolist() for column in columns), strict=True), promises, strict=True
            )
        ]


def joined_news(parts: Sequence[PlugBatch]) -> PlugBatch:
    """Return the news of all parts, one after the other."""
    return PlugBatch(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(PlugBatch)})


class Plugs:
    """What is plugged in, one row a charging station.

    Args:
        count: Rows of the fleet.

    Attributes:
        visit: Number of the visit in every row, -1 where nobody is, shape ``(n,)``.
        depart_s: Epoch seconds of its departure, infinite where nobody is.
    """

    def __init__(self, count: int) -> None:
        self.visit: RowArray = np.full(count, -1, dtype=np.int32)
        self.depart_s: FloatArray = np.full(count, np.inf)
        self._arrive_s = np.full(count, np.nan)
        self._promised_kwh = np.zeros(count)
        self._meter_kwh = np.zeros(count)
        self._opted_out = np.zeros(count, dtype=np.bool_)
        self._boost = np.zeros(count, dtype=np.bool_)
        self._next_departure_s = np.inf
        self._leaving: RowArray = np.empty(count, dtype=np.int32)
        self._news: list[PlugBatch] | None = None

    def taken(self) -> BoolArray:
        """Return where a car is, shape ``(n,)``."""
        return np.asarray(self.visit >= 0)

    def leaving(self, now_s: float) -> RowArray:
        """Return the rows whose car leaves by ``now_s``."""
        if now_s < self._next_departure_s:
            return self._leaving[:0]
        count, self._next_departure_s = kernels.due(self.depart_s, now_s, self._leaving)
        return self._leaving[:count].copy()

    def come(
        self, visits: Visits, numbers: RowArray, *, promised_kwh: FloatArray, meter_kwh: FloatArray, now_s: float
    ) -> None:
        """Plug cars in: visit numbers, promises and registers at the begin, shape ``(len(visits),)`` each."""
        rows = visits.rows
        self.visit[rows] = numbers
        self.depart_s[rows] = visits.depart_s
        self._arrive_s[rows] = np.minimum(visits.arrive_s, now_s)
        self._promised_kwh[rows] = promised_kwh
        self._meter_kwh[rows] = meter_kwh
        self._opted_out[rows] = visits.opted_out
        self._boost[rows] = visits.boost
        self._next_departure_s = min(self._next_departure_s, float(visits.depart_s.min(initial=np.inf)))
        if self._news is not None:
            self._news.append(self._batch(rows, plugged=True, at_s=np.full(len(rows), now_s), meter_kwh=meter_kwh))

    def go(self, rows: RowArray, *, meter_kwh: FloatArray, now_s: float) -> None:
        """Let the cars in ``rows`` go; their registers have shape ``(len(rows),)``."""
        if self._news is not None and len(rows):
            self._news.append(self._batch(rows, plugged=False, at_s=np.full(len(rows), now_s), meter_kwh=meter_kwh))
        self.visit[rows] = -1
        self.depart_s[rows] = np.inf

    def news(self) -> PlugBatch:
        """Return and forget who came and went since the last call; at first, all that are plugged in."""
        here = np.flatnonzero(self.visit >= 0).astype(np.int32) if self._news is None else self._leaving[:0]
        first = self._batch(here, plugged=True, at_s=self._arrive_s[here], meter_kwh=self._meter_kwh[here])
        parts, self._news = [first, *(self._news or [])], []
        return joined_news(parts)

    def _batch(self, rows: RowArray, *, plugged: bool, at_s: FloatArray, meter_kwh: FloatArray) -> PlugBatch:
        promised_kwh = self._promised_kwh[rows]
        return PlugBatch(
            rows=rows,
            visits=self.visit[rows],
            plugged=np.full(len(rows), plugged),
            at_s=at_s,
            meter_kwh=meter_kwh,
            promised_kwh=promised_kwh,
            depart_s=self.depart_s[rows],
            floor_kwh=np.minimum(FLOOR_KWH, FLOOR_SHARE * promised_kwh),
            opted_out=self._opted_out[rows],
            boost=self._boost[rows],
        )
