"""The whole service behind one face: what the API and the console can see and ask (`vpp.ports.Plant`)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import structlog

from vpp.application.loops.aftermath import Aftermath
from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.loops.fast_loop import FastLoop
from vpp.application.loops.slow_loop import SlowLoop
from vpp.application.requests.capability_declaration import CapabilityDeclaration
from vpp.application.requests.request_service import RequestService, progress_body
from vpp.application.watch.alarms import Alarms
from vpp.application.watch.calendar_watch import CalendarWatch
from vpp.application.watch.device_troubles import DeviceTroubles, labels_of
from vpp.application.watch.service_watch import ServiceWatch
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.domain.daytype import DayCalendar
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.event import StreamEvent
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.flexibility import Capability
from vpp.domain.health import DeviceHealth
from vpp.domain.holidays import CHINA
from vpp.domain.performance import Performance
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import Direction, DispatchRequest, Product, RequestDraft, Revision
from vpp.domain.resource import Resource
from vpp.domain.schedule import Schedule
from vpp.domain.session import ChargingSession, Promise, SessionPromised, check_promise
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.trouble import Trouble
from vpp.ports import Clock, IntervalMemory, Journal, News, Registry
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.gate import check_means
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import MeteredMeans
from vpp.telemetry.verdict import Verdict

_log = structlog.get_logger(__name__)
Thing = TypeVar("Thing", Area, Operator, Transformer, Site, Resource)
CONNECTED = "fleet.connected"
_INGEST = "ingest"
"""Label of what the service kept out itself, beside those of the adapters."""
_ALWAYS_SHOWN = MappingProxyType({("ocpp", "unauthorized"): 0, ("ocpp", "crash"): 0})
"""Counts that an alert watches: one that appears at 25 has not risen for it."""
_IMPORT_CELLS = 4_000_000
"""Values of whole frames that one part of an import may hold."""
_FLEET_NEWS_CYCLES = 6
"""How many cycles lie between two pictures of the fleet on the event stream."""


def _added(field: str, before: Sequence[Thing], asked: Sequence[Thing]) -> list[Thing]:
    """Return what is not there yet; the same thing again is no addition, another of the same id is an error."""
    known = {thing.id: thing for thing in before}
    for thing in asked:
        # By their text: a NaN that was read twice is not equal to itself.
        if thing.id in known and repr(known[thing.id]) != repr(thing):
            raise InputError(f"{field}.id", thing.id, "an id that is not taken yet, or exactly what it stands for")
    return [thing for thing in asked if thing.id not in known]


class VirtualPowerPlant:
    """Owns the loops' shared parts and offers them to the edges.

    See `vpp.ports.Plant` and `vpp.ports.RegulationPlant` for the methods.

    Args:
        scraped: Somebody reads the metrics, so what takes long to show, every area's capacity, is worth it.
        calendar: Whose end is told before it comes.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        image: ProcessImage,
        ingest: Ingest,
        means: MeteredMeans,
        plane: DevicePlane,
        engine: DispatchEngine,
        registry: Registry,
        meters: IntervalMemory,
        journal: Journal,
        durability: Durability,
        news: News,
        metrics: Metrics,
        scraped: bool = True,
        calendar: DayCalendar = CHINA,
    ) -> None:
        self.clock = clock
        self.desk: RequestService
        self.fast: FastLoop
        self.slow: SlowLoop
        self._image = image
        self._ingest = ingest
        self._means = means
        self._plane = plane
        self._engine = engine
        self._registry = registry
        self._meters = meters
        self._journal = journal
        self._durability = durability
        self._news = news
        self._metrics = metrics
        self._alarms = Alarms(news, metrics)
        self.watch = ServiceWatch(durability, self._alarms, metrics)
        self._troubles = DeviceTroubles()
        self._aftermath = Aftermath()
        self._days = CalendarWatch(calendar, news, metrics)
        for adapter, age_wall_s in plane.pollers().items():
            metrics.watch_poller(adapter, age_wall_s)
        self._declarations = CapabilityDeclaration(lambda: self.slow, lambda: self.desk, metrics, scraped=scraped)
        self._growing = asyncio.Lock()

    def fleet(self) -> FleetState:
        """Return the latest snapshot."""
        return self.fast.state

    def sessions(self) -> Sequence[ChargingSession]:
        """Return the sessions of plugged-in cars."""
        return self._image.sessions.all(self.fast.state.energy_kwh)

    def requests(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        return self._engine.book.all()

    def request(self, request_id: str) -> DispatchRequest:
        """Return one request."""
        return self._engine.book.get(request_id)

    def progress(self, request_id: str) -> Mapping[str, float] | None:
        """Return target, baseline, measured and delivered kW of a running request."""
        progress = self.desk.progress.get(request_id)
        return None if progress is None else progress_body(progress)

    def losses(self, request_id: str) -> Mapping[str, Sequence[str]]:
        """Return the enlisted resources that cannot be called now, by reason."""
        progress = self.desk.progress.get(request_id)
        resources = self._image.index.resources
        lost = {} if progress is None else progress.lost
        return {why: [resources[row].id for row in rows.tolist()] for why, rows in lost.items()}

    def unsettled(self, request_id: str) -> Mapping[str, object] | None:
        """Return why a request that is over could not be settled."""
        failed = self.desk.clearing.failed.get(request_id)
        return None if failed is None else failed.body()

    async def submit(self, draft: RequestDraft, *, key: str | None, actor: str) -> tuple[DispatchRequest, bool]:
        """Take a request and quote it."""
        return await self.desk.submit(draft, key=key, actor=actor)

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Commit to the quote or a counter-offer; not while a crash would forget it."""
        self._durability.require()
        return await self.desk.accept(request_id, offer=offer, actor=actor, key=key)

    async def cancel(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Stop safely at any time."""
        return await self.desk.cancel(request_id, actor=actor, reason=reason, key=key)

    async def revise(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, actor: str, key: str | None
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed request."""
        return await self.desk.revise(request_id, target_kw=target_kw, end_at=end_at, actor=actor, key=key)

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Put a change in force."""
        return await self.desk.accept_revision(request_id, number, actor=actor, key=key)

    async def decline(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Turn a quote down."""
        return await self.desk.decline(request_id, actor=actor, reason=reason, key=key)

    async def supersede(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release."""
        return await self.desk.supersede(request_id, actor=actor, reason=reason, key=key)

    def performance(self, request_id: str) -> Performance | None:
        """Return the measurement of a request."""
        return self.desk.performance(request_id)

    async def take_signal(self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str) -> int:
        """Take values of a regulation signal; durable before this returns."""
        self._durability.require()
        desk = self._engine.regulation.desk
        with self._counting_refusals("signal"):
            new = desk.take(request_id, at_s, signal, unit=unit, now_s=self.clock.now_s())
        await self._journal.flush()
        return new

    def regulation(self, request_id: str) -> RegulationStanding:
        """Return how a request for regulation stands."""
        return self._engine.regulation.desk.standing(request_id, self.clock.now_s())

    def capability(self, area: str, direction: Direction, day: date) -> Capability:
        """Return the 96 points of ``day`` in Asia/Shanghai; takes seconds after a new plan: call it in a thread."""
        return self._declarations.capability(self.fast.state, area, direction, day)

    def schedule(self) -> Schedule:
        """Return the plan in force."""
        if self.slow.schedule is None:
            raise ConflictError("there is no plan yet; the first follows the first connected devices")
        return self.slow.schedule

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
    ) -> None:
        """Add to the fleet, all or nothing."""
        async with self._growing:
            before = self._image.index
            after = before.extended(
                areas=_added("areas", before.areas, areas),
                operators=_added("operators", before.operators, operators),
                transformers=_added("transformers", before.transformers, transformers),
                sites=_added("sites", before.sites, sites),
                resources=_added("resources", before.resources, resources),
            )
            if after == before:
                return
            self._plane.check(after)
            await asyncio.to_thread(self._registry.add, before, after)
            self._grow(after)
            await self._journal.flush()

    async def promise(self, session_id: str, promise: Promise) -> ChargingSession:
        """Record a driver's wish."""
        self._image.sessions.find(session_id)
        now_s = self.clock.now_s()
        with self._counting_refusals("promise"):
            check_promise(promise, now_s)
            if promise.departure_s <= now_s:
                raise InputError("departure_at", instant(promise.departure_s).isoformat(), "an instant in the future")
        self._ingest.session(SessionPromised(session_id=session_id, promise=promise))
        return self._image.sessions.find(session_id)

    async def import_meters(self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray) -> int:
        """Store metered 15-minute means of some resources, all or none; what cannot be is refused by the gate."""
        index = self._image.index
        unknown = next((i for i in resource_ids if i not in index.row_of), None)
        if unknown is not None:
            raise UnknownIdError("resource", unknown)
        rows = np.array([index.row_of[i] for i in resource_ids], dtype=np.int32)
        with self._counting_refusals("history"):
            await asyncio.to_thread(check_means, index, grid, rows, mean_kw, now_s=self.clock.now_s())
        count = await asyncio.to_thread(self._import, grid, rows, mean_kw)
        self.slow.fleet_changed()
        return count

    @contextmanager
    def _counting_refusals(self, door: str) -> Iterator[None]:
        """Count what is refused for what it says, by the door it came to."""
        try:
            yield
        except InputError:
            self._metrics.count_import_rejected(door)
            raise

    def _import(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Store means a part at a time: every interval touched is a frame of the whole fleet in memory."""
        length, count = max(_IMPORT_CELLS // max(len(self._image.index), 1), 1), 0
        for first in range(0, grid.count, length):
            part = mean_kw[:, first : first + length]
            known = np.flatnonzero(~np.isnan(part).all(axis=0))
            if len(known):
                begin, end = int(known[0]), int(known[-1]) + 1
                start_s = grid.start_s + grid.step_s * (first + begin)
                some = TimeGrid(start_at=instant(start_s), step_s=grid.step_s, count=end - begin)
                count += self._meters.import_rows(some, rows, part[:, begin:end])
        return count

    def card(self, row: int) -> Mapping[str, object]:
        """Return what a device told of itself."""
        return self._plane.card(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Return the schedule that a device says it holds."""
        return await self._plane.device_schedule(row, duration_s)

    def health(self, row: int) -> DeviceHealth:
        """Return what is the matter with a device."""
        refused = self._ingest.gate.last_refused(row, self.clock.now_s())
        return self._troubles.health(self._image.index, row, self._plane.card(row), refused)

    def rows_with(self, trouble: Trouble) -> BoolArray:
        """Return which rows of the latest snapshot have a trouble."""
        return self._troubles.rows_with(trouble, len(self.fast.state))

    def troubles(self) -> Mapping[Trouble, int]:
        """Return how many devices have each trouble now."""
        return self._troubles.counts.total

    def commands(self) -> Mapping[str, int]:
        """Return what became of every setpoint so far."""
        ledger = self._engine.outbox.ledger()
        counts = {name: value for name, value in asdict(ledger).items() if isinstance(value, int)}
        return {**counts, "unaccounted": ledger.unaccounted}

    def events(self, *, after: int | None) -> AsyncIterator[StreamEvent]:
        """Iterate events."""
        return self._news.subscribe(after)

    def refused_connections(self) -> Sequence[RefusedConnection]:
        """Return the ids that were not let in, the latest first."""
        return list(self._plane.refused_connections)

    def ready(self) -> Mapping[str, bool]:
        """Return named readiness checks."""
        return {
            "fleet": len(self._image.index) > 0,
            "plan": self.slow.schedule is not None,
            "pollers": self._plane.all_turn(),
            "storage": not self._durability.failing,
            "loop": not self._metrics.cycle_age_s() > self.fast.patience_wall_s,
            "leader": not self._plane.deposed(),
        }

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Take the news of a cycle: requests, alarms, metrics, the picture of the fleet."""
        self.desk.follow(state, result)
        self._aftermath.follow(
            {
                "troubles": partial(self._follow_troubles, state),
                "alarms": partial(self._follow_alarms, state, result),
                "calendar": partial(self._days.follow, state.at_s),
                "watch": partial(self.watch.follow, state.at_s),
                "metrics": partial(self._observe, state, result),
                "capacities": partial(self._declarations.show, state),
            }
        )
        if state.cycle % _FLEET_NEWS_CYCLES == 0:
            self._news.publish("fleet", state.at_s, fleet_body(state))

    def _follow_troubles(self, state: FleetState) -> None:
        self._troubles.follow(state, self._image, self._ingest.gate, self._engine.outbox.table)

    def _follow_alarms(self, state: FleetState, result: CycleResult) -> None:
        self._alarms.follow(
            state,
            result,
            schedule=self.slow.schedule,
            ended=self._ingest.ended(),
            silent=self._troubles.counts.silent(),
        )

    def alarm_raised(self, alarm: str, **body: object) -> None:
        """Hear of something that is over and that somebody must look at."""
        self._alarms.watch(alarm, self.clock.now_s(), on=True, **body)

    def clock_stepped(self, ahead_s: float) -> None:
        """Hear that the machine's clock was set and now leads by ``ahead_s`` seconds, 0.0 once the two agree again."""
        self._alarms.clock_stepped(self.clock.now_s(), ahead_s)

    def _observe(self, state: FleetState, result: CycleResult) -> None:
        metrics, outbox = self._metrics, self._engine.outbox
        metrics.observe_fleet(state)
        metrics.observe_requests(self._engine.book.all())
        metrics.set_requests_unsettled(len(self.desk.clearing.failed))
        # A signal asks for nothing half of the time: as a share of that, no deviation means anything.
        steady = [p for p in result.progress if self.request(p.request_id).draft.product is not Product.REGULATION]
        metrics.observe_tracking(sum(p.target_kw for p in steady), sum(p.delivered_kw for p in steady))
        metrics.observe_ledger(outbox.ledger().by_reason)
        dropped = {(_INGEST, reason): count for reason, count in self._ingest.dropped.items()}
        metrics.observe_rejected({**_ALWAYS_SHOWN, **self._plane.rejected, **dropped})
        metrics.observe_samples(({verdict.word: 0 for verdict in Verdict} | dict(self._ingest.dropped)).items())
        repaired = {(_INGEST, kind): count for kind, count in self._ingest.healed.items()}
        metrics.observe_healed({**self._plane.repaired, **repaired}.items())
        metrics.observe_troubles(labels_of(self._troubles.counts))
        metrics.observe_metered(_metered_ratio(result.progress))
        metrics.set_leader_epoch(outbox.epoch)
        metrics.set_leader_deposed(deposed=self._plane.deposed())
        # While a request runs, or its release does, rows are under way: what is left over shows once none runs.
        if not result.progress:
            metrics.set_limits_not_restored(result.unrestored_rows)

    def _grow(self, index: FleetIndex) -> None:
        self._image.resize(index)
        self._means.resize(index)
        self._engine.resize(index)
        self.desk.grow(len(index))
        self._plane.assign(index)
        self._meters.grow(len(index))
        self._journal.append(CONNECTED, self.clock.now_s(), {"resources": len(index)})
        self.fast.refresh()
        self.slow.fleet_changed()


def _metered_ratio(running: Sequence[Progress]) -> float:
    """Return the freshly metered share of all rows that work for requests, NaN while none does."""
    rows = sum(p.rows for p in running)
    return sum(p.rows * p.metered_ratio for p in running if p.rows) / rows if rows else float("nan")


def fleet_body(state: FleetState) -> dict[str, object]:
    """Return the fleet in a few numbers; known power only."""
    return {
        "resources": len(state),
        "connected": int(np.count_nonzero(state.connected)),
        "plugged": int(np.count_nonzero(state.plugged)),
        "power_kw": float(np.nansum(state.power_kw)),
        "freshly_metered": int(np.count_nonzero(state.connected & (state.quality == Quality.GOOD))),
    }
