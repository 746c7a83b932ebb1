"""Plan with its fallback ladder: solved, else the tail of the previous plan, else safe defaults."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from numerics.arrays import Powers
from optimizer.problem.solution import GAP_RATIO, Solution, Status
from optimizer.problem.validation import ProblemError
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import STEPS_PER_DAY
from vpp.fleet.fleet_state import FleetState
from vpp.planning.feeder_flow import named_overload, overload_kw
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.flexibility.response_rate import PRIOR_RATIO
from vpp.planning.forecast.charging_need import promised_cars
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.schedule.commitment import Commitment
from vpp.planning.schedule.device_blocks import storing_rows
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.redispatch import to_intended, to_redispatch_problem
from vpp.planning.schedule.reserve_energy import ReserveRequirement, demanded, reserve_requirements
from vpp.planning.schedule.solver_process import Refused, SolverProcess
from vpp.planning.schedule.translate import Translation, to_problem, to_schedule, with_reserve
from vpp.planning.schedule.warm_start import WarmStart
from vpp.planning.tariff import Tariff

INTENDED_GAP_RATIO = 1e-3
"""Certified gap of a re-dispatch: its prices are small, and the fast loop corrects it."""
_RENEWED_GAP_RATIO = 2e-3
"""Certified gap of a renewed re-dispatch, which is renewed again within a quarter of an hour."""
_WARM_UP_S = 180.0
"""Wall seconds for a solver that compiles its kernels for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    """The last plan that was solved, and the departures it was made for."""

    schedule: Schedule
    departure_s: FloatArray


class Planner:
    """Makes schedules; never raises for what a solver or a number did, never waits past its deadline.

    Args:
        tariff: Prices.
        policy: Settings of the plan.
        deadline_s: Wall seconds a plan may take.
        count: Steps of a plan.
        solver: Process that solves.
    """

    def __init__(
        self,
        *,
        tariff: Tariff | None = None,
        policy: PlanningPolicy | None = None,
        deadline_s: float = 30.0,
        count: int = STEPS_PER_DAY,
        solver: SolverProcess | None = None,
    ) -> None:
        self._tariff = tariff or Tariff()
        self._policy = policy or PlanningPolicy()
        self._deadline_s = deadline_s
        self._count = count
        self._solver = solver or SolverProcess()
        self._remembered: _Remembered | None = None
        self._before: _Remembered | None = None
        self._before_requests: Schedule | None = None
        self._warm_start: WarmStart | None = None
        self._redispatch_warm_start: WarmStart | None = None

    async def start(self) -> None:
        """Warm the solver up; where it takes very long, plans fall back meanwhile."""
        await self._solver.ready(patience_s=_WARM_UP_S)

    async def plan(
        self,
        state: FleetState,
        *,
        forecast: Forecast,
        kept_until_s: float | None = None,
        recoveries: Sequence[EnergyRecovery] = (),
        demand: Callable[[TimeGrid], ReserveDemand] | None = None,
    ) -> Schedule:
        """Return a schedule of every row over the first steps of ``forecast``; its rung says where it comes from.

        Args:
            state: Snapshot it starts from.
            forecast: At least as many steps as a plan has.
            kept_until_s: Epoch seconds until which storage and V2G stay on the previous plan, because a request was
                quoted on it; ``None`` frees them.
            recoveries: Requests whose energy is recovered now or later.
            demand: Returns the reserve that is worth its price on the steps of a plan; without it only the windows of
                the policy are held.
        """
        grid = replace(forecast.grid, count=self._count)
        wanted = ReserveDemand.nothing(grid.count) if demand is None else demand(grid)
        try:
            # Reserve and translation do not depend on each other, and two cores share them.
            translation, reserve = await asyncio.gather(
                asyncio.to_thread(self._translated, state, forecast, kept_until_s, recoveries),
                asyncio.to_thread(self._reserve_requirements, state, forecast, wanted),
            )
            translation = with_reserve(translation, reserve, self._policy)
        except ProblemError as error:
            return self._fallback(state, forecast, str(error))
        self._before = self._remembered
        answer = await self._solved(translation, self._warm_start)
        match answer:
            case Refused():
                return self._fallback(state, forecast, answer.reason)
            case Solution():
                schedule = self._accepted(state, forecast, translation, answer)
                if kept_until_s is None and not recoveries:
                    self._before_requests = schedule  # later plans know what a request takes
                return schedule
            case _:
                assert_never(answer)

    def withdraw(self) -> None:
        """Forget the last plan, which was not put in force; the one before it still is."""
        self._remembered = self._before

    async def redispatch(
        self, state: FleetState, *, forecast: Forecast, plan: Schedule, commitments: Sequence[Commitment]
    ) -> Schedule | None:
        """Return the schedule that meets every commitment from ``plan``; ``None`` where none was found.

        Rows that no commitment may move are NaN. The plan itself is not touched.

        Args:
            state: Snapshot it starts from.
            forecast: Begins where the commitments' grids do.
            plan: The baseline plan.
            commitments: At least one.
        """
        try:
            translation = await asyncio.to_thread(
                to_redispatch_problem,
                state,
                forecast=forecast,
                plan=plan,
                commitments=commitments,
                tariff=self._tariff,
                policy=self._policy,
                count=self._count,
            )
        except ProblemError:
            return None
        # The plan's prices are those of another market: a re-dispatch starts from the plan itself, not from its prices.
        gap_ratio = INTENDED_GAP_RATIO if self._redispatch_warm_start is None else _RENEWED_GAP_RATIO
        answer = await self._solved(translation, self._redispatch_warm_start, gap_ratio=gap_ratio)
        if isinstance(answer, Refused) or answer.status is Status.NONE:
            return None
        self._redispatch_warm_start = WarmStart.of(translation, answer.warm)
        return await asyncio.to_thread(to_intended, translation, answer, state)

    async def close(self) -> None:
        """End the solver."""
        await self._solver.close()

    async def _solved(
        self, translation: Translation, warm_start: WarmStart | None, *, gap_ratio: float = GAP_RATIO
    ) -> Solution | Refused:
        warm = None if warm_start is None else await asyncio.to_thread(warm_start.onto, translation)
        return await self._solver.solve(
            translation.problem, deadline_s=self._deadline_s, warm=warm, gap_ratio=gap_ratio
        )

    def _translated(
        self, state: FleetState, forecast: Forecast, kept_until_s: float | None, recoveries: Sequence[EnergyRecovery]
    ) -> Translation:
        return to_problem(
            state,
            forecast=forecast,
            tariff=self._tariff,
            policy=self._policy,
            count=self._count,
            in_force=self._remembered.schedule if self._remembered else None,
            kept_until_s=kept_until_s,
            recoveries=recoveries,
            before=self._before_requests,
        )

    def _reserve_requirements(
        self, state: FleetState, forecast: Forecast, wanted: ReserveDemand
    ) -> Sequence[ReserveRequirement]:
        """Return the reserve that the plan holds, net of what all but the stores give."""
        if not (self._policy.reserve.windows or wanted.power_kw.any()) or not np.isfinite(forecast.expected_kw).all():
            return ()
        basis = FlexibilityBasis.of(FlexibilityInputs.of(state, forecast=forecast), np.full(len(state), PRIOR_RATIO))
        grid = replace(forecast.grid, count=self._count)
        windows = reserve_requirements(basis, self._policy.reserve.windows, grid, self._policy.reserve.refill)
        return demanded(basis, wanted, windows, grid, self._policy.reserve.refill)

    def _accepted(
        self, state: FleetState, forecast: Forecast, translation: Translation, solution: Solution
    ) -> Schedule:
        if solution.status is Status.NONE:
            return self._fallback(state, forecast, solution.reason)
        schedule = to_schedule(translation, solution, state.index)
        self._warm_start = WarmStart.of(translation, solution.warm)
        self._remembered = _Remembered(schedule=schedule, departure_s=state.departure_s.copy())
        return schedule

    def _fallback(self, state: FleetState, forecast: Forecast, reason: str) -> Schedule:
        grid = replace(forecast.grid, count=self._count)
        safe = safe_default(state, forecast, grid, reason)
        if self._remembered is None or self._remembered.schedule.grid.end_s <= grid.start_s:
            return safe
        return _tail(state, self._remembered, safe)


def safe_default(state: FleetState, forecast: Forecast, grid: TimeGrid, reason: str) -> Schedule:
    """Return the rule-based schedule: drivers and sites as expected, storage at rest, else defaults."""
    expected = forecast.expected_kw[:, : grid.count]
    default = np.where(state.index.is_class(ResourceClass.PV), 0.0, state.index.nameplate.default_kw)
    power = np.where(np.isfinite(expected), expected, default[:, None])
    power[state.index.is_class(ResourceClass.STORAGE)] = 0.0
    return _unsolved(state, grid, power, Rung.SAFE_DEFAULT, reason)


def _tail(state: FleetState, remembered: _Remembered, safe: Schedule) -> Schedule:
    """Return the previous plan where its cars are still the same, the safe default elsewhere."""
    old = remembered.schedule
    offset = round((safe.grid.start_s - old.grid.start_s) / old.grid.step_s)
    first, last = max(-offset, 0), min(old.grid.count - offset, safe.grid.count)
    rows = np.flatnonzero(_unchanged(state, remembered))
    power = safe.power_kw.copy()
    power[rows, first:last] = old.power_kw[rows, first + offset : last + offset]
    return _unsolved(state, safe.grid, power, Rung.PREVIOUS, safe.reason)


def _unchanged(state: FleetState, remembered: _Remembered) -> BoolArray:
    """Return rows the previous plan decided and whose car, if any, is still the same, shape ``(n_resources,)``."""
    known = len(remembered.departure_s)
    before = np.full(len(state), np.nan)
    before[:known] = remembered.departure_s
    same_car = ~promised_cars(state) | (before == state.departure_s)
    old_row = np.arange(len(state)) < known
    return np.asarray(old_row & same_car & storing_rows(state))


def _unsolved(state: FleetState, grid: TimeGrid, power_kw: Powers, rung: Rung, reason: str) -> Schedule:
    return Schedule(
        grid=grid,
        power_kw=power_kw,
        rung=rung,
        objective_cny=float("nan"),
        gap_ratio=float("nan"),
        solve_s=0.0,
        reason=reason,
        overload_kw=named_overload(state.index, overload_kw(state.index, power_kw).max(axis=1, initial=0.0)),
    )
