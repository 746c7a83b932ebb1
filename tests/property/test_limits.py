"""One policy for one battery: nobody discharges it below the floor of the nearest level that states one."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.feasibility_projection import realise_storing
from vpp.dispatch.arbitration.guard import clamp
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.limits import Limits
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.lab.twin.physics.charging import PluggedCars, V2gChargers
from vpp.lab.twin.physics.stationary import Batteries
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.translate import to_problem
from vpp.planning.tariff import Tariff

T0 = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
START, END = T0 + timedelta(minutes=15), T0 + timedelta(minutes=45)
POWER_KW, CAPACITY_KWH, EFFICIENCY = 50.0, 100.0, 0.95
CLASS_FLOOR = {ResourceClass.V2G: 0.3, ResourceClass.STORAGE: 0.1}
Stated = float | None
Device = tuple[ResourceClass, Stated, float]
Scene = tuple[Stated, Stated, tuple[Device, ...]]

stated = st.none() | st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.9]) | st.floats(0.0, 1.0)
devices = st.tuples(st.sampled_from([*CLASS_FLOOR]), stated, st.floats(0.0, 1.0) | st.sampled_from([0.1, 0.3, 0.5]))
scenes = st.tuples(stated, stated, st.lists(devices, min_size=1, max_size=6).map(tuple))


def fleet(scene: Scene) -> FleetIndex:
    operator, site, rows = scene
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O", limits=Limits(soc_floor=operator)),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=1e6, export_limit_kw=1e6),),
        sites=(
            Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t", limits=Limits(soc_floor=site)),
        ),
        resources=tuple(
            Resource(
                id=str(i),
                site_id="s",
                resource_class=kind,
                adapter=Adapter.MODBUS if kind is ResourceClass.STORAGE else Adapter.OCPP,
                address=f"{i}/1",
                p_min_kw=-POWER_KW,
                p_max_kw=POWER_KW,
                capacity_kwh=CAPACITY_KWH,
                efficiency=EFFICIENCY,
                limits=Limits(soc_floor=own),
            )
            for i, (kind, own, _) in enumerate(rows)
        ),
    )


def floors(scene: Scene) -> FloatArray:
    """Return the floor in force of every row, by hand."""
    operator, site, rows = scene
    return np.array(
        [next(f for f in (own, site, operator, CLASS_FLOOR[kind]) if f is not None) for kind, own, _ in rows]
    )


def snapshot(scene: Scene, at_s: float = T0.timestamp()) -> FleetState:
    """Return a snapshot in which every car stays until the next day and needs nothing."""
    index, n = fleet(scene), len(scene[2])
    car = index.is_class(ResourceClass.V2G)
    return FleetState(
        index=index,
        at_s=at_s,
        cycle=1,
        power_kw=np.zeros(n),
        power_at_s=np.full(n, at_s),
        quality=np.zeros(n, dtype=np.uint8),
        energy_kwh=np.zeros(n),
        soc=np.array([soc for *_, soc in scene[2]]),
        connected=np.ones(n, dtype=bool),
        plugged=car,
        available_min_kw=np.full(n, -POWER_KW),
        available_max_kw=np.full(n, POWER_KW),
        limit_kw=np.full(n, np.nan),
        need_kwh=np.where(car, 0.0, np.nan),
        departure_s=np.where(car, T0.timestamp() + 86400.0, np.nan),
        sheddable=np.ones(n, dtype=bool),
    )


def forecast(state: FleetState) -> Forecast:
    nothing = np.zeros((len(state), 16))
    return Forecast(
        grid=TimeGrid(start_at=T0, count=16), expected_kw=nothing, spread_kw=nothing, available_at_s=T0.timestamp()
    )


def guarded_kw(state: FleetState) -> FloatArray:
    """Return what the guard leaves of a full discharge."""
    return clamp(state, np.full(len(state), -POWER_KW), np.zeros(len(state), dtype=bool))


@given(scenes)
def test_guard_and_plan_agree_on_who_may_discharge(scene: Scene) -> None:
    state, floor = snapshot(scene), floors(scene)
    plan = to_problem(state, forecast=forecast(state), tariff=Tariff(), policy=PlanningPolicy(), count=16)
    stores, rows = plan.problem.storing, plan.rows[: len(state)]
    power = np.full((len(stores), 16), -POWER_KW)
    realise_storing(stores, power, plan.problem.step_h)
    drawn_kwh = np.zeros(len(state))
    drawn_kwh[rows] = -power.sum(axis=1) * plan.problem.step_h / EFFICIENCY

    may = guarded_kw(state) < 0.0
    assert may.tolist() == (state.soc > floor).tolist()
    assert (drawn_kwh <= np.maximum(state.soc - floor, 0.0) * CAPACITY_KWH + 1e-6).all()
    assert (may | (drawn_kwh == 0.0)).all()


@given(scenes)
def test_a_plan_that_charges_from_below_the_floor_does_not_go_back(scene: Scene) -> None:
    state, floor = snapshot(scene), floors(scene)
    plan = to_problem(state, forecast=forecast(state), tariff=Tariff(), policy=PlanningPolicy(), count=16)
    below = (state.soc < floor)[plan.rows[: len(state)]]
    power = np.tile([0.1 * POWER_KW, -POWER_KW], (len(plan.problem.storing), 8))
    realise_storing(plan.problem.storing, power, plan.problem.step_h)
    assert (power[below] >= 0.0).all()


@given(scenes)
def test_a_quote_counts_on_no_energy_below_the_floor(scene: Scene) -> None:
    state, floor = snapshot(scene), floors(scene)
    basis = FlexibilityBasis.of(FlexibilityInputs.of(state, forecast=forecast(state)), np.ones(len(state)))
    found = flexibility_envelope(basis, Direction.UP, np.array([1]), np.array([8]))
    quoted_kwh = float(found.sums.potential_kw.sum()) * 0.25
    assert quoted_kwh <= (np.maximum(state.soc - floor, 0.0) * CAPACITY_KWH * EFFICIENCY).sum() + 1e-6


@settings(max_examples=30)
@given(scenes)
def test_a_request_takes_no_energy_below_the_floor(scene: Scene) -> None:
    floor, n = floors(scene), len(scene[2])
    engine = DispatchEngine(fleet(scene), DispatchSettings(), lambda *_: None)
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=n * POWER_KW,
        area="city",
        start_at=START,
        end_at=END,
        notice_class=NoticeClass.INTRADAY,
        rebound_cap_kw=None,
    )
    request, _ = engine.book.submit(draft, key=None, actor="d", now=T0, known_areas=("a",))
    engine.book.quoted(request.id, quote_of(n * POWER_KW, start_at=START, expires_at=END), T0)
    engine.book.accept(request.id, offer=None, actor="d", now=T0)
    for at in (START - timedelta(minutes=4), START + timedelta(seconds=10), START + timedelta(minutes=15)):
        state = snapshot(scene, at.timestamp())
        batch = engine.cycle(state, schedule=None, baselines={}).batch
        drawn_kw = np.where(batch.layers == Layer.RELEASE, 0.0, np.maximum(-batch.power_kw, 0.0))
        left_h = (END - at).total_seconds() / 3600.0
        stored_kwh = np.maximum(state.soc - floor, 0.0)[batch.rows] * CAPACITY_KWH
        assert (drawn_kw * left_h / EFFICIENCY <= stored_kwh + 1e-6).all()


@settings(max_examples=30)
@given(scenes)
def test_devices_of_the_twin_stop_at_their_floor(scene: Scene) -> None:
    index, floor = fleet(scene), floors(scene)
    soc = np.array([soc for *_, soc in scene[2]])
    batteries = Batteries(index, index.rows_of(ResourceClass.STORAGE), np.random.default_rng(1))
    cars = V2gChargers(index, index.rows_of(ResourceClass.V2G))
    count = len(cars.rows)
    cars.plug(
        np.arange(count, dtype=np.int32),
        PluggedCars(
            need_kwh=np.zeros(count),
            car_kw=np.full(count, POWER_KW),
            delivered_kwh=np.zeros((2, count)),
            depart_s=np.full(count, 1e9),
        ),
    )
    batteries.soc[:], cars.soc[:] = soc[batteries.rows], soc[cars.rows]
    cars.target_soc[:] = 0.0
    for _ in range(40):
        batteries.step(np.full((2, len(batteries.rows)), -POWER_KW), np.zeros(len(batteries.rows)), 300.0)
        cars.step(np.full((2, count), -POWER_KW), np.zeros(count), 300.0, 0.0)
    for found, rows in ((batteries.soc[0], batteries.rows), (cars.soc[0], cars.rows)):
        np.testing.assert_allclose(found, np.minimum(soc, floor)[rows], atol=1e-6)
