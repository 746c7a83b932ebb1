"""Journal of years for a synthetic city: cycles, calls with their commands and outcomes, sessions, settled requests.

Entries have the form the service writes. A day has 8,640 cycles, two calls of two hours in which every cycle tracks,
commands and confirms, and two hours of regulation ticks; as many days as give the entries asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from vpp.application.cycle_record import baseline_body, schedule_body, session_body
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.recovery import ISSUED
from vpp.application.loops.cycle_inputs import CYCLE, TICK
from vpp.application.loops.slow_loop import PLAN
from vpp.dispatch.commands.command_ledger import Fate
from vpp.dispatch.commands.journal_codec import (
    OUTCOMES,
    SENT,
    VERDICTS,
    Noted,
    outcome_body,
    sent_body,
    verdict_body,
)
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.dispatch.tracking_memory import TRACKING
from vpp.domain.performance import Baseline
from vpp.domain.request import (
    CITY,
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
)
from vpp.domain.resource import CHARGING, STORING
from vpp.domain.session import Promise, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, SetpointBatch
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S, STEPS_PER_DAY
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.journal.city_rows import quote_of, schedule_of
from vpp.record.chain import GENESIS, link
from vpp.record.stored_body import stored_body
from vpp.storage.sql import journal

CYCLE_S = 10.0
_CALL_CYCLES = 720
_TICKS = 1800
_AT_ONCE = 20_000
_LARGE_BASELINES = 4
"""Of the last requests, whose baselines have the size of the fleet; those before are of a district."""
_DISTRICT = 1_000
_TARGET_KW = 100_000.0
_PLUGGED_RATIO = 0.3

_INSERT = f"INSERT INTO {journal.name} (sequence, kind, at_s, body, packed, sha256) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
"""Without a statement built for every row: of SQLite alone, and several times as fast."""

Entry = tuple[str, float, Mapping[str, object]]


@dataclass(slots=True)
class Chain:
    """End of the chain that is written, and the bytes of its bodies by kind."""

    engine: sa.Engine
    sequence: int = 0
    sha256: str = GENESIS

    def write(self, entries: Iterator[Entry]) -> None:
        """Write entries in large transactions, as fast as the database takes them."""
        rows: list[tuple[object, ...]] = []
        for kind, at_s, body in entries:
            stored = stored_body(body)
            self.sequence += 1
            self.sha256 = link(self.sha256, self.sequence, kind, at_s, stored.text, stored.packed)
            rows.append((self.sequence, kind, at_s, stored.text, stored.packed or None, self.sha256))
            if len(rows) == _AT_ONCE:
                self._insert(rows)
        self._insert(rows)

    def _insert(self, rows: list[tuple[object, ...]]) -> None:
        if rows:
            with self.engine.begin() as connection:
                connection.exec_driver_sql(_INSERT, rows)
            rows.clear()


class History:
    """Entries of a city's life up to an instant, the last of which lie in a hold.

    Args:
        index: The fleet.
        events: Number of entries, roughly.
        end_s: Epoch seconds of the last.
        called: Rows commanded in every cycle of the call that runs at the end.
    """

    def __init__(self, index: FleetIndex, events: int, end_s: float, called: int) -> None:
        self._index, self._called = index, min(called, len(index))
        self._random = np.random.default_rng(0)
        self._ids, self._cycle = 1, 0
        self._entries: list[Entry] = []
        self._book = RequestBook(lambda kind, at_s, body: self._entries.append((kind, at_s, body)), RequestRules())
        per_day = int(SECONDS_PER_DAY / CYCLE_S) + 2 * 4 * _CALL_CYCLES + _TICKS + 30
        self._days = max(round(events / per_day), 1)
        self._hold_s = floor_s(end_s - SECONDS_PER_HOUR, STEP_S)
        self._begin_s = self._hold_s - self._days * SECONDS_PER_DAY
        self.sources: list[str] = ["plan"]

    def past(self) -> Iterator[Entry]:
        """Iterate the entries up to the acceptance of the call that runs at the end."""
        yield from self._first_defaults()
        yield from self._plugged_in()
        for day in range(self._days):
            begin_s = self._begin_s + day * SECONDS_PER_DAY
            for call in range(2):
                large = 2 * (self._days - day) - call <= _LARGE_BASELINES
                yield from self._settled_call(begin_s + (6.0 + 8.0 * call) * SECONDS_PER_HOUR, large=large)
            yield from self._quiet(begin_s, int(SECONDS_PER_DAY / CYCLE_S) - 2 * _CALL_CYCLES)
            yield from self._regulated(begin_s)
        yield self._plan()
        yield from self._accepted(self._hold_s, rows=len(self._index))

    def tail(self, cycles: int) -> Iterator[Entry]:
        """Iterate the entries of so many cycles of the call that runs at the end."""
        request = self._book.all()[0]
        for _ in range(cycles):
            self._hold_s += CYCLE_S
            yield self._cycle_entry(self._hold_s)
            yield from self._moved(self._hold_s)
            yield from self._held(request, self._hold_s, self._rows(self._called))

    def _plan(self) -> Entry:
        shape = len(self._index), STEPS_PER_DAY
        power_kw = np.round(self._random.uniform(-50.0, 50.0, shape), 2).astype(np.float32)
        schedule = schedule_of(power_kw, instant(self._hold_s))
        return (PLAN, self._hold_s, schedule_body(schedule, np.flatnonzero(self._index.is_class(*STORING))))

    def _first_defaults(self) -> Iterator[Entry]:
        rows = np.arange(len(self._index), dtype=np.int32)
        for part in np.array_split(rows, max(len(rows) // 5_000, 1)):
            yield from self._commands(part, self._begin_s, layer=Layer.DEFAULT, until_s=np.inf, source=0)

    def _plugged_in(self) -> Iterator[Entry]:
        cars = np.flatnonzero(self._index.is_class(*CHARGING))
        cars = cars[self._random.random(len(cars)) < _PLUGGED_RATIO]
        for part in np.array_split(cars, max(len(cars) // 2_000, 1)):
            yield self._cycle_entry(self._begin_s, [event for row in part.tolist() for event in self._session(row)])

    def _session(self, row: int) -> Iterator[dict[str, object]]:
        name, need_kwh = f"{self._index.resources[row].address}:{row}", float(self._random.uniform(2.0, 40.0))
        yield session_body(SessionStarted(session_id=name, row=row, at_s=self._begin_s, meter_kwh=float(row)))
        departure_s = self._hold_s + float(self._random.uniform(1.0, 12.0)) * SECONDS_PER_HOUR
        promise = Promise(energy_kwh=need_kwh, departure_s=departure_s)
        yield session_body(SessionPromised(session_id=name, promise=promise))

    def _settled_call(self, start_s: float, *, large: bool) -> Iterator[Entry]:
        yield from self._accepted(start_s, rows=len(self._index) if large else _DISTRICT)
        request = self._book.all()[0]
        for cycle in range(_CALL_CYCLES):
            at_s = start_s + cycle * CYCLE_S
            yield self._cycle_entry(at_s)
            yield from self._held(request, at_s, self._rows(8))
        end = instant(start_s + 4.0 * SECONDS_PER_HOUR)
        for step in range(5):
            yield from self._moved(start_s + (2.0 + 0.5 * step) * SECONDS_PER_HOUR)
        self._book.verified(request.id, now=end)
        self._book.settled(request.id, now=end)
        spread = {method.value: _TARGET_KW for method in BaselineMethod}
        issued = {"request_id": request.id, "delivered_mean_kw": _TARGET_KW, "spread_kw": spread}
        yield (ISSUED, end.timestamp(), issued)
        yield from self._recorded()

    def _accepted(self, start_s: float, *, rows: int) -> Iterator[Entry]:
        now, start = instant(start_s - SECONDS_PER_HOUR), instant(start_s)
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=_TARGET_KW,
            area=CITY,
            start_at=start,
            end_at=start + timedelta(hours=2),
            notice_class=NoticeClass.INTRADAY,
        )
        request, _ = self._book.submit(
            draft, key=f"key-{start_s:.0f}", actor="bench", now=now, known_areas=[a.id for a in self._index.areas]
        )
        self._book.quoted(request.id, _quote(start_s, now.timestamp()), now)
        self._book.accept(request.id, offer=None, actor="bench", now=now)
        self.sources.append(request.id)
        yield from self._recorded()
        yield (BASELINE, now.timestamp(), baseline_body(request.id, self._baseline(start_s, rows)))
        yield from self._moved(start_s)

    def _moved(self, at_s: float) -> Iterator[Entry]:
        self._book.advance(at_s)
        yield from self._recorded()

    def _recorded(self) -> Iterator[Entry]:
        entries, self._entries = self._entries, []
        yield from entries

    def _held(self, request: DispatchRequest, at_s: float, rows: RowArray) -> Iterator[Entry]:
        memory = {
            "at_s": at_s,
            "deficit_kwh": float(self._random.normal()),
            "correction_kw": float(self._random.normal()),
            "integral_kw": float(self._random.normal()),
            "low_cycles": 0,
            "lacking_kw": 0.0,
            "outage_s": None,
            "release_kw": None,
            "fallback_kw": None,
        }
        figures = {"target_kw": _TARGET_KW, "measured_kw": 4e5, "baseline_kw": 5e5, "delivered_kw": 1e5}
        yield (TRACKING, at_s, {"id": request.id, "phase": "holding", **figures, "memory": memory})
        source = len(self.sources) - 1
        yield from self._commands(rows, at_s, layer=Layer.DISPATCH, until_s=at_s + 900.0, source=source)

    def _quiet(self, begin_s: float, cycles: int) -> Iterator[Entry]:
        for cycle in range(cycles):
            yield self._cycle_entry(begin_s + cycle * CYCLE_S)

    def _regulated(self, begin_s: float) -> Iterator[Entry]:
        for tick in range(_TICKS):
            yield (TICK, begin_s + 4.0 * tick, {"cycle": self._cycle})

    def _cycle_entry(self, at_s: float, sessions: list[dict[str, object]] | None = None) -> Entry:
        self._cycle += 1
        return (CYCLE, at_s, {"cycle": self._cycle, "samples": 0, "sessions": sessions or [], "anchors": []})

    def _commands(self, rows: RowArray, at_s: float, *, layer: Layer, until_s: float, source: int) -> Iterator[Entry]:
        count = len(rows)
        ids = np.arange(self._ids, self._ids + count, dtype=np.int64)
        self._ids += count
        power_kw: FloatArray = np.round(self._random.uniform(0.0, 7.0, count), 2)
        batch = SetpointBatch(
            ids=ids,
            rows=rows,
            layers=np.full(count, layer, dtype=np.uint8),
            power_kw=power_kw,
            until_s=np.full(count, until_s),
            epoch=1,
        )
        noted = Noted(power_kw + 3.0, np.full(count, source, dtype=np.int32))
        yield (SENT, at_s, sent_body(batch, noted, self.sources))
        answers = OutcomeBatch(
            ids=ids,
            rows=rows,
            status=np.full(count, OutcomeStatus.ACCEPTED, dtype=np.uint8),
            reasons=np.zeros(count, dtype=np.uint8),
            at_s=at_s + np.round(self._random.uniform(0.1, 3.0, count), 3),
        )
        yield (OUTCOMES, at_s + CYCLE_S, outcome_body(answers))
        yield (VERDICTS, at_s + CYCLE_S, verdict_body(rows, Fate.CONFIRMED))

    def _rows(self, count: int) -> RowArray:
        return np.unique(self._random.integers(0, len(self._index), count)).astype(np.int32)

    def _baseline(self, start_s: float, rows: int) -> Baseline:
        grid = TimeGrid(start_at=instant(floor_s(start_s - SECONDS_PER_HOUR, STEP_S)), count=20)
        power_kw = np.round(self._random.uniform(0.0, 7.0, (min(rows, len(self._index)), grid.count)), 2)
        return Baseline(
            grid=grid,
            power_kw=power_kw,
            methods={},
            reference_days=(),
            excluded_days=(),
            adjustment_ratio={},
            input_sha256=GENESIS,
            notes=(),
            excluded_ids=(),
            excluded_why={},
        )


def _quote(start_s: float, now_s: float) -> Quote:
    """Return a quote of the whole call, as long as those of the service."""
    power_kw = (_TARGET_KW,) * 8
    return replace(
        quote_of(_TARGET_KW, start_at=instant(start_s), expires_at=instant(now_s + SECONDS_PER_HOUR)),
        interval_starts_at=tuple(instant(start_s + step * STEP_S) for step in range(8)),
        deliverable_p10_kw=power_kw,
        deliverable_p50_kw=power_kw,
        deliverable_p90_kw=power_kw,
        max_hold_minutes=240.0,
        ramp_kw_per_min=10_000.0,
        rebound_kw=power_kw,
    )
