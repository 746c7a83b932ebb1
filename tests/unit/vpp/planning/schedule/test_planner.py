"""The slow loop on a fleet of six, one of each class: forecast, tariff, plan with its ladder, capability, quote."""

import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import pytest_asyncio

from vpp.domain.daytype import DayCalendar, DaysOff
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.request import Direction, NoticeClass, Product, Quote, RequestDraft, Verdict
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray, Quality
from vpp.domain.timegrid import TimeGrid, instant
from vpp.planning.feeder_flow import node_flow_kw
from vpp.planning.forecast.charging_need import session_profile_kw
from vpp.planning.forecast.load_forecast import Forecast, same_type_days
from vpp.planning.forecast.load_forecast import forecast as make_forecast
from vpp.planning.quote.capability import capability, flexibility
from vpp.planning.quote.quote import quote
from vpp.planning.schedule.energy_recovery import EnergyRecovery
from vpp.planning.schedule.planner import Planner
from vpp.planning.schedule.reserve_energy import ReserveWindow
from vpp.planning.schedule.solver_process import SolverProcess
from vpp.planning.schedule.translate import PlanningPolicy
from vpp.planning.tariff import Tariff

NOW = datetime(2026, 7, 8, 4, 0, tzinfo=UTC)  # a Wednesday, noon in Shanghai
NOW_S = NOW.timestamp()
EV, V2G, STORAGE, PV, HVAC, INDUSTRY = range(6)


def resource(resource_class: ResourceClass, site: str, **fields: float) -> Resource:
    return Resource(
        id=resource_class.value,
        site_id=site,
        resource_class=resource_class,
        adapter=Adapter.OCPP,
        address=f"{resource_class.value}/1",
        **fields,  # type: ignore[arg-type]  # a test table
    )


RESOURCES = (
    resource(ResourceClass.EV, "east", p_min_kw=0.0, p_max_kw=7.0, floor_kw=1.4),
    resource(ResourceClass.V2G, "east", p_min_kw=-15.0, p_max_kw=15.0, capacity_kwh=60.0, efficiency=0.95),
    resource(
        ResourceClass.STORAGE,
        "west",
        p_min_kw=-100.0,
        p_max_kw=100.0,
        capacity_kwh=200.0,
        efficiency=0.9,
        default_kw=0.0,
    ),
    resource(ResourceClass.PV, "west", p_min_kw=-50.0, p_max_kw=0.0),
    resource(
        ResourceClass.HVAC,
        "west",
        p_min_kw=0.0,
        p_max_kw=400.0,
        declared_up_kw=90.0,
        declared_down_kw=30.0,
        sustain_minutes=60.0,
        rebound_ratio=0.15,
    ),
    resource(ResourceClass.INDUSTRY, "west", p_min_kw=0.0, p_max_kw=500.0, declared_up_kw=150.0, declared_down_kw=50.0),
)


def index(east_limit_kw: float = 60.0, west_limit_kw: float = 2000.0) -> FleetIndex:
    root = Transformer(id="root", area_id="east", limit_kw=3000.0, export_limit_kw=3000.0, base_load_kw=20.0)
    east = Transformer(
        id="tr-east",
        area_id="east",
        limit_kw=east_limit_kw,
        export_limit_kw=east_limit_kw,
        base_load_kw=20.0,
        parent_id="root",
    )
    west = replace(east, id="tr-west", area_id="west", limit_kw=west_limit_kw, export_limit_kw=1000.0, base_load_kw=0.0)
    return FleetIndex(
        resources=RESOURCES,
        sites=tuple(
            Site(id=a, name=a, area_id=a, operator_id="op", transformer_id=f"tr-{a}") for a in ("east", "west")
        ),
        transformers=(root, east, west),
        areas=(Area(id="east", name="East"), Area(id="west", name="West")),
        operators=(Operator(id="op", name="Op"),),
    )


def state(fleet: FleetIndex | None = None, **changes: object) -> FleetState:
    """Return a picture at ``NOW``: both cars plugged in, everything connected and fresh."""
    n = len(RESOURCES)
    values: dict[str, object] = {
        "index": fleet or index(),
        "at_s": NOW_S,
        "cycle": 1,
        "power_kw": np.array([7.0, 0.0, 0.0, -30.0, 360.0, 480.0]),
        "power_at_s": np.full(n, NOW_S),
        "quality": np.full(n, Quality.GOOD, dtype=np.uint8),
        "energy_kwh": np.zeros(n),
        "soc": np.array([np.nan, 0.7, 0.6, np.nan, np.nan, np.nan]),
        "connected": np.ones(n, dtype=bool),
        "plugged": np.array([True, True, False, False, False, False]),
        "available_min_kw": np.array([0.0, -15.0, -100.0, -50.0, 270.0, 330.0]),
        "available_max_kw": np.array([7.0, 15.0, 100.0, 0.0, 400.0, 500.0]),
        "limit_kw": np.full(n, np.nan),
        "need_kwh": np.array([20.0, 6.0, np.nan, np.nan, np.nan, np.nan]),
        "departure_s": np.array([NOW_S + 8 * 3600, NOW_S + 9 * 3600, np.nan, np.nan, np.nan, np.nan]),
        "sheddable": np.ones(n, dtype=bool),
    }
    return FleetState(**(values | changes))  # type: ignore[arg-type]  # a test table


def forecast(picture: FleetState, count: int = 192, **rows: float) -> Forecast:
    """Return a flat forecast at the present power, cars by their promise."""
    grid = TimeGrid(start_at=NOW, count=count)
    expected: FloatArray = np.repeat(picture.power_kw[:, None], count, axis=1)
    cars = picture.index.is_class(ResourceClass.EV, ResourceClass.V2G)
    expected[cars] = session_profile_kw(picture, grid)[cars]
    expected[STORAGE] = 0.0
    for name, value in rows.items():
        expected[int(name.removeprefix("row_"))] = value
    return Forecast(grid=grid, expected_kw=expected, spread_kw=0.05 * np.abs(expected), available_at_s=NOW_S)


def draft(**changes: object) -> RequestDraft:
    values: dict[str, object] = {
        "product": Product.PEAK_SHAVING,
        "direction": Direction.UP,
        "target_kw": 200.0,
        "area": "city",
        "start_at": NOW.replace(hour=4, minute=30),
        "end_at": NOW.replace(hour=5, minute=30),
        "notice_class": NoticeClass.FAST,
    }
    return RequestDraft(**(values | changes))  # type: ignore[arg-type]  # a test table


class FlatMeter:
    """A meter that shows the same power at all times, NaN in rows it does not know."""

    def __init__(self, power_kw: list[float]) -> None:
        self._power_kw = np.array(power_kw)

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return the same power in every step, shape ``(n_resources, grid.count)``."""
        return np.repeat(self._power_kw[:, None], grid.count, axis=1)


def ask(request: RequestDraft, picture: FleetState | None = None, **changes: object) -> Quote:
    picture = picture or state()
    expected = forecast(picture)
    values: dict[str, object] = {
        "state": picture,
        "forecast": expected,
        "schedule": None,
        "delivery_ratio": np.ones(len(picture)),
        "committed_kw": np.zeros(expected.grid.count),
        "now": NOW,
    }
    return quote(request, **(values | changes))  # type: ignore[arg-type]  # a test table


def limit_names(answer: Quote) -> str:
    return "; ".join(limit.name for limit in answer.limits)


# Tariff


@pytest.mark.parametrize(
    ("at", "ratio"),
    [
        (datetime(2026, 7, 8, 5, tzinfo=UTC), 1.8 * 1.25),  # 13:00 in July: sharp
        (datetime(2026, 9, 8, 5, tzinfo=UTC), 1.8),  # 13:00 in September: peak
        (datetime(2026, 10, 8, 5, tzinfo=UTC), 1.0),  # 13:00 in October: flat
        (datetime(2026, 12, 8, 11, tzinfo=UTC), 1.8 * 1.25),  # 19:00 in December: sharp
        (datetime(2026, 4, 8, 14, tzinfo=UTC), 0.5),  # 22:00 in April: valley
        (datetime(2026, 7, 8, 21, 45, tzinfo=UTC), 0.4),  # 05:45 in July: valley
    ],
)
def test_prices_follow_shanghais_hours_and_seasons(at: datetime, ratio: float) -> None:
    price = Tariff(flat_cny_per_kwh=1.0).price_cny_per_kwh(TimeGrid(start_at=at, count=1))
    assert price[0] == pytest.approx(ratio)


# Forecast


def test_cars_are_expected_to_charge_at_once_and_loads_as_on_their_usual_days() -> None:
    picture = state()
    found = make_forecast(picture, FlatMeter([3.0, 0.0, 80.0, -20.0, 300.0, np.nan]), count=96)
    np.testing.assert_allclose(found.expected_kw[EV, :11], 7.0)
    assert found.expected_kw[EV].sum() * 0.25 >= 20.0
    np.testing.assert_allclose(found.expected_kw[EV, 12:32], 0.0)
    np.testing.assert_allclose(found.expected_kw[EV, 32:], 3.0)
    np.testing.assert_allclose(found.expected_kw[STORAGE], 0.0)
    np.testing.assert_allclose(found.expected_kw[HVAC], 300.0)
    np.testing.assert_allclose(found.expected_kw[INDUSTRY], 480.0)
    assert found.available_at_s == NOW_S


def test_days_of_a_type_are_told_apart_in_shanghai_time() -> None:
    past = TimeGrid(start_at=NOW - timedelta(days=7), count=7 * 96)
    ahead = TimeGrid(start_at=NOW, count=96)
    same = same_type_days(past, ahead)
    # Blocks run from Wednesday noon on; Saturday's and Sunday's calendar hours are no workdays.
    assert same[0].all()
    assert not same[3, :48].any()
    assert not same[4, :48].any()
    # A holiday without holidays before it is like a weekend; a Saturday that is worked in exchange is not.
    for worked, like in ((frozenset[date](), [3, 4]), (frozenset({date(2026, 7, 4)}), [4])):
        off = DaysOff(holidays=frozenset({date(2026, 7, 8)}), workdays=worked)
        holiday = same_type_days(past, ahead, DayCalendar(announced={2026: off}))
        assert np.flatnonzero(holiday[:, :48].all(axis=1)).tolist() == like
        assert np.flatnonzero(holiday[:, :48].any(axis=1)).tolist() == like


# Plan


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def child() -> AsyncIterator[SolverProcess]:
    """One solver for all plans of this module: its imports are the slow part."""
    made = SolverProcess()
    assert await made.ready(patience_s=300.0)
    yield made
    await made.close()


async def solved(child: SolverProcess, picture: FleetState) -> Schedule:
    return await Planner(deadline_s=20.0, child=child).plan(picture, forecast=forecast(picture))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_plan_moves_storage_with_the_price_and_leaves_drivers_alone(child: SolverProcess) -> None:
    picture = state()
    plan = await solved(child, picture)
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
async def test_behind_a_transformer_that_would_be_overloaded_cars_wait(child: SolverProcess) -> None:
    picture = state(index(east_limit_kw=25.0))
    plan = await solved(child, picture)
    assert plan.overload_kw == {}
    flow = node_flow_kw(picture.index, plan.power_kw)
    assert flow[1].max() <= 25.0 + 1e-6
    assert plan.power_kw[EV, :32].sum() * 0.25 == pytest.approx(20.0, abs=1e-6)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limit_below_the_base_load_is_an_overload_with_a_name(child: SolverProcess) -> None:
    plan = await solved(child, state(index(east_limit_kw=18.0)))
    assert plan.rung is Rung.OPTIMAL
    assert plan.overload_kw["tr-east"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_promised_schedule_is_kept_until_its_request_is_over(child: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, child=child)
    first = await made.plan(picture, forecast=forecast(picture))
    fuller = state(soc=np.array([np.nan, 0.8, 0.9, np.nan, np.nan, np.nan]))
    second = await made.plan(fuller, forecast=forecast(fuller), kept_until_s=NOW_S + 2 * 3600)
    assert second.rung is Rung.OPTIMAL
    np.testing.assert_allclose(second.power_kw[STORAGE, :8], first.power_kw[STORAGE, :8], atol=1e-6)


async def test_a_late_solver_is_killed_and_the_safe_default_stands_in() -> None:
    silent = SolverProcess(command=(sys.executable, "-c", "import sys; sys.stdin.read()"), grace_s=0.0)
    made = Planner(deadline_s=0.2, child=silent)
    began = time.perf_counter()
    plan = await made.plan(state(), forecast=forecast(state()))
    await made.close()
    assert plan.rung is Rung.SAFE_DEFAULT
    assert "late" in plan.reason
    assert np.isnan(plan.objective_cny)
    np.testing.assert_allclose(plan.power_kw[STORAGE], 0.0)
    assert np.isfinite(plan.power_kw).all()
    assert time.perf_counter() - began < 5.0


@pytest.mark.asyncio(loop_scope="module")
async def test_after_a_good_plan_a_failing_solver_leaves_its_tail(child: SolverProcess) -> None:
    picture = state()
    made = Planner(deadline_s=20.0, child=child)
    good = await made.plan(picture, forecast=forecast(picture))
    made._child = SolverProcess(command=(sys.executable, "-c", "raise SystemExit(1)"))
    later = replace(forecast(picture).grid, start_at=NOW + timedelta(minutes=30))
    tail = await made.plan(picture, forecast=replace(forecast(picture), grid=later))
    await made.close()
    assert tail.rung is Rung.PREVIOUS
    assert tail.reason == "solver died"
    np.testing.assert_allclose(tail.power_kw[STORAGE, :94], good.power_kw[STORAGE, 2:])
    np.testing.assert_allclose(tail.power_kw[STORAGE, 94:], 0.0)


async def test_a_picture_that_makes_no_sense_falls_back_with_the_fields_name() -> None:
    made = Planner(deadline_s=5.0)
    plan = await made.plan(state(), forecast=forecast(state(), row_4=np.nan))
    await made.close()
    assert plan.rung is Rung.SAFE_DEFAULT
    assert "base_kw" in plan.reason
    assert np.isfinite(plan.power_kw).all()


# Capability


def test_flexibility_now_keeps_floors_and_energy() -> None:
    found = flexibility(state())
    assert found.up_kw[EV] == pytest.approx(7.0 - 1.4)
    assert found.up_kw[STORAGE] == pytest.approx(0.5 * 200.0 * 0.9)
    assert found.up_kw[PV] == 0.0
    assert found.up_kw[HVAC] == pytest.approx(90.0)
    assert found.up_kw[INDUSTRY] == pytest.approx(150.0)
    assert (found.down_kw >= 0.0).all()
    dark = flexibility(state(connected=np.zeros(6, dtype=bool)))
    assert dark.up_kw.sum() == 0.0


def test_the_four_capacities_of_a_declaration_stay_apart() -> None:
    picture = state()
    day = TimeGrid(start_at=NOW - timedelta(hours=4), count=96)
    found = capability(
        picture,
        forecast=forecast(picture),
        schedule=None,
        area="west",
        direction=Direction.UP,
        grid=day,
        verified_kw=123.0,
        delivery_ratio=np.ones(6),
    )
    assert found.connected_kw[0] == pytest.approx(200.0 + 400.0 + 500.0)
    assert found.contracted_kw is not None
    assert found.contracted_kw[0] == pytest.approx(240.0)
    assert found.declared_kw[0] == 123.0, "never above what was verified"
    assert found.tested
    assert found.verified_kw[0] == 123.0
    assert np.isnan(found.available_kw[:16]).all()
    assert found.available_kw[16] == pytest.approx(90.0 + 90.0 + 150.0)


# Quote


def test_a_request_within_reach_is_feasible_and_says_what_it_costs() -> None:
    answer = ask(draft())
    assert answer.verdict is Verdict.FEASIBLE
    assert len(answer.interval_starts_at) == len(answer.deliverable_p50_kw) == 4
    assert answer.interval_starts_at[0] == NOW + timedelta(minutes=30)
    for p10, p50, p90 in zip(
        answer.deliverable_p10_kw, answer.deliverable_p50_kw, answer.deliverable_p90_kw, strict=True
    ):
        assert p10 < p50 < p90
    # EV to its floor 5.6; V2G 15; storage 90 over an hour; building 90; plant 150.
    assert answer.p50_kw == pytest.approx(5.6 + 15.0 + 90.0 + 90.0 + 150.0, abs=0.1)
    assert answer.cost_cny > 0.0
    assert answer.max_hold_minutes >= 60.0
    assert answer.counter_offers == ()
    assert answer.promises_broken == 0
    assert answer.expires_at == NOW + timedelta(seconds=300)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("target_kw", [400.0, 100_000.0])
@pytest.mark.parametrize("minutes", [60, 150])
def test_a_request_beyond_the_fleet_gets_limits_and_offers_that_are_deliverable(
    direction: Direction, target_kw: float, minutes: int
) -> None:
    asked = draft(
        target_kw=target_kw,
        direction=direction,
        end_at=NOW + timedelta(minutes=30 + minutes),
        min_delivered_ratio=0.8,
    )
    answer = ask(asked)
    assert answer.verdict is not Verdict.FEASIBLE
    assert answer.limits
    assert answer.counter_offers
    for offer in answer.counter_offers:
        again = replace(asked, target_kw=offer.target_kw, start_at=offer.start_at, end_at=offer.end_at)
        assert ask(again).verdict is Verdict.FEASIBLE, offer


def test_a_long_hold_names_the_sustain_time_and_the_energy() -> None:
    answer = ask(draft(target_kw=330.0, end_at=NOW + timedelta(hours=3)))
    assert answer.verdict is Verdict.PARTIAL
    assert "hvac sustain 60 min" in limit_names(answer)
    assert "storage energy" in limit_names(answer)
    kinds = {offer.kind for offer in answer.counter_offers}
    assert {"less_power", "shorter_hold"} <= kinds
    assert answer.max_hold_minutes < 150.0


def test_a_plan_that_discharges_storage_anyway_leaves_less_to_promise() -> None:
    picture = state()
    power = forecast(picture).expected_kw[:, :96].copy()
    power[STORAGE, 2:6] = -90.0
    plan = Schedule(
        grid=TimeGrid(start_at=NOW),
        power_kw=power,
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
    assert ask(draft(), schedule=plan).p50_kw == pytest.approx(ask(draft()).p50_kw - 90.0, abs=0.5)


def test_stale_and_disconnected_rows_count_nothing() -> None:
    quality = np.full(6, Quality.GOOD, dtype=np.uint8)
    quality[INDUSTRY] = Quality.STALE
    answer = ask(draft(), state(quality=quality))
    assert answer.p50_kw == pytest.approx(200.6, abs=0.1)
    assert "telemetry stale for" in limit_names(answer)
    nobody = ask(draft(), state(connected=np.zeros(6, dtype=bool)))
    assert nobody.verdict is Verdict.INFEASIBLE
    assert nobody.p50_kw == 0.0
    assert nobody.counter_offers == ()


def test_a_driver_without_time_or_will_is_never_shed() -> None:
    east = draft(area="east", target_kw=1.0)
    soc = np.full(6, np.nan)  # leaves the V2G car out
    willing = ask(east, state(soc=soc))
    assert willing.p50_kw == pytest.approx(5.6, abs=0.01)
    departure = state().departure_s.copy()
    departure[EV] = NOW_S + 20.0 / 7.0 * 3600.0
    hurried = ask(east, state(soc=soc, departure_s=departure))
    assert hurried.p50_kw == pytest.approx(0.0, abs=0.01)
    assert "driver deadlines" in limit_names(hurried)
    opted_out = ask(east, state(soc=soc, sheddable=np.zeros(6, dtype=bool)))
    assert opted_out.p50_kw == 0.0


def test_what_is_promised_to_others_is_not_promised_again() -> None:
    committed = np.zeros(192)
    committed[2:6] = 300.0
    answer = ask(draft(), committed_kw=committed)
    assert answer.verdict is not Verdict.FEASIBLE
    assert answer.p50_kw == pytest.approx(50.6, abs=0.1)
    assert "already promised to other requests" in limit_names(answer)
    assert "later_start" in {offer.kind for offer in answer.counter_offers}


def test_a_measured_delivery_ratio_scales_the_promise_and_widens_its_chances() -> None:
    sure, unsure = ask(draft()), ask(draft(), delivery_ratio=np.full(6, 0.8))
    assert unsure.p50_kw == pytest.approx(0.8 * sure.p50_kw, rel=1e-6)
    sure_width = sure.deliverable_p50_kw[0] - sure.deliverable_p10_kw[0]
    unsure_width = unsure.deliverable_p50_kw[0] - unsure.deliverable_p10_kw[0]
    assert unsure_width > sure_width


def test_a_raise_respects_transformer_caps_and_keeps_photovoltaics_apart() -> None:
    free = ask(draft(direction=Direction.DOWN, target_kw=50.0))
    assert "photovoltaic curtailment" in limit_names(free)
    # West expects 480 + 360 - 30 kW; the cap leaves 30 more.
    capped = ask(draft(direction=Direction.DOWN, target_kw=50.0, area="west"), state(index(west_limit_kw=840.0)))
    assert capped.p50_kw == pytest.approx(30.0, abs=0.1)
    assert "transformer tr-west cap" in limit_names(capped)


def test_rebound_is_told_and_its_cap_is_kept() -> None:
    answer = ask(draft(target_kw=350.0))
    assert len(answer.rebound_kw) == 8
    # The building returns 15 % of 90 kWh, fast at first; the V2G car takes its 15 kWh back for an hour; the other car,
    # on full power anyhow, has no room to catch up faster.
    first_quarter = 0.15 * 90.0 * (1.0 - np.exp(-0.25 * 1.5)) / 0.25
    assert answer.rebound_kw[0] == pytest.approx(15.0 + first_quarter, abs=0.5)
    assert answer.recovery_kwh == pytest.approx(0.15 * 90.0 + 15.0 + 5.6 + 90.0, abs=1.0)
    assert 0.0 < answer.recovery_minutes <= 120.0
    capped = ask(draft(target_kw=350.0, rebound_cap_kw=2.0))
    assert capped.verdict is Verdict.PARTIAL
    assert "rebound cap" in limit_names(capped)
    assert max(capped.rebound_kw) <= 2.0 + 1e-6


def test_a_draft_that_makes_no_sense_is_refused_by_field() -> None:
    with pytest.raises(InputError, match="target_kw"):
        ask(draft(target_kw=-1.0))
    with pytest.raises(InputError, match="end_at"):
        ask(draft(end_at=NOW))
    with pytest.raises(InputError, match="start_at"):
        ask(draft(start_at=NOW - timedelta(hours=1)))
    with pytest.raises(InputError, match="committed_kw"):
        ask(draft(), committed_kw=np.zeros(3))
    with pytest.raises(UnknownIdError, match="north"):
        ask(draft(area="north"))


def _emptied(at: datetime) -> FleetState:
    return state(
        soc=np.array([np.nan, np.nan, 0.2, np.nan, np.nan, np.nan]),
        at_s=at.timestamp(),
        departure_s=np.full(6, np.nan),
        need_kwh=np.full(6, np.nan),
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cap_kw", [8.0, 16.0])
async def test_what_was_drawn_for_a_request_comes_back_at_a_bounded_rate(child: SolverProcess, cap_kw: float) -> None:
    """Two hours after ten at night are cheap for everybody: a free plan fills the empty battery faster."""
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)  # ten in the evening in Shanghai
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    made = Planner(deadline_s=20.0, child=child)
    free = await made.plan(picture, forecast=expected)
    assert free.power_kw[STORAGE].max() > 20.0
    made = Planner(deadline_s=20.0, child=child)
    watched_s = night.timestamp() + 900.0
    recovery = EnergyRecovery(direction=Direction.UP, from_s=watched_s, until_s=watched_s + 4.0 * 3600.0, cap_kw=cap_kw)
    bounded = await made.plan(picture, forecast=expected, recoveries=[recovery])
    assert bounded.rung is Rung.OPTIMAL, bounded.reason
    assert bounded.power_kw[STORAGE, 1:17].max() <= cap_kw + 1e-6
    assert bounded.power_kw[STORAGE, 17:].max() > cap_kw, "four hours later it is free again"


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_comes_back_in_hours_for_which_reserve_is_held(child: SolverProcess) -> None:
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)  # ten in the evening in Shanghai
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    policy = PlanningPolicy(reserve=(ReserveWindow(from_hour=21.0, until_hour=23.0, need_kw=1.0),))
    made = Planner(policy=policy, deadline_s=20.0, child=child)
    for hours in (0.5, 4.0):
        recovery = EnergyRecovery(
            direction=Direction.UP, from_s=night.timestamp(), until_s=night.timestamp() + hours * 3600.0, cap_kw=16.0
        )
        plan = await made.plan(picture, forecast=expected, recoveries=[recovery])
        assert plan.power_kw[STORAGE, :4].max() <= 1e-6, "also where the recovery ends amid these hours"
        assert plan.power_kw[STORAGE, 4:16].max() > 1.0


@pytest.mark.asyncio(loop_scope="module")
async def test_what_batteries_would_have_taken_anyway_is_nobodys_rebound(child: SolverProcess) -> None:
    night = datetime(2026, 7, 8, 14, 0, tzinfo=UTC)
    picture = _emptied(night)
    expected = replace(forecast(picture), grid=TimeGrid(start_at=night, count=192))
    made = Planner(deadline_s=20.0, child=child)
    free = await made.plan(picture, forecast=expected)
    recovery = EnergyRecovery(
        direction=Direction.UP, from_s=night.timestamp(), until_s=night.timestamp() + 4.0 * 3600.0, cap_kw=1.0
    )
    bounded = await made.plan(picture, forecast=expected, recoveries=[recovery])
    usual, now = free.power_kw[STORAGE, :16], bounded.power_kw[STORAGE, :16]
    assert (now <= np.maximum(usual, 0.0) + 1.0 + 1e-6).all()
    assert now.max() > 20.0


@pytest.mark.parametrize("passed_s", [300.0, 600.0, 890.0])
def test_a_quote_does_not_depend_on_how_far_the_running_quarter_of_an_hour_is(passed_s: float) -> None:
    power_kw, battery = -60.0, RESOURCES[STORAGE]
    # Until the hold's end the schedule takes 90 kWh at the meter; 20 more are there to be called.
    stored_kwh = 0.1 * battery.capacity_kwh + 110.0 / battery.efficiency
    begun = state(soc=np.array([np.nan, 0.7, stored_kwh / battery.capacity_kwh, np.nan, np.nan, np.nan]))
    taken_kwh = 60.0 / battery.efficiency * passed_s / 3600.0
    soc, need = begun.soc.copy(), begun.need_kwh.copy()
    soc[STORAGE] -= taken_kwh / battery.capacity_kwh
    need[0] -= begun.power_kw[0] * passed_s / 3600.0
    later = replace(begun, at_s=NOW_S + passed_s, soc=soc, need_kwh=need)
    expected = forecast(begun, row_2=power_kw)
    asked = draft(target_kw=1000.0)
    at_once = ask(asked, begun, forecast=expected)
    after = ask(asked, later, forecast=expected, now=instant(later.at_s))
    assert after.p50_kw == pytest.approx(at_once.p50_kw, rel=1e-3)
