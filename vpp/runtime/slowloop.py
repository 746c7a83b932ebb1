"""The slow loop: a new plan every quarter of an hour and whenever the fleet or its history changed."""

import asyncio
from collections.abc import Callable

import structlog

from vpp.domain.fleet import FleetState
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import floor_s
from vpp.planning.forecasting import Forecast, forecast
from vpp.planning.planner import Planner
from vpp.ports import Clock, IntervalMeter, Journal
from vpp.runtime.growth import FittedMeter
from vpp.runtime.observability import Metrics
from vpp.runtime.record import schedule_body

_log = structlog.get_logger(__name__)
PLAN = "plan.installed"
_SETTLE_S = 20.0
"""How long a burst of changes may go on before it is planned for."""


class SlowLoop:
    """Forecasts and plans; holds the schedule in force.

    Args:
        state: Returns the latest picture.
        kept_until_s: Returns until when storage and V2G stay on the plan in force, because a request was quoted on it.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        period_s: float,
        planner: Planner,
        meters: IntervalMeter,
        journal: Journal,
        metrics: Metrics,
        state: Callable[[], FleetState],
        kept_until_s: Callable[[], float | None],
    ) -> None:
        self.schedule: Schedule | None = None
        self.forecast: Forecast | None = None
        self._clock = clock
        self._period_s = period_s
        self._planner = planner
        self._meters = meters
        self._journal = journal
        self._metrics = metrics
        self._state = state
        self._kept_until_s = kept_until_s
        self._changed = asyncio.Event()

    def fleet_changed(self) -> None:
        """Plan soon: devices or history were added."""
        self._changed.set()

    async def run(self) -> None:
        """Plan until cancelled."""
        await self._planner.start()
        while True:
            await self._until_due()
            await self.plan()

    async def plan(self) -> None:
        """Make one plan of the present and install it."""
        state = self._state()
        if not len(state):
            return
        self.forecast = await asyncio.to_thread(forecast, state, FittedMeter(meter=self._meters, count=len(state)))
        schedule = await self._planner.plan(state, forecast=self.forecast, kept_until_s=self._kept_until_s())
        # The journal holds the plan before any setpoint that follows from it.
        self._journal.append(PLAN, self._clock.now_s(), schedule_body(schedule))
        self.schedule = schedule
        self._metrics.observe_plan(schedule)
        if schedule.rung is not Rung.OPTIMAL:
            _log.warning("plan fell back", rung=schedule.rung.name, reason=schedule.reason)

    async def _until_due(self) -> None:
        next_s = floor_s(self._clock.now_s(), int(self._period_s)) + self._period_s
        sleeper = asyncio.create_task(self._clock.sleep_until(next_s))
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((sleeper, changed), return_when=asyncio.FIRST_COMPLETED)
            if self._changed.is_set():
                await self._clock.sleep(_SETTLE_S)
                self._changed.clear()
        finally:
            sleeper.cancel()
            changed.cancel()
