"""Service composed from its parts, and its life cycle: composed it only reads, led it writes and commands."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from vpp.application.delivery.measurement import Measurement
from vpp.application.interval_retention import IntervalRetention
from vpp.application.loops.cycle_inputs import CycleInputs, IntervalMetering
from vpp.application.loops.fast_loop import FastLoop, LoopPeriods, Observer
from vpp.application.loops.forecaster import Forecaster
from vpp.application.loops.record_keeping import UPKEEP_FAILING, RecordKeeping
from vpp.application.loops.slow_loop import SlowLoop
from vpp.application.operating_picture import OperatingPicture, PlansInForce
from vpp.application.recovery.checkpointer import Checkpointer
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.requests.commitments import Commitments
from vpp.application.requests.retention import DeliveryParts, RequestRetention
from vpp.bootstrap.clocks import guard_of
from vpp.bootstrap.parts.core import Core, resume_means
from vpp.bootstrap.parts.device_plane import claim, give_defaults
from vpp.bootstrap.parts.drills import drills_of
from vpp.bootstrap.parts.plant import operator_parts, plant_of
from vpp.bootstrap.parts.policies import planning_policy
from vpp.bootstrap.parts.programme import programme_in
from vpp.bootstrap.parts.requests import RequestParts
from vpp.bootstrap.parts.restoration import archiving_steps, checkpointer_of, restore
from vpp.bootstrap.parts.standing import StandingParts
from vpp.bootstrap.parts.watch import WatchParts
from vpp.bootstrap.volatile_store import Memory
from vpp.config import Settings
from vpp.dispatch.engine import CycleResult
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.schedule.planner import Planner
from vpp.planning.tariff import Tariff
from vpp.ports import Clock, DeviceLink, GridLink, RecordAnchor
from vpp.runtime.supervisor import Supervisor, fault_of

_log = structlog.get_logger(__name__)
_FAST_RESTART_S = 5.0
"""Control is tried again soon, however often it has failed."""


class Service:
    """All parts of one ``vpp serve``.

    Composing them writes nothing and takes no epoch and no ids: that is for ``lead``.

    Args:
        settings: Of this process.
        store: Everything durable.
        clock: The only source of time.
        links: Device links, southbound.
        observer: Called with every cycle after the service's own reports.
        tariff: Prices the plan is made for; Shanghai's time-of-use tariff unless given.
        scraped: The metrics are read.
        anchor: Vouches for the record, ``None`` for one that ends with the process or is judged by its maker.
        index: The fleet as it is saved, where it was read before.

    Attributes:
        core: Fleet, engine, device plane, storage.
        plans: The plans in force.
        inputs: Inputs of the last cycle.
        planner: Solves plans.
        slow: Plans.
        fast: Controls.
        requests: Requests from submission to settlement.
        watch: Alarms and reports.
        drills: Tests of its own fleet.
        plant: The service as its edges see it.
        keeping: Upkeep of the record.
        fleet_id: Name of the fleet on a bus, empty until the service leads.
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
        anchor: RecordAnchor | None = None,
        index: FleetIndex | None = None,
    ) -> None:
        self.settings = settings
        self.fleet_id = ""
        self._clock, self._links, self._observer = clock, links, observer
        self.core = core = Core.of(settings, store, clock, links, anchor=anchor, index=index)
        self.plans = PlansInForce()
        self.inputs = CycleInputs(
            clock=clock,
            plane=core.plane,
            ingest=core.ingest,
            metering=IntervalMetering(core.means, store.meters),
            samples=store.samples,
            journal=store.journal,
        )
        picture = OperatingPicture(
            clock=clock, state=self.inputs.latest, plans=self.plans, meters=store.meters, calendar=core.calendar
        )
        self.planner = Planner(
            tariff=tariff, policy=planning_policy(settings), deadline_s=settings.plan_deadline_wall_s
        )
        forecaster = Forecaster(store.meters, core.calendar, self.plans)
        programme = programme_in(settings.programme)
        measurement = Measurement(engine=core.engine, journal=store.journal, picture=picture, programme=programme)
        standing = StandingParts.of(core, settings, programme)
        self.slow = self._slow_loop(picture, forecaster, measurement, standing)
        self.requests = RequestParts.of(
            core,
            picture,
            measurement=measurement,
            forecaster=forecaster,
            standing=standing,
            changed=self.slow.requests_changed,
            settings=settings,
            tariff=tariff,
        )
        self.watch = WatchParts.of(core, picture, self.requests, scraped=scraped)
        self.drills = drills_of(core, picture, self.requests, self.watch, settings)
        self.fast = self._fast_loop()
        operators = operator_parts(
            core,
            picture,
            self.requests,
            inputs=self.inputs,
            slow=self.slow,
            patience_wall_s=lambda: self.fast.patience_wall_s,
            interval_days=settings.interval_days,
        )
        self._handover = operators.handover
        self.plant = plant_of(core, picture, self.requests, self.watch, operators)
        self.keeping = RecordKeeping(clock, settings.checkpoint_s, may=lambda: core.trust.trusted)
        self._checkpointer: Checkpointer | None = None
        self._supervisor = Supervisor(clock, self._loop_failed)
        self.watch.service.failing = self._supervisor.failing

    @property
    def leads(self) -> bool:
        """The service has an epoch and its state is that of the journal's end."""
        return bool(self.fleet_id)

    @property
    def record_trusted(self) -> bool:
        """The record was verified, or an operator accepted it: new commitments are taken."""
        return self.core.trust.trusted

    def lead(
        self,
        epoch: int | None = None,
        *,
        holds: Callable[[], bool] = lambda: True,
        ahead: FoldedState | None = None,
    ) -> None:
        """Take the lead: restore everything to the journal's end and record the start; blocks.

        Args:
            epoch: Of the lease that this process holds; without one the next is taken.
            holds: Returns whether the lease is held now; nothing is sent otherwise.
            ahead: State that has followed the journal while this process stood by.

        Raises:
            StorageError: The database takes nothing now.
            AuditError: The journal cannot be read.
        """
        core = self.core
        core.engine.lead(core.store.leases.next_epoch() if epoch is None else epoch)
        core.plane.may_send = self.keeping.may_write = holds
        core.metrics.set_leader_epoch(core.epoch)
        core.metrics.set_leader(leads=True)
        core.ids.begin()
        resume_means(core, core.clock.now_s())
        recovered = restore(core, self.plans, self.requests, self.watch, self._links, ahead=ahead)
        self._checkpointer = checkpointer_of(core, recovered, self.settings.checkpoints)
        self.keeping.tell = self._upkeep_told
        self.keeping.steps = {
            "checkpoint": self._checkpointer.checkpoint,
            **archiving_steps(core, self.watch, self._checkpointer, self.settings.record_keep_days),
            "requests": self._retention().forget,
            "intervals": self._interval_retention().forget,
            "standing": self.requests.standing.service.forget,
            "heads": core.trust.vouch,
        }
        self.fleet_id = core.store.registry.fleet_id(self.settings.fleet_id)

    async def open(self) -> None:
        """Lead, unless the service leads already, and open the device links."""
        core = self.core
        if not self.leads:
            self.lead()
        core.trust.start()  # first: it goes on beside all that follows
        self.watch.service.leadership = claim(self._links, core.epoch, self.fleet_id)
        core.plane.assign(self._handover.served(core.engine.index))
        await core.plane.start()
        give_defaults(self._links, core.engine.index, core.engine.in_force.default_kw)

    async def run(self, links: Sequence[GridLink]) -> None:
        """Serve these grid links until cancelled, until one of them has ended, or until a loop fails for good."""
        await self.open()
        self._supervisor.watch("fast", self.fast.run, most_s=_FAST_RESTART_S)
        self._supervisor.watch("slow", self.slow.run)
        self._supervisor.watch("settlement", self._settle)
        self._supervisor.watch("quotes", self.requests.shadows.run)
        self._supervisor.watch("drills", self.drills.run)
        self._supervisor.watch("availability", self.requests.availability.run)
        overdue = self._checkpointer is not None and self._checkpointer.overdue
        self._supervisor.watch("record", partial(self.keeping.run, at_once=overdue))
        self._supervisor.watch("heads", self.core.trust.run)
        guard = guard_of(self._clock, self._clock_stepped)
        if guard is not None:
            self._supervisor.watch("clock", guard.run)
        await self._serve_grid(links)

    async def close(self) -> None:
        """Stop in the order in which nothing is lost; a verification under way ends even where that fails."""
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self.core.trust.close)
            await self._supervisor.close()
            await self.core.plane.close()
            await self.planner.close()
            await self.core.durability.close()
            if self.leads:
                fault = await fault_of(self.keeping.turn())
                if fault is not None:
                    _log.error("no checkpoint at the end", why=str(fault))

    def _slow_loop(
        self, picture: OperatingPicture, forecaster: Forecaster, measurement: Measurement, standing: StandingParts
    ) -> SlowLoop:
        core = self.core
        return SlowLoop(
            picture=picture,
            period_s=self.settings.plan_period_s,
            planner=self.planner,
            forecaster=forecaster,
            commitments=Commitments(
                book=core.engine.book,
                portfolios=measurement.portfolios,
                clock=core.clock,
                wanted=standing.wanted.demand,
            ),
            journal=core.store.journal,
            metrics=core.metrics,
        )

    def _retention(self) -> RequestRetention:
        core, parts = self.core, self.requests
        commitments = Commitments(book=core.engine.book, portfolios=parts.measurement.portfolios, clock=core.clock)
        return RequestRetention(
            clock=core.clock,
            engine=core.engine,
            journal=core.store.journal,
            delivery=DeliveryParts(
                measurement=parts.measurement,
                settlement=parts.settlement,
                official=parts.official,
                commitments=commitments,
            ),
            announcements=parts.announcements,
            keep_days=self.settings.request_days,
        )

    def _interval_retention(self) -> IntervalRetention:
        core, parts = self.core, self.requests
        return IntervalRetention(
            clock=core.clock,
            book=core.engine.book,
            meters=core.store.meters,
            awaits_correction=parts.settlement.awaits_correction,
            lookback_days=parts.measurement.programme.rules.lookback_days,
            keep_days=self.settings.interval_days,
            with_requests=self.settings.request_days > 0.0,
        )

    def _fast_loop(self) -> FastLoop:
        core, settings = self.core, self.settings
        return FastLoop(
            clock=core.clock,
            periods=LoopPeriods(cycle_s=settings.cycle_s, regulation_s=settings.regulation_s),
            inputs=self.inputs,
            engine=core.engine,
            plane=core.plane,
            durability=core.durability,
            metrics=core.metrics,
            plans=self.plans,
            enlistment=self.requests.measurement,
            observer=self._report,
        )

    def _report(self, state: FleetState, result: CycleResult) -> None:
        self.watch.reports.follow(state, result)
        self._handover.follow(state)
        if self._observer is not None:
            self._observer(state, result)

    def _loop_failed(self) -> None:
        self.watch.service.loops(self._clock.now_s())

    def _upkeep_told(self, failing: bool, why: str) -> None:  # noqa: FBT001 - as the caller has it
        self.watch.alarms.watch(UPKEEP_FAILING, self._clock.now_s(), on=failing, why=why)

    def _clock_stepped(self, ahead_s: float) -> None:
        """Set or clear the alarm; the machine's clock leads by ``ahead_s`` seconds, 0.0 once the two agree again."""
        self.watch.alarms.clock_stepped(self._clock.now_s(), ahead_s)

    async def _settle(self) -> None:
        while True:
            await self.requests.settlement.settle_finished()
            await self._clock.sleep(self.settings.cycle_s)

    async def _serve_grid(self, links: Sequence[GridLink]) -> None:
        """Serve grid links until one of them has ended or a loop has failed for good; raises what failed."""
        async with contextlib.AsyncExitStack() as closing:
            waiting = [asyncio.create_task(self._supervisor.wait(), name="supervision")]
            closing.callback(waiting[0].cancel)
            for link in links:
                await link.start(self.plant)
                closing.push_async_callback(link.close)
                closing.callback(self.core.news.close)  # readers of events end first, else the link would wait for them
                waiting.append(asyncio.create_task(link.ended(), name=link.name))
                closing.callback(waiting[-1].cancel)
            addresses = {"http": self.settings.http, "ocpp": self.settings.ocpp}
            _log.info("service runs", **addresses, epoch=self.core.epoch, fleet=self.fleet_id)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
