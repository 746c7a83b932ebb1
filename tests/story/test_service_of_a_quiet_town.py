"""A small town at rest: refused samples, growth, restarts, and requests in unlucky moments."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from tests.story.town import BEGIN_S, INDEX, resting
from vpp.application.delivery.event_days import called_hours, event_days
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft, RequestState
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.site import Transformer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.trouble import Trouble
from vpp.fleet.calendar import SHANGHAI
from vpp.planning.forecast.load_forecast import forecast
from vpp.runtime.clock import VirtualClock


@dataclass(kw_only=True)
class Still:
    """A service without links; its devices are what the test says."""

    clock: VirtualClock
    store: Store
    service: Service

    def report(self, *, power_kw: float, rows: int) -> None:
        """Let the first rows be connected and take a power."""
        at_s = self.clock.now_s()
        known = ((int(Quantity.CONNECTED), 1.0), (int(Quantity.POWER_KW), power_kw))
        samples = [(row, quantity, value, at_s) for row in range(rows) for quantity, value in known]
        self.service.core.plane.telemetry(TelemetryBatch.of(samples))

    async def cycle(self) -> None:
        """Let ten seconds and a cycle pass."""
        await self.clock.advance(self.clock.now_s() + 10.0)
        await self.service.fast.cycle()

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric."""
        return self.service.core.metrics.registry.get_sample_value(name, labels)

    def alarms(self) -> list[tuple[object, object]]:
        """Return name and state of every alarm so far."""
        return [(e.body["alarm"], e.body["state"]) for e in self.service.core.news._ring if e.kind == "alarm"]


async def connect(made: Still, resources: slice) -> None:
    await made.service.plant.connect(
        areas=INDEX.areas,
        operators=INDEX.operators,
        transformers=INDEX.transformers,
        sites=INDEX.sites,
        resources=INDEX.resources[resources],
    )


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Still]:
    settings = Settings.load(data_dir=tmp_path, rebound_watch_minutes=5.0)
    clock = VirtualClock(BEGIN_S)
    store = Store.open("sqlite://")
    made = Still(clock=clock, store=store, service=Service(settings, store, clock, ()))
    await made.service.open()
    await connect(made, slice(12))
    made.report(power_kw=3.0, rows=12)
    await made.cycle()
    yield made
    await made.service.close()
    store.close()


def asked(made: Still, target_kw: float) -> RequestDraft:
    start_at = instant(floor_s(made.clock.now_s(), 900) + 1800.0)
    return RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=target_kw,
        area="city",
        start_at=start_at,
        end_at=start_at + timedelta(minutes=15.0),
        notice_class=NoticeClass.INTRADAY,
    )


def put_in_force(made: Still) -> None:
    state, plans = made.service.plant.fleet(), made.service.plans
    plans.forecast = forecast(state, made.store.meters)
    plans.schedule = resting(len(state), state.at_s)


async def test_dropped_samples_and_frames_are_counted_by_reason(still: Still) -> None:
    still.service.core.plane.telemetry(TelemetryBatch.of([(999, 0, 1.0, BEGIN_S), (0, 0, float("nan"), BEGIN_S)]))
    still.service.core.plane.rejected_frame("ocpp", "schema")
    await still.cycle()

    assert still.value("vpp_frames_rejected_total", adapter="ocpp", reason="unauthorized") == 0, "an alert watches it"
    assert still.value("vpp_frames_rejected_total", adapter="ingest", reason="unknown_row") == 1
    assert still.value("vpp_frames_rejected_total", adapter="ingest", reason="not_a_number") == 1
    assert still.value("vpp_frames_rejected_total", adapter="ocpp", reason="schema") == 1


async def test_what_was_refused_is_on_the_device_and_counted_apart_from_what_was_repaired(still: Still) -> None:
    still.report(power_kw=7000.0, rows=1)
    still.service.core.plane.telemetry(TelemetryBatch.of([(15, int(Quantity.SOC), 1.004, still.clock.now_s())]))
    still.service.core.plane.healed("ocpp", "null")
    await still.cycle()

    plant = still.service.plant
    health = plant.health(INDEX.resources[0].id)
    assert health.last_rejected is not None
    assert health.last_rejected.text == "power 7,000 kW, nameplate 7.04 kW, 10 s ago"
    assert [known.trouble for known in health.troubles] == [Trouble.IMPLAUSIBLE_VALUES]
    assert plant.rows_with(Trouble.IMPLAUSIBLE_VALUES).nonzero()[0].tolist() == [0]
    assert plant.troubles() == {Trouble.IMPLAUSIBLE_VALUES: 1}
    assert plant.fleet().power_kw[0] == 3.0
    assert still.value("vpp_samples_rejected_total", kind="range") == 1
    assert still.value("vpp_device_troubles", adapter="ocpp", trouble="implausible_values") == 1
    assert still.value("vpp_healed_total", adapter="ocpp", kind="null") == 1


async def test_a_fault_in_the_alarms_is_told_once_and_stops_neither_cycles_nor_metrics(
    still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a car of nought")

    monkeypatch.setattr(still.service.watch.alarms, "follow", broken)
    still.service.core.plane.rejected_frame("ocpp", "schema")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await still.cycle()
    assert [line["part"] for line in lines if line["log_level"] == "error"] == ["alarms"]
    assert still.value("vpp_frames_rejected_total", adapter="ocpp", reason="schema") == 1
    monkeypatch.undo()
    with structlog.testing.capture_logs() as lines:
        await still.cycle()
    assert [line["event"] for line in lines if "part" in line] == ["news of cycles complete again"]


async def test_readiness_turns_red_when_cycles_stop(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, metrics = still.service.plant, still.service.core.metrics
    assert plant.ready()["loop"]
    monkeypatch.setattr(metrics, "cycle_age_s", lambda: still.service.fast.patience_wall_s + 1.0)
    assert not plant.ready()["loop"]


async def test_a_history_that_is_refused_is_counted(still: Still) -> None:
    grid = TimeGrid(start_at=instant(floor_s(still.clock.now_s(), 900) - 3600.0), count=1)
    with pytest.raises(InputError, match="watts"):
        await still.service.plant.import_meters(grid, [INDEX.resources[0].id], np.array([[6000.0]]))
    assert still.value("vpp_imports_rejected_total", kind="history") == 1


async def test_a_transformer_above_its_limit_is_counted_and_told(still: Still) -> None:
    assert still.value("vpp_cap_violations_total") == 0
    site, car = INDEX.sites[0], INDEX.resources[0]
    weak = Transformer(id="weak", area_id=site.area_id, limit_kw=5.0, export_limit_kw=5.0)
    await still.service.plant.connect(
        transformers=(weak,),
        sites=(replace(site, id="shed", transformer_id="weak"),),
        resources=(replace(car, id="last", site_id="shed", address="last/1"),),
    )
    still.report(power_kw=7.0, rows=13)
    await still.cycle()
    await still.cycle()
    assert still.value("vpp_cap_violations_total") == still.alarms().count(("cap_exceeded", "set")) > 0


async def test_a_promise_that_was_broken_is_counted_once_and_not_again_after_a_restart(still: Still) -> None:
    plane, at_s = still.service.core.plane, still.clock.now_s()
    plane.session(SessionStarted(session_id="st/1", row=0, at_s=at_s, meter_kwh=100.0))
    plane.session(SessionPromised(session_id="st/1", promise=Promise(energy_kwh=10.0, departure_s=at_s + 60.0)))
    await still.cycle()
    for _ in range(2):
        plane.session(SessionEnded(session_id="st/1", row=0, at_s=at_s + 60.0, meter_kwh=105.0))
        await still.cycle()
    assert still.value("vpp_promises_broken_total") == 1
    assert ("promise_broken", "set") in still.alarms()

    again = Service(still.service.settings, still.store, still.clock, ())
    await again.fast.cycle()
    assert again.core.metrics.registry.get_sample_value("vpp_promises_broken_total") == 0


async def test_limits_that_are_left_show_once_no_request_runs(still: Still) -> None:
    cycle = still.service.core.engine.cycle

    def stuck(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        return replace(cycle(*args, **more), unrestored_rows=4)

    still.service.core.engine.cycle = stuck  # type: ignore[method-assign] # a device that does not let go
    await still.cycle()
    assert still.value("vpp_limits_not_restored") == 4


async def test_capability_and_quotes_work_while_the_fleet_grows(still: Still) -> None:
    put_in_force(still)
    plant = still.service.plant
    draft = asked(still, 5.0)
    await plant.submit(draft, key="before", actor="x")
    await connect(still, slice(12, None))
    still.report(power_kw=3.0, rows=len(INDEX))
    await still.cycle()

    assert still.service.plans.forecast is not None
    assert len(still.service.plans.forecast.expected_kw) == 12, "the capability is asked for before the next plan"
    today = instant(BEGIN_S).date()
    assert plant.capability("city", Direction.UP, today).connected_kw[0] > 0.0
    request, _ = await plant.submit(draft, key="after", actor="x")
    assert request.quote is not None


async def test_a_fleet_that_grows_under_a_running_request_goes_on_and_is_settled(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    request, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    await still.clock.advance(request.draft.start_at.timestamp() - 30.0)
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    await connect(still, slice(12, None))
    await still.cycle()

    assert len(parts.measurement.portfolios[request.id]) == len(INDEX)
    assert not parts.measurement.portfolios[request.id][12:].any()
    assert plant.progress(request.id) is not None
    await still.clock.advance(request.draft.end_at.timestamp() + 7200.0)
    await still.cycle()
    await parts.settlement.settle_finished()
    assert plant.request(request.id).state is RequestState.SETTLED


async def test_days_on_which_an_area_was_called_are_no_reference_days_of_a_later_request(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    first, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(first.id, offer=None, actor="x")
    await still.clock.advance(first.draft.start_at.timestamp() + 60.0)
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    await still.clock.advance(BEGIN_S + 86_400.0)
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    put_in_force(still)
    second, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")

    event_day = date(2026, 7, 15)
    assert event_days(still.service.core.engine.book, ForgottenCalls(), second) == {event_day}
    assert event_days(still.service.core.engine.book, ForgottenCalls(), first) == frozenset(), (
        "a request is no event of its own"
    )
    elsewhere = replace(second, id="other", draft=replace(second.draft, area="nowhere"))
    assert event_days(still.service.core.engine.book, ForgottenCalls(), elsewhere) == {event_day}, (
        "the city holds every area"
    )
    baseline = parts.measurement.baseline(plant.request(second.id), plant.fleet(), still.service.plans.schedule)
    assert (event_day.isoformat(), "event day") in baseline.excluded_days
    assert event_day.isoformat() not in baseline.reference_days


async def test_late_meters_correct_a_settlement_by_a_new_version(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    request, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    await still.clock.advance(request.draft.end_at.timestamp() - 60.0)
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    await still.clock.advance(request.draft.end_at.timestamp() + 7200.0)
    await still.cycle()
    await parts.settlement.settle_finished()
    (first,) = plant.settlements()
    await parts.settlement.settle_finished()
    assert plant.settlements() == [first], "nothing came in late"

    grid = TimeGrid(start_at=request.draft.start_at, count=1)
    counted = np.flatnonzero(parts.measurement.portfolios[request.id])
    ids = [INDEX.resources[row].id for row in counted.tolist()]
    held_kw = parts.measurement.baselines[request.id].power_kw[counted, -1][:, None]
    await plant.import_meters(grid, ids, np.maximum(held_kw - 1.0, 0.0))
    await parts.settlement.settle_finished()
    (second,) = plant.settlements()
    assert (first.version, second.version) == (1, 2)
    assert second.shares.energy_kwh.sum() != first.shares.energy_kwh.sum()
    await plant.import_meters(grid, ids, np.maximum(held_kw - 1.0, 0.0))
    await parts.settlement.settle_finished()
    assert plant.settlements()[0].version == 2, "the same meters again change nothing"
    issued = [entry for entry in still.store.journal.entries() if entry.kind == "performance.issued"]
    assert [entry.body["version"] for entry in issued] == [1, 2]


async def test_the_second_call_of_a_day_is_not_measured_by_the_hours_of_the_first(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    first, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(first.id, offer=None, actor="x")
    for at_s in (first.draft.start_at.timestamp() + 60.0, first.draft.end_at.timestamp() + 7200.0):
        await still.clock.advance(at_s)
        still.report(power_kw=3.0, rows=12)
        await still.cycle()
    put_in_force(still)
    second, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")

    times = still.service.core.engine.book.timetable(first.id)
    assert called_hours(still.service.core.engine.book, ForgottenCalls(), second).spans == (
        (times.ramp_s, times.watched_s),
    )
    assert called_hours(still.service.core.engine.book, ForgottenCalls(), first).spans == (), (
        "a request is no call of its own"
    )
    baseline = parts.measurement.baseline(plant.request(second.id), plant.fleet(), still.service.plans.schedule)
    notes = dict(baseline.notes)
    assert notes["window"] == (
        "hours of another call lie in the window before notice: uncalled hours before them adjust instead"
    )


async def test_a_quote_for_a_year_nobody_has_announced_says_so(still: Still) -> None:
    put_in_force(still)
    plant = still.service.plant
    today, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    assert today.quote is not None
    assert today.quote.notices == ()
    assert still.value("vpp_calendar_unannounced_days") == 0.0

    await still.clock.advance(datetime(2026, 12, 31, 15, 0, tzinfo=SHANGHAI).timestamp())
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    put_in_force(still)
    start_at = datetime(2027, 1, 1, 10, 0, tzinfo=SHANGHAI)
    draft = replace(asked(still, 0.5), start_at=start_at, end_at=start_at + timedelta(hours=1))
    ahead, _ = await plant.submit(draft, key=None, actor="x")
    assert ahead.quote is not None
    assert "2027" in ahead.quote.notices[0]
    assert still.value("vpp_calendar_unannounced_days") == 29.0
    assert ("calendar_unannounced", "set") in still.alarms()


async def test_what_was_metered_before_a_restart_counts_for_its_quarter(still: Still) -> None:
    begin_s = floor_s(BEGIN_S, 900) + 900.0
    await still.clock.advance(begin_s - 60.0)
    for minute in range(18):
        if minute == 9:
            await still.service.close()
            still.service = Service(still.service.settings, still.store, still.clock, ())
            await still.service.open()
        await still.clock.advance(begin_s + 60.0 * minute)
        still.report(power_kw=3.0, rows=12)
        await still.service.fast.cycle()

    grid = TimeGrid(start_at=instant(begin_s), count=1)
    assert still.store.meters.read_completeness(grid)[:12, 0] == pytest.approx(np.ones(12))
    assert still.store.meters.read(grid)[:12, 0] == pytest.approx(np.full(12, 3.0))
    assert still.service.core.means.final_until_s == grid.end_s


async def test_a_request_that_begins_in_the_quarter_of_its_submission_is_settled_like_any_other(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    start_at = instant(still.clock.now_s() + 75.0)
    draft = replace(asked(still, 0.5), notice_class=NoticeClass.REALTIME, start_at=start_at)
    request, _ = await plant.submit(replace(draft, end_at=start_at + timedelta(minutes=15.0)), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    await still.clock.advance(start_at.timestamp() + 60.0)
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    await plant.cancel(request.id, actor="x", reason="enough")
    await still.clock.advance(request.draft.end_at.timestamp() + 7200.0)
    await still.cycle()
    await parts.settlement.settle_finished()

    assert parts.settlement._runs.failed == {}
    assert plant.request(request.id).state is RequestState.SETTLED


async def test_a_request_that_cannot_be_settled_is_named_and_delays_no_other(still: Still) -> None:
    put_in_force(still)
    plant, parts = still.service.plant, still.service.requests
    ids = []
    for hours in (0.0, 4.0):
        made = asked(still, 0.5)
        draft = replace(
            made, start_at=made.start_at + timedelta(hours=hours), end_at=made.end_at + timedelta(hours=hours)
        )
        request, _ = await plant.submit(draft, key=None, actor="x")
        await plant.accept(request.id, offer=None, actor="x")
        ids.append(request.id)
    for _ in range(40):
        await still.clock.advance(still.clock.now_s() + 600.0)
        still.report(power_kw=3.0, rows=12)
        await still.cycle()
    lost = parts.measurement.baselines.pop(ids[0])
    entry = parts.measurement._past.baselines.pop(ids[0])
    await parts.settlement.settle_finished()

    assert [plant.request(i).state for i in ids] == [RequestState.COMPLETED, RequestState.SETTLED]
    assert "no baseline" in str((plant.unsettled(ids[0]) or {})["cause"])
    assert ("settlement_failed", "set") in still.alarms()
    await still.cycle()
    assert still.value("vpp_requests_unsettled") == 1.0

    parts.measurement.baselines[ids[0]] = lost
    parts.measurement.noted(ids[0], entry)
    await still.clock.advance(still.clock.now_s() + 900.0)
    await parts.settlement.settle_finished()
    assert plant.request(ids[0]).state is RequestState.SETTLED
    assert plant.unsettled(ids[0]) is None


async def test_the_same_key_is_answered_even_before_the_first_plan(still: Still) -> None:
    plant = still.service.plant
    draft = asked(still, 5.0)
    put_in_force(still)
    first, _ = await plant.submit(draft, key="k", actor="x")
    still.service.plans.schedule = None
    again, created = await plant.submit(draft, key="k", actor="x")
    assert (again.id, created) == (first.id, False)
    with pytest.raises(ConflictError, match="there is no plan yet"):
        await plant.submit(draft, key="other", actor="x")
