"""The fast loop: one snapshot, one decision, one batch of setpoints a cycle.

The order of a cycle is what makes it replayable: its inputs (samples, sessions, outcomes) are fixed first and
recorded, the decision is a pure function of them, and it is durable before anything is sent, unless storage fails: then
it is kept in memory, in order, and control goes on.

While a regulation signal is followed there are ticks between two cycles: they hear outcomes, go by the last cycle's
picture, and are recorded and made durable in the same order.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

import structlog

from vpp.application.cycle_record import session_body
from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.requests.request_service import RequestService
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.domain.fleet_state import FleetState
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import TelemetryBatch
from vpp.ports import Clock, IntervalMemory, Journal, TelemetryLog
from vpp.runtime.observability import Metrics
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import MeteredMeans

_log = structlog.get_logger(__name__)
Observer = Callable[[FleetState, CycleResult], None]
TICK = "regulation.tick"
_MISSED_CYCLES, _LEAST_PATIENCE_WALL_S = 6.0, 60.0
_LEAST_GAP_RATIO = 0.5
"""A tick that comes nearer to a cycle than this share of its period is left to the cycle."""


class FastLoop:
    """Runs cycles at a fixed period, and ticks between them while a signal is followed; skips what it is too late for.

    Args:
        regulation_s: Period of the ticks.
        intended: Returns the re-dispatch plan in force, if there is one.
        observer: Told of every cycle after its setpoints have left.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        period_s: float,
        regulation_s: float,
        plane: DevicePlane,
        ingest: Ingest,
        engine: DispatchEngine,
        means: MeteredMeans,
        meters: IntervalMemory,
        samples: TelemetryLog,
        journal: Journal,
        durability: Durability,
        metrics: Metrics,
        schedule: Callable[[], Schedule | None],
        desk: RequestService,
        observer: Observer,
        intended: Callable[[], Schedule | None] = lambda: None,
    ) -> None:
        self.state: FleetState = ingest.snapshot(clock.now_s())
        self._clock = clock
        self._period_s = period_s
        self._regulation_s = regulation_s
        self._plane = plane
        self._ingest = ingest
        self._engine = engine
        self._means = means
        self._meters = meters
        self._samples = samples
        self._journal = journal
        self._durability = durability
        self._metrics = metrics
        self._schedule = schedule
        self._desk = desk
        self._observer = observer
        self._intended = intended
        self._heard = TelemetryBatch.of([])

    async def run(self) -> None:
        """Cycle until cancelled."""
        while True:
            now_s = self._clock.now_s()
            cycle_s = (now_s // self._period_s + 1) * self._period_s
            tick_s = self.next_tick_s(now_s, cycle_s)
            await self._clock.sleep_until(cycle_s if tick_s is None else tick_s)
            await (self.cycle() if tick_s is None else self.tick())

    @property
    def patience_wall_s(self) -> float:
        """Wall seconds without a cycle after which the loop is said to stand still."""
        return max(_MISSED_CYCLES * self._clock.wall(self._period_s), _LEAST_PATIENCE_WALL_S)

    def next_tick_s(self, now_s: float, cycle_s: float) -> float | None:
        """Return when the next tick is due before the cycle at ``cycle_s``; ``None`` where there is none."""
        if not self._engine.regulation.following:
            return None
        tick_s = (now_s // self._regulation_s + 1) * self._regulation_s
        return tick_s if tick_s <= cycle_s - _LEAST_GAP_RATIO * self._regulation_s else None

    async def cycle(self) -> None:
        """Hear, decide, record, send."""
        began = perf_counter()
        at_s = self._clock.now_s()
        outcomes = self._hear(at_s)
        # The fleet may grow while the journal is written; everything about this cycle is about this picture.
        state = self.state
        self._meter(at_s)
        result = self._engine.cycle(
            state,
            schedule=self._schedule(),
            baselines=self._desk.baselines,
            portfolios=self._desk.portfolios,
            intended=self._intended(),
        )
        await self._durability.settle()
        if len(result.batch):
            self._plane.send(result.batch)
        self._metrics.observe_cycle(perf_counter() - began)
        self._observe(outcomes)
        self._observer(state, result)

    async def tick(self) -> None:
        """Follow the regulation signals between two cycles: hear outcomes, decide, record, send."""
        began = perf_counter()
        at_s = self._clock.now_s()
        self._journal.append(TICK, at_s, {"cycle": self.state.cycle})
        outcomes = self._plane.take_outcomes()
        for batch in outcomes:
            self._engine.outcomes(batch)
        told = self._engine.tick(at_s)
        await self._durability.settle()
        if len(told):
            self._plane.send(told)
        self._metrics.observe_tick(perf_counter() - began)
        self._observe(outcomes)

    def refresh(self) -> None:
        """Show a fleet that has just grown, between two cycles."""
        self.state = self._ingest.snapshot(self._clock.now_s())

    def _hear(self, at_s: float) -> list[OutcomeBatch]:
        outcomes = self._plane.take_outcomes()
        samples, sessions = self._ingest.taken()
        self.state = self._ingest.snapshot(at_s)
        self._samples.append(self.state.cycle, at_s, samples)
        self._heard = samples
        events = [session_body(event) for event in sessions]
        body = {
            "cycle": self.state.cycle,
            "samples": len(samples),
            "sessions": events,
            "anchors": self._ingest.anchors(),
        }
        self._journal.append("cycle", at_s, body)
        for batch in outcomes:
            self._engine.outcomes(batch)
        return outcomes

    def _observe(self, outcomes: Sequence[OutcomeBatch]) -> None:
        for batch in outcomes:
            adapters, sent_at_s = self._plane.adapter_names(batch.rows), self._plane.sent_at_s(batch.ids)
            self._metrics.observe_outcomes(batch, adapters, sent_at_s)

    def _meter(self, at_s: float) -> None:
        for start_s, mean_kw, completeness in self._means.take(self._heard, at_s):
            self._meters.keep(start_s, mean_kw, completeness)
