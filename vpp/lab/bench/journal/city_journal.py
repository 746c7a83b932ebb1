"""A city's fast loop over a real journal: every entry a cycle, a tick and the slow loop make, at the day's rates.

Decisions are the engine's; devices obey within a cycle (`city_rows`). What comes from other loops is drawn with the
size and the entropy it has at city scale: sessions that begin and end, plans, re-dispatches, baselines.
"""

from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from vpp.application.cycle_record import baseline_body, schedule_body, session_body
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.application.loops.cycle_inputs import CYCLE, TICK
from vpp.application.loops.slow_loop import INTENDED, PLAN
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.session import Promise, SessionEnded, SessionEvent, SessionPromised, SessionStarted
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEPS_PER_DAY, WATT
from vpp.lab.bench.journal.city_rows import Devices, city_fleet, flat_schedule, level_baseline, quote_of, schedule_of
from vpp.lab.twin.signals import regd_like
from vpp.state.image import ProcessImage
from vpp.storage.journal import SqlJournal
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

CITY_ROWS = 276_000
CYCLE_S, TICK_S = 10.0, 4.0
_VISITS_A_DAY = 200_000
"""Charging sessions of the whole city in a day."""
_MOVING_SHARE = 0.25
"""Steps of a re-dispatch that are not zero, as in `vpp bench redispatch` with every car plugged in."""
_INTENDED_STEPS = 5
_BASELINE_STEPS = 16


class CityJournal:
    """The loop.

    Args:
        engine: Database of the journal.
        rows: Rows of the fleet.
        begin: Beginning.
    """

    def __init__(self, engine: sa.Engine, rows: int, begin: datetime) -> None:
        self.journal = SqlJournal(engine)
        self.share = rows / CITY_ROWS
        self.index = city_fleet(self.share)
        self.engine = DispatchEngine(self.index, DispatchSettings(cycle_s=CYCLE_S), self.journal.append)
        self.devices = Devices(self.index, begin.timestamp())
        self._image = ProcessImage(self.index)
        self._ingest = Ingest(self._image, QualityRules())
        self.devices.populate(self._image)
        self._schedule = flat_schedule(self.index, begin)
        self._baselines: dict[str, Baseline] = {}
        self._random = np.random.default_rng(0)
        self._visits = 0

    @property
    def now_s(self) -> float:
        """The present, epoch seconds."""
        return self.devices.now_s

    def run(self, seconds: float) -> None:
        """Cycle, with ticks in between where a signal is followed."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self._cycle()
            if self.engine.regulation.following:
                self._tick(self.now_s + TICK_S)
                self._tick(self.now_s + 2.0 * TICK_S)
        self.journal.flush_now()

    def accept(self, kw: float, product: Product, minutes: float) -> None:
        """Accept a request of the whole city that starts when its ramp is over; its baseline is frozen."""
        now = instant(self.now_s)
        start_at = now + timedelta(minutes=11)
        draft = RequestDraft(
            product=product,
            direction=Direction.UP,
            target_kw=kw * self.share,
            area="city",
            start_at=start_at,
            end_at=start_at + timedelta(minutes=minutes),
            notice_class=NoticeClass.FAST,
        )
        book = self.engine.book
        request, _ = book.submit(draft, key=None, actor="bench", now=now, known_areas=())
        book.quoted(
            request.id, quote_of(kw * self.share, start_at=start_at, expires_at=now + timedelta(minutes=5)), now
        )
        level = level_baseline(self.index, self.devices.power, now, _BASELINE_STEPS)
        noise = 1.0 + 0.05 * self._random.standard_normal(level.power_kw.shape)
        level.power_kw[:] = np.round(level.power_kw * noise, WATT)
        self._baselines[request.id] = level
        self.journal.append(BASELINE, self.now_s, baseline_body(request.id, level))
        book.accept(request.id, offer=None, actor="bench", now=now)
        if product is Product.REGULATION:
            signal = regd_like(seed=0, duration_s=60.0 * minutes, step_s=TICK_S, start_s=start_at.timestamp())
            take = self.engine.regulation.portfolio.take
            for first in range(0, len(signal.time_s), 15):  # a minute's values in one call
                some = slice(first, first + 15)
                take(request.id, signal.time_s[some], signal.value[some], unit="value", now_s=self.now_s)

    def plan(self) -> None:
        """Record a day's plan of the stores."""
        rows = np.flatnonzero(self.index.is_class(*STORING))
        self._record_plan(PLAN, rows, STEPS_PER_DAY)

    def redispatch(self) -> None:
        """Record a re-dispatch of everybody who can be moved."""
        movable = ~self.index.is_class(ResourceClass.PV)
        self._record_plan(INTENDED, np.flatnonzero(movable), _INTENDED_STEPS)

    def sessions(self) -> None:
        """Record what every car would have taken in a quarter of an hour."""
        mean_kw = np.where(self.devices.plugged, self.devices.free, np.nan)
        mean_kw = np.round(mean_kw * self._random.uniform(0.9, 1.0, len(mean_kw)), WATT)
        self.journal.append(SESSIONS, self.now_s, {"start_s": self.now_s, "mean_kw": mean_kw})

    def _cycle(self) -> None:
        devices = self.devices
        devices.advance(CYCLE_S)
        self._ingest.telemetry(devices.meters(devices.due(CYCLE_S)), devices.now_s)
        state = self._ingest.snapshot(devices.now_s)
        samples, _ = self._ingest.taken()
        body = {
            "cycle": state.cycle,
            "samples": len(samples),
            "sessions": [session_body(event) for event in self._visiting()],
            "anchors": self._ingest.anchors(),
        }
        self.journal.append(CYCLE, state.at_s, body)
        result = self.engine.cycle(state, schedule=self._schedule, baselines=self._baselines)
        self.engine.outcomes(devices.obey(result.batch))

    def _tick(self, at_s: float) -> None:
        self.journal.append(TICK, at_s, {"cycle": 0})
        self.engine.outcomes(self.devices.obey(self.engine.tick(at_s)))

    def _visiting(self) -> list[SessionEvent]:
        """Return the cars that came, were promised and went in a cycle; the image has none of it, no power moves."""
        events: list[SessionEvent] = []
        for _ in range(self._random.poisson(_VISITS_A_DAY * self.share * CYCLE_S / SECONDS_PER_DAY)):
            self._visits += 1
            row = int(self._random.integers(len(self.index)))
            session = f"CP{row:06d}:{self._visits}"
            meter_kwh = round(float(self._random.uniform(0.0, 1e4)), 3)
            at_s = round(self.now_s - float(self._random.uniform(0.0, CYCLE_S)), 3)
            promise = Promise(
                energy_kwh=round(float(self._random.uniform(5.0, 40.0)), 1),
                departure_s=at_s + SECONDS_PER_HOUR * round(float(self._random.uniform(1.0, 14.0)), 2),
            )
            events += (
                SessionStarted(session_id=session, row=row, at_s=at_s, meter_kwh=meter_kwh),
                SessionPromised(session_id=session, promise=promise),
                SessionEnded(session_id=session, row=row, at_s=at_s, meter_kwh=meter_kwh + 20.0),
            )
        return events

    def _record_plan(self, kind: str, rows: IdArray, steps: int) -> None:
        power_kw = np.full((len(self.index), steps), np.nan, dtype=np.float32)
        power_kw[rows] = self._moved(len(rows), steps)
        self.journal.append(kind, self.now_s, schedule_body(schedule_of(power_kw, instant(self.now_s)), rows))

    def _moved(self, rows: int, steps: int) -> FloatArray:
        power_kw = self._random.uniform(-10.0, 10.0, (rows, steps))
        return np.where(self._random.random((rows, steps)) < _MOVING_SHARE, power_kw, 0.0)
