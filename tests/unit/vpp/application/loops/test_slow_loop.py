"""The instants at which the slow loop plans: not only on the quarter hour, where devices are known already."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from tests.patience import PATIENCE_WALL_S
from tests.unit.vpp.planning.parts import NOW, NOW_S, state
from vpp.application.cycle_record import schedule_of
from vpp.application.loops.forecaster import Forecaster
from vpp.application.loops.slow_loop import INTENDED, PLAN, SlowLoop
from vpp.application.operating_picture import OperatingPicture, PlansInForce
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.holidays import CHINA
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.schedule.planner import Planner, safe_default
from vpp.runtime.observability import Metrics


class _Standing:
    """A clock that stands: whoever waits for a time of day waits for good, short sleeps pass."""

    def now(self) -> datetime:
        return NOW

    def now_s(self) -> float:
        return NOW_S

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)

    async def sleep_until(self, at_s: float) -> None:
        del at_s
        await asyncio.Event().wait()

    def wall(self, seconds: float) -> float:
        return seconds


class _Unsolved(Planner):
    """Plans by rule, without a solver."""

    async def start(self) -> None:
        """Nothing to warm up."""

    async def plan(self, state: FleetState, *, forecast: Forecast, **_: object) -> Schedule:
        return safe_default(state, forecast, replace(forecast.grid, count=96), "by rule")


class _Unmetered:
    def __init__(self, count: int) -> None:
        self._count = count

    def read(self, grid: TimeGrid) -> FloatArray:
        return np.full((self._count, grid.count), np.nan)


class _Entries:
    def __init__(self) -> None:
        self.planned = asyncio.Event()
        self.bodies: dict[str, Mapping[str, object]] = {}

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        del at_s
        self.bodies[kind] = body
        if kind == PLAN:
            asyncio.get_running_loop().call_soon(self.planned.set)  # it is in force once this entry is made


class _Nothing:
    """No request is in force."""

    def kept_until_s(self) -> None:
        return None

    def upcoming(self, state: FleetState) -> tuple[()]:
        del state
        return ()

    def recoveries(self, now_s: float) -> tuple[()]:
        del now_s
        return ()

    def reserve(self, grid: TimeGrid) -> ReserveDemand:
        return ReserveDemand.nothing(grid.count)


def _loop(state: FleetState) -> tuple[SlowLoop, PlansInForce, _Entries]:
    entries, plans, meters = _Entries(), PlansInForce(), _Unmetered(len(state))
    slow = SlowLoop(
        picture=OperatingPicture(
            clock=_Standing(),
            state=lambda: state,
            plans=plans,
            meters=meters,  # type: ignore[arg-type]  # what a forecast asks of it
        ),
        period_s=900.0,
        planner=_Unsolved(),
        forecaster=Forecaster(meters, CHINA, plans),
        commitments=_Nothing(),
        journal=entries,  # type: ignore[arg-type]  # what a plan asks of it
        metrics=Metrics("0"),
    )
    return slow, plans, entries


async def test_a_service_that_knows_its_devices_plans_without_waiting_for_the_quarter_hour() -> None:
    slow, plans, entries = _loop(state())
    running = asyncio.create_task(slow.run())
    await asyncio.wait_for(entries.planned.wait(), timeout=PATIENCE_WALL_S)
    running.cancel()
    assert plans.schedule is not None
    assert plans.schedule.rung is Rung.SAFE_DEFAULT


async def test_of_a_re_dispatch_the_steps_until_it_is_renewed_are_kept_and_recorded() -> None:
    slow, plans, entries = _loop(state())
    count = len(state())
    wanted = np.arange(40.0) + np.arange(count)[:, None]
    grid = TimeGrid(start_at=NOW, count=40)
    whole = Schedule(
        grid=grid, power_kw=wanted, rung=Rung.OPTIMAL, objective_cny=0.0, gap_ratio=0.0, solve_s=0.0, overload_kw={}
    )
    slow.intend(whole)

    kept = plans.intended
    assert kept is not None
    assert [kept.at(NOW_S + 900.0 * step)[0] for step in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert np.isnan(kept.at(NOW_S + 4 * 900.0)).all(), "one that is never renewed is no longer followed"
    assert np.isnan(kept.at(NOW_S + 39 * 900.0)).all()
    recorded = schedule_of(entries.bodies[INTENDED])
    np.testing.assert_array_equal(recorded.power_kw, kept.power_kw)
    assert recorded.grid == kept.grid
