"""The cars that are plugged in, as objects for their drivers and as arrays for the loop."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vpp.domain.errors import UnknownIdError
from vpp.domain.session import ChargingSession, Promise, SessionEnded, SessionEvent, SessionPromised, SessionStarted
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.record.state_codec import StateTree

_FALL_KWH = 0.05
"""By how much a register may fall by rounding."""
_MOST_EARLY = 10_000
"""Promises that wait for their session to start; one that never does is forgotten, the oldest first."""


_PROMISE = {"energy_kwh": "f8", "departure_s": "f8", "floor_kwh": "f8", "opted_out": "?", "boost": "?"}
"""Types of a promise's fields."""
_COLUMNS = ("promised_kwh", "floor_kwh", "departure_s", "start_kwh", "kept_out", "open")


class Sessions:
    """Every open session, its promise and its progress; at most one a row, the newest."""

    def __init__(self, count: int) -> None:
        self._by_id: dict[str, ChargingSession] = {}
        self._early: dict[str, Promise] = {}
        self._promised_kwh = np.full(count, np.nan)
        self._floor_kwh = np.full(count, np.nan)
        self._departure_s = np.full(count, np.nan)
        self._start_kwh = np.full(count, np.nan)
        self._kept_out = np.zeros(count, dtype=np.bool_)
        self._open = np.zeros(count, dtype=np.bool_)
        self._id_in_row: dict[int, str] = {}

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        more = count - len(self._open)
        unknown = np.full(more, np.nan)
        self._promised_kwh = np.append(self._promised_kwh, unknown)
        self._floor_kwh = np.append(self._floor_kwh, unknown)
        self._departure_s = np.append(self._departure_s, unknown)
        self._start_kwh = np.append(self._start_kwh, unknown)
        self._kept_out = np.append(self._kept_out, np.zeros(more, dtype=np.bool_))
        self._open = np.append(self._open, np.zeros(more, dtype=np.bool_))

    def apply(self, event: SessionEvent) -> ChargingSession | None:
        """Take one event and return the session it concerns; repeats and stray events change nothing."""
        match event:
            case SessionStarted():
                return self._start(event)
            case SessionPromised():
                return self._promise(event.session_id, event.promise)
            case SessionEnded():
                return self._end(event)

    def find(self, session_id: str) -> ChargingSession:
        """Return an open session.

        Raises:
            UnknownIdError: No car of that session is plugged in.
        """
        if session_id not in self._by_id:
            raise UnknownIdError("session", session_id)
        return self._by_id[session_id]

    def in_rows(self, rows: RowArray) -> list[tuple[str, int]]:
        """Return id and row of the open sessions in ``rows``."""
        return [(self._id_in_row[row], row) for row in rows.tolist() if row in self._id_in_row]

    def open(self) -> BoolArray:
        """Return which rows have a session, shape ``(n,)``."""
        return self._open.copy()

    def closing(self, event: SessionEnded) -> ChargingSession | None:
        """Return the session as ``event`` will leave it; ``None`` for a stray event or a repeated one.

        What was delivered is NaN, unknown, where the register at the end is none, or below that at the start.
        """
        session = self._by_id.get(event.session_id)
        if session is None:
            return None
        delivered_kwh = event.meter_kwh - float(self._start_kwh[session.row])
        known = math.isfinite(delivered_kwh) and delivered_kwh >= -_FALL_KWH
        return replace(session, ended_s=event.at_s, delivered_kwh=max(delivered_kwh, 0.0) if known else math.nan)

    def all(self, energy_kwh: FloatArray) -> list[ChargingSession]:
        """Return every open session with its progress by the registers ``energy_kwh``, shape ``(n,)``."""
        delivered_kwh = self.delivered_kwh(energy_kwh)
        return [replace(s, delivered_kwh=float(np.nan_to_num(delivered_kwh[s.row]))) for s in self._by_id.values()]

    def delivered_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """Return energy into each plugged car since plug-in, at least 0, NaN where there is none, shape ``(n,)``.

        A register below its start does not measure the energy, and no car needs more than was promised.
        """
        return np.asarray(np.maximum(energy_kwh - self._start_kwh, 0.0))

    def need_kwh(self, delivered_kwh: FloatArray) -> FloatArray:
        """Return what each car still lacks to its promise, at least 0, NaN without a promise, shape ``(n,)``."""
        return np.asarray(np.maximum(self._promised_kwh - delivered_kwh, 0.0))

    def departure_s(self) -> FloatArray:
        """Return promised departures, NaN without a promise, shape ``(n,)``."""
        return self._departure_s.copy()

    def sheddable(self, delivered_kwh: FloatArray) -> BoolArray:
        """Return which sessions may be held back, shape ``(n,)``: promised, floor reached, driver takes part."""
        reached = delivered_kwh >= self._floor_kwh
        return np.asarray(self._open & reached & ~self._kept_out)

    def state(self) -> StateTree:
        """Return the open sessions and the promises that wait for theirs as a state tree; its arrays are our own."""
        sessions = list(self._by_id.values())
        promised = [(place, s.promise) for place, s in enumerate(sessions) if s.promise is not None]
        return {
            "ids": [s.id for s in sessions],
            "rows": np.array([s.row for s in sessions], dtype=np.int32),
            "started_s": np.array([s.started_s for s in sessions], dtype=np.float64),
            "promised": np.array([place for place, _ in promised], dtype=np.int32),
            "promises": _promise_columns([promise for _, promise in promised]),
            "early_ids": list(self._early),
            "early": _promise_columns(list(self._early.values())),
            "columns": {name: getattr(self, f"_{name}") for name in _COLUMNS},
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        promises = dict(zip(state["promised"].tolist(), _promises_of(state["promises"]), strict=True))
        starts = zip(state["ids"], state["rows"].tolist(), state["started_s"].tolist(), strict=True)
        self._by_id = {
            name: ChargingSession(id=name, row=row, started_s=started_s, promise=promises.get(place))
            for place, (name, row, started_s) in enumerate(starts)
        }
        self._id_in_row = {session.row: session.id for session in self._by_id.values()}
        self._early = dict(zip(state["early_ids"], _promises_of(state["early"]), strict=True))
        for name in _COLUMNS:
            own, kept = getattr(self, f"_{name}"), state["columns"][name]
            count = min(len(own), len(kept))
            own[:count] = kept[:count]

    def _start(self, event: SessionStarted) -> ChargingSession:
        known = self._by_id.get(event.session_id)
        if known is not None:
            if np.isnan(self._start_kwh[known.row]):  # the register at the start was reported later
                self._start_kwh[known.row] = event.meter_kwh
            return known
        self._forget(self._id_in_row.get(event.row))
        session = ChargingSession(id=event.session_id, row=event.row, started_s=event.at_s)
        self._by_id[session.id] = session
        self._id_in_row[event.row] = session.id
        self._open[event.row] = True
        self._start_kwh[event.row] = event.meter_kwh
        early = self._early.pop(event.session_id, None)
        return session if early is None else (self._promise(session.id, early) or session)

    def _promise(self, session_id: str, promise: Promise) -> ChargingSession | None:
        session = self._by_id.get(session_id)
        if session is None:
            self._early.pop(session_id, None)
            self._early[session_id] = promise
            if len(self._early) > _MOST_EARLY:
                del self._early[next(iter(self._early))]
            return None
        session = replace(session, promise=promise)
        self._by_id[session_id] = session
        self._promised_kwh[session.row] = promise.energy_kwh
        self._floor_kwh[session.row] = promise.floor_kwh
        self._departure_s[session.row] = promise.departure_s
        self._kept_out[session.row] = promise.opted_out or promise.boost
        return session

    def _end(self, event: SessionEnded) -> ChargingSession | None:
        session = self.closing(event)
        if session is None:
            self._early.pop(event.session_id, None)
        else:
            self._forget(session.id)
        return session

    def _forget(self, session_id: str | None) -> None:
        if session_id is None:
            return
        row = self._by_id.pop(session_id).row
        self._id_in_row.pop(row, None)
        self._open[row] = False
        self._kept_out[row] = False
        for column in (self._promised_kwh, self._floor_kwh, self._departure_s, self._start_kwh):
            column[row] = np.nan


def _promise_columns(promises: Sequence[Promise]) -> StateTree:
    """Return promises as columns by the names of their fields."""
    return {
        name: np.array([getattr(promise, name) for promise in promises], dtype=kind) for name, kind in _PROMISE.items()
    }


def _promises_of(columns: StateTree) -> list[Promise]:
    """Return the promises of such columns."""
    rows = zip(*(columns[name].tolist() for name in _PROMISE), strict=True)
    return [Promise(**dict(zip(_PROMISE, row, strict=True))) for row in rows]
