"""The service composed: storage, device links, loops, API."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import structlog

from adapters.ocpp.central_system.server import OcppLink
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
from vpp.bootstrap.clocks import guard_of
from vpp.bootstrap.holidays import calendar_of
from vpp.bootstrap.policies import dispatch_settings, planning_policy
from vpp.bootstrap.store import MEBIBYTE
from vpp.bootstrap.volatile_store import Memory
from vpp.bus.event_stream import EventStream
from vpp.bus.leader.gateway_link import BusLink
from vpp.config import Settings
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.resource import Adapter
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.planning.schedule.planner import Planner
from vpp.planning.tariff import Tariff
from vpp.ports import Clock, DeviceLink, GridLink, RememberingLink
from vpp.runtime.observability import Metrics
from vpp.runtime.supervisor import Supervisor
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import LONGEST_GAP_S, MeteredMeans
from vpp.telemetry.quality import QualityRules

_log = structlog.get_logger(__name__)
STARTED = "service.started"
_FAST_RESTART_S = 5.0
"""Control is tried again soon, however often it has failed."""


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
            most_bytes=settings.spool_mb * MEBIBYTE,
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
        self.settings = settings
        self._store, self._clock, self._index, self._epoch = store, clock, index, epoch
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

    async def run(self, links: Sequence[GridLink]) -> None:
        """Serve these grid links until cancelled or until a loop fails for good."""
        await self.open()
        plant = self.plant
        self._supervisor.watch("fast", plant.fast.run, most_s=_FAST_RESTART_S)
        self._supervisor.watch("slow", plant.slow.run)
        self._supervisor.watch("settlement", self._settle)
        guard = guard_of(self._clock, plant.clock_stepped)
        if guard is not None:
            self._supervisor.watch("clock", guard.run)
        await self._serve_grid(links)

    async def close(self) -> None:
        """Stop in the order in which nothing is lost."""
        await self._supervisor.close()
        await self.plane.close()
        await self.planner.close()
        await self.durability.close()

    def _compose_loops(self, ingest: Ingest, means: MeteredMeans) -> None:
        plant, store, clock, settings = self.plant, self._store, self._clock, self.settings
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
            await self._clock.sleep(self.settings.cycle_s)

    async def _serve_grid(self, links: Sequence[GridLink]) -> None:
        """Serve grid links until one of them has ended or a loop has failed for good; raises what failed."""
        failed = asyncio.create_task(self._supervisor.wait(), name="supervision")
        async with contextlib.AsyncExitStack() as closing:
            ended = []
            for link in links:
                await link.start(self.plant)
                closing.push_async_callback(link.close)
                ended.append(asyncio.create_task(link.ended(), name=link.name))
            closing.callback(self.news.close)  # readers of events end first, else links would wait for them
            for task in (failed, *ended):
                closing.callback(task.cancel)
            addresses = {"http": self.settings.http, "ocpp": self.settings.ocpp}
            _log.info("service runs", **addresses, epoch=self._epoch, fleet=self._fleet)
            await asyncio.wait((failed, *ended), return_when=asyncio.FIRST_COMPLETED)
        if self._supervisor.failure is not None:
            raise self._supervisor.failure


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
