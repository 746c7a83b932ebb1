"""Plans on a fleet of six, one of each class, with the ladder of rungs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import pytest_asyncio

from tests.patience import PATIENCE_WALL_S
from tests.unit.vpp.planning.parts import EV, NOW, NOW_S, STORAGE, V2G, forecast, index, state
from vpp.domain.request import Direction
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.planning.schedule.planner import Planner, safe_default
from vpp.planning.schedule.planning_policy import PlanningPolicy, ReservePolicy
from vpp.planning.schedule.reserve_energy import ReserveWindow
from vpp.planning.schedule.solver_process import SolverProcess

DEAD = (sys.executable, "-c", "raise SystemExit(1)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def solver() -> AsyncIterator[SolverProcess]:
    """One solver for all plans of this module: its imports are the slow part."""
    made = SolverProcess()
    assert await made.ready(patience_s=PATIENCE_WALL_S)
    yield made
    await made.close()


async def solved(solver: SolverProcess, picture: FleetState) -> Schedule:
    return await Planner(deadline_s=20.0, solver=solver).plan(picture, forecast=forecast(picture))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_plan_moves_storage_with_the_price_and_leaves_drivers_alone(solver: SolverProcess) -> None:
    picture = state()
    plan = await solved(solver, picture)
    assert plan.rung is Rung.OPTIMAL, plan.reason
    assert plan.reason == ""
    assert abs(plan.gap_ratio) < 1e-6
    assert plan.overload_kw == {}
    np.testing.assert_allclose(plan.power_kw[EV], forecast(picture).expected_kw[EV, :96])
    # Noon to two is sharp in July, after ten at night is valley.
    assert plan.power_kw[STORAGE, :8].sum() < 0.0
    assert plan.power_kw[STORAGE, 40:].sum() > 0.0
    # The promised car has its energy by its departure.
    efficiency = 0.95
    car = plan.power_kw[V2G, :36]
    gained = np.where(car > 0, car * efficiency, car / efficiency).sum() * 0.25
    assert gained >= 6.0 * efficiency - 1e-6


@pytest.mark.asyncio(loop_scope="module")
async def test_behind_a_transformer_that_would_be_overloaded_cars_wait(solver: SolverProcess) -> None:
    picture = state(index(east_limit_kw=25.0))
    plan = await solved(solver, picture)
    assert plan.overload_kw == {}
    flow = picture.index.feeders.load_kw(plan.power_kw)
    assert flow[1].max() <= 25.0 + 1e-6
    assert plan.power_kw[EV, :32].sum() * 0.25 == pytest.approx(20.0, abs=1e-6)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limit_below_the_base_load_is_an_overload_with_a_name(solver: SolverProcess) -> None:
    plan = await solved(solver, state(index(east_limit_kw=18.0)))
    assert plan.rung is Rung.OPTIMAL
    assert plan.overload_kw["tr-east"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_promised_schedule_is_kept_until_its_request_is_over(solver: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, solver=solver)
    first = await made.plan(picture, forecast=forecast(picture))
    fuller = state(soc=np.array([np.nan, 0.8, 0.9, np.nan, np.nan, np.nan]))
    second = await made.plan(fuller, forecast=forecast(fuller), kept_until_s=NOW_S + 2 * 3600)
    assert second.rung is Rung.OPTIMAL
    np.testing.assert_allclose(second.power_kw[STORAGE, :8], first.power_kw[STORAGE, :8], atol=1e-6)


async def test_a_late_solver_is_killed_and_the_safe_default_stands_in() -> None:
    silent = SolverProcess(command=(sys.executable, "-c", "import sys; sys.stdin.read()"), grace_s=0.0)
    made = Planner(deadline_s=0.2, solver=silent)
    async with asyncio.timeout(PATIENCE_WALL_S):
        plan = await made.plan(state(), forecast=forecast(state()))
        await made.close()
    assert plan.rung is Rung.SAFE_DEFAULT
    assert "late" in plan.reason
    assert np.isnan(plan.objective_cny)
    np.testing.assert_allclose(plan.power_kw[STORAGE], 0.0)
    assert np.isfinite(plan.power_kw).all()


@pytest.mark.asyncio(loop_scope="module")
async def test_after_a_good_plan_a_failing_solver_leaves_its_tail(solver: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, solver=solver)
    good = await made.plan(picture, forecast=forecast(picture))
    made._solver = SolverProcess(command=DEAD)
    later = replace(forecast(picture).grid, start_at=NOW + timedelta(minutes=30))
    tail = await made.plan(picture, forecast=replace(forecast(picture), grid=later))
    await made.close()
    assert tail.rung is Rung.PREVIOUS
    assert tail.reason == "solver died"
    np.testing.assert_allclose(tail.power_kw[STORAGE, :94], good.power_kw[STORAGE, 2:])
    np.testing.assert_allclose(tail.power_kw[STORAGE, 94:], 0.0)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_tail_of_a_plan_is_kept_for_the_same_car_only(solver: SolverProcess) -> None:
    picture, index = state(), state().index
    made = Planner(deadline_s=20.0, solver=solver)
    good = await made.plan(picture, forecast=forecast(picture))
    made._solver = SolverProcess(command=DEAD)
    same = await made.plan(picture, forecast=forecast(picture))
    np.testing.assert_allclose(same.power_kw[V2G], good.power_kw[V2G])
    another = state(departure_s=picture.departure_s + 3600.0 * (np.arange(len(index)) == V2G))
    tail = await made.plan(another, forecast=forecast(another))
    await made.close()
    safe = safe_default(another, forecast(another), tail.grid, "")
    assert tail.rung is Rung.PREVIOUS
    assert np.abs(good.power_kw[V2G] - safe.power_kw[V2G]).max() > 1.0
    np.testing.assert_allclose(tail.power_kw[V2G], safe.power_kw[V2G])
    np.testing.assert_allclose(tail.power_kw[STORAGE], good.power_kw[STORAGE])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_plan_that_is_over_is_no_previous_plan(solver: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, solver=solver)
    good = await made.plan(picture, forecast=forecast(picture))
    made._solver = SolverProcess(command=DEAD)
    for minutes, rung in ((-15, Rung.PREVIOUS), (0, Rung.SAFE_DEFAULT)):
        grid = replace(forecast(picture).grid, start_at=good.grid.end_at + timedelta(minutes=minutes))
        assert (await made.plan(picture, forecast=replace(forecast(picture), grid=grid))).rung is rung
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_plan_that_is_withdrawn_leaves_the_one_before_it(solver: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, solver=solver)
    first = await made.plan(picture, forecast=forecast(picture))
    emptied = state(soc=np.array([np.nan, 0.7, 0.2, np.nan, np.nan, np.nan]))
    second = await made.plan(emptied, forecast=forecast(emptied))
    assert np.abs(second.power_kw[STORAGE] - first.power_kw[STORAGE]).max() > 1.0
    made.withdraw()
    made._solver = SolverProcess(command=DEAD)
    tail = await made.plan(picture, forecast=forecast(picture))
    await made.close()
    np.testing.assert_allclose(tail.power_kw[STORAGE], first.power_kw[STORAGE])


async def test_a_picture_that_makes_no_sense_falls_back_with_the_fields_name() -> None:
    made = Planner(deadline_s=5.0)
    plan = await made.plan(state(), forecast=forecast(state(), row_4=np.nan))
    await made.close()
    assert plan.rung is Rung.SAFE_DEFAULT
    assert "base_kw" in plan.reason
    assert np.isfinite(plan.power_kw).all()


def _emptied(at: datetime) -> FleetState:
    return state(
        soc=np.array([np.nan, np.nan, 0.2, np.nan, np.nan, np.nan]),
        at_s=at.timestamp(),
        departure_s=np.full(6, np.nan),
        need_kwh=np.full(6, np.nan),
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cap_kw", [8.0, 16.0])
async def test_what_was_drawn_for_a_request_comes_back_at_a_bounded_rate(solver: SolverProcess, cap_kw: float) -> None:
    """Two hours after ten at night are cheap for everybody: a free plan fills the empty battery faster."""
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)  # ten in the evening in Shanghai
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    made = Planner(deadline_s=20.0, solver=solver)
    free = await made.plan(picture, forecast=expected)
    assert free.power_kw[STORAGE].max() > 20.0
    made = Planner(deadline_s=20.0, solver=solver)
    watched_s = night.timestamp() + 900.0
    recovery = EnergyRecovery(direction=Direction.UP, from_s=watched_s, until_s=watched_s + 4.0 * 3600.0, cap_kw=cap_kw)
    bounded = await made.plan(picture, forecast=expected, recoveries=[recovery])
    assert bounded.rung is Rung.OPTIMAL, bounded.reason
    assert bounded.power_kw[STORAGE, 1:17].max() <= cap_kw + 1e-6
    assert bounded.power_kw[STORAGE, 17:].max() > cap_kw, "four hours later it is free again"


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_comes_back_in_hours_for_which_reserve_is_held(solver: SolverProcess) -> None:
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)  # ten in the evening in Shanghai
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    policy = PlanningPolicy(
        reserve=ReservePolicy(windows=(ReserveWindow(from_hour=21.0, until_hour=23.0, need_kw=1.0),))
    )
    made = Planner(policy=policy, deadline_s=20.0, solver=solver)
    for hours in (0.5, 4.0):
        recovery = EnergyRecovery(
            direction=Direction.UP, from_s=night.timestamp(), until_s=night.timestamp() + hours * 3600.0, cap_kw=16.0
        )
        plan = await made.plan(picture, forecast=expected, recoveries=[recovery])
        assert plan.power_kw[STORAGE, :4].max() <= 1e-6, "also where the recovery ends amid these hours"
        assert plan.power_kw[STORAGE, 4:16].max() > 1.0


@pytest.mark.asyncio(loop_scope="module")
async def test_what_batteries_would_have_taken_anyway_is_nobodys_rebound(solver: SolverProcess) -> None:
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    made = Planner(deadline_s=20.0, solver=solver)
    free = await made.plan(picture, forecast=expected)
    recovery = EnergyRecovery(
        direction=Direction.UP, from_s=night.timestamp(), until_s=night.timestamp() + 4.0 * 3600.0, cap_kw=1.0
    )
    bounded = await made.plan(picture, forecast=expected, recoveries=[recovery])
    usual, now = free.power_kw[STORAGE, :16], bounded.power_kw[STORAGE, :16]
    assert (now <= np.maximum(usual, 0.0) + 1.0 + 1e-6).all()
    assert now.max() > 20.0
