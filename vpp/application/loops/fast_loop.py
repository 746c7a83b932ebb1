"""Fast loop: one snapshot, one decision, one batch of setpoints a cycle.

The order of a cycle is what makes it replayable: its inputs (samples, sessions, outcomes) are fixed first and
recorded, the decision is a pure function of them, and it is durable before anything is sent, unless storage fails: then
it is kept in memory, in order, and control goes on.

While a regulation signal is followed there are ticks between two cycles: they take outcomes, decide on the last cycle's
snapshot, and are recorded and made durable in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from vpp.application.loops.cycle_inputs import CycleInputs
from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.operating_picture import PlansInForce
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.domain.performance import Baseline
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import BoolArray
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Clock
from vpp.runtime.observability import Metrics

Observer = Callable[[FleetState, CycleResult], None]
_MISSED_CYCLES, _LEAST_PATIENCE_WALL_S = 6.0, 60.0
_LEAST_GAP_RATIO = 0.5
"""A tick that comes nearer to a cycle than this share of its period is left to the cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPeriods:
    """Periods of the fast loop, seconds of the clock.

    Attributes:
        cycle_s: Between two cycles.
        regulation_s: Between two ticks while a regulation signal is followed.
    """

    cycle_s: float
    regulation_s: float


class Enlistment(Protocol):
    """Enlisted rows and frozen baselines of the accepted requests, by request id."""

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """Frozen baselines."""
        ...

    @property
    def portfolios(self) -> Mapping[str, BoolArray]:
        """Enlisted rows, shape ``(n_resources,)`` each."""
        ...


class FastLoop:
    """Runs cycles at a fixed period, and ticks between them while a signal is followed; late ones are skipped.

    Args:
        clock: The only source of time.
        periods: Of cycles and ticks.
        inputs: Fixes and records what a cycle is decided on.
        engine: Decides.
        plane: Sends setpoints.
        durability: Makes every decision durable before it is sent.
        metrics: Shows durations and outcomes.
        plans: The plans in force.
        enlistment: Portfolios and baselines of the requests in force.
        observer: Called with every cycle after its setpoints were sent.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        periods: LoopPeriods,
        inputs: CycleInputs,
        engine: DispatchEngine,
        plane: DevicePlane,
        durability: Durability,
        metrics: Metrics,
        plans: PlansInForce,
        enlistment: Enlistment,
        observer: Observer,
    ) -> None:
        self._clock = clock
        self._period_s = periods.cycle_s
        self._regulation_s = periods.regulation_s
        self._inputs = inputs
        self._engine = engine
        self._plane = plane
        self._durability = durability
        self._metrics = metrics
        self._plans = plans
        self._enlistment = enlistment
        self._observer = observer

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
        """Wall seconds without a cycle after which the loop counts as stalled."""
        return max(_MISSED_CYCLES * self._clock.wall(self._period_s), _LEAST_PATIENCE_WALL_S)

    def next_tick_s(self, now_s: float, cycle_s: float) -> float | None:
        """Return when the next tick is due before the cycle at ``cycle_s``; ``None`` where there is none."""
        if not self._engine.regulation.following:
            return None
        tick_s = (now_s // self._regulation_s + 1) * self._regulation_s
        return tick_s if tick_s <= cycle_s - _LEAST_GAP_RATIO * self._regulation_s else None

    async def cycle(self) -> None:
        """Fix the inputs, decide, record, send."""
        began = perf_counter()
        at_s = self._clock.now_s()
        outcomes = self._inputs.take_cycle(at_s)
        # The fleet may grow while the journal is written; this cycle is about this snapshot.
        state = self._inputs.state
        for batch in outcomes:
            self._engine.outcomes(batch)
        self._inputs.meter(at_s)
        result = self._engine.cycle(
            state,
            schedule=self._plans.schedule,
            baselines=self._enlistment.baselines,
            portfolios=self._enlistment.portfolios,
            redispatch=self._plans.intended,
        )
        await self._durability.settle()
        if len(result.batch):
            self._plane.send(result.batch)
        self._metrics.observe_cycle(perf_counter() - began)
        self._observe(outcomes)
        self._observer(state, result)

    async def tick(self) -> None:
        """Follow the regulation signals between two cycles: take outcomes, decide, record, send."""
        began = perf_counter()
        at_s = self._clock.now_s()
        outcomes = self._inputs.take_tick(at_s)
        for batch in outcomes:
            self._engine.outcomes(batch)
        setpoints = self._engine.tick(at_s)
        await self._durability.settle()
        if len(setpoints):
            self._plane.send(setpoints)
        self._metrics.observe_tick(perf_counter() - began)
        self._observe(outcomes)

    def _observe(self, outcomes: Sequence[OutcomeBatch]) -> None:
        for batch in outcomes:
            adapters, sent_at_s = self._plane.adapter_names(batch.rows), self._plane.sent_at_s(batch.ids)
            self._metrics.observe_outcomes(batch, adapters, sent_at_s)
