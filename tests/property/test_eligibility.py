"""Quote, acceptance, dispatch and settlement count on the same devices, whatever the fleet, its past and its meters."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpp.application.delivery.measurement import counted
from vpp.bootstrap.service import Service
from vpp.bootstrap.volatile_store import VolatileMemory
from vpp.config import Settings
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft, RequestState
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import Promise, SessionPromised, SessionStarted
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity, TelemetryBatch
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.trouble import Trouble, mask_of
from vpp.fleet.index import FleetIndex
from vpp.planning.forecast.load_forecast import forecast
from vpp.runtime.clock import VirtualClock
from vpp.state.eligibility import part_rows

BEGIN_S = 1_784_088_600.0
HISTORY_STEPS = 8 * 96
OUT = float(mask_of((Trouble.FAULTED,)))
KINDS = (ResourceClass.EV, ResourceClass.HVAC, ResourceClass.INDUSTRY, ResourceClass.STORAGE, ResourceClass.V2G)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One device: what it is, how much of its past is metered, and how it reports."""

    kind: ResourceClass
    area: str
    history: str
    reports: str
    declared_kw: float
    power_kw: float


DEVICES = st.builds(
    Drawn,
    kind=st.sampled_from(KINDS),
    area=st.sampled_from(["a", "b"]),
    history=st.sampled_from(["weeks", "weeks", "a day", "an hour", "old", "none"]),
    reports=st.sampled_from(["well", "well", "well", "stale", "never", "wild", "lost", "faulted"]),
    declared_kw=st.sampled_from([0.0, 5.0, 20.0]),
    power_kw=st.floats(8.0, 45.0),
)


def index_of(drawn: list[Drawn]) -> FleetIndex:
    resources = tuple(
        Resource(
            id=f"r{row}",
            site_id=f"s-{device.area}",
            resource_class=device.kind,
            adapter=Adapter.MQTT,
            address=f"s/{row}",
            p_min_kw=-50.0 if device.kind in (ResourceClass.STORAGE, ResourceClass.V2G) else 0.0,
            p_max_kw=50.0,
            capacity_kwh=100.0 if device.kind in (ResourceClass.STORAGE, ResourceClass.V2G) else 0.0,
            declared_up_kw=device.declared_kw,
        )
        for row, device in enumerate(drawn)
    )
    return FleetIndex(
        areas=(Area(id="a", name="A"), Area(id="b", name="B")),
        operators=(Operator(id="o", name="O"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=1e6, export_limit_kw=1e6),),
        sites=tuple(Site(id=f"s-{n}", name=n, area_id=n, operator_id="o", transformer_id="t") for n in ("a", "b")),
        resources=resources,
    )


def past_of(drawn: list[Drawn], until_s: float) -> tuple[TimeGrid, FloatArray]:
    grid = TimeGrid(start_at=instant(until_s - HISTORY_STEPS * 900.0), count=HISTORY_STEPS)
    past = np.full((len(drawn), HISTORY_STEPS), np.nan)
    for row, device in enumerate(drawn):
        known = {"weeks": HISTORY_STEPS, "a day": 96, "an hour": 4, "old": HISTORY_STEPS, "none": 0}[device.history]
        past[row, HISTORY_STEPS - known :] = device.power_kw
        if device.history == "old":
            past[row, -8:] = np.nan
    return grid, past


class Played:
    """A service whose devices report as drawn."""

    def __init__(self, drawn: list[Drawn]) -> None:
        self.drawn, self.index = drawn, index_of(drawn)
        self.clock = VirtualClock(BEGIN_S)
        self.service = Service(Settings.load(release_minutes=1.0), VolatileMemory(), self.clock, ())

    def report(self) -> None:
        """Let every device report in its manner."""
        now_s = self.clock.now_s()
        samples: list[tuple[int, int, float, float]] = []
        for row, device in enumerate(self.drawn):
            if device.reports == "never":
                continue
            at_s = BEGIN_S - 600.0 if device.reports == "stale" else now_s
            kw = 9e4 if device.reports == "wild" else device.power_kw
            samples += [
                (row, int(Quantity.CONNECTED), 0.0 if device.reports == "lost" else 1.0, now_s),
                (row, int(Quantity.POWER_KW), kw, at_s),
                (row, int(Quantity.SOC), 0.8, at_s),
                (row, int(Quantity.ENERGY_KWH), 100.0, at_s),
                (row, int(Quantity.PLUGGED), 1.0, now_s),
                (row, int(Quantity.TROUBLES), OUT if device.reports == "faulted" else 0.0, now_s),
            ]
        self.service.core.plane.telemetry(TelemetryBatch.of(samples))

    async def cycle(self) -> None:
        """Let ten seconds and a cycle pass."""
        await self.clock.advance(self.clock.now_s() + 10.0)
        self.report()
        await self.service.fast.cycle()

    async def found(self) -> None:
        """Connect everybody with its past, plug cars in, and put a plan in force in which stores rest."""
        plant, index = self.service.plant, self.index
        await self.service.open()
        await plant.connect(
            areas=index.areas,
            operators=index.operators,
            transformers=index.transformers,
            sites=index.sites,
            resources=index.resources,
        )
        grid, past = past_of(self.drawn, floor_s(BEGIN_S, 900))
        await plant.import_meters(grid, [r.id for r in index.resources], past)
        for row, device in enumerate(self.drawn):
            if device.kind in (ResourceClass.EV, ResourceClass.V2G):
                promise = Promise(energy_kwh=30.0, departure_s=BEGIN_S + 10 * 3600.0)
                self.service.core.ingest.session(
                    SessionStarted(session_id=f"c{row}", row=row, at_s=BEGIN_S, meter_kwh=99.0)
                )
                self.service.core.ingest.session(SessionPromised(session_id=f"c{row}", promise=promise))
        await self.cycle()
        await self.cycle()
        plans, state = self.service.plans, plant.fleet()
        plans.forecast = forecast(state, self.service.core.store.meters)
        plans.schedule = Schedule(
            grid=TimeGrid(start_at=instant(floor_s(BEGIN_S, 900))),
            power_kw=np.zeros((len(state), 96)),
            rung=Rung.OPTIMAL,
            objective_cny=0.0,
            gap_ratio=0.0,
            solve_s=0.0,
            overload_kw={},
        )

    def draft(self, target_kw: float, minutes_ahead: float, notice: NoticeClass) -> RequestDraft:
        """Return a cut in area ``a`` for a quarter of an hour."""
        start_at = instant(floor_s(self.clock.now_s(), 60) + 60.0 * minutes_ahead)
        return RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=target_kw,
            area="a",
            start_at=start_at,
            end_at=start_at + timedelta(minutes=15),
            notice_class=notice,
        )

    def counted_on(self) -> BoolArray:
        """Return whom the last quote counted on in its area."""
        made = self.service.requests.quoter.quotes._latest
        assert made is not None
        return made.basis.inputs.usable & part_rows(self.draft(1.0, 20.0, NoticeClass.FAST), self.index)


async def played(drawn: list[Drawn], minutes_ahead: float, notice: NoticeClass) -> None:
    made = Played(drawn)
    await made.found()
    plant, engine, measurement = made.service.plant, made.service.core.engine, made.service.requests.measurement
    asked = made.draft(10_000.0, minutes_ahead, notice)
    quoted, _ = await plant.submit(asked, key=None, actor="x")
    assert quoted.quote is not None
    counted_on = made.counted_on()
    most_kw = max(quoted.quote.p50_kw, 0.5)
    request, _ = await plant.submit(replace(asked, target_kw=most_kw), key=None, actor="x")
    assert (made.counted_on() == counted_on).all()
    await plant.accept(request.id, offer=None, actor="x")

    enlisted = measurement.portfolios[request.id]
    baseline = measurement.baselines[request.id]
    assert (enlisted == counted_on).all(), "the quote's set is the acceptance's"
    assert set(baseline.excluded_ids) == {
        made.index.resources[row].id for row in np.flatnonzero(part_rows(asked, made.index) & ~counted_on).tolist()
    }
    assert sum(baseline.excluded_why.values()) == len(baseline.excluded_ids), "each is left out for a named reason"
    assert np.isfinite(baseline.power_kw).all()
    assert (counted(asked, baseline, made.index) == enlisted).all(), "and that of a replay"

    await made.clock.advance(request.draft.start_at.timestamp() - 40.0)
    called = np.zeros(len(made.index), dtype=np.bool_)
    for _ in range(8):
        await made.cycle()
        held = engine._assignments.columns
        commanded = ~np.isnan(held.setpoint_kw)
        assert not (commanded & ~enlisted).any(), "nobody is commanded who was not enlisted"
        called |= commanded
        cut_kw = np.where(commanded, held.uncontrolled_kw - held.setpoint_kw, 0.0)
        assert (cut_kw <= made.index.nameplate.contract_up_kw + 1e-6).all(), "nor beyond a contract"
    assert called.any()
    assert plant.request(request.id).state in (RequestState.RAMPING, RequestState.HOLDING)
    await made.clock.advance(request.draft.end_at.timestamp() + 7200.0)
    await made.cycle()
    await made.service.requests.settlement.settle_finished()
    assert plant.request(request.id).state is RequestState.SETTLED
    assert (measurement.portfolios[request.id] == enlisted).all(), "who was enlisted is settled, nobody else"
    await made.service.close()


SOUND = Drawn(kind=ResourceClass.HVAC, area="a", history="weeks", reports="well", declared_kw=20.0, power_kw=30.0)
"""There is always somebody to call."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(DEVICES, max_size=7),
    st.sampled_from([(6.0, NoticeClass.FAST), (20.0, NoticeClass.INTRADAY), (200.0, NoticeClass.INTRADAY)]),
)
def test_whoever_is_quoted_is_enlisted_and_only_the_enlisted_are_commanded_and_settled(
    drawn: list[Drawn], when: tuple[float, NoticeClass]
) -> None:
    asyncio.run(played([SOUND, *drawn], *when))
