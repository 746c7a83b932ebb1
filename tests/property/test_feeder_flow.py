"""One feeder tree: planner, guard, quote, API, metrics, gateways and twin see the same flow."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vpp.api.schemas.fleet import transformer_views
from vpp.bus.messages.codec import decode
from vpp.bus.messages.master_data import members_of, page
from vpp.dispatch.arbitration.guard import guard
from vpp.dispatch.flexibility.accounted_load import LoadAccounting
from vpp.dispatch.rows.command_columns import InForceColumns
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray, Quality
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics.scenarios import base_load_kw
from vpp.planning.feeder_flow import overload_kw
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.schedule.translate import to_problem
from vpp.planning.tariff import Tariff
from vpp.runtime.observability import transformer_load_ratio

SETTINGS = DispatchSettings()
NOW = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()
EVENING_S = datetime(2026, 7, 15, 12, 0, tzinfo=UTC).timestamp()
"""20:00 in Shanghai, when the twin's base load is at its greatest, the registered one."""
LIMIT_KW = 1e7
MOST_DEEP = 5
Nodes = tuple[tuple[int, ...], tuple[float, ...]]
Rows = tuple[tuple[ResourceClass, int, float], ...]


@st.composite
def trees(draw: st.DrawFn) -> Nodes:
    """Return the place of every node's parent, -1 at a root, at most five levels deep, and what each states itself."""
    parents, depths = [-1], [1]
    for _ in range(draw(st.integers(0, 12))):
        above = draw(st.sampled_from([-1, *(i for i, depth in enumerate(depths) if depth < MOST_DEEP)]))
        parents.append(above)
        depths.append(1 if above < 0 else depths[above] + 1)
    leaves = set(range(len(parents))) - set(parents)
    where = draw(st.sampled_from(["nowhere", "leaves", "middle", "root", "anywhere"]))
    base = []
    for node, above in enumerate(parents):
        fits = {
            "nowhere": False,
            "leaves": node in leaves,
            "middle": above >= 0 and node not in leaves,
            "root": above < 0,
            "anywhere": True,
        }[where]
        base.append(draw(st.floats(-50.0, 500.0)) if fits else 0.0)
    order = draw(st.permutations(range(len(parents))))
    place = {node: at for at, node in enumerate(order)}
    return tuple(-1 if parents[n] < 0 else place[parents[n]] for n in order), tuple(base[n] for n in order)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Nodes, Rows]:
    """Return a tree and rows anywhere in it, each with its power, NaN where it was never measured."""
    nodes = draw(trees())
    power = st.floats(-60.0, 60.0, width=32) | st.just(float("nan"))
    row = st.tuples(st.sampled_from(ResourceClass), st.integers(0, len(nodes[0]) - 1), power)
    return nodes, tuple(draw(st.lists(row, min_size=1, max_size=12)))


def fleet(nodes: Nodes, rows: Rows, *, limit_kw: float = LIMIT_KW) -> FleetIndex:
    parents, base = nodes
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=tuple(
            Transformer(
                id=str(node),
                area_id="a",
                limit_kw=limit_kw,
                export_limit_kw=limit_kw,
                base_load_kw=base[node],
                parent_id=str(above) if above >= 0 else None,
            )
            for node, above in enumerate(parents)
        ),
        sites=tuple(
            Site(id=str(node), name="S", area_id="a", operator_id="o", transformer_id=str(node))
            for node in range(len(parents))
        ),
        resources=tuple(
            Resource(
                id=f"r{i}",
                site_id=str(node),
                resource_class=kind,
                adapter=Adapter.MQTT,
                address=f"s/{i}",
                p_min_kw=-100.0,
                p_max_kw=100.0,
            )
            for i, (kind, node, _) in enumerate(rows)
        ),
    )


def snapshot(index: FleetIndex, power_kw: FloatArray) -> FleetState:
    n, known = len(index), ~np.isnan(power_kw)
    return FleetState(
        index=index,
        at_s=NOW_S,
        cycle=1,
        power_kw=power_kw,
        power_at_s=np.where(known, NOW_S, np.nan),
        quality=np.where(known, Quality.GOOD, Quality.BAD).astype(np.uint8),
        energy_kwh=np.zeros(n),
        soc=np.full(n, np.nan),
        connected=known,
        plugged=known,
        available_min_kw=np.full(n, np.nan),
        available_max_kw=np.full(n, np.nan),
        limit_kw=np.full(n, np.nan),
        need_kwh=np.full(n, np.nan),
        departure_s=np.full(n, np.nan),
        sheddable=np.ones(n, dtype=bool),
    )


def expected_flow(nodes: Nodes, rows: Rows) -> FloatArray:
    """Return every node's flow, added up by hand."""
    parents, base = nodes
    flow = np.zeros(len(parents))
    own = [(node, kw) for node, kw in enumerate(base)] + [(node, kw) for _, node, kw in rows if kw == kw]  # noqa: PLR0124
    for place, kw in own:
        node = place
        while node >= 0:
            flow[node] += kw
            node = parents[node]
    return flow


def planned_kw(state: FleetState) -> FloatArray:
    """Return the flow of the problem a plan solves; nothing in it can move."""
    forecast = expected(state)
    plan = to_problem(state, forecast=forecast, tariff=Tariff(), policy=PlanningPolicy(), count=forecast.grid.count)
    flow, _ = plan.problem.network.summed_kw(plan.problem.network.base_kw)
    return np.asarray(flow[:, 0])


def quoted_kw(state: FleetState) -> FloatArray:
    """Return the flow a quote is made on."""
    inputs = FlexibilityInputs.of(state, forecast=expected(state))
    return FlexibilityBasis.of(inputs, np.ones(len(state))).flow_kw[:, 0]


def guarded_kw(state: FleetState) -> tuple[FloatArray, FloatArray]:
    """Return the loads the guard keeps under its caps, the most and the least they may be."""
    n = len(state)
    unset, never = np.full(n, np.nan), np.full(n, -np.inf)
    in_force = InForceColumns(
        default_kw=unset,
        dispatch_kw=unset,
        lease_s=never,
        limited_s=never,
        since_kw=unset,
        since_s=never,
        released_s=never,
        uncontrolled_kw=unset,
        source=np.full(n, -1, dtype=np.int32),
    )
    accounted = LoadAccounting(n).account(state, in_force)
    found = guard(
        state,
        state.index.feeders,
        wanted_kw=np.full(n, np.nan),
        now_kw=accounted.most_kw,
        least_kw=accounted.least_kw,
        kept=np.zeros(n, dtype=bool),
        fixed=np.zeros(n, dtype=bool),
        order=np.zeros(n),
        caps=SETTINGS.caps,
    )
    return found.load_kw, found.least_load_kw


def expected(state: FleetState) -> Forecast:
    """Return a flat forecast at the present power, of unknown rows none."""
    grid = TimeGrid(start_at=NOW, count=4)
    kw = np.repeat(np.nan_to_num(state.power_kw)[:, None], grid.count, axis=1)
    return Forecast(grid=grid, expected_kw=kw, spread_kw=np.zeros_like(kw), available_at_s=NOW_S)


@given(scenes())
def test_every_part_sees_the_same_flow(scene: tuple[Nodes, Rows]) -> None:
    nodes, rows = scene
    index = fleet(nodes, rows)
    power = np.array([kw for _, _, kw in rows], dtype=np.float64)
    state, flow = snapshot(index, power), expected_flow(nodes, rows)
    views = transformer_views(state)

    for found in (planned_kw(state), quoted_kw(state), *guarded_kw(state), np.array([v.load_kw for v in views])):
        np.testing.assert_allclose(found, flow, rtol=1e-9, atol=1e-6)
    shown = np.array([view.load_ratio for view in views], dtype=np.float64)
    for ratio in (transformer_load_ratio(index, power), shown):
        np.testing.assert_allclose(LIMIT_KW * ratio, np.abs(flow), rtol=1e-9, atol=1e-6)
    assert [view.base_load_kw for view in views] == list(nodes[1])


@given(scenes())
def test_a_plan_names_the_same_overload(scene: tuple[Nodes, Rows]) -> None:
    nodes, rows = scene
    power = np.array([[kw] for _, _, kw in rows], dtype=np.float64)
    over = overload_kw(fleet(nodes, rows, limit_kw=1.0), power)
    flow = expected_flow(nodes, rows)
    np.testing.assert_allclose(over[:, 0], np.maximum(np.abs(flow) - 1.0, 0.0), atol=1e-6)


@given(trees())
def test_gateways_and_the_twin_have_the_same_base_load(nodes: Nodes) -> None:
    index = fleet(nodes, ())
    travelled = members_of(decode(page(index, "transformers", 0)))

    assert tuple(travelled) == index.transformers
    np.testing.assert_allclose(base_load_kw(index, EVENING_S), expected_flow(nodes, ()), atol=1e-6)
