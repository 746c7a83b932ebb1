"""A small plant in memory behind the real HTTP application."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge

from vpp.api.app import create_app
from vpp.application.delivery.official_results import OfficialResults
from vpp.application.standing.standing_service import StandingService
from vpp.bus.event_stream import EventStream
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError, UnknownIdError
from vpp.domain.event import StreamEvent
from vpp.domain.flexibility import Capability
from vpp.domain.health import DeviceHealth, RejectedValue, known_trouble
from vpp.domain.official_settlement import OfficialLine, OfficialResult, Reconciliation
from vpp.domain.performance import Baseline, IntervalResult, Performance, Settled, Shares
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.request import (
    BaselineMethod,
    BindingLimit,
    CounterOffer,
    Direction,
    DispatchRequest,
    Quote,
    QuoteCalibration,
    QuoteRecord,
    RequestDraft,
    RequestState,
    Revision,
    Transition,
    Verdict,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import ChargingSession, Promise
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.standing import AvailabilityDay, StandingCommitment, StandingTerms
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.trouble import Trouble, clock_words
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.members import change_plan
from vpp.fleet.members.changes import ChangeEffects, ChangeOutcome, FleetChange
from vpp.fleet.members.member_codec import FleetMember, kind_of
from vpp.fleet.members.tenure import FormerMember
from vpp.fleet.scope import Scope
from vpp.settlement.money.availability import availability_shares, settle_availability
from vpp.telemetry.table_gate import check_means

NOW = datetime(2026, 7, 15, 4, 0, tzinfo=UTC)
DAY = TimeGrid(start_at=datetime(2026, 7, 15, tzinfo=ZoneInfo("Asia/Shanghai")))


class _StandingClock:
    """Always shows noon in Shanghai."""

    def now(self) -> datetime:
        return NOW

    def now_s(self) -> float:
        return NOW.timestamp()

    async def sleep(self, seconds: float) -> None:
        """Return at once."""

    async def sleep_until(self, at_s: float) -> None:
        """Return at once."""

    def wall(self, seconds: float) -> float:
        return seconds


def small_fleet() -> FleetIndex:
    """Return two areas, a feeder over one transformer, two chargers and an inverter."""
    return FleetIndex(
        areas=(Area(id="pudong", name="Pudong"), Area(id="minhang", name="Minhang")),
        operators=(Operator(id="op-1", name="One"), Operator(id="op-2", name="Two")),
        transformers=(
            Transformer(id="feeder", area_id="pudong", limit_kw=100.0, export_limit_kw=50.0, base_load_kw=20.0),
            Transformer(id="tr-1", area_id="pudong", limit_kw=40.0, export_limit_kw=40.0, parent_id="feeder"),
        ),
        sites=(
            Site(id="mall", name="Mall", area_id="pudong", operator_id="op-1", transformer_id="tr-1"),
            Site(id="roof", name="Roof", area_id="minhang", operator_id="op-2", transformer_id="feeder"),
        ),
        resources=(
            _charger("mall/ev-1", "CS-1/1"),
            _charger("mall/ev-2", "CS-2/1"),
            Resource(
                id="roof-pv",
                site_id="roof",
                resource_class=ResourceClass.PV,
                adapter=Adapter.MODBUS,
                address="127.0.0.1:5020/1",
                p_min_kw=-30.0,
                p_max_kw=0.0,
            ),
        ),
    )


def _charger(identity: str, address: str) -> Resource:
    return Resource(
        id=identity,
        site_id="mall",
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=address,
        p_min_kw=0.0,
        p_max_kw=11.0,
        declared_up_kw=6.0,
    )


def snapshot(index: FleetIndex) -> FleetState:
    """Return a picture in which the first row charges, the second is unknown and the rest feed in."""
    n = len(index)
    unknown = np.full(n, np.nan)
    power_kw = np.where(np.arange(n) == 0, 11.0, -20.0)
    power_kw[1:2] = np.nan
    return FleetState(
        index=index,
        at_s=NOW.timestamp(),
        cycle=7,
        power_kw=power_kw,
        power_at_s=np.where(np.isnan(power_kw), np.nan, NOW.timestamp() - 5.0),
        quality=np.where(np.isnan(power_kw), 3, 0).astype(np.uint8),
        energy_kwh=unknown,
        soc=unknown,
        connected=~np.isnan(power_kw),
        plugged=np.arange(n) == 0,
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=unknown,
        need_kwh=unknown,
        departure_s=unknown,
        sheddable=np.ones(n, dtype=np.bool_),
    )


class _FakePlant:
    """Keeps what it is told and answers from it; a stand-in for the whole service."""

    def __init__(self) -> None:
        self.clock = _StandingClock()
        self.index = small_fleet()
        self.news = EventStream()
        self.imported: list[tuple[TimeGrid, tuple[str, ...], FloatArray]] = []
        self.actors: list[str] = []
        self.keys: list[str | None] = []
        self.checks = {"database": True, "plan": True}
        self.broken = False
        self.unreachable = False
        self.failed: Mapping[str, object] | None = None
        self.lost: Mapping[str, Sequence[str]] = {}
        self._official = OfficialResults(
            clock=cast(Any, self.clock), journal=cast(Any, self), settlement=cast(Any, self)
        )
        self._standing = StandingService(
            clock=cast(Any, self.clock),
            journal=cast(Any, self),
            gate=cast(Any, self),
            areas=lambda: {area.id for area in self.index.areas},
        )
        self._changes: list[FleetChange] = []
        self._requests: dict[str, DispatchRequest] = {}
        self._keys: dict[str, str] = {}
        self._sessions = {
            "CS-1/17:a": ChargingSession(id="CS-1/17:a", row=0, started_s=NOW.timestamp() - 600.0),
        }

    def fleet(self, **_scope: Scope) -> FleetState:
        if self.broken:
            raise RuntimeError("secret internals")
        return snapshot(self.index)

    def sessions(self, **_scope: Scope) -> Sequence[ChargingSession]:
        return list(self._sessions.values())

    def requests(self, **_scope: Scope) -> Sequence[DispatchRequest]:
        return list(reversed(self._requests.values()))

    def request(self, request_id: str, **_scope: Scope) -> DispatchRequest:
        if request_id not in self._requests:
            raise UnknownIdError("request", request_id)
        return self._requests[request_id]

    def losses(self, request_id: str, **_scope: Scope) -> Mapping[str, Sequence[str]]:
        del request_id
        return self.lost

    def unsettled(self, request_id: str, **_scope: Scope) -> Mapping[str, object] | None:
        del request_id
        return self.failed

    async def submit(
        self, draft: RequestDraft, *, key: str | None, actor: str, **_scope: Scope
    ) -> tuple[DispatchRequest, bool]:
        self.actors.append(actor)
        if key in self._keys:
            known = self._requests[self._keys[key]]
            if known.draft != draft:
                raise ConflictError(f"key {key!r} was used for another draft")
            return known, False
        self.index.in_area(draft.area)
        request = self._quoted(draft, key, actor)
        self._requests[request.id] = request
        if key is not None:
            self._keys[key] = request.id
        return request, True

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None, **_scope: Scope
    ) -> DispatchRequest:
        request = self.request(request_id)
        self.keys.append(key)
        if request.state is not RequestState.QUOTED or (offer or 0) > 0:
            raise ConflictError(f"request {request_id} is {request.state} and has one counter-offer")
        self.actors.append(actor)
        self._requests[request_id] = replace(request, state=RequestState.SCHEDULED, accepted_kw=request.draft.target_kw)
        return self._requests[request_id]

    async def cancel(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, **_scope: Scope
    ) -> DispatchRequest:
        request = self.request(request_id)
        self.keys.append(key)
        step = Transition(
            at=NOW, actor=actor, version=2, from_state=request.state, to_state=RequestState.CANCELLED, reason=reason
        )
        self._requests[request_id] = replace(request, state=RequestState.CANCELLED, history=(*request.history, step))
        return self._requests[request_id]

    async def revise(
        self,
        request_id: str,
        *,
        target_kw: float | None,
        end_at: datetime | None,
        actor: str,
        key: str | None,
        **_scope: Scope,
    ) -> tuple[Revision, bool]:
        request = self.request(request_id)
        if request.accepted_kw is None:
            raise ConflictError(f"request {request_id} is {request.state}")
        revision = Revision(
            number=len(request.revisions) + 1,
            asked_at=NOW,
            actor=actor,
            target_kw=target_kw or request.accepted_kw,
            end_at=end_at or request.draft.end_at,
            quote=_quote(request.draft),
            key=key,
        )
        self._requests[request_id] = replace(request, revisions=(*request.revisions, revision))
        return revision, True

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None, **_scope: Scope
    ) -> DispatchRequest:
        request = self.request(request_id)
        self.actors.append(actor)
        self.keys.append(key)
        done = replace(request.revisions[number - 1], accepted_at=NOW, accepted_kw=1.0)
        revisions = (*request.revisions[: number - 1], done, *request.revisions[number:])
        self._requests[request_id] = replace(request, revisions=revisions)
        return self._requests[request_id]

    async def decline(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, **_scope: Scope
    ) -> DispatchRequest:
        self.keys.append(key)
        return self._ended(request_id, RequestState.DECLINED, actor, reason)

    async def supersede(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, **_scope: Scope
    ) -> DispatchRequest:
        self.keys.append(key)
        return self._ended(request_id, RequestState.SUPERSEDED, actor, reason)

    def _ended(self, request_id: str, state: RequestState, actor: str, reason: str) -> DispatchRequest:
        request = self.request(request_id)
        step = Transition(at=NOW, actor=actor, version=2, from_state=request.state, to_state=state, reason=reason)
        self._requests[request_id] = replace(request, state=state, history=(*request.history, step))
        return self._requests[request_id]

    def performance(self, request_id: str, **_scope: Scope) -> Performance | None:
        request = self.request(request_id)
        return None if request.accepted_kw is None else _performance(request)

    def progress(self, request_id: str, **_scope: Scope) -> Mapping[str, float] | None:
        accepted_kw = self.request(request_id).accepted_kw
        return None if accepted_kw is None else {"target_kw": accepted_kw, "delivered_kw": float("nan")}

    def settlements(self, **_scope: Scope) -> Sequence[Settled]:
        return [
            Settled(request_id=f"r{n}", at_s=NOW.timestamp() - 60.0 * n, shares=_performance(request).shares)
            for n, request in enumerate(self.requests(), 1)
        ]

    def append(self, *_: object) -> int:
        return 0

    async def flush(self) -> None:
        """Keep nothing."""

    def settled(self) -> Sequence[Settled]:
        return self.settlements()

    async def require(self) -> None:
        """Let every commitment pass."""

    async def made(self) -> None:
        """Have nobody vouch."""

    def standing_commitments(self, **_scope: Scope) -> Sequence[StandingCommitment]:
        return self._standing.all()

    def standing_commitment(self, commitment_id: str, **_scope: Scope) -> StandingCommitment:
        return self._standing.get(commitment_id)

    async def enter_standing(
        self, terms: StandingTerms, *, key: str | None, actor: str, **_scope: Scope
    ) -> tuple[StandingCommitment, bool]:
        self.actors.append(actor)
        return await self._standing.enter(terms, key=key, actor=actor)

    def standing_availability(self, commitment_id: str, **_scope: Scope) -> Sequence[AvailabilityDay]:
        commitment = self._standing.get(commitment_id)
        amounts = settle_availability([commitment.terms.power_kw, 0.0], 0.25, commitment.terms)
        shares = availability_shares(
            amounts, operator_ids=["op-1", "op-2"], site_ids=["mall", "yard"], kept_kwh=np.array([3.0, 1.0])
        )
        return [
            AvailabilityDay(
                commitment_id=commitment_id,
                day=NOW.date(),
                starts_at=(NOW, NOW),
                available_kw=(commitment.terms.power_kw, 0.0),
                amounts_cny=amounts,
                shares=shares,
            )
        ]

    async def end_standing(self, commitment_id: str, *, actor: str, **_scope: Scope) -> StandingCommitment:
        return await self._standing.end(commitment_id, actor=actor)

    async def take_official(
        self, request_id: str, *, source: str, lines: Sequence[OfficialLine], **_scope: Scope
    ) -> tuple[OfficialResult, bool]:
        self.request(request_id)
        return await self._official.take(request_id, source=source, lines=lines)

    def official(self, request_id: str, version: int | None, **_scope: Scope) -> Reconciliation:
        settled = next((one for one in self.settlements() if one.request_id == request_id), None)
        if settled is None:
            raise UnknownIdError("settlement", request_id)
        return self._official.compared(request_id, settled, version)

    def commands(self, **_scope: Scope) -> Mapping[str, int]:
        return {"sent": 4, "confirmed": 4, "unaccounted": 0}

    def capability(self, area: str, direction: Direction, day: date, **_scope: Scope) -> Capability:
        self.index.in_area(area)
        start_at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Shanghai"))
        grid = TimeGrid(start_at=instant(start_at.timestamp()))
        value = np.full(grid.count, 12.0 if direction is Direction.UP else 3.0)
        return Capability(
            area_id=area,
            direction=direction.value,
            grid=grid,
            connected_kw=value,
            declared_kw=value,
            verified_kw=np.full(grid.count, np.nan),
            available_kw=value,
            ramp_kw_per_min=np.full(grid.count, np.inf),
            sustain_minutes=value,
        )

    def quote_calibration(self, **_scope: Scope) -> QuoteCalibration:
        record = QuoteRecord(
            area="pudong",
            direction=Direction.UP,
            notice="1h",
            block="18-24",
            windows=412,
            kept_ratio=(0.91, float("nan"), 0.11),
            since_at=NOW,
            learnt=True,
        )
        return QuoteCalibration(records=(record,), left_out={"under_dispatch": 3})

    def schedule(self, **_scope: Scope) -> Schedule:
        grid = TimeGrid(start_at=NOW)
        power_kw = np.array([[5.0], [6.0], [-7.0]]) * np.ones(grid.count)
        return Schedule(
            grid=grid,
            power_kw=power_kw,
            rung=Rung.PREVIOUS,
            objective_cny=float("nan"),
            gap_ratio=0.01,
            solve_s=1.0,
            reason="solver was late",
            overload_kw={},
        )

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
        **_caller: object,
    ) -> None:
        self.index = self.index.extended(
            areas=[a for a in areas if a not in self.index.areas],
            operators=[o for o in operators if o not in self.index.operators],
            transformers=[t for t in transformers if t not in self.index.transformers],
            sites=[s for s in sites if s not in self.index.sites],
            resources=[r for r in resources if r not in self.index.resources],
        )

    async def put_member(self, member: FleetMember, *, actor: str, **how: Any) -> ChangeOutcome:  # noqa: ANN401 - as the port
        plan = partial(change_plan.put, self.index, member, at_s=NOW.timestamp(), actor=actor)
        return self._made(plan, kind_of(member).name, member.id, **how)

    async def retire_member(self, kind: str, identity: str, *, actor: str, **how: Any) -> ChangeOutcome:  # noqa: ANN401 - as the port
        change_plan.find(self.index, kind, identity)
        plan = partial(change_plan.retire, self.index, kind, identity, at_s=NOW.timestamp(), actor=actor)
        return self._made(plan, kind, identity, **how)

    async def member_history(self, kind: str, identity: str, **_scope: Scope) -> Sequence[FormerMember]:
        change_plan.find(self.index, kind, identity)
        return [
            FormerMember(member=one.old, until_s=change.at_s, actor=change.actor)
            for change in self._changes
            for one in change.members
            if one.old is not None and (one.kind, one.old.id) == (kind, identity)
        ]

    def _made(
        self,
        plan: Callable[[], FleetChange],
        kind: str,
        identity: str,
        *,
        version: int | None = None,
        dry_run: bool = False,
        **_scope: Scope,
    ) -> ChangeOutcome:
        change_plan.check_version(self.index, kind, identity, version)
        change = plan()
        after = change.applied(self.index)
        if not dry_run:
            self.index = after
            self._changes.append(change)
        effects = ChangeEffects(devices=len(change.leaving))
        stands = change_plan.version_of(self.index, kind, identity)
        return ChangeOutcome(change=change, effects=effects, dry_run=dry_run, stands=stands)

    async def promise(self, session_id: str, promise: Promise, **_scope: Scope) -> ChargingSession:
        if session_id not in self._sessions:
            raise UnknownIdError("session", session_id)
        self._sessions[session_id] = replace(self._sessions[session_id], promise=promise)
        return self._sessions[session_id]

    async def import_meters(
        self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray, **_scope: Scope
    ) -> int:
        rows = np.array([self.index.row_of[name] for name in resource_ids], dtype=np.int32)
        check_means(self.index, grid, rows, mean_kw, now_s=NOW.timestamp())
        self.imported.append((grid, tuple(resource_ids), mean_kw))
        return int(np.isfinite(mean_kw).sum())

    def card(self, resource_id: str, **_scope: Scope) -> Mapping[str, object]:
        return {
            "row": self.index.row_of[resource_id],
            "latency_s": np.float64(1.5),
            "verified_up_kw": float("nan"),
            "tested_at": NOW,
        }

    async def device_schedule(self, resource_id: str, duration_s: int, **_scope: Scope) -> DeviceSchedule:
        if self.unreachable:
            raise DeviceUnreachableError("CS-1 did not answer")
        if resource_id not in self.index.row_of:
            raise UnknownIdError("resource", resource_id)
        if self.index.row_of[resource_id]:
            raise ConflictError("a device of adapter modbus cannot be asked for its schedule")
        power_kw = (11.0, -3.0, float("nan"))
        return DeviceSchedule(start_s=NOW.timestamp(), offsets_s=(0.0, 900.0, float(duration_s)), power_kw=power_kw)

    def health(self, resource_id: str, **_scope: Scope) -> DeviceHealth:
        if self.index.row_of[resource_id]:
            return DeviceHealth()
        details = {Trouble.CLOCK_OFF: clock_words(300.0)}
        return DeviceHealth(
            troubles=(known_trouble(Trouble.CLOCK_OFF, NOW.timestamp() - 60.0, details),),
            last_rejected=RejectedValue(
                quantity=Quantity.POWER_KW, kind="range", value=7000.0, nameplate_kw=11.0, age_s=12.0, ahead_s=0.0
            ),
        )

    def rows_with(self, trouble: Trouble, **_scope: Scope) -> BoolArray:
        return (np.arange(len(self.index)) == 0) & (trouble is Trouble.CLOCK_OFF)

    def troubles(self, **_scope: Scope) -> Mapping[Trouble, int]:
        return {Trouble.CLOCK_OFF: 1}

    def events(self, *, after: int | None, **_scope: Scope) -> AsyncIterator[StreamEvent]:
        return self.news.subscribe(after)

    def refused_connections(self, **_scope: Scope) -> Sequence[RefusedConnection]:
        """Return one id over and over."""
        return [
            RefusedConnection(
                adapter="ocpp",
                identity=f"CS-{n}",
                peer="192.0.2.7",
                reason="unknown_station",
                first_s=NOW.timestamp(),
                last_s=NOW.timestamp() + n,
                count=n + 1,
            )
            for n in range(3)
        ]

    def ready(self) -> Mapping[str, bool]:
        return self.checks

    def _quoted(self, draft: RequestDraft, key: str | None, actor: str) -> DispatchRequest:
        return DispatchRequest(
            id=f"r{len(self._requests) + 1}",
            draft=draft,
            state=RequestState.QUOTED,
            created_at=NOW,
            idempotency_key=key,
            quote=_quote(draft),
            history=(
                Transition(
                    at=NOW, actor=actor, version=1, from_state=None, to_state=RequestState.QUOTED, reason="quoted"
                ),
            ),
        )


def _quote(draft: RequestDraft) -> Quote:
    return Quote(
        verdict=Verdict.PARTIAL,
        interval_starts_at=(draft.start_at,),
        deliverable_p10_kw=(1.0,),
        deliverable_p50_kw=(2.0,),
        deliverable_p90_kw=(3.0,),
        max_hold_minutes=float("inf"),
        ramp_kw_per_min=0.5,
        rebound_kw=(0.25,),
        cost_cny=9.0,
        limits=(BindingLimit(name="feeder", kw=2.0, from_at=draft.start_at, until_at=draft.end_at),),
        counter_offers=(CounterOffer(kind="less_power", target_kw=2.0, start_at=draft.start_at, end_at=draft.end_at),),
        promises_broken=0,
        expires_at=NOW + timedelta(minutes=5),
    )


def _performance(request: DispatchRequest) -> Performance:
    return Performance(
        request_id=request.id,
        issued_at=NOW,
        intervals=(
            IntervalResult(
                start_at=request.draft.start_at,
                phase="hold",
                target_kw=2.0,
                baseline_kw=5.0,
                measured_kw=3.0,
                delivered_kw=2.0,
                accuracy_ratio=float("nan"),
                good_ratio=1.0,
            ),
        ),
        accuracy_ratio=0.99,
        worst_interval_accuracy_ratio=0.98,
        delivered_mean_kw=2.0,
        energy_kwh=2.0,
        ramp_minutes=float("nan"),
        rebound_peak_kw=0.0,
        rebound_energy_kwh=0.0,
        good_ratio=1.0,
        baseline=Baseline(
            grid=DAY,
            power_kw=np.zeros((3, DAY.count)),
            methods={"ev": BaselineMethod.METER_BEFORE},
            reference_days=("2026-07-14",),
            excluded_days=(("2026-07-12", "Sunday"),),
            adjustment_ratio={"ev": 1.1},
            input_sha256="0" * 64,
        ),
        spread_kw={"meter_before": 2.0},
        settlement_cny={"energy": 1.0},
        shares=Shares(
            operator_ids=("op-1", "op-2", "op-1"),
            site_ids=("mall", "roof", "yard"),
            energy_kwh=np.array([0.5, 0.25, 1.25]),
            settlement_fen={"energy": np.array([25, 13, 62])},
            delivered_kw=np.array([[0.5], [0.25], [1.25]]),
        ),
    )


def _application(token: str | None = None) -> FastAPI:
    """Return the real application around a fake plant that each test replaces by its own."""
    registry = CollectorRegistry()
    Gauge("vpp_target_kw", "Target.", registry=registry).set(5.0)

    def report(request_id: str, _scope: Scope) -> tuple[str, dict[str, object]]:
        if app.state.service.request(request_id).accepted_kw is None:
            raise ConflictError(f"request {request_id} is not accepted yet")
        return f"<h1>{request_id}</h1>", {"request_id": request_id, "ramp_minutes": float("nan")}

    plant = _FakePlant()
    app = create_app(plant, plant, metrics=registry, report=report, version="1.2.3", token=token)
    return app


@pytest.fixture(scope="session")
def open_app() -> FastAPI:
    return _application()


@pytest.fixture(scope="session")
def guarded_app() -> FastAPI:
    return _application(token="s3cret")  # noqa: S106 - a test's own


@pytest.fixture
def plant(open_app: FastAPI, guarded_app: FastAPI) -> _FakePlant:
    plant = _FakePlant()
    for app in (open_app, guarded_app):
        app.state.service = app.state.administration = plant
    return plant


@pytest.fixture
async def client(open_app: FastAPI, plant: _FakePlant) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - a new one
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=open_app), base_url="http://vpp") as client:
        yield client


@pytest.fixture
async def guarded(guarded_app: FastAPI, plant: _FakePlant) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - a new one
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guarded_app), base_url="http://vpp") as client:
        yield client
