"""A city of 276,000 rows without sockets or physics: a fleet, its meters, and devices that obey within a cycle.

It stands in front of the fast loop to show where its time goes; who wants physics takes the twin.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod, Quote, Verdict
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import PowerTable, Rung, Schedule
from vpp.domain.session import Promise, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage

_DRAWING = 0.5
"""Share of plugged cars that draw."""
AREAS, COMPOUNDS, FEEDERS = 16, 600, 200
KINDS = (
    # class, adapter, count, p_min, p_max, floor, capacity, efficiency, ramp
    (ResourceClass.EV, Adapter.OCPP, 230_000, 0.0, 7.0, 1.4, 0.0, 1.0, np.inf),
    (ResourceClass.V2G, Adapter.OCPP, 2_000, -15.0, 15.0, 1.4, 60.0, 0.93, np.inf),
    (ResourceClass.STORAGE, Adapter.MODBUS, 961, -830.0, 830.0, 0.0, 1664.0, 0.95, np.inf),
    (ResourceClass.PV, Adapter.MODBUS, 30_500, -50.0, 0.0, 0.0, 0.0, 1.0, np.inf),
    (ResourceClass.HVAC, Adapter.MQTT, 1_500, 0.0, 400.0, 0.0, 0.0, 1.0, 80.0),
    (ResourceClass.INDUSTRY, Adapter.MQTT, 1_000, 0.0, 900.0, 0.0, 0.0, 1.0, 60.0),
    (ResourceClass.HVAC, Adapter.MQTT, 10_060, 0.0, 60.0, 0.0, 0.0, 1.0, 20.0),
)


def city_fleet(share: float = 1.0, *, seed: int = 0) -> FleetIndex:
    """Return the fleet, or a ``share`` of every kind, under a tree of compounds, feeders and areas."""
    random = np.random.default_rng(seed)
    roots = [Transformer(id=f"root-{a}", area_id=f"area-{a}", limit_kw=5e5, export_limit_kw=5e5) for a in range(AREAS)]
    feeders = [
        Transformer(
            id=f"feeder-{f}",
            area_id=f"area-{f % AREAS}",
            limit_kw=4e4,
            export_limit_kw=4e4,
            parent_id=f"root-{f % AREAS}",
        )
        for f in range(FEEDERS)
    ]
    compounds = [
        Transformer(
            id=f"compound-{c}",
            area_id=f"area-{c % FEEDERS % AREAS}",
            limit_kw=1.2e4,
            export_limit_kw=1.2e4,
            parent_id=f"feeder-{c % FEEDERS}",
        )
        for c in range(COMPOUNDS)
    ]
    sites, resources = [], []
    for code, (kind, adapter, count, low, high, floor, capacity, efficiency, ramp) in enumerate(KINDS):
        places = random.integers(0, COMPOUNDS, max(1, round(count * share))).tolist()
        for number, place in enumerate(places):
            identity = f"{kind.value}-{code}-{number}"
            sites.append(
                Site(
                    id=identity,
                    name=identity,
                    area_id=f"area-{place % FEEDERS % AREAS}",
                    operator_id=f"op-{number % 20}",
                    transformer_id=f"compound-{place}",
                )
            )
            resources.append(
                Resource(
                    id=identity,
                    site_id=identity,
                    resource_class=kind,
                    adapter=adapter,
                    address=f"{identity}/1",
                    p_min_kw=low,
                    p_max_kw=high,
                    floor_kw=floor,
                    capacity_kwh=capacity,
                    efficiency=efficiency,
                    ramp_kw_per_min=ramp,
                )
            )
    return FleetIndex(
        areas=tuple(Area(id=f"area-{a}", name=f"Area {a}") for a in range(AREAS)),
        operators=tuple(Operator(id=f"op-{o}", name=f"Operator {o}") for o in range(20)),
        transformers=(*roots, *feeders, *compounds),
        sites=tuple(sites),
        resources=tuple(resources),
    )


@dataclass
class Devices:
    """What the devices of the city do: take a setpoint one cycle later, and report once a minute, in turn.

    Args:
        index: The fleet.
        plugged_share: Share of the charging rows with a car.
        report_s: Period of each device's meter.
    """

    index: FleetIndex
    now_s: float
    plugged_share: float = 0.6
    report_s: float = 60.0
    seed: int = 1
    refuse_ratio: float = 0.03
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        index, count = self.index, len(self.index)
        self.random = random = np.random.default_rng(self.seed)
        charging = index.is_class(ResourceClass.EV, ResourceClass.V2G)
        building = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        self.plugged: BoolArray = charging & (random.random(count) < self.plugged_share)
        size = random.uniform(0.4, 0.9, count)
        self.free = np.select(
            (index.is_class(ResourceClass.EV) & self.plugged, building, index.is_class(ResourceClass.PV)),
            (
                np.where(random.random(count) < _DRAWING, index.nameplate.p_max_kw * size, 0.0),
                index.nameplate.p_max_kw * size,
                index.nameplate.p_min_kw * size,
            ),
            0.0,
        )
        self.dispatch = np.full(count, np.nan)
        self.until_s = np.full(count, -np.inf)
        self.default = np.full(count, np.nan)
        self.power = self.free.copy()
        self.soc = np.where(index.nameplate.capacity_kwh > 0.0, 0.8, np.nan)
        self.phase = random.uniform(0.0, self.report_s, count)
        self.energy = np.zeros(count)

    def populate(self, image: ProcessImage) -> None:
        """Write every connection, meter and car into the image."""
        rows = np.arange(len(self.index), dtype=np.int32)
        image.write(_samples(rows, Quantity.CONNECTED, np.ones(len(rows)), self.now_s))
        image.write(_samples(rows, Quantity.PLUGGED, self.plugged.astype(np.float64), self.now_s))
        image.write(self.meters(rows))
        for row in np.flatnonzero(self.plugged).tolist():
            image.write_session(SessionStarted(session_id=f"{row}:1", row=row, at_s=self.now_s, meter_kwh=0.0))
            promise = Promise(
                energy_kwh=float(self.random.uniform(5.0, 40.0)),
                departure_s=self.now_s + float(self.random.uniform(1.0, 14.0)) * 3600.0,
            )
            image.write_session(SessionPromised(session_id=f"{row}:1", promise=promise))

    def advance(self, seconds: float) -> None:
        """Move on; every device takes the value in force."""
        self.now_s += seconds
        self.dispatch[self.now_s >= self.until_s] = np.nan
        free = np.where(np.isnan(self.default), self.free, self.default)
        ev = self.index.is_class(ResourceClass.EV)
        wanted = np.where(ev, np.fmin(self.dispatch, free), self.dispatch)
        self.power = np.where(np.isnan(wanted), free, wanted)
        self.energy += np.maximum(self.power, 0.0) * seconds / 3600.0

    def due(self, seconds: float) -> RowArray:
        """Return the rows that report in the last ``seconds``."""
        return np.flatnonzero((self.now_s - self.phase) % self.report_s < seconds).astype(np.int32)

    def meters(self, rows: RowArray) -> TelemetryBatch:
        """Return power and energy of some rows, 1 % of noise."""
        noisy = self.power[rows] * (1.0 + 0.01 * self.random.standard_normal(len(rows)))
        parts = [
            _samples(rows, Quantity.POWER_KW, noisy, self.now_s),
            _samples(rows, Quantity.ENERGY_KWH, self.energy[rows], self.now_s),
        ]
        with_soc = rows[~np.isnan(self.soc[rows])]
        parts.append(_samples(with_soc, Quantity.SOC, self.soc[with_soc], self.now_s))
        return TelemetryBatch(
            rows=np.concatenate([p.rows for p in parts]),
            quantities=np.concatenate([p.quantities for p in parts]),
            values=np.concatenate([p.values for p in parts]),
            at_s=np.concatenate([p.at_s for p in parts]),
        )

    def obey(self, batch: SetpointBatch) -> OutcomeBatch:
        """Take a batch and answer it."""
        refused = (self.random.random(len(batch)) < self.refuse_ratio) & (batch.layers == Layer.DISPATCH)
        rows, kw = batch.rows, batch.power_kw
        for layer in Layer:
            chosen = (batch.layers == layer) & ~refused
            if layer is Layer.DEFAULT:
                self.default[rows[chosen]] = kw[chosen]
            else:
                release = layer is Layer.RELEASE
                self.dispatch[rows[chosen]] = np.nan if release else kw[chosen]
                self.until_s[rows[chosen]] = -np.inf if release else batch.until_s[chosen]
        return OutcomeBatch(
            ids=batch.ids,
            rows=rows,
            status=np.where(refused, OutcomeStatus.REJECTED, OutcomeStatus.ACCEPTED).astype(np.uint8),
            reasons=refused.astype(np.uint8),
            at_s=np.full(len(batch), self.now_s + 1.0),
        )


def flat_schedule(index: FleetIndex, start_at: datetime, count: int = 96) -> Schedule:
    """Return a plan that lets stores rest."""
    return schedule_of(np.zeros((len(index), count)), start_at)


def schedule_of(power_kw: PowerTable, start_at: datetime) -> Schedule:
    """Return a plan of a certain power, shape ``(rows, steps)``, and none of its other figures."""
    return Schedule(
        grid=TimeGrid(start_at=start_at, count=power_kw.shape[1]),
        power_kw=power_kw,
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )


def quote_of(power_kw: float, *, start_at: datetime, expires_at: datetime) -> Quote:
    """Return a quote of one interval, without limits, counter-offers or rebound."""
    return Quote(
        verdict=Verdict.FEASIBLE,
        interval_starts_at=(start_at,),
        deliverable_p10_kw=(power_kw,),
        deliverable_p50_kw=(power_kw,),
        deliverable_p90_kw=(power_kw,),
        max_hold_minutes=60.0,
        ramp_kw_per_min=np.inf,
        rebound_kw=(),
        cost_cny=0.0,
        limits=(),
        counter_offers=(),
        promises_broken=0,
        expires_at=expires_at,
    )


def level_baseline(index: FleetIndex, power_kw: FloatArray, start_at: datetime, count: int) -> Baseline:
    """Return a baseline that stays where the fleet is."""
    stores = index.is_class(ResourceClass.STORAGE, ResourceClass.V2G)
    level = np.where(stores, 0.0, power_kw)
    methods = {kind.value: BaselineMethod.SAME_TYPE_DAYS for kind in ResourceClass}
    methods |= {"storage": BaselineMethod.SCHEDULE, "v2g": BaselineMethod.SCHEDULE, "ev": BaselineMethod.SESSION}
    return Baseline(
        grid=TimeGrid(start_at=start_at, count=count),
        power_kw=np.repeat(level[:, None], count, axis=1),
        methods=methods,
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
    )


def _samples(rows: RowArray, quantity: Quantity, values: FloatArray, at_s: float) -> TelemetryBatch:
    return TelemetryBatch(
        rows=rows,
        quantities=np.full(len(rows), quantity, dtype=np.uint8),
        values=values,
        at_s=np.full(len(rows), at_s),
    )
