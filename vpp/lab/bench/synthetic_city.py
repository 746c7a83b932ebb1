"""A synthetic city for benchmarks: the fleet model's rows with a state, a metered history and a plan, all seeded.

Shares of rows follow the project's Shanghai fleet model (200,000 smart chargers, 30,000 public ones, V2G, 30,500
inverters, 961 batteries, 2,000 buildings, 500 plants, 10,060 base stations and data centres = 276,000 rows). No twin
runs behind it: cars, loads and meters are drawn from the model's hourly shares, so that any size is ready in seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray, Quality
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.calendar import SHANGHAI, local_hour
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics.loads import HVAC_HOURS, HVAC_SHARE, PLANT_HOURS, PLANT_SHARE
from vpp.planning.forecast.load_forecast import Forecast

NOW_S = datetime(2026, 7, 15, 11, 30, tzinfo=SHANGHAI).timestamp()
"""Half past eleven on a hot July workday."""

MODEL_ROWS = 276_000
_AREAS = 16
_AWAY, _STALE, _WILLING = 0.01, 0.01, 0.6
"""Shares of rows without a link and with old telemetry; share of drivers who take part."""
_SHARP, _EVENING, _NIGHT = (12.0, 14.0), (18.0, 20.0), (22.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One line of the fleet model.

    Attributes:
        count: Rows in the full model.
        power_kw: Nameplate.
        together: Rows that share a transformer.
        busy: Share of chargers that charge, by hour of day from 0, in steps of three hours; empty for none.
        cut: Contracted cut as a share of nameplate.
    """

    name: str
    resource_class: ResourceClass
    adapter: Adapter
    operator: str
    count: int
    power_kw: float
    together: int
    capacity_kwh: float = 0.0
    busy: tuple[float, ...] = ()
    cut: float = 0.1
    sustain_minutes: float = float("inf")
    rebound_ratio: float = 0.0


_HOME = (0.10, 0.07, 0.02, 0.015, 0.016, 0.018, 0.03, 0.06)
_WORK = (0.01, 0.01, 0.04, 0.16, 0.12, 0.10, 0.05, 0.02)
_PUBLIC = (0.08, 0.05, 0.05, 0.10, 0.12, 0.10, 0.09, 0.10)
EV, V2G, STORAGE, PV, HVAC, INDUSTRY = ResourceClass
KINDS = (
    Kind(name="home", resource_class=EV, adapter=Adapter.OCPP, operator="homes", count=176_000, power_kw=7.0,
         together=90, busy=_HOME),
    Kind(name="work", resource_class=EV, adapter=Adapter.OCPP, operator="car-parks", count=14_000, power_kw=7.0,
         together=40, busy=_WORK),
    Kind(name="work-11", resource_class=EV, adapter=Adapter.OCPP, operator="car-parks", count=6_000, power_kw=11.0,
         together=30, busy=_WORK),
    Kind(name="work-dc", resource_class=EV, adapter=Adapter.OCPP, operator="car-parks", count=4_000, power_kw=20.0,
         together=20, busy=_WORK),
    Kind(name="kerb", resource_class=EV, adapter=Adapter.OCPP, operator="roadside", count=11_879, power_kw=7.0,
         together=40, busy=_PUBLIC),
    Kind(name="rapid-60", resource_class=EV, adapter=Adapter.OCPP, operator="rapid-a", count=9_000, power_kw=60.0,
         together=20, busy=_PUBLIC),
    Kind(name="rapid-120", resource_class=EV, adapter=Adapter.OCPP, operator="rapid-b", count=9_100, power_kw=120.0,
         together=12, busy=_PUBLIC),
    Kind(name="v2g", resource_class=V2G, adapter=Adapter.OCPP, operator="v2g", count=2_000, power_kw=20.0,
         together=20, capacity_kwh=70.0, busy=(0.4,) * 8, cut=0.35),
    Kind(name="roof", resource_class=PV, adapter=Adapter.MODBUS, operator="solar", count=30_500, power_kw=49.0,
         together=40, cut=0.0),
    Kind(name="battery", resource_class=STORAGE, adapter=Adapter.MODBUS, operator="storage", count=961,
         power_kw=832.0, together=4, capacity_kwh=1665.0, cut=1.0),
    Kind(name="tower", resource_class=HVAC, adapter=Adapter.MQTT, operator="buildings", count=2_000, power_kw=1000.0,
         together=2, cut=0.23, sustain_minutes=60.0, rebound_ratio=0.15),
    Kind(name="plant", resource_class=INDUSTRY, adapter=Adapter.MQTT, operator="plants", count=500, power_kw=3600.0,
         together=1, cut=0.33, sustain_minutes=240.0),
    Kind(name="mast", resource_class=INDUSTRY, adapter=Adapter.MQTT, operator="telecom", count=10_060, power_kw=9.0,
         together=60, cut=0.7, sustain_minutes=120.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """A city, and the line of the model of each row, shape ``(n_resources,)``."""

    index: FleetIndex
    kind: npt.NDArray[np.int64]


def city(rows: int = MODEL_ROWS) -> City:
    """Return a fleet of about ``rows`` rows in the model's shares, at least one of each kind."""
    areas = tuple(Area(id=f"district-{i + 1:02d}", name=f"District {i + 1}") for i in range(_AREAS))
    operators = tuple(Operator(id=name, name=name) for name in dict.fromkeys(kind.operator for kind in KINDS))
    counts = [max(round(kind.count * rows / MODEL_ROWS), 1) for kind in KINDS]
    transformers: list[Transformer] = []
    sites: list[Site] = []
    resources: list[Resource] = []
    for kind, count in zip(KINDS, counts, strict=True):
        for place in range(-(-count // kind.together)):
            here = min(kind.together, count - place * kind.together)
            node, site = _place(kind, place, areas[place % _AREAS])
            transformers.append(node)
            sites.append(site)
            resources += _devices(kind, site.id, place * kind.together, here)
    feeders = [_feeder(area, transformers) for area in areas]
    index = FleetIndex(
        areas=areas,
        operators=operators,
        transformers=(*feeders, *transformers),
        sites=tuple(sites),
        resources=tuple(resources),
    )
    return City(index=index, kind=np.repeat(np.arange(len(KINDS)), counts))


def _place(kind: Kind, place: int, area: Area) -> tuple[Transformer, Site]:
    site_id = f"{kind.name}-{place + 1:05d}"
    chargers = kind.resource_class in (EV, V2G)
    # Chargers share a transformer that cannot carry all of them at once; everything else has its own.
    limit_kw = (0.35 if chargers else 1.2) * kind.power_kw * kind.together + 60.0
    node = Transformer(
        id=f"tr-{site_id}",
        area_id=area.id,
        limit_kw=limit_kw,
        export_limit_kw=limit_kw,
        base_load_kw=0.25 * limit_kw if chargers else 0.0,
        parent_id=f"feeder-{area.id}",
    )
    return node, Site(id=site_id, name=site_id, area_id=area.id, operator_id=kind.operator, transformer_id=node.id)


def _feeder(area: Area, leaves: list[Transformer]) -> Transformer:
    own = [leaf for leaf in leaves if leaf.area_id == area.id]
    limit_kw = 0.9 * sum(leaf.limit_kw for leaf in own) + 1.0
    return Transformer(
        id=f"feeder-{area.id}",
        area_id=area.id,
        limit_kw=limit_kw,
        export_limit_kw=limit_kw,
    )


def _devices(kind: Kind, site_id: str, number: int, count: int) -> Iterator[Resource]:
    two_way = kind.capacity_kwh > 0.0
    solar = kind.resource_class is PV
    for i in range(number, number + count):
        name = f"{kind.name}-{i + 1:06d}"
        yield Resource(
            id=name,
            site_id=site_id,
            resource_class=kind.resource_class,
            adapter=kind.adapter,
            address=f"{name}/1",
            p_min_kw=-kind.power_kw if two_way or solar else 0.0,
            p_max_kw=0.0 if solar else kind.power_kw,
            floor_kw=min(1.32, kind.power_kw) if kind.resource_class is EV else 0.0,
            capacity_kwh=kind.capacity_kwh,
            efficiency=0.95 if two_way else 1.0,
            default_kw=0.0 if kind.resource_class is STORAGE else float("nan"),
            ramp_kw_per_min=kind.power_kw if kind.adapter is not Adapter.MQTT else 0.1 * kind.power_kw,
            declared_up_kw=kind.cut * kind.power_kw,
            declared_down_kw=kind.cut / 3.0 * kind.power_kw,
            sustain_minutes=kind.sustain_minutes,
            rebound_ratio=kind.rebound_ratio,
        )


def share_at(kind: Kind, hour: npt.ArrayLike) -> FloatArray:
    """Return the mean power of a kind's rows as a share of nameplate at hours of the day; feeding in is negative."""
    hours = np.asarray(hour, dtype=np.float64) % 24.0
    if kind.busy:
        return np.interp(hours, np.arange(0.0, 27.0, 3.0), (*kind.busy, kind.busy[0]))
    if kind.resource_class is PV:
        return -0.68 * np.clip(np.cos((hours - 12.5) / 6.5 * np.pi / 2.0), 0.0, None)
    if kind.resource_class is HVAC:
        return 0.85 * np.interp(hours, HVAC_HOURS, HVAC_SHARE)
    if kind.resource_class is INDUSTRY:
        return np.interp(hours, PLANT_HOURS, PLANT_SHARE)
    return np.zeros_like(hours)


def snapshot(made: City, *, at_s: float = NOW_S, seed: int = 0) -> FleetState:
    """Return a snapshot: cars plugged in with their promises, loads at their hour, 1 % of rows away or stale."""
    index, random, n = made.index, np.random.default_rng(seed), len(made.index)
    hour = local_hour(at_s)
    share = np.array([float(share_at(kind, hour)) for kind in KINDS])[made.kind]
    size = np.where(index.nameplate.p_max_kw > 0.0, index.nameplate.p_max_kw, -index.nameplate.p_min_kw)
    charger = index.is_class(EV, V2G)
    charging = charger & (random.random(n) < share)
    # Twice as many cars are plugged in without charging as charge.
    plugged = charging | (charger & (random.random(n) < 2.0 * share))
    need = np.where(charging, random.lognormal(np.log(9.0), 0.6, n), random.uniform(0.0, 1.0, n))
    stay_h = np.maximum(need / size * random.uniform(1.1, 6.0, n), 0.5)
    two_way = index.is_class(V2G)
    power = np.where(charger, np.where(charging & ~two_way, size, 0.0), share * size * random.uniform(0.8, 1.2, n))
    gone = random.random(n) < _AWAY
    quality = np.where(random.random(n) < _STALE, Quality.STALE, Quality.GOOD).astype(np.uint8)
    load = index.is_class(HVAC, INDUSTRY)
    return FleetState(
        index=index,
        at_s=at_s,
        cycle=1,
        power_kw=np.clip(power, index.nameplate.p_min_kw, index.nameplate.p_max_kw),
        power_at_s=np.full(n, at_s - 10.0),
        quality=quality,
        energy_kwh=np.zeros(n),
        soc=np.where(index.nameplate.capacity_kwh > 0.0, random.uniform(0.45, 0.75, n), np.nan),
        connected=~gone,
        plugged=plugged,
        available_min_kw=np.where(
            load, np.maximum(power - index.nameplate.declared_up_kw, 0.0), index.nameplate.p_min_kw
        ),
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=np.full(n, np.nan),
        need_kwh=np.where(plugged, need, np.nan),
        departure_s=np.where(plugged, at_s + stay_h * SECONDS_PER_HOUR, np.nan),
        sheddable=~charger | (plugged & (random.random(n) < _WILLING)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CityMeter:
    """Metered 15-minute means of an invented history (`vpp.ports.IntervalMeter`): the model's shares with noise."""

    made: City
    seed: int = 0

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, shape ``(n_resources, grid.count)``."""
        index, kind = self.made.index, self.made.kind
        size = np.where(index.nameplate.p_max_kw > 0.0, index.nameplate.p_max_kw, -index.nameplate.p_min_kw).astype(
            np.float32
        )
        charger = index.is_class(EV, V2G)
        table = np.empty((len(index), grid.count))
        for step, at_s in enumerate(grid.starts_s().tolist()):
            random = np.random.default_rng((self.seed, int(at_s)))
            hour = local_hour(at_s)
            share = np.array([float(share_at(line, hour)) for line in KINDS], dtype=np.float32)[kind]
            drawn = random.random(len(index), dtype=np.float32)
            table[:, step] = size * np.where(charger, drawn < share, share * (0.9 + 0.2 * drawn))
        return table


def plan_of(state: FleetState, predicted: Forecast) -> Schedule:
    """Return a plan in which storage follows the tariff and all other rows their forecast."""
    count = min(96, predicted.grid.count)
    grid = TimeGrid(start_at=instant(floor_s(state.at_s, STEP_S)), count=count)
    power = predicted.expected_kw[:, :count].copy()
    stores = state.index.is_class(STORAGE)
    hour = local_hour(grid.starts_s())
    # Sharp from noon to two and peak from six to nine: a third of the power each, charged again at night.
    sold = ((hour >= _SHARP[0]) & (hour < _SHARP[1])) | ((hour >= _EVENING[0]) & (hour < _EVENING[1]))
    bought = (hour >= _NIGHT[0]) | (hour < _NIGHT[1])
    shape = np.where(sold, -0.3, np.where(bought, 0.25, 0.0))
    power[stores] = state.index.nameplate.p_max_kw[stores][:, None] * shape
    return Schedule(
        grid=grid,
        power_kw=power,
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
