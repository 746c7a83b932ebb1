"""The demo's fleet: a small city after the project's Shanghai fleet model, whose assumptions all figures are.

Buildings and industry have most of the flexibility on a July workday at 13:00.
"""

from dataclasses import dataclass, field

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.charging_sites import SITE_KINDS, ChargerType, SiteKind

AREAS = (
    Area(id="huangpu", name="黄浦 Huangpu"),
    Area(id="pudong", name="浦东 Pudong"),
    Area(id="minhang", name="闵行 Minhang"),
    Area(id="xuhui", name="徐汇 Xuhui"),
)
OPERATORS = (
    Operator(id="compounds", name="Compound Charging Cooperative"),
    Operator(id="roadside", name="Public Charging Network"),
    Operator(id="estates", name="Building and Plant Services"),
    Operator(id="rooftops", name="Rooftop Solar and Storage"),
)

POWER_FACTOR = 0.95
LOADING_CAP = 0.85
"""Share of a transformer's apparent power that its load may reach."""

SAFE_SHARE = 0.99
"""Part of a weak transformer's headroom that the defaults of its stations use together."""

UNITS_PER_PORT = 50
"""Modbus units that share one simulated gateway."""


V2G_KW = ((15.0, 60.0), (20.0, 70.0), (15.0, 66.0), (20.0, 76.0), (60.0, 80.0))
"""Power (kW) and battery (kWh) of V2G stations, in turn: mostly 15 and 20 kW, few 60 kW."""

PLANT_KW = 1000.0
"""Contracted cut of a plant, the smallest of three kinds."""

PV_KW = (110.0, 50.0, 10.0, 50.0, 30.0)


@dataclass(kw_only=True)
class FleetDraft:
    """A fleet under construction."""

    resources: list[Resource] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    transformers: list[Transformer] = field(default_factory=list)

    def add_site(self, kind: str, name: str, operator_id: str, *, kva: float, base_ratio: float) -> tuple[Site, float]:
        """Add a site with a transformer of its own, areas in turn; return it and its headroom in kW."""
        number = sum(site.id.startswith(f"{kind}-") for site in self.sites)
        area = AREAS[number % len(AREAS)]
        site_id = f"{kind}-{area.id}-{number // len(AREAS) + 1:02d}"
        limit_kw = round(LOADING_CAP * kva * POWER_FACTOR, 1)
        base_kw = round(base_ratio * kva * POWER_FACTOR, 1)
        transformer = Transformer(
            id=f"tr-{site_id}",
            area_id=area.id,
            limit_kw=limit_kw,
            export_limit_kw=limit_kw,
            base_load_kw=base_kw,
            parent_id=f"feeder-{area.id}",
        )
        site = Site(
            id=site_id,
            name=f"{name} {area.name.split()[-1]} {number // len(AREAS) + 1}",
            area_id=area.id,
            operator_id=operator_id,
            transformer_id=transformer.id,
        )
        self.transformers.append(transformer)
        self.sites.append(site)
        return site, limit_kw - base_kw

    def finish(self) -> FleetIndex:
        """Return the fleet under one feeder per area."""
        feeders = [feeder for area in AREAS if (feeder := self._feeder(area)) is not None]
        areas = tuple(area for area in AREAS if any(f.area_id == area.id for f in feeders))
        return FleetIndex(
            areas=areas,
            operators=OPERATORS,
            transformers=(*feeders, *self.transformers),
            sites=tuple(self.sites),
            resources=tuple(self.resources),
        )

    def _feeder(self, area: Area) -> Transformer | None:
        leaves = [t for t in self.transformers if t.area_id == area.id]
        if not leaves:
            return None
        limit_kw = round(0.9 * sum(t.limit_kw for t in leaves), 1)
        return Transformer(
            id=f"feeder-{area.id}",
            area_id=area.id,
            limit_kw=limit_kw,
            export_limit_kw=limit_kw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSize:
    """Numbers of devices of the demo's fleet.

    Attributes:
        stations: EV charging stations, one connector each.
        inverters: PV inverters.
        batteries: Stationary batteries.
        v2g: V2G stations.
        sites: MQTT sites, buildings and plants in turn.
        plant_kw: Contracted cut of the smallest kind of plant.
    """

    stations: int
    inverters: int
    batteries: int
    v2g: int
    sites: int
    plant_kw: float = PLANT_KW

    @property
    def devices(self) -> int:
        """Number of all devices."""
        return self.stations + self.inverters + self.batteries + self.v2g + self.sites


def demo_fleet(
    *,
    stations: int = 1000,
    inverters: int = 200,
    batteries: int = 50,
    v2g: int = 50,
    sites: int = 20,
    plant_kw: float = PLANT_KW,
    modbus_host: str = "127.0.0.1",
    modbus_port: int = 15020,
    scale: float = 1.0,
) -> FleetIndex:
    """Return a mixed fleet: EV, V2G on OCPP, PV and storage on Modbus, buildings and plants on MQTT.

    Args:
        stations: EV charging stations, one connector each.
        inverters: PV inverters.
        batteries: Stationary batteries.
        v2g: V2G stations.
        sites: MQTT sites, buildings and plants in turn.
        plant_kw: Contracted cut of the smallest kind of plant; the others have a tenth and a fifth more.
        modbus_host: Where simulated inverters and batteries listen.
        modbus_port: First of their ports; each carries 50 units.
        scale: Factor on every count, for quick tests and large scenarios.
    """
    counts = [max(round(scale * n), 1 if n else 0) for n in (stations, inverters, batteries, v2g, sites)]
    draft = FleetDraft()
    _add_stations(draft, counts[0])
    _add_v2g(draft, counts[3])
    _add_modbus(draft, counts[1], counts[2], modbus_host, modbus_port)
    _add_sites(draft, counts[4], plant_kw)
    return draft.finish()


def _add_stations(draft: FleetDraft, count: int) -> None:
    edges = [0]
    for kind in SITE_KINDS:
        edges.append(edges[-1] + round(kind.share * count))
    edges[-1] = count
    for kind, first, last in zip(SITE_KINDS, edges, edges[1:], strict=False):
        _fill(draft, kind, first, max(last, first))


def _fill(draft: FleetDraft, kind: SiteKind, first: int, last: int) -> None:
    number = turn = 0
    while first + number < last:
        here = min(kind.count[turn % len(kind.count)], last - first - number)
        kva = kind.kva[turn % len(kind.kva)]
        site, headroom_kw = draft.add_site(kind.kind, kind.name, kind.operator_id, kva=kva, base_ratio=kind.base_ratio)
        charger_types = [kind.charger_types[(number + i) % len(kind.charger_types)] for i in range(here)]
        for i, charger_type in enumerate(charger_types):
            share_kw = int(100 * SAFE_SHARE * headroom_kw / here) / 100 if kind.weak else charger_type.p_max_kw
            draft.resources.append(_station(f"CP{first + number + i + 1:05d}", site, charger_type, share_kw))
        number += here
        turn += 1


def _station(station: str, site: Site, charger_type: ChargerType, share_kw: float) -> Resource:
    return Resource(
        id=station,
        site_id=site.id,
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=f"{station}/1",
        p_min_kw=0.0,
        p_max_kw=charger_type.p_max_kw,
        floor_kw=charger_type.floor_kw,
        phases=charger_type.phases,
        default_kw=min(max(share_kw, charger_type.floor_kw), charger_type.p_max_kw),
        ramp_kw_per_min=12.0 * charger_type.p_max_kw,
        declared_up_kw=round(0.1 * charger_type.p_max_kw, 2),
        declared_down_kw=round(0.1 * charger_type.p_max_kw, 2),
        sustain_minutes=120.0,
        rebound_ratio=1.0,
    )


def _add_v2g(draft: FleetDraft, count: int) -> None:
    for i in range(count):
        if i % 10 == 0:
            kind, name = (("home-v2g", "V2G garage"), ("work-v2g", "V2G car park"))[i // 10 % 2]
            site, _ = draft.add_site(kind, name, "roadside", kva=1250.0, base_ratio=0.3)
        power_kw, capacity_kwh = V2G_KW[i % len(V2G_KW)]
        draft.resources.append(
            Resource(
                id=f"V2G{i + 1:04d}",
                site_id=site.id,
                resource_class=ResourceClass.V2G,
                adapter=Adapter.OCPP,
                address=f"V2G{i + 1:04d}/1",
                p_min_kw=-power_kw,
                p_max_kw=power_kw,
                floor_kw=0.0,
                capacity_kwh=capacity_kwh,
                efficiency=0.95,
                default_kw=power_kw,
                ramp_kw_per_min=20.0 * power_kw,
                declared_up_kw=round(0.35 * power_kw, 1),
                declared_down_kw=round(0.35 * power_kw, 1),
                sustain_minutes=60.0,
                rebound_ratio=1.0,
            )
        )


def _add_modbus(draft: FleetDraft, inverters: int, batteries: int, host: str, port: int) -> None:
    """Spread inverters and batteries over rooftop parks in turn: ten inverters, at most three batteries each."""
    roofs = max(-(-inverters // 10), -(-batteries // 3), 1) if inverters or batteries else 0
    parks = [
        draft.add_site("rooftop", "Rooftop park", "rooftops", kva=1600.0, base_ratio=0.25)[0] for _ in range(roofs)
    ]
    for i in range(inverters):
        address = f"{host}:{port + i // UNITS_PER_PORT}/{i % UNITS_PER_PORT + 1}"
        draft.resources.append(_inverter(i, parks[i % roofs], address))
    port += -(-inverters // UNITS_PER_PORT)
    for i in range(batteries):
        address = f"{host}:{port + i // UNITS_PER_PORT}/{i % UNITS_PER_PORT + 1}"
        draft.resources.append(_battery(i, parks[i % roofs], address))


def _inverter(i: int, site: Site, address: str) -> Resource:
    # The size moves on once a round of sites, so that each site holds every size.
    rated_kw = PV_KW[(i + i // len(PV_KW)) % len(PV_KW)]
    return Resource(
        id=f"PV{i + 1:05d}",
        site_id=site.id,
        resource_class=ResourceClass.PV,
        adapter=Adapter.MODBUS,
        address=address,
        p_min_kw=-rated_kw,
        p_max_kw=0.0,
        default_kw=-rated_kw,
        ramp_kw_per_min=10.0 * rated_kw,
        declared_down_kw=round(0.6 * rated_kw, 1),
    )


def _battery(i: int, site: Site, address: str) -> Resource:
    return Resource(
        id=f"BAT{i + 1:04d}",
        site_id=site.id,
        resource_class=ResourceClass.STORAGE,
        adapter=Adapter.MODBUS,
        address=address,
        p_min_kw=-125.0,
        p_max_kw=125.0,
        capacity_kwh=261.0,
        efficiency=0.93,
        default_kw=0.0,
        ramp_kw_per_min=60.0 * 125.0,
        declared_up_kw=125.0,
        declared_down_kw=125.0,
        sustain_minutes=100.0,
    )


def _add_sites(draft: FleetDraft, count: int, plant_kw: float) -> None:
    for i in range(count):
        building = i % 2 == 0
        place = ("building", "Office tower") if building else ("plant", "Plant")
        site, _ = draft.add_site(*place, "estates", kva=2500.0 if building else 6300.0, base_ratio=0.15)
        draft.resources.append(_building(i, site) if building else _plant(i, site, plant_kw))


def _building(i: int, site: Site) -> Resource:
    return Resource(
        id=f"SITE{i + 1:02d}",
        site_id=site.id,
        resource_class=ResourceClass.HVAC,
        adapter=Adapter.MQTT,
        address=f"SITE{i + 1:02d}/main",
        p_min_kw=0.0,
        p_max_kw=1000.0,
        default_kw=1000.0,
        ramp_kw_per_min=60.0,
        declared_up_kw=202.0,
        declared_down_kw=80.0,
        sustain_minutes=60.0,
        rebound_ratio=0.15,
    )


def _plant(i: int, site: Site, smallest_kw: float) -> Resource:
    cut_kw = smallest_kw * (1.0, 1.1, 1.2)[i // 2 % 3]
    return Resource(
        id=f"SITE{i + 1:02d}",
        site_id=site.id,
        resource_class=ResourceClass.INDUSTRY,
        adapter=Adapter.MQTT,
        address=f"SITE{i + 1:02d}/main",
        p_min_kw=0.0,
        p_max_kw=3.0 * cut_kw,
        default_kw=3.0 * cut_kw,
        ramp_kw_per_min=cut_kw / 8.0,
        declared_up_kw=cut_kw,
        declared_down_kw=round(cut_kw / 3.0, 1),
        sustain_minutes=240.0,
    )
