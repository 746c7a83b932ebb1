"""A dispatch engine over a small plant of first-order devices, on virtual time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from vpp.dispatch.dispatch_memory import DispatchMemory
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.settings import DispatchSettings, PhaseLengths, RequestRules
from vpp.domain.performance import Baseline
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    RequestDraft,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.record.entry import JournalEntry

T0 = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
START = T0 + timedelta(minutes=15)
END = START + timedelta(minutes=30)
PHASES = PhaseLengths(rebound_watch_minutes=30.0)
SETTINGS = DispatchSettings(requests=RequestRules(phases=PHASES))
CYCLE_S = 10.0
KINDS = (
    # class, adapter, count, p_min, p_max, floor, capacity, efficiency, time constant in seconds
    (ResourceClass.EV, Adapter.OCPP, 120, 0.0, 7.0, 1.4, 0.0, 1.0, 5.0),
    (ResourceClass.V2G, Adapter.OCPP, 6, -15.0, 15.0, 1.4, 60.0, 0.93, 5.0),
    (ResourceClass.STORAGE, Adapter.MODBUS, 5, -125.0, 125.0, 0.0, 261.0, 0.95, 2.0),
    (ResourceClass.PV, Adapter.MODBUS, 10, -50.0, 0.0, 0.0, 0.0, 1.0, 2.0),
    (ResourceClass.HVAC, Adapter.MQTT, 6, 0.0, 200.0, 0.0, 0.0, 1.0, 40.0),
    (ResourceClass.INDUSTRY, Adapter.MQTT, 3, 0.0, 400.0, 0.0, 0.0, 1.0, 25.0),
)


def restore(engine: DispatchEngine, entries: Iterable[JournalEntry], now_s: float, settings: DispatchSettings) -> None:
    """Load what a memory has folded from ``entries`` into ``engine``, as a start of the service does."""
    memory = DispatchMemory(engine.index, settings)
    memory.follow(entries)
    engine.load(memory.state(), now_s)


def fleet(limit_kw: float = 1e6) -> FleetIndex:
    resources = tuple(
        Resource(
            id=f"{kind.value}-{number}",
            site_id="site",
            resource_class=kind,
            adapter=adapter,
            address=f"{kind.value}/{number}",
            p_min_kw=p_min,
            p_max_kw=p_max,
            floor_kw=floor,
            capacity_kwh=capacity,
            efficiency=efficiency,
            declared_up_kw=p_max,
            declared_down_kw=p_max,
        )
        for kind, adapter, count, p_min, p_max, floor, capacity, efficiency, _ in KINDS
        for number in range(count)
    )
    return FleetIndex(
        areas=(Area(id="north", name="North"), Area(id="south", name="South")),
        operators=(Operator(id="op", name="Op"),),
        transformers=(Transformer(id="t", area_id="north", limit_kw=limit_kw, export_limit_kw=1e6),),
        sites=(Site(id="site", name="Site", area_id="north", operator_id="op", transformer_id="t"),),
        resources=resources,
    )


@dataclass
class Plant:
    """Devices that follow their dispatch value while its lease holds, with faults drawn from one seed."""

    index: FleetIndex
    refusing: float = 0.0
    ignoring: float = 0.0
    noise: float = 0.01
    now_s: float = T0.timestamp()
    cycle: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self) -> None:
        n = len(self.index)
        self.tau_s = np.concatenate([np.full(kind[2], kind[8]) for kind in KINDS])
        self.size = self.rng.uniform(0.5, 0.9, n)
        self.dispatch = np.full(n, np.nan)
        self.until_s = np.full(n, -np.inf)
        self.default = np.full(n, np.nan)
        self.refuses = self.rng.random(n) < self.refusing
        self.ignores = ~self.refuses & (self.rng.random(n) < self.ignoring)
        self.connected = np.ones(n, dtype=np.bool_)
        self.sheddable = np.ones(n, dtype=np.bool_)
        self.need_kwh = np.where(self.index.is_class(ResourceClass.EV, ResourceClass.V2G), 8.0, np.nan)
        self.departure_s = np.where(np.isnan(self.need_kwh), np.nan, self.now_s + 10 * 3600.0)
        self.soc = np.where(self.index.nameplate.capacity_kwh > 0, 0.8, np.nan)
        self.least_seen = np.full(n, np.inf)
        self.power = self.free(self.now_s)
        self.metered = self.power.copy()
        self.metered_s = np.full(n, self.now_s)

    def free(self, at_s: float) -> FloatArray:
        """Return what every device would take if nobody dispatched it."""
        hours = (at_s - T0.timestamp()) / 3600.0
        index = self.index
        power = np.where(index.is_class(ResourceClass.EV), index.nameplate.p_max_kw * self.size, 0.0)
        building = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        power = np.where(building, index.nameplate.p_max_kw * self.size * (1.0 + 0.1 * np.sin(hours)), power)
        power = np.where(
            index.is_class(ResourceClass.PV), index.nameplate.p_min_kw * self.size * np.cos(hours / 3.0), power
        )
        return np.where(np.isnan(self.default), power, self.default)

    def advance(self, seconds: float) -> None:
        """Move everything ``seconds`` on."""
        self.now_s += seconds
        index, free = self.index, self.free(self.now_s)
        self.dispatch[self.now_s >= self.until_s] = np.nan
        told = ~np.isnan(self.dispatch) & ~self.ignores
        goal = np.where(index.is_class(ResourceClass.EV), np.minimum(free, self.dispatch), self.dispatch)
        self.power += (np.where(told, goal, free) - self.power) * (1.0 - np.exp(-seconds / self.tau_s))
        stored = np.where(self.power > 0, index.nameplate.efficiency, 1.0 / index.nameplate.efficiency)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.soc = self.soc + np.nan_to_num(self.power * stored * seconds / 3600.0 / index.nameplate.capacity_kwh)
        charged = np.maximum(self.need_kwh - self.power * seconds / 3600.0, 0.0)
        self.need_kwh = np.where(index.is_class(ResourceClass.EV), charged, self.need_kwh)
        shown = self.power * (1.0 + self.noise * self.rng.standard_normal(len(self.power)))
        self.metered = np.where(self.connected, shown, self.metered)
        self.metered_s = np.where(self.connected, self.now_s, self.metered_s)
        self.cycle += 1

    def state(self) -> FleetState:
        """Return the snapshot the service would see."""
        index, n = self.index, len(self.index)
        return FleetState(
            index=index,
            at_s=self.now_s,
            cycle=self.cycle,
            power_kw=self.metered.copy(),
            power_at_s=self.metered_s.copy(),
            quality=np.zeros(n, dtype=np.uint8),
            energy_kwh=np.zeros(n),
            soc=self.soc.copy(),
            connected=self.connected.copy(),
            plugged=index.is_class(ResourceClass.EV, ResourceClass.V2G),
            available_min_kw=np.where(
                index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY),
                0.7 * self.free(self.now_s),
                index.nameplate.p_min_kw,
            ),
            available_max_kw=index.nameplate.p_max_kw.copy(),
            limit_kw=self.dispatch.copy(),
            need_kwh=self.need_kwh.copy(),
            departure_s=self.departure_s.copy(),
            sheddable=self.sheddable.copy(),
        )

    def obey(self, batch: SetpointBatch) -> OutcomeBatch:
        """Apply a batch and answer it."""
        rows = batch.rows
        status = np.zeros(len(rows), dtype=np.uint8)
        reasons = np.zeros(len(rows), dtype=np.uint8)
        away = ~self.connected[rows]
        refused = ~away & self.refuses[rows] & (batch.layers == Layer.DISPATCH)
        status[away], reasons[away] = OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED
        status[refused], reasons[refused] = OutcomeStatus.REJECTED, Reason.REFUSED
        for row, layer, power, until, code in zip(
            rows, batch.layers, batch.power_kw, batch.until_s, status, strict=True
        ):
            if code == OutcomeStatus.ACCEPTED:
                self.apply(int(row), Layer(layer), float(power), float(until))
        at_s = np.full(len(rows), self.now_s + 1.0)
        return OutcomeBatch(ids=batch.ids, rows=rows, status=status, reasons=reasons, at_s=at_s)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a value in force."""
        if layer is Layer.DEFAULT:
            self.default[row] = power_kw
        elif layer is Layer.DISPATCH:
            self.dispatch[row], self.until_s[row] = power_kw, until_s
            self.least_seen[row] = min(self.least_seen[row], power_kw)
        else:
            self.dispatch[row], self.until_s[row] = np.nan, -np.inf


@dataclass
class Bench:
    """Engine and plant side by side."""

    plant: Plant
    settings: DispatchSettings = SETTINGS
    journal: list[JournalEntry] = field(default_factory=list)
    results: list[tuple[float, CycleResult]] = field(default_factory=list)
    batches: list[tuple[float, SetpointBatch]] = field(default_factory=list)
    powers: list[tuple[float, float]] = field(default_factory=list)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    portfolios: dict[str, BoolArray] = field(default_factory=dict)
    intended: Schedule | None = None

    def __post_init__(self) -> None:
        self.engine = DispatchEngine(self.plant.index, self.settings, self.record)
        grid = TimeGrid(start_at=T0, count=20)
        self.schedule = Schedule(
            grid=grid,
            power_kw=np.zeros((len(self.plant.index), 20)),
            rung=Rung.OPTIMAL,
            objective_cny=0.0,
            gap_ratio=0.0,
            solve_s=0.0,
            overload_kw={},
        )

    def record(self, kind: str, at_s: float, body: object) -> None:
        """Keep a journal entry."""
        assert isinstance(body, dict)
        self.journal.append(JournalEntry(sequence=len(self.journal) + 1, kind=kind, at_s=at_s, body=body, sha256=""))

    def baseline(self) -> Baseline:
        """Return the plant's own counterfactual, frozen."""
        grid = TimeGrid(start_at=T0, count=20)
        plain = Plant(self.plant.index)
        plain.default[:] = self.plant.default
        stores = plain.index.is_class(ResourceClass.STORAGE, ResourceClass.V2G)
        middle = [plain.free(s) for s in grid.starts_s() + 450.0]
        power = np.where(stores[:, None], 0.0, np.stack(middle, axis=1))
        same, plan = BaselineMethod.SAME_TYPE_DAYS, BaselineMethod.SCHEDULE
        methods = {kind.value: same for kind in ResourceClass} | {"storage": plan, "v2g": plan}
        return Baseline(
            grid=grid,
            power_kw=power,
            methods=methods,
            reference_days=(),
            excluded_days=(),
            adjustment_ratio={},
            input_sha256="",
        )

    def commit(
        self, target_kw: float, direction: Direction = Direction.UP, rebound_cap_kw: float | None = None
    ) -> DispatchRequest:
        """Submit, quote and accept a request."""
        product = Product.PEAK_SHAVING if direction is Direction.UP else Product.VALLEY_FILLING
        draft = RequestDraft(
            product=product,
            direction=direction,
            target_kw=target_kw,
            area="city",
            start_at=START,
            end_at=END,
            notice_class=NoticeClass.INTRADAY,
            rebound_cap_kw=rebound_cap_kw,
        )
        book = self.engine.book
        request, _ = book.submit(draft, key=None, actor="d", now=T0, known_areas=("north",))
        book.quoted(request.id, quote_of(target_kw, start_at=START, expires_at=T0 + timedelta(minutes=5)), T0)
        self.baselines[request.id] = self.baseline()
        return book.accept(request.id, offer=None, actor="d", now=T0)

    def run(self, until: datetime, on_cycle: Callable[[float], None] | None = None) -> None:
        """Move plant and engine on until then."""
        while self.plant.now_s < until.timestamp():
            self.plant.advance(CYCLE_S)
            if on_cycle is not None:
                on_cycle(self.plant.now_s)
            self.step()

    def step(self) -> CycleResult:
        """Run one cycle at the present instant."""
        state = self.plant.state()
        result = self.engine.cycle(
            state,
            schedule=self.schedule,
            baselines=self.baselines,
            portfolios=self.portfolios,
            redispatch=self.intended,
        )
        self.results.append((state.at_s, result))
        self.batches.append((state.at_s, result.batch))
        self.powers.append((state.at_s, float(self.plant.power.sum())))
        self.engine.outcomes(self.plant.obey(result.batch))
        return result

    def interval_accuracy(self, target_kw: float, sign: float = 1.0) -> list[float]:
        """Return ``1 - |delivered - target| / target`` of every 15-minute interval of the hold."""
        baseline = next(iter(self.baselines.values()))
        ratios = []
        for begin in np.arange(START.timestamp(), END.timestamp(), 900.0):
            mean = np.mean([p for at, p in self.powers if begin < at <= begin + 900.0])
            base = baseline.power_kw[:, baseline.grid.index_at(begin)].sum()
            ratios.append(1.0 - abs(sign * (base - mean) - target_kw) / target_kw)
        return ratios
