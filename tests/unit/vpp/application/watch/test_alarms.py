"""Alarms: raised once when a condition begins, cleared once when it ends."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from vpp.application.watch.alarms import Alarms
from vpp.dispatch.engine import CycleResult, Progress
from vpp.dispatch.requests.phases import Phase
from vpp.domain.event import StreamEvent
from vpp.domain.request import Shortfall
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import ChargingSession, Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

AT_S = 1_784_088_000.0
COUNT = 20
CAR = 0
V2G = 1


@dataclass
class Board:
    """News that are only kept."""

    events: list[StreamEvent] = field(default_factory=list)

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> StreamEvent:
        """Keep an event."""
        event = StreamEvent(number=len(self.events) + 1, kind=kind, at_s=at_s, body=body)
        self.events.append(event)
        return event

    def subscribe(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """Refuse: nobody listens here."""
        raise NotImplementedError(after)

    def told(self) -> list[tuple[object, object]]:
        """Return name and state of every alarm so far."""
        assert {event.kind for event in self.events} <= {"alarm"}
        return [(event.body["alarm"], event.body["state"]) for event in self.events]


def fleet(count: int = COUNT) -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(id="root", area_id="a", limit_kw=100.0, export_limit_kw=50.0),
            Transformer(id="leaf", area_id="a", limit_kw=40.0, export_limit_kw=0.0, parent_id="root"),
        ),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="leaf"),),
        resources=tuple(
            Resource(
                id=f"r{row}",
                site_id="s",
                resource_class=ResourceClass.V2G if row == V2G else ResourceClass.EV,
                adapter=Adapter.OCPP,
                address=f"r{row}",
                p_min_kw=-7.0 if row == V2G else 0.0,
                p_max_kw=7.0,
                capacity_kwh=60.0,
            )
            for row in range(count)
        ),
    )


def picture(*, connected: int = COUNT, count: int = COUNT, need_kwh: FloatArray | None = None) -> FleetState:
    index, nothing = fleet(count), np.full(count, np.nan)
    return FleetState(
        index=index,
        at_s=AT_S,
        cycle=1,
        power_kw=np.zeros(count),
        power_at_s=np.full(count, AT_S),
        quality=np.zeros(count, dtype=np.uint8),
        energy_kwh=nothing,
        soc=nothing,
        connected=np.arange(count) < connected,
        plugged=np.ones(count, dtype=np.bool_),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=nothing,
        need_kwh=nothing if need_kwh is None else need_kwh,
        departure_s=nothing,
        sheddable=np.ones(count, dtype=np.bool_),
    )


def result(*progress: Progress, load_kw: tuple[float, float] = (0.0, 0.0)) -> CycleResult:
    none = np.zeros(0, dtype=np.int64)
    return CycleResult(
        batch=SetpointBatch(
            ids=none,
            rows=none.astype(np.int32),
            layers=none.astype(np.uint8),
            power_kw=none.astype(np.float64),
            until_s=none.astype(np.float64),
            epoch=1,
        ),
        progress=progress,
        transitions=(),
        transformer_load_kw=np.array(load_kw),
        transformer_expected_kw=np.array(load_kw),
        own_kw=np.full(COUNT, np.nan),
        capped_rows=0,
        unrestored_rows=0,
    )


def standing(shortfall: Shortfall | None) -> Progress:
    return Progress(
        request_id="req-1",
        phase=Phase.HOLDING,
        target_kw=100.0,
        measured_kw=0.0,
        baseline_kw=80.0,
        delivered_kw=80.0,
        error_ratio=-0.2,
        shortfall=shortfall,
        rows=3,
    )


def plan(rung: Rung, reason: str = "") -> Schedule:
    return Schedule(
        grid=TimeGrid(start_at=instant(AT_S)),
        power_kw=np.zeros((COUNT, 96)),
        rung=rung,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.1,
        reason=reason,
        overload_kw={},
    )


@dataclass
class Bench:
    """Alarms with what they tell to."""

    board: Board
    metrics: Metrics
    alarms: Alarms

    def take(
        self,
        outcome: CycleResult | None = None,
        *,
        state: FleetState | None = None,
        schedule: Schedule | None = None,
        ended: tuple[ChargingSession, ...] = (),
    ) -> None:
        """Let a cycle pass."""
        self.alarms.follow(state or picture(), outcome or result(), schedule=schedule, ended=ended)

    def counted(self, name: str) -> float | None:
        """Return a metric."""
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def bench() -> Bench:
    board, metrics = Board(), Metrics("1")
    return Bench(board, metrics, Alarms(board, metrics))


def logged(lines: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"], line["alarm"]) for line in lines]


def test_a_shortfall_is_told_when_it_begins_and_when_it_ends_with_kw_and_cause(bench: Bench) -> None:
    flag = Shortfall(missing_kw=20.0, cause="3 ev disconnected", expected_end_at=None)
    with capture_logs() as lines:
        for now in (None, flag, flag, replace(flag, missing_kw=25.0), None, None):
            bench.take(result(standing(now)))

    assert bench.board.told() == [("shortfall", "set"), ("shortfall", "cleared")]
    assert bench.board.events[0].body == {
        "alarm": "shortfall",
        "state": "set",
        "request_id": "req-1",
        "missing_kw": 20.0,
        "cause": "3 ev disconnected",
    }
    assert logged(lines) == [("alarm raised", "shortfall"), ("alarm cleared", "shortfall")]


def test_a_shortfall_of_a_request_that_runs_no_more_is_cleared(bench: Bench) -> None:
    bench.take(result(standing(Shortfall(missing_kw=20.0, cause="", expected_end_at=None))))
    bench.take(result())
    assert bench.board.told() == [("shortfall", "set"), ("shortfall", "cleared")]


def test_a_cap_that_is_exceeded_is_counted_and_named_once_until_it_is_held_again(bench: Bench) -> None:
    for leaf_kw in (39.0, 40.1, 40.5, 42.0, 40.1, 39.0, 41.0):
        bench.take(result(load_kw=(50.0, leaf_kw)))

    assert bench.board.told() == [("cap_exceeded", "set"), ("cap_exceeded", "cleared"), ("cap_exceeded", "set")]
    assert bench.board.events[0].body["transformer_id"] == "leaf"
    assert bench.board.events[0].body["limit_kw"] == 40.0
    assert bench.counted("vpp_cap_violations_total") == 2


def test_export_runs_against_its_own_limit(bench: Bench) -> None:
    bench.take(result(load_kw=(-49.0, -5.0)))
    assert [event.body["transformer_id"] for event in bench.board.events] == ["leaf"]
    assert bench.counted("vpp_cap_violations_total") == 1


def test_an_adapter_is_lost_once_more_than_a_tenth_of_its_devices_are_away(bench: Bench) -> None:
    for connected in (3, 15, 20, 18, 17, 10, 18, 20):
        bench.take(state=picture(connected=connected))

    assert bench.board.told() == [("adapter_lost", "set"), ("adapter_lost", "cleared")]
    body = bench.board.events[0].body
    assert (body["adapter"], body["connected"], body["registered"]) == ("ocpp", 17, 20)


def test_devices_that_were_just_registered_are_given_time_to_connect(bench: Bench) -> None:
    bench.take(state=picture())
    bench.take(state=picture(count=30, connected=20))
    bench.take(state=picture(count=30, connected=24))
    assert not bench.board.events
    bench.take(state=picture(count=30, connected=30))
    bench.take(state=picture(count=30, connected=20))
    assert bench.board.told() == [("adapter_lost", "set")]


def test_a_plan_that_falls_back_is_told_with_its_rung_and_reason(bench: Bench) -> None:
    late = plan(Rung.PREVIOUS, "the solver was late")
    for schedule in (None, plan(Rung.OPTIMAL), late, late, plan(Rung.SAFE_DEFAULT, "twice"), plan(Rung.OPTIMAL)):
        bench.take(schedule=schedule)

    assert bench.board.told() == [("plan_fell_back", "set"), ("plan_fell_back", "set"), ("plan_fell_back", "cleared")]
    assert bench.board.events[0].body["rung"] == "previous"
    assert bench.board.events[0].body["reason"] == "the solver was late"


def session(*, row: int = CAR, delivered_kwh: float, stayed_s: float) -> ChargingSession:
    return ChargingSession(
        id=f"st/{row}",
        row=row,
        started_s=AT_S - 7200.0,
        promise=Promise(energy_kwh=10.0, departure_s=AT_S),
        delivered_kwh=delivered_kwh,
        ended_s=AT_S + stayed_s,
    )


@pytest.mark.parametrize(
    ("delivered_kwh", "stayed_s", "broken"),
    [(9.7, 0.0, 1), (9.7, -0.9, 1), (9.7, 600.0, 1), (9.7, -60.0, 0), (9.85, 0.0, 0), (np.nan, 0.0, 0)],
)
def test_a_promise_is_broken_if_a_car_that_stayed_left_with_less(
    bench: Bench, delivered_kwh: float, stayed_s: float, broken: int
) -> None:
    bench.take(ended=(session(delivered_kwh=delivered_kwh, stayed_s=stayed_s),))
    bench.take()

    assert bench.counted("vpp_promises_broken_total") == broken
    assert [event.body["session_id"] for event in bench.board.events] == ["st/0"] * broken


def test_a_broken_promise_says_whether_a_transformer_took_from_it(bench: Bench) -> None:
    for rows, expected in (([CAR], True), ([], False)):
        bench.take(replace(result(), below_promise=np.array(rows, dtype=np.int32)))
        bench.take(ended=(session(delivered_kwh=5.0, stayed_s=0.0),))
        assert bench.board.events[-1].body["for_transformer"] is expected


def test_a_transformer_that_took_from_a_car_as_it_left_took_nothing_from_the_next_one(bench: Bench) -> None:
    gone = session(delivered_kwh=5.0, stayed_s=0.0)
    bench.take(replace(result(), below_promise=np.array([CAR], dtype=np.int32)), ended=(gone,))
    bench.take(ended=(gone,))
    assert [event.body["for_transformer"] for event in bench.board.events] == [True, False]


def test_a_car_that_also_fed_in_is_judged_by_its_charge_not_by_its_register(bench: Bench) -> None:
    need = np.full(COUNT, np.nan)
    need[[CAR, V2G]] = 3.0, 3.0
    bench.take(state=picture(need_kwh=need))
    bench.take(ended=(session(row=V2G, delivered_kwh=14.0, stayed_s=0.0), session(delivered_kwh=10.0, stayed_s=0.0)))

    assert bench.counted("vpp_promises_broken_total") == 1
    assert bench.board.events[0].body["session_id"] == "st/1"
    assert bench.board.events[0].body["lacking_kwh"] == 3.0


@pytest.mark.parametrize(("need_kwh", "broken"), [(3.0, 1), (0.0, 0), (np.nan, 0)])
def test_an_end_without_a_register_is_judged_by_the_last_picture(bench: Bench, need_kwh: float, broken: int) -> None:
    bench.take(state=picture(need_kwh=np.where(np.arange(COUNT) == CAR, need_kwh, np.nan)))
    bench.take(ended=(session(delivered_kwh=np.nan, stayed_s=0.0),))
    assert bench.counted("vpp_promises_broken_total") == broken


def test_a_session_ends_once_however_often_it_is_told() -> None:
    ingest = Ingest(ProcessImage(fleet()), QualityRules())
    end = SessionEnded(session_id="st/7", row=3, at_s=AT_S, meter_kwh=109.0)
    ingest.session(SessionStarted(session_id="st/7", row=3, at_s=AT_S - 3600.0, meter_kwh=100.0))
    ingest.session(SessionPromised(session_id="st/7", promise=Promise(energy_kwh=10.0, departure_s=AT_S)))
    for event in (end, end, replace(end, session_id="st/never")):
        ingest.session(event)

    (ended,) = ingest.ended()
    assert (ended.id, ended.delivered_kwh, ended.ended_s) == ("st/7", 9.0, AT_S)
    assert ended.promise is not None
    assert ingest.ended() == []


def test_a_clock_that_was_set_is_told_once_counted_and_cleared() -> None:
    board, metrics = Board(), Metrics("test")
    alarms = Alarms(board, metrics)
    alarms.clock_stepped(AT_S, -3600.0)
    shown = metrics.registry.get_sample_value
    assert (shown("vpp_clock_ahead_seconds"), shown("vpp_clock_steps_total")) == (-3600.0, 1.0)
    alarms.clock_stepped(AT_S + 60.0, 0.0)
    assert board.told() == [("clock_step", "set"), ("clock_step", "cleared")]
    assert (shown("vpp_clock_ahead_seconds"), shown("vpp_clock_steps_total")) == (0.0, 1.0)


def test_meters_that_fall_silent_are_told_once_and_cleared(bench: Bench) -> None:
    for silent in ({}, {"ocpp": 2}, {"ocpp": 9}, {"ocpp": 9}, {"ocpp": 3}, {"ocpp": 1}):
        bench.alarms.follow(picture(), result(), schedule=None, ended=(), silent=silent)
    told = [(name, state) for name, state in bench.board.told() if name == "meters_stale"]
    assert told == [("meters_stale", "set"), ("meters_stale", "cleared")]
