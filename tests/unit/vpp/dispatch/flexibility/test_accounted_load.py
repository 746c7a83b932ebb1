"""The power rows count with in a transformer's load; a wild meter moves its neighbours no further than that."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from vpp.application.watch.alarms import Alarms
from vpp.bus.event_stream import EventStream
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.flexibility.accounted_load import AccountedLoad, LoadAccounting
from vpp.dispatch.rows.command_columns import blank_commands
from vpp.dispatch.rows.row_columns import repeated, views
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import Promise, SessionPromised, SessionStarted
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray, Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

SETTINGS = DispatchSettings()
COUNT, FULL_KW, CYCLE_S = 50, 7.0, 10.0
WILD_KW = (7000.0, 70_000.0, 12.0, 1e9, -7.0)
"""A thousand times too much, tenths of watts, direct for alternating current, nonsense, the other sign."""


def fleet(limit_kw: float, kinds: dict[str, ResourceClass] | None = None, export_kw: float = 400.0) -> FleetIndex:
    kinds = kinds or {f"cp{i}": ResourceClass.EV for i in range(COUNT)}
    ranges = {ResourceClass.EV: (0.0, FULL_KW), ResourceClass.PV: (-30.0, 0.0), ResourceClass.HVAC: (0.0, 60.0)}
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(id="city", area_id="a", limit_kw=limit_kw + 50.0, export_limit_kw=export_kw),
            Transformer(id="street", area_id="a", limit_kw=limit_kw, export_limit_kw=export_kw, parent_id="city"),
        ),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="street"),),
        resources=tuple(
            Resource(
                id=name,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.OCPP,
                address=f"{name}/1",
                p_min_kw=ranges.get(kind, (-50.0, 50.0))[0],
                p_max_kw=ranges.get(kind, (-50.0, 50.0))[1],
                floor_kw=1.32 if kind is ResourceClass.EV else 0.0,
                capacity_kwh=100.0 if kind is ResourceClass.STORAGE else 0.0,
            )
            for name, kind in kinds.items()
        ),
    )


@dataclass
class Street:
    """Chargers behind one transformer, obedient, metered every cycle; what row 0 shows is up to the test."""

    limit_kw: float
    now_s: float = 1_000.0
    car_kw: float = FULL_KW
    shown: FloatArray | None = None
    metering: bool = True
    index: FleetIndex = field(init=False)

    def __post_init__(self) -> None:
        self.index = fleet(self.limit_kw)
        self.image = ProcessImage(self.index)
        self.ingest = Ingest(self.image, QualityRules())
        self.engine = DispatchEngine(self.index, SETTINGS, lambda *_: None)
        self.ceiling_kw = np.full(COUNT, FULL_KW)
        self.until_s = np.full(COUNT, np.inf)
        self.demand_kw = np.full(COUNT, FULL_KW)
        self.demand_kw[0] = self.car_kw
        self.connected = np.ones(COUNT)
        self.metrics = Metrics("0")
        self.alarms = Alarms(EventStream(), self.metrics)
        rows = [(row, Quantity.PLUGGED, 1.0, self.now_s) for row in range(COUNT)]
        self.ingest.telemetry(TelemetryBatch.of([(r, int(q), v, t) for r, q, v, t in rows]), self.now_s)
        promise = Promise(energy_kwh=500.0, departure_s=1e9)
        for row in range(COUNT):
            self.ingest.session(SessionStarted(session_id=str(row), row=row, at_s=self.now_s, meter_kwh=0.0))
            self.ingest.session(SessionPromised(session_id=str(row), promise=promise))

    def true_kw(self) -> FloatArray:
        """Return what the cars take."""
        self.ceiling_kw[self.until_s <= self.now_s] = FULL_KW
        return np.asarray(np.minimum(self.demand_kw, self.ceiling_kw))

    def cycle(self, wild_kw: float | None = None) -> CycleResult:
        """Meter, decide, obey; row 0 shows ``wild_kw`` where it is given."""
        self.now_s += CYCLE_S
        kw = self.true_kw().copy()
        if wild_kw is not None:
            kw[0] = wild_kw
        rows = np.flatnonzero(self.connected > 0.0).tolist()
        power = [(row, int(Quantity.POWER_KW), kw[row], self.now_s) for row in rows]
        power = power if self.metering else power[1:]
        links = [(row, int(Quantity.CONNECTED), self.connected[row], self.now_s) for row in range(COUNT)]
        energy = [(row, int(Quantity.ENERGY_KWH), 1.0, self.now_s) for row in range(COUNT)]
        self.ingest.telemetry(TelemetryBatch.of([*power, *links, *energy]), self.now_s)
        state = self.ingest.snapshot(self.now_s)
        result = self.engine.cycle(state, schedule=None, baselines={})
        self.alarms.follow(state, result, schedule=None, ended=[])
        self.obey(result)
        return result

    def obey(self, result: CycleResult) -> None:
        """Do what was asked, and say so."""
        batch = result.batch
        released = np.isnan(batch.power_kw)
        self.ceiling_kw[batch.rows] = np.where(released, FULL_KW, batch.power_kw)
        self.until_s[batch.rows] = np.where(released, np.inf, batch.until_s)
        self.engine.outcomes(
            OutcomeBatch(
                ids=batch.ids,
                rows=batch.rows,
                status=np.full(len(batch), OutcomeStatus.ACCEPTED, dtype=np.uint8),
                reasons=np.full(len(batch), Reason.NONE, dtype=np.uint8),
                at_s=np.full(len(batch), self.now_s),
            )
        )

    def given_kw(self) -> float:
        """Return what the neighbours of row 0 may take together."""
        return float(self.ceiling_kw[1:].sum())

    def violations(self) -> float:
        """Return how many transformers were said to be above their limit."""
        return self.metrics.registry.get_sample_value("vpp_cap_violations_total") or 0.0


@pytest.mark.parametrize("wild_kw", WILD_KW)
def test_a_wild_meter_takes_nothing_from_its_neighbours(wild_kw: float) -> None:
    street = Street(limit_kw=COUNT * FULL_KW / SETTINGS.caps.aim_ratio + 0.5)
    for _ in range(6):
        street.cycle()
    for _ in range(60):
        street.cycle(wild_kw)
        assert street.given_kw() == (COUNT - 1) * FULL_KW
    assert street.violations() == 0.0


@pytest.mark.parametrize("wild_kw", WILD_KW)
def test_where_the_transformer_is_full_it_takes_no_more_than_its_own_car_could(wild_kw: float) -> None:
    street = Street(limit_kw=(COUNT - 1) * FULL_KW / SETTINGS.caps.aim_ratio + 0.5, car_kw=0.0)
    for _ in range(6):
        street.cycle()
    assert street.given_kw() == (COUNT - 1) * FULL_KW
    for _ in range(60):
        street.cycle(wild_kw)
        assert street.given_kw() >= (COUNT - 2) * FULL_KW - 1.5, "its default is 7 kW"
    assert street.violations() == 0.0
    for _ in range(60):
        street.cycle()
        assert street.given_kw() >= (COUNT - 1) * FULL_KW - 1.5, "a row that returns waits until there is room"


@pytest.mark.parametrize("wild_kw", WILD_KW)
def test_the_last_absurd_value_does_not_outlive_the_link(wild_kw: float) -> None:
    street = Street(limit_kw=COUNT * FULL_KW / SETTINGS.caps.aim_ratio + 0.5)
    for _ in range(6):
        street.cycle()
    street.cycle(wild_kw)
    street.connected[0] = 0.0
    for _ in range(120):
        street.cycle()
        assert street.given_kw() == (COUNT - 1) * FULL_KW
    assert street.violations() == 0.0
    street.connected[0] = 1.0
    for _ in range(10):
        street.cycle()
    assert street.given_kw() == (COUNT - 1) * FULL_KW


def test_a_lost_car_that_was_held_counts_with_its_default_again_when_its_lease_has_ended() -> None:
    street = Street(limit_kw=300.0)
    for _ in range(12):
        street.cycle()
    assert street.true_kw().sum() <= 300.0
    held_kw = street.true_kw()[0]
    assert held_kw < FULL_KW
    street.connected[0] = 0.0
    for _ in range(240):
        street.cycle()
    assert street.true_kw()[0] == FULL_KW, "its lease has ended"
    assert street.true_kw().sum() <= 300.0, "and its neighbours make room for it"


def accounted(
    kind: ResourceClass,
    power_kw: float,
    *,
    age_s: float = 0.0,
    connected: float = 1.0,
    told_kw: float = np.nan,
    lease_s: float = -np.inf,
    limited_s: float = -np.inf,
    default_kw: float = np.nan,
    plugged: float = 1.0,
) -> AccountedLoad:
    index = fleet(100.0, {"r": kind})
    ingest, now_s = Ingest(ProcessImage(index), QualityRules()), 10_000.0
    samples = [(0, int(Quantity.CONNECTED), connected, now_s), (0, int(Quantity.PLUGGED), plugged, now_s)]
    if not np.isnan(power_kw):
        samples.append((0, int(Quantity.POWER_KW), power_kw, now_s - age_s))
    ingest.telemetry(TelemetryBatch.of(samples), now_s)
    held = repeated(blank_commands(), 1).in_force
    held.dispatch_kw[0], held.lease_s[0], held.limited_s[0] = told_kw, lease_s, limited_s
    held.default_kw[0] = default_kw
    return LoadAccounting(1).account(ingest.snapshot(now_s), views(held))


@pytest.mark.parametrize(
    ("kind", "case", "known_most_least"),
    [
        (ResourceClass.EV, {"power_kw": 5.0}, (5.0, 5.0, 5.0)),
        (ResourceClass.EV, {"power_kw": 5.0, "age_s": 400.0}, (5.0, 7.0, 0.0)),
        (ResourceClass.EV, {"power_kw": 5.0, "age_s": 400.0, "default_kw": 6.0}, (5.0, 6.0, 0.0)),
        (ResourceClass.EV, {"power_kw": 5.0, "age_s": 400.0, "plugged": 0.0}, (0.0, 0.0, 0.0)),
        (ResourceClass.EV, {"power_kw": 5.0, "age_s": 400.0, "told_kw": 3.0, "lease_s": 11e3}, (5.0, 5.0, 3.0)),
        (ResourceClass.EV, {"power_kw": 3.0, "connected": 0.0, "told_kw": 3.0, "lease_s": 11e3}, (3.0, 3.0, 3.0)),
        (ResourceClass.EV, {"power_kw": 3.0, "connected": 0.0}, (3.0, 3.0, 3.0)),
        (ResourceClass.EV, {"power_kw": 3.0, "age_s": 9.0, "connected": 0.0, "limited_s": 9999.0}, (3.0, 7.0, 0.0)),
        (ResourceClass.EV, {"power_kw": np.nan}, (0.0, 0.0, 0.0)),
        (ResourceClass.HVAC, {"power_kw": 40.0, "age_s": 400.0}, (40.0, 60.0, 0.0)),
        (ResourceClass.PV, {"power_kw": -20.0, "age_s": 400.0}, (-20.0, 0.0, -30.0)),
        (ResourceClass.STORAGE, {"power_kw": 10.0, "age_s": 400.0}, (10.0, 50.0, -50.0)),
        (ResourceClass.STORAGE, {"power_kw": 10.0, "age_s": 400.0, "default_kw": -20.0}, (10.0, 0.0, -20.0)),
    ],
)
def test_what_a_row_counts_for(
    kind: ResourceClass, case: dict[str, float], known_most_least: tuple[float, float, float]
) -> None:
    found = accounted(kind, **case)
    assert (found.known_kw[0], found.most_kw[0], found.least_kw[0]) == known_most_least
    assert found.doubtful or len(set(known_most_least)) == 1


def test_a_charger_that_is_never_metered_counts_after_a_while() -> None:
    index = fleet(100.0, {"r": ResourceClass.EV})
    ingest, engine = Ingest(ProcessImage(index), QualityRules()), DispatchEngine(index, SETTINGS, lambda *_: None)
    accounting, held = LoadAccounting(1), engine.outbox.columns.in_force
    told = [(0, int(Quantity.CONNECTED), 1.0, 0.0), (0, int(Quantity.PLUGGED), 1.0, 0.0)]
    ingest.telemetry(TelemetryBatch.of(told), 0.0)
    counts = [accounting.account(ingest.snapshot(at_s), held).most_kw[0] for at_s in (0.0, 100.0, 200.0)]
    assert counts == [0.0, 0.0, FULL_KW]


def test_production_that_is_held_beside_a_silent_inverter_is_not_let_go_and_held_again() -> None:
    index = fleet(100.0, {"a": ResourceClass.PV, "b": ResourceClass.PV}, export_kw=40.0)
    ingest, engine = Ingest(ProcessImage(index), QualityRules()), DispatchEngine(index, SETTINGS, lambda *_: None)
    ceiling_kw, sent = -30.0, 0
    for cycle in range(60):
        now_s = 1_000.0 + CYCLE_S * cycle
        samples = [(row, int(Quantity.CONNECTED), 1.0, now_s) for row in range(2)]
        samples.append((0, int(Quantity.POWER_KW), max(-25.0, ceiling_kw), now_s))
        if cycle == 0:
            samples.append((1, int(Quantity.POWER_KW), -5.0, now_s))  # and nothing more from this one
        ingest.telemetry(TelemetryBatch.of(samples), now_s)
        batch = engine.cycle(ingest.snapshot(now_s), schedule=None, baselines={}).batch
        sent += len(batch)
        for row, kw in zip(batch.rows.tolist(), batch.power_kw.tolist(), strict=True):
            ceiling_kw = (-30.0 if np.isnan(kw) else kw) if row == 0 else ceiling_kw
        engine.outcomes(
            OutcomeBatch(
                ids=batch.ids,
                rows=batch.rows,
                status=np.full(len(batch), OutcomeStatus.ACCEPTED, dtype=np.uint8),
                reasons=np.full(len(batch), Reason.NONE, dtype=np.uint8),
                at_s=np.full(len(batch), now_s),
            )
        )
    assert ceiling_kw > -25.0, "the silent one may feed in all that it can"
    assert sent <= 6, "no release and new hold every other cycle"
