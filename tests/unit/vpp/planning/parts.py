"""A fleet of six, one of each class, at noon of a Wednesday."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray, Quality
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.forecast.charging_need import session_profile_kw
from vpp.planning.forecast.load_forecast import Forecast

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
    root = Transformer(id="root", area_id="east", limit_kw=3000.0, export_limit_kw=3000.0)
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
