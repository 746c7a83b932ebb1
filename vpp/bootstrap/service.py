"""The service composed: storage, device links, loops, API."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import FastAPI

from adapters.ocpp.central_system.server import OcppLink
from optimizer.heap import keep_freed_memory
from vpp.api.app import create_app, describe
from vpp.api.connections import GuardedProtocol
from vpp.application.command_ids import CommandIds
from vpp.application.cycle_record import array_of, baseline_of, session_of
from vpp.application.device_memory import JournalledMemory
from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.loops.fast_loop import FastLoop, Observer
from vpp.application.loops.slow_loop import SlowLoop
from vpp.application.requests.commitments import promised_events, recoveries
from vpp.application.requests.request_service import BASELINE, RequestService
from vpp.application.requests.session_baselines import SESSIONS
from vpp.application.service_facade import VirtualPowerPlant
from vpp.bootstrap.clocks import guard_of, running_clock
from vpp.bootstrap.holidays import calendar_of
from vpp.bootstrap.links import links_of, service_links
from vpp.bootstrap.runner import run
from vpp.bootstrap.volatile_store import Memory
from vpp.bus.event_stream import EventStream
from vpp.bus.leader.gateway_link import BusLink
from vpp.config import Settings, address_of, windows_of
from vpp.console.report import render_report, report_json
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.resource import Adapter
from vpp.domain.timegrid import floor_s
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE, STEP_S
from vpp.planning.schedule.planner import Planner
from vpp.planning.schedule.reserve_energy import Rebuilding, ReserveWindow
from vpp.planning.schedule.translate import PlanningPolicy
from vpp.planning.tariff import Tariff
from vpp.ports import Clock, DeviceLink, RememberingLink
from vpp.runtime.observability import Metrics, configure_logging
from vpp.runtime.supervisor import Supervisor
from vpp.state.image import ProcessImage
from vpp.storage.interval_store import IntervalStore
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.sequences import Sequences
from vpp.storage.sql import open_database
from vpp.storage.telemetry.archive import ArchiveRules, TelemetryArchive
from vpp.storage.telemetry.store import TelemetryStore
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import LONGEST_GAP_S, MeteredMeans
from vpp.telemetry.quality import QualityRules

_log = structlog.get_logger(__name__)
__all__ = ["STARTED", "Service", "Store", "dispatch_settings", "links_of", "openapi_json", "run_service"]
STARTED = "service.started"
_GRACE_WALL_S = 2
_BACKLOG = 2048
_MEBIBYTE = 2**20
_FAST_RESTART_S = 5.0
"""Control is tried again soon, however often it has failed."""


def run_service(settings: Settings) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    configure_logging(json=settings.log_json, level=settings.log_level)
    keep_freed_memory()
    run(_serve(settings))


def archive_of(settings: Settings, database: sa.Engine, clock: Clock) -> TelemetryArchive | None:
    """Return what moves samples into the telemetry store, ``None`` where settings want none."""
    place = settings.telemetry_place
    if place is None:
        return None
    rules = ArchiveRules(keep_days=settings.telemetry_days, keep_frames_days=settings.frame_days)
    return TelemetryArchive(database, TelemetryStore(place), now_s=clock.now_s, rules=rules)


def openapi_json() -> str:
    """Return the API's OpenAPI description; no service needs to run."""
    return json.dumps(describe(version("vpp")), indent=2)


def planning_policy(settings: Settings) -> PlanningPolicy:
    """Return the plan's settings out of the service's."""
    windows = windows_of(settings.reserve_windows)
    after_s = SECONDS_PER_MINUTE * (settings.release_minutes + settings.rebound_watch_minutes)
    power_kw = settings.reserve_recovery_kw
    rebuilding = None if power_kw is None else Rebuilding(power_kw=power_kw, after_h=after_s / SECONDS_PER_HOUR)
    return PlanningPolicy(
        reserve=tuple(ReserveWindow(from_hour=first, until_hour=last, need_kw=kw) for first, last, kw in windows),
        regulation_kw=settings.regulation_kw or 0.0,
        rebuilding=rebuilding,
    )


def dispatch_settings(settings: Settings) -> DispatchSettings:
    """Return the fast loop's tunables."""
    return DispatchSettings(
        cycle_s=settings.cycle_s,
        lease_s=settings.lease_s,
        ramp_minutes=settings.ramp_minutes,
        release_minutes=settings.release_minutes,
        rebound_watch_minutes=settings.rebound_watch_minutes,
        answer_s=3.0 * settings.call_timeout_s,
        confirm_s=max(120.0, 2.0 * settings.sample_s + settings.call_timeout_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Everything durable, behind one database."""

    database: sa.Engine
    journal: SqlJournal
    samples: SqlTelemetryLog
    meters: IntervalStore
    registry: SqlRegistry
    leases: Sequences

    @classmethod
    def open(cls, url: str, *, spool_mb: int = 256) -> "Store":
        """Open the database, bringing its schema up to date; ``spool_mb`` of samples may wait to be written."""
        database = open_database(url)
        return cls(
            database=database,
            journal=SqlJournal(database),
            samples=SqlTelemetryLog(database, most_bytes=spool_mb * _MEBIBYTE),
            meters=IntervalStore(database),
            registry=SqlRegistry(database),
            leases=Sequences(database),
        )

    def close(self) -> None:
        """Write what is left.

        Raises:
            StorageError: The database takes nothing; what is left is lost.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self.database.dispose)
            stack.callback(self.journal.close)
            stack.callback(self.samples.close)
            self.meters.flush_now()
            self.journal.flush_now()


async def _serve(settings: Settings) -> None:
    # First of all: a second service on the same address must not touch the journal.
    with _listener(settings.http) as listener:
        async with running_clock(settings) as clock, service_links(settings, clock) as links:
            await _serve_at(listener, settings, clock, links)


async def _serve_at(listener: socket.socket, settings: Settings, clock: Clock, links: Sequence[DeviceLink]) -> None:
    store = Store.open(settings.database_url, spool_mb=settings.spool_mb)
    service = Service(settings, store, clock, links)
    archive = archive_of(settings, store.database, clock)
    if archive is not None:
        service.history = archive.store
        archive.start(areas=lambda: service.plant.fleet().index.area_code)
    try:
        await service.run(listener)
    finally:
        await service.close()
        if archive is not None:
            await asyncio.to_thread(archive.close)
        store.close()


class Service:
    """All parts of one ``vpp serve`` and how they hang together.

    Args:
        observer: Told of every cycle after the service's own observers.
        tariff: Prices the plan is made for; Shanghai's time-of-use tariff unless given.
        scraped: Somebody reads the metrics.
    """

    def __init__(
        self,
        settings: Settings,
        store: Memory,
        clock: Clock,
        links: Sequence[DeviceLink],
        *,
        observer: Observer | None = None,
        tariff: Tariff | None = None,
        scraped: bool = True,
    ) -> None:
        self._calendar = calendar_of(settings.holidays)
        index = store.registry.load()
        epoch = store.leases.next_epoch()
        self._fleet = store.registry.fleet_id(settings.fleet_id)
        store.meters.grow(len(index))
        self.metrics = Metrics(version("vpp"))
        self.metrics.set_leader_epoch(epoch)
        self.news = EventStream()
        self.history: TelemetryStore | None = None
        image = ProcessImage(index)
        ingest = Ingest(image, QualityRules(stale_s=settings.stale_s))
        means = recalled(store, index, stale_s=settings.stale_s, now_s=clock.now_s())
        self.engine = DispatchEngine(
            index,
            dispatch_settings(settings),
            store.journal.append,
            take_ids=CommandIds(store.leases).take,
            epoch=epoch,
        )
        self.durability = Durability(
            samples=store.samples,
            meters=store.meters,
            journal=store.journal,
            patience_wall_s=settings.storage_patience_wall_s,
            most_bytes=settings.spool_mb * _MEBIBYTE,
        )
        self.plane = DevicePlane(links, ingest, clock)
        self.planner = Planner(
            tariff=tariff, policy=planning_policy(settings), deadline_s=settings.plan_deadline_wall_s
        )
        self.plant = VirtualPowerPlant(
            clock=clock,
            image=image,
            ingest=ingest,
            means=means,
            plane=self.plane,
            engine=self.engine,
            registry=store.registry,
            meters=store.meters,
            journal=store.journal,
            durability=self.durability,
            news=self.news,
            metrics=self.metrics,
            scraped=scraped,
            calendar=self._calendar,
        )
        self._settings, self._store, self._clock, self._index, self._epoch = settings, store, clock, index, epoch
        self._links = links
        self._observer = observer
        self._supervisor = Supervisor(clock, self._loop_failed)
        self.plant.watch.failing = self._supervisor.failing
        self._compose_loops(ingest, means)
        self._restore(image)

    async def open(self) -> None:
        """Open the device links."""
        for link in self._links:
            if isinstance(link, BusLink):
                link.endpoint.lead(self._epoch, fleet=self._fleet)
                self.plant.watch.leadership = link.endpoint
        self.plane.assign(self._index)
        await self.plane.start()
        self._remember_defaults()

    async def run(self, listener: socket.socket) -> None:
        """Serve until cancelled or until a loop fails for good; HTTP is answered at ``listener``."""
        await self.open()
        plant = self.plant
        self._supervisor.watch("fast", plant.fast.run, most_s=_FAST_RESTART_S)
        self._supervisor.watch("slow", plant.slow.run)
        self._supervisor.watch("settlement", self._settle)
        guard = guard_of(self._clock, plant.clock_stepped)
        if guard is not None:
            self._supervisor.watch("clock", guard.run)
        await self._answer_http(listener)

    def app(self) -> FastAPI:
        """Return the HTTP application."""
        return create_app(
            self.plant,
            metrics=self.metrics.registry,
            report=self._report,
            version=version("vpp"),
            token=self._settings.api_token,
            history=self.history,
        )

    async def close(self) -> None:
        """Stop in the order in which nothing is lost."""
        await self._supervisor.close()
        await self.plane.close()
        await self.planner.close()
        await self.durability.close()

    def _compose_loops(self, ingest: Ingest, means: MeteredMeans) -> None:
        plant, store, clock, settings = self.plant, self._store, self._clock, self._settings
        plant.desk = RequestService(
            clock=clock,
            engine=self.engine,
            meters=store.meters,
            journal=store.journal,
            news=self.news,
            state=plant.fleet,
            schedule=lambda: plant.slow.schedule,
            quote_valid_s=settings.quote_valid_s,
            outlook=lambda state: plant.slow.outlook(state),  # noqa: PLW0108 - the slow loop is made just below
            changed=lambda: plant.slow.requests_changed(),  # noqa: PLW0108 - the slow loop is made just below
            metered_until_s=lambda: means.final_until_s,
            calendar=self._calendar,
        )
        plant.slow = SlowLoop(
            clock=clock,
            period_s=settings.plan_period_s,
            planner=self.planner,
            meters=store.meters,
            journal=store.journal,
            metrics=self.metrics,
            state=plant.fleet,
            kept_until_s=plant.desk.kept_until_s,
            events=partial(promised_events, self.engine.book, plant.desk.portfolios),
            recoveries=partial(recoveries, self.engine.book),
            calendar=self._calendar,
        )
        plant.fast = FastLoop(
            clock=clock,
            period_s=settings.cycle_s,
            regulation_s=settings.regulation_s,
            plane=self.plane,
            ingest=ingest,
            engine=self.engine,
            means=means,
            meters=store.meters,
            samples=store.samples,
            journal=store.journal,
            durability=self.durability,
            metrics=self.metrics,
            schedule=lambda: plant.slow.schedule,
            intended=lambda: plant.slow.intended,
            desk=plant.desk,
            observer=plant.follow if self._observer is None else self._follow,
        )

    def _loop_failed(self) -> None:
        self.plant.watch.loops(self._clock.now_s())

    def _follow(self, state: FleetState, result: CycleResult) -> None:
        self.plant.follow(state, result)
        if self._observer is not None:
            self._observer(state, result)

    def _restore(self, image: ProcessImage) -> None:
        """Rebuild requests, leases, baselines and sessions from the journal."""
        now_s = self._clock.now_s()
        torn = self._store.journal.set_torn_aside(now_s)
        if torn:
            self.plant.alarm_raised("journal_torn", entries=torn)
        entries = list(self._store.journal.entries())
        self.engine.restore(entries, now_s)
        for entry in entries:
            if entry.kind == "cycle":
                events: Any = entry.body["sessions"]
                for body in events:
                    image.write_session(session_of(body))
                anchors: Any = entry.body["anchors"]
                for row, soc in anchors:
                    image.anchor(row, soc)
            elif entry.kind == BASELINE:
                request = self.engine.book.get(str(entry.body["request_id"]))
                self.plant.desk.keep_baseline(request, baseline_of(entry.body))
            elif entry.kind == SESSIONS:
                means: Any = entry.body
                self.plant.desk.keep_sessions(float(means["start_s"]), array_of(means["mean_kw"]))
        self.plant.desk.restore(entries)
        self._remember_in_journal(entries)
        # The very instant everything was restored for, so that a replay restores the same.
        self._store.journal.append(
            STARTED,
            now_s,
            {"epoch": self._epoch, "resources": len(self._index), "version": version("vpp")},
        )

    def _remember_in_journal(self, entries: Sequence[JournalEntry]) -> None:
        """Give links a durable memory of what stood in their devices, with what earlier lives found."""
        memory = JournalledMemory(self._store.journal, self._clock)
        memory.restore(entries)
        for link in self._links:
            if isinstance(link, RememberingLink):
                link.remember_in(memory)

    def _remember_defaults(self) -> None:
        """Tell the stations' link the default values an earlier life left in force; it sets them at every return."""
        default_kw = self.engine.outbox.table.default_kw
        for link in self._links:
            if isinstance(link, OcppLink | BusLink) and link.name == OcppLink.name:
                for row in np.flatnonzero(~np.isnan(default_kw)).tolist():
                    if self._index.resources[row].adapter is Adapter.OCPP:
                        link.remember_default(row, float(default_kw[row]))

    async def _settle(self) -> None:
        while True:
            await self.plant.desk.verify_finished()
            await self._clock.sleep(self._settings.cycle_s)

    async def _answer_http(self, listener: socket.socket) -> None:
        server = _Server(
            uvicorn.Config(
                self.app(),
                http=GuardedProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_GRACE_WALL_S,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        failed = asyncio.create_task(self._supervisor.wait(), name="supervision")
        addresses = {"http": self._settings.http, "ocpp": self._settings.ocpp}
        _log.info("service runs", **addresses, epoch=self._epoch, fleet=self._fleet)
        try:
            await asyncio.wait((serving, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
            server.should_exit = True
            self.news.close()
            await serving
        if self._supervisor.failure is not None:
            raise self._supervisor.failure

    def _report(self, request_id: str) -> tuple[str, dict[str, object]]:
        request, desk = self.plant.request(request_id), self.plant.desk
        performance, minutes = desk.performance(request_id), desk.minutes(request_id)
        if performance is None or minutes is None:
            raise ConflictError(f"request {request_id} is {request.state.value}; there is a report once it is accepted")
        return (
            render_report(request, performance, series=minutes),
            report_json(request, performance, series=minutes),
        )


def recalled(store: Memory, index: FleetIndex, *, stale_s: float, now_s: float) -> MeteredMeans:
    """Return the meter of quarters, with what was heard of those that were open when the service ended."""
    running_s = floor_s(now_s, STEP_S)
    heard = list(store.samples.since(running_s - STEP_S - LONGEST_GAP_S))
    resumed = any(at_s >= running_s - STEP_S for at_s, _ in heard)
    means = MeteredMeans(index, running_s - STEP_S if resumed else running_s, stale_s)
    for at_s, batch in heard:
        for start_s, mean_kw, completeness in means.take(batch, at_s):
            store.meters.write(start_s, mean_kw, completeness)
    return means


def _listener(address: str) -> socket.socket:
    host, port = address_of(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"VPP_HTTP: cannot listen on {address}: {error.strerror}") from error


class _Server(uvicorn.Server):
    """An HTTP server that leaves signals to the process it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
