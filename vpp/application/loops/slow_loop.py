"""Slow loop: a plan every quarter of an hour, and a re-dispatch for the requests in force.

Two schedules, never mixed. The plan is what the fleet does if nobody asks: requests are quoted and settled against it,
so for storage and V2G it stands still while one runs. The re-dispatch starts from it and serves the requests in force:
on acceptance, on shortfall, and with every new forecast.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np
import structlog

from vpp.application.cycle_record import schedule_body
from vpp.application.loops.forecaster import Forecaster
from vpp.application.operating_picture import OperatingPicture
from vpp.domain.resource import STORING
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import TimeGrid, floor_s
from vpp.fleet.fleet_state import FleetState
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.planning.schedule.planner import Planner
from vpp.ports import Journal, owing
from vpp.runtime.observability import Metrics

_log = structlog.get_logger(__name__)
PLAN = "plan.installed"
INTENDED = "plan.intended"
_SETTLE_S = 20.0
"""Time from a change of the fleet to its plan: changes come in bursts."""
_LEAST_INTENDED, _INTENDED_PERIODS = 4, 3.0
"""Steps of a re-dispatch that are kept: at least so many, and until it should have been renewed three times."""
_SOON_S = 30.0
"""Longest time a plan takes on a clock that waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan that is not in force yet.

    Attributes:
        forecast: What it was made from.
        schedule: The plan.
        kept_until_s: Epoch seconds until which it leaves storage and V2G on the plan in force, ``None`` where it frees
            them.
    """

    forecast: Forecast
    schedule: Schedule
    kept_until_s: float | None


class PlannedCommitments(Protocol):
    """Requests in force, as the planner needs them."""

    def kept_until_s(self) -> float | None:
        """Return epoch seconds until which storage and V2G stay on the plan in force: a request was quoted on it."""
        ...

    def upcoming(self, state: FleetState) -> Sequence[Commitment]:
        """Return every commitment from ``state`` on."""
        ...

    def recoveries(self, now_s: float) -> Sequence[EnergyRecovery]:
        """Return the rebound energy of past requests still to be recovered at ``now_s``."""
        ...

    def reserve(self, grid: TimeGrid) -> ReserveDemand:
        """Return the reserve that is worth its price on the steps of a plan."""
        ...


class SlowLoop:
    """Forecasts and plans; the only writer of the plans in force.

    Args:
        picture: The fleet as it is known, with the plans in force.
        period_s: Time between two plans.
        planner: Solves them.
        forecaster: Makes the forecasts they start from.
        commitments: Requests in force, as the planner needs them.
        journal: Holds every plan before any setpoint that follows from it.
        metrics: Shows every plan.
    """

    def __init__(
        self,
        *,
        picture: OperatingPicture,
        period_s: float,
        planner: Planner,
        forecaster: Forecaster,
        commitments: PlannedCommitments,
        journal: Journal,
        metrics: Metrics,
    ) -> None:
        self._picture = picture
        self._clock = picture.clock
        self._plans = picture.plans
        self._period_s = period_s
        self._planner = planner
        self._forecaster = forecaster
        self._commitments = commitments
        self._journal = journal
        self._metrics = metrics
        self._fleet_changed = asyncio.Event()
        self._requests_changed = asyncio.Event()

    def fleet_changed(self) -> None:
        """Plan soon: the fleet has changed, or history was added."""
        self._forecaster.history_changed()
        self._fleet_changed.set()

    def requests_changed(self) -> None:
        """Re-dispatch at once: a request was accepted, has ended, or falls short."""
        self._requests_changed.set()

    @property
    def requests_wait(self) -> bool:
        """Requests changed since the last re-dispatch; for a simulation that moves time instead of calling ``run``."""
        return self._requests_changed.is_set()

    async def run(self) -> None:
        """Plan until cancelled."""
        await self._planner.start()
        if len(self._picture.state()):
            self._fleet_changed.set()  # after a restart: devices are known already and come back in their own time
        while True:
            whole = await self._until_due()
            with owing(self._clock, self._clock.now_s() + _SOON_S):
                await (self.plan() if whole else self.redispatch())

    async def plan(self) -> None:
        """Make a plan and put it in force, then a re-dispatch for the requests in force."""
        if await self.install(await self.prepare()):
            await self.redispatch()

    async def prepare(self) -> Prepared | None:
        """Return a plan by the latest snapshot, not in force yet; ``None`` where there is no fleet."""
        state, kept_until_s = self._picture.state(), self._commitments.kept_until_s()
        if not len(state):
            return None
        recoveries = self._commitments.recoveries(state.at_s)
        load_forecast = await asyncio.to_thread(self._forecaster.forecast, state)
        schedule = await self._planner.plan(
            state,
            forecast=load_forecast,
            kept_until_s=kept_until_s,
            recoveries=recoveries,
            demand=self._commitments.reserve,
        )
        return Prepared(forecast=load_forecast, schedule=schedule, kept_until_s=kept_until_s)

    async def install(self, prepared: Prepared | None) -> bool:
        """Put a plan in force; return whether there was one. A re-dispatch is due after it.

        A request quoted on the plan in force since ``prepared`` was begun needs its storage to stay on that plan:
        then another plan is made first.
        """
        while prepared is not None and _later(self._commitments.kept_until_s(), prepared.kept_until_s):
            self._planner.withdraw()
            prepared = await self.prepare()
        if prepared is None:
            return False
        schedule, index = prepared.schedule, self._picture.state().index
        # The journal holds the plan before any setpoint that follows from it.
        decided = np.flatnonzero(index.is_class(*STORING)[: len(schedule.power_kw)])
        self._journal.append(PLAN, self._clock.now_s(), schedule_body(schedule, decided))
        self._plans.forecast, self._plans.schedule = prepared.forecast, schedule
        self._metrics.observe_plan(schedule)
        if schedule.rung is not Rung.OPTIMAL:
            _log.warning("plan fell back", rung=schedule.rung.name, reason=schedule.reason)
        return True

    async def redispatch(self) -> None:
        """Make the re-dispatch for the requests in force, or withdraw it where there are none."""
        self.intend(await self.answer())

    async def answer(self) -> Schedule | None:
        """Return a re-dispatch by the latest snapshot; ``None`` where no request is in force."""
        self._requests_changed.clear()
        state, plan = self._picture.state(), self._plans.schedule
        commitments = self._commitments.upcoming(state)
        if not commitments or plan is None or self._plans.forecast is None:
            return None
        load_forecast = await asyncio.to_thread(self._forecaster.current, state)
        intended = await self._planner.redispatch(state, forecast=load_forecast, plan=plan, commitments=commitments)
        if intended is None:
            _log.warning("re-dispatch failed; requests tracked from the baseline plan")
        return intended

    def intend(self, intended: Schedule | None) -> None:
        """Put a re-dispatch in force, or withdraw it with ``None``.

        The next one is due within a period, so only the steps until then and some after them are kept and recorded; one
        that is never renewed ends there, and requests are tracked from the baseline plan again.
        """
        if intended is None and self._plans.intended is None:
            return
        body: dict[str, object] = {}
        if intended is not None:
            intended = intended.first(
                max(_LEAST_INTENDED, ceil(_INTENDED_PERIODS * self._period_s / intended.grid.step_s))
            )
            body = schedule_body(intended, np.flatnonzero(np.isfinite(intended.power_kw).any(axis=1)))
        self._journal.append(INTENDED, self._clock.now_s(), body)
        self._plans.intended = intended

    async def _until_due(self) -> bool:
        """Wait; return true where a plan is due, false where only requests changed."""
        next_s = floor_s(self._clock.now_s(), int(self._period_s)) + self._period_s
        waiting = [
            asyncio.create_task(self._clock.sleep_until(next_s)),
            asyncio.create_task(self._fleet_changed.wait()),
            asyncio.create_task(self._requests_changed.wait()),
        ]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._fleet_changed.is_set():
                await self._clock.sleep(_SETTLE_S)
                self._fleet_changed.clear()
                return True
            return waiting[0] in done
        finally:
            for task in waiting:
                task.cancel()


def _later(kept_s: float | None, prepared_s: float | None) -> bool:
    """Return whether storage has to stay on its plan for longer than was known when a plan was begun."""
    return kept_s is not None and (prepared_s is None or kept_s > prepared_s)
