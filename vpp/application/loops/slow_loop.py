"""The slow loop: a plan every quarter of an hour, and what is intended instead while requests are promised.

Two schedules, never mixed. The plan is what the fleet would do if nobody asked: requests are quoted and settled
against it, so for storage and V2G it stands still while one runs. What is intended is planned from there for the
requests promised: on acceptance, on shortfall, and with every new forecast.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from vpp.application.cycle_record import schedule_body
from vpp.application.row_alignment import FittedMeter
from vpp.domain.daytype import DayCalendar
from vpp.domain.fleet_state import FleetState
from vpp.domain.holidays import CHINA
from vpp.domain.resource import STORING
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import floor_s
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.planning.schedule.planner import Planner
from vpp.ports import Clock, IntervalMeter, Journal, owing
from vpp.runtime.observability import Metrics

_log = structlog.get_logger(__name__)
PLAN = "plan.installed"
INTENDED = "plan.intended"
_SETTLE_S = 20.0
"""How long a burst of changes may go on before it is planned for."""
_SOON_S = 30.0
"""How long a plan takes at most on a clock that waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan that is not in force yet.

    Attributes:
        forecast: What it was made from.
        schedule: The plan.
        kept_until_s: Until when it leaves storage and V2G on the plan in force, ``None`` where it frees them.
    """

    forecast: Forecast
    schedule: Schedule
    kept_until_s: float | None


class SlowLoop:
    """Forecasts and plans; holds the schedule in force and the one intended for requests.

    Args:
        state: Returns the latest picture.
        kept_until_s: Returns until when storage and V2G stay on the plan in force, because a request was quoted on it.
        events: Returns what is promised from a picture on, as the planner needs it.
        recoveries: Returns what is still on its way back from requests at an instant, as the planner needs it.
        calendar: Tells workdays, weekends and holidays.
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
        events: Callable[[FleetState], Sequence[Commitment]] | None = None,
        recoveries: Callable[[float], Sequence[EnergyRecovery]] | None = None,
        calendar: DayCalendar = CHINA,
    ) -> None:
        self.schedule: Schedule | None = None
        self.intended: Schedule | None = None
        self.forecast: Forecast | None = None
        self._clock = clock
        self._period_s = period_s
        self._planner = planner
        self._meters = meters
        self._journal = journal
        self._metrics = metrics
        self._state = state
        self._kept_until_s = kept_until_s
        self._events = events or _none
        self._recoveries = recoveries or _nothing
        self._calendar = calendar
        self._past = LoadHistory()
        self._forecasting = threading.Lock()
        self._changed = asyncio.Event()
        self._promised = asyncio.Event()

    def fleet_changed(self) -> None:
        """Plan soon: devices or history were added."""
        self._past.forget()
        self._changed.set()

    def requests_changed(self) -> None:
        """Plan for the requests at once: one was accepted, ended, or falls short."""
        self._promised.set()

    @property
    def requests_wait(self) -> bool:
        """Requests changed and are not planned for yet; for whoever moves time by hand instead of calling ``run``."""
        return self._promised.is_set()

    def outlook(self, state: FleetState) -> Forecast:
        """Return a forecast of this picture's rows that begins with its step; may be called from any thread."""
        known = self.forecast
        if known is not None and len(known.expected_kw) == len(state) and known.grid.index_at(state.at_s) == 0:
            return known
        with self._forecasting:
            return forecast(
                state,
                FittedMeter(meter=self._meters, count=len(state)),
                load_history=self._past,
                calendar=self._calendar,
            )

    async def run(self) -> None:
        """Plan until cancelled."""
        await self._planner.start()
        if len(self._state()):
            self._changed.set()  # after a restart: devices are known already and come back in their own time
        while True:
            whole = await self._until_due()
            with owing(self._clock, self._clock.now_s() + _SOON_S):
                await (self.plan() if whole else self.redispatch())

    async def plan(self) -> None:
        """Make one plan of the present and install it, and one for the requests promised."""
        if await self.install(await self.prepare()):
            await self.redispatch()

    async def prepare(self) -> Prepared | None:
        """Return a plan of the present that is not in force yet; ``None`` where there is no fleet."""
        state, kept_until_s = self._state(), self._kept_until_s()
        if not len(state):
            return None
        recoveries = self._recoveries(state.at_s)
        outlook = await asyncio.to_thread(self._forecast_anew, state)
        schedule = await self._planner.plan(state, forecast=outlook, kept_until_s=kept_until_s, recoveries=recoveries)
        return Prepared(forecast=outlook, schedule=schedule, kept_until_s=kept_until_s)

    async def install(self, prepared: Prepared | None) -> bool:
        """Put a plan in force; return whether there was one. What is intended is then due to be made anew.

        Where a request was quoted on the plan in force since ``prepared`` was begun, its stores would have to stand
        still: another plan is made first.
        """
        while prepared is not None and _later(self._kept_until_s(), prepared.kept_until_s):
            self._planner.withdraw()
            prepared = await self.prepare()
        if prepared is None:
            return False
        schedule, index = prepared.schedule, self._state().index
        # The journal holds the plan before any setpoint that follows from it.
        decided = np.flatnonzero(index.is_class(*STORING)[: len(schedule.power_kw)])
        self._journal.append(PLAN, self._clock.now_s(), schedule_body(schedule, decided))
        self.forecast, self.schedule = prepared.forecast, schedule
        self._metrics.observe_plan(schedule)
        if schedule.rung is not Rung.OPTIMAL:
            _log.warning("plan fell back", rung=schedule.rung.name, reason=schedule.reason)
        return True

    async def redispatch(self) -> None:
        """Make or withdraw the schedule intended for the requests promised."""
        self.intend(await self.answer())

    async def answer(self) -> Schedule | None:
        """Return what to intend for the requests promised, by the present picture; ``None`` where none is."""
        self._promised.clear()
        state, plan = self._state(), self.schedule
        events = self._events(state)
        if not events or plan is None or self.forecast is None:
            return None
        outlook = await asyncio.to_thread(self.outlook, state)
        intended = await self._planner.redispatch(state, forecast=outlook, plan=plan, commitments=events)
        if intended is None:
            _log.warning("nothing intended: the requests are steered from the plan alone")
        return intended

    def intend(self, intended: Schedule | None) -> None:
        """Put what is intended in force, or withdraw it."""
        if intended is None and self.intended is None:
            return
        body: dict[str, object] = {}
        if intended is not None:
            body = schedule_body(intended, np.flatnonzero(np.isfinite(intended.power_kw).any(axis=1)))
        self._journal.append(INTENDED, self._clock.now_s(), body)
        self.intended = intended

    def _forecast_anew(self, state: FleetState) -> Forecast:
        with self._forecasting:
            return forecast(
                state,
                FittedMeter(meter=self._meters, count=len(state)),
                load_history=self._past,
                calendar=self._calendar,
            )

    async def _until_due(self) -> bool:
        """Wait; return true when a whole plan is due, false when only the requests changed."""
        next_s = floor_s(self._clock.now_s(), int(self._period_s)) + self._period_s
        waiting = [
            asyncio.create_task(self._clock.sleep_until(next_s)),
            asyncio.create_task(self._changed.wait()),
            asyncio.create_task(self._promised.wait()),
        ]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._changed.is_set():
                await self._clock.sleep(_SETTLE_S)
                self._changed.clear()
                return True
            return waiting[0] in done
        finally:
            for task in waiting:
                task.cancel()


def _later(kept_s: float | None, prepared_s: float | None) -> bool:
    """Return whether stores have to be kept on their plan for longer than was known when a plan was begun."""
    return kept_s is not None and (prepared_s is None or kept_s > prepared_s)


def _nothing(at_s: float) -> Sequence[EnergyRecovery]:
    """Nothing is on its way back."""
    del at_s
    return ()


def _none(state: FleetState) -> Sequence[Commitment]:
    """Nobody asks for anything."""
    del state
    return ()
