"""Every figure that is declared is fed: a small service on virtual time, one request, a restart."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.patience import PATIENCE_WALL_S
from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity, WatchedLink
from tests.story.town import BEGIN_S, resting
from vpp.bootstrap.grid_links import http_application, report_of
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.domain.errors import ConflictError
from vpp.domain.flexibility import Capability
from vpp.domain.performance import Performance
from vpp.domain.request import Direction, RequestState
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.planning.forecast.load_forecast import forecast
from vpp.runtime.observability import Metrics

SEED = 3
HISTORY_S = 86_400.0
LABELS = {
    "adapter",
    "area",
    "band",
    "block",
    "class",
    "direction",
    "kind",
    "le",
    "notice",
    "operator",
    "reason",
    "state",
    "trouble",
}
"""The labels interfaces.md allows, those of its own lists, and the bucket of a histogram."""
INTERFACE = (
    "vpp_capacity_kw",
    "vpp_target_kw",
    "vpp_delivered_kw",
    "vpp_tracking_error_ratio",
    "vpp_devices_connected",
    "vpp_telemetry_age_seconds",
    "vpp_commands_total",
    "vpp_command_ack_seconds",
    "vpp_transformer_load_ratio",
    "vpp_cap_violations_total",
    "vpp_promises_broken_total",
    "vpp_solver_seconds",
    "vpp_solver_gap_ratio",
    "vpp_plan_rung",
    "vpp_leader_epoch",
    "vpp_limits_not_restored",
    "vpp_build_info",
)


class Town(VirtualCity):
    """A small city whose plan is no solver's: everybody rests."""

    plans: int

    async def boot(self) -> None:
        """Start a service without a solver; the database lives on in memory."""
        self._links = [WatchedLink(self.twin, self.clock, self.wire, name=name) for name in ("ocpp", "modbus", "mqtt")]
        self.service = Service(self.settings, self.store, self.clock, self._links)
        await self.service.open()

    async def found(self) -> None:
        """Register the fleet with a day of its past and let devices report."""
        await self.boot()
        index, end_s = self.index, floor_s(self.clock.now_s(), 900)
        await self.plant.connect(
            areas=index.areas,
            operators=index.operators,
            transformers=index.transformers,
            sites=index.sites,
            resources=index.resources,
        )
        grid = TimeGrid(start_at=instant(end_s - HISTORY_S), count=96)
        await self.plant.import_meters(grid, [r.id for r in index.resources], self.twin.read(grid))
        await self.play(minutes=3.0)

    async def plan(self) -> None:
        """Put a plan in force in which storage rests."""
        plans, state = self.service.plans, self.plant.fleet()
        plans.forecast = forecast(state, self.store.meters)
        plans.schedule = resting(len(state), state.at_s)
        self.plans += 1
        self.service.core.metrics.observe_plan(plans.schedule)
        self._next_plan_s = self.clock.now_s() + 900.0

    async def scraped(self) -> str:
        """Return what Prometheus is shown."""
        transport = httpx.ASGITransport(app=http_application(self.service, self.plant))
        async with httpx.AsyncClient(transport=transport, base_url="http://vpp") as client:
            return (await client.get("/metrics")).raise_for_status().text


def town(directory: Path) -> Town:
    index = demo_fleet(stations=10, inverters=2, batteries=2, v2g=2, sites=2)
    start_s = floor_s(BEGIN_S, 900) - HISTORY_S
    twin = Twin(index, seed=SEED, start_s=start_s, sessions=BuiltinSessions(SEED), weather=Weather.builtin())
    twin.advance(BEGIN_S, step_s=300.0)
    made = Town(twin, directory, watch_minutes=5.0)
    made.store, made.plans = Store.open("sqlite://"), 0
    return made


@dataclass(kw_only=True)
class Shown:
    """Prometheus' view at one moment, and what it is compared with."""

    text: str

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that carry the labels."""
        found = [float(sample.value) for sample in self.samples(name) if labels.items() <= sample.labels.items()]
        assert found, f"{name} {labels} is not shown"
        return sum(found)

    def samples(self, name: str) -> list[Any]:
        """Return all samples of a name."""
        return [s for family in text_string_to_metric_families(self.text) for s in family.samples if s.name == name]


@dataclass(kw_only=True)
class Story:
    """One request on the town, from before the first plan to after a restart.

    Attributes:
        refused: What a dispatcher was told before the first plan.
        unplanned: Metrics before the first plan.
        planned: Metrics once it was in force and capacities were shown.
        holding: Metrics in the hold.
        settled: Metrics after the request.
        resumed: Metrics after the restart.
        news_after: How many events there were after the restart.
        plans: How many plans there were before it.
        declared: How many capacities were shown before it.
    """

    refused: str
    unplanned: Shown
    planned: Shown
    holding: Shown
    settled: Shown
    resumed: Shown
    before: Performance
    after: Performance
    minutes_before: Any
    minutes_after: Any
    report: dict[str, object]
    verified_before_kw: float
    verified_after_kw: float
    news_after: int
    plans: int
    declared: int


async def story(directory: Path) -> Story:
    made = town(directory)
    await made.found()
    with pytest.raises(ConflictError) as refused:
        await made.ask(made.draft(FAR_TOO_MUCH_KW))
    unplanned = Shown(text=await made.scraped())
    declared = Declarations(made.service.core.metrics)
    await made.plan()
    await made.cycle()
    await declared.reach(4)
    for _ in range(3):
        await made.cycle()
    planned = Shown(text=await made.scraped())
    quoted_kw, _ = await made.quoted_kw(made.draft(FAR_TOO_MUCH_KW, minutes=15.0))
    request = await made.commit(made.draft(round(0.8 * quoted_kw), minutes=15.0))
    await made.play_until(request.draft.start_at.timestamp() + 450.0)
    holding = Shown(text=await made.scraped())
    request = await made.play_out(request.id)
    assert request.state is RequestState.SETTLED
    await made.play(minutes=1.0)
    settled, settlement = Shown(text=await made.scraped()), made.service.requests.settlement
    before, minutes_before = settlement.performance(request.id), settlement.minutes(request.id)
    verified_before_kw = settlement.verified("city", Direction.UP).kw
    await made.cycle()
    await declared.reach(4 * made.plans)
    plans = made.plans
    await made.service.close()
    await made.boot()
    await made.play(minutes=1.0)
    settlement, resumed = made.service.requests.settlement, Shown(text=await made.scraped())
    after, minutes_after = settlement.performance(request.id), settlement.minutes(request.id)
    _, report = report_of(made.service, request.id)
    assert before is not None
    assert after is not None
    told = Story(
        refused=str(refused.value),
        unplanned=unplanned,
        planned=planned,
        holding=holding,
        settled=settled,
        resumed=resumed,
        before=before,
        after=after,
        minutes_before=minutes_before,
        minutes_after=minutes_after,
        report=report,
        verified_before_kw=verified_before_kw,
        verified_after_kw=settlement.verified("city", Direction.UP).kw,
        news_after=made.service.core.news.latest,
        plans=plans,
        declared=declared.count,
    )
    await made.close()
    return told


class Declarations:
    """Counts the capacities that are shown from now on."""

    def __init__(self, metrics: Metrics) -> None:
        self.count = 0
        self._shown = asyncio.Event()
        self._observe = metrics.observe_capability
        metrics.observe_capability = self._take  # type: ignore[method-assign] # counted on the way

    async def reach(self, count: int) -> None:
        """Wait until that many were shown."""
        async with asyncio.timeout(PATIENCE_WALL_S):
            while self.count < count:
                self._shown.clear()
                await self._shown.wait()

    def _take(self, capability: Capability, at_s: float) -> None:
        self._observe(capability, at_s)
        self.count += 1
        self._shown.set()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(story(tmp_path_factory.mktemp("town")))


def test_before_the_first_plan_a_dispatcher_is_told_so(told: Story) -> None:
    assert "there is no plan yet" in told.refused


def test_every_metric_of_the_interface_is_shown_with_bounded_labels_only(told: Story) -> None:
    families = list(text_string_to_metric_families(told.settled.text))
    shown = {sample.name for family in families for sample in family.samples}
    for name in INTERFACE:
        assert {name, f"{name}_count"} & shown, name
    for family in (f for f in families if f.name.startswith("vpp_") and not f.name.startswith("vpp_build")):
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample
        assert len(family.samples) < 200, family.name


def test_capacities_follow_a_plan_and_not_every_cycle(told: Story) -> None:
    assert "vpp_capacity_kw{" not in told.unplanned.text
    for area in ("city", "huangpu"):
        for direction in ("up", "down"):
            assert told.planned.value("vpp_capacity_kw", kind="connected", area=area, direction=direction) > 0.0
    assert told.planned.value("vpp_capacity_kw", kind="available", area="city", direction="up") > 0.0
    assert told.declared == 4 * told.plans, "two directions of two areas a plan"


def test_target_and_delivered_power_are_those_of_the_hold(told: Story) -> None:
    assert told.planned.value("vpp_target_kw") == 0.0
    assert told.holding.value("vpp_target_kw") == max(i.target_kw for i in told.before.intervals)
    assert told.holding.value("vpp_delivered_kw") == pytest.approx(told.holding.value("vpp_target_kw"), rel=0.2)
    assert 0.0 <= told.holding.value("vpp_tracking_error_ratio") < 0.2
    assert told.settled.value("vpp_target_kw") == 0.0


def test_requests_are_counted_by_state(told: Story) -> None:
    assert told.holding.value("vpp_requests", state="holding") == 1
    assert told.settled.value("vpp_requests", state="settled") == 1


def test_commands_are_counted_with_their_adapter_and_the_time_they_took(told: Story) -> None:
    assert told.settled.value("vpp_commands_total", state="accepted") > 0
    outcomes = told.settled.value("vpp_commands_total")
    assert told.settled.value("vpp_command_ack_seconds_count") == outcomes, "it is known of each when it was sent"
    assert told.settled.value("vpp_command_ack_seconds_sum") > 0.0
    adapters = {sample.labels["adapter"] for sample in told.settled.samples("vpp_commands_total")}
    assert adapters <= {"ocpp", "modbus", "mqtt"}


def test_commands_are_counted_by_how_they_ended(told: Story) -> None:
    assert told.settled.value("vpp_commands_ended_total", state="confirmed") > 0


def test_no_limit_is_left_and_the_count_of_them_is_shown(told: Story) -> None:
    assert told.settled.value("vpp_limits_not_restored") == 0


def test_the_epoch_rises_with_a_restart(told: Story) -> None:
    assert told.settled.value("vpp_leader_epoch") == 1
    assert told.resumed.value("vpp_leader_epoch") == 2


def test_ages_and_connections_follow_the_fleet(told: Story) -> None:
    grown = [s.value("vpp_telemetry_age_seconds_count") for s in (told.unplanned, told.holding, told.settled)]
    assert grown == sorted(set(grown))
    assert told.settled.value("vpp_devices_connected", adapter="ocpp") > 0


def test_what_was_verified_survives_a_restart(told: Story) -> None:
    assert told.verified_before_kw > 0.0
    assert told.verified_after_kw == told.verified_before_kw


def test_a_settled_request_is_measured_again_from_what_is_stored(told: Story) -> None:
    figures = ("accuracy_ratio", "delivered_mean_kw", "energy_kwh", "rebound_peak_kw", "ramp_minutes", "hit_ratio")
    for name in figures:
        assert getattr(told.after, name) == pytest.approx(getattr(told.before, name), nan_ok=True), name
    assert told.after.issued_at == told.before.issued_at
    assert told.after.spread_kw == told.before.spread_kw
    assert told.after.settlement_cny == pytest.approx(told.before.settlement_cny)
    assert told.after.shares.operator_ids == told.before.shares.operator_ids
    assert told.after.shares.energy_kwh.tolist() == told.before.shares.energy_kwh.tolist(), "as issued, to the bit"


def test_the_minutes_of_a_report_come_back(told: Story) -> None:
    before, after = told.minutes_before, told.minutes_after
    both = (before.covered_s > 0.0) & (after.covered_s > 0.0)
    assert both.sum() >= 0.9 * (before.covered_s > 0.0).sum()
    np.testing.assert_allclose(after.target_kw[both], before.target_kw[both], rtol=1e-6)
    np.testing.assert_allclose(after.baseline_kw[both], before.baseline_kw[both], rtol=1e-6)


def test_nothing_old_is_announced_again_after_a_restart(told: Story) -> None:
    assert told.news_after <= 2, "pictures of the fleet only"
