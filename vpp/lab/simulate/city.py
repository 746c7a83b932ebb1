"""The service on virtual time, with device links that lead to a twin in place of sockets.

Planner, engine, guard and settlement are those of ``vpp serve``, composed by the same class. Only the edges differ: the
clock is advanced by the simulation, and commands go to a twin.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vpp.application.loops.fast_loop import Observer
from vpp.application.loops.slow_loop import Prepared
from vpp.application.service_facade import VirtualPowerPlant
from vpp.bootstrap.service import Service
from vpp.bootstrap.volatile_store import Memory
from vpp.config import Settings
from vpp.dispatch.cycle_result import CycleResult
from vpp.domain.resource import Adapter
from vpp.domain.schedule import Schedule
from vpp.domain.timegrid import floor_s
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.lab.simulate.worlds.ordinary import OrdinaryPlans
from vpp.lab.simulate.worlds.rejoining import Rejoining
from vpp.lab.twin.charging_sessions import PROMISED_SHARE
from vpp.lab.twin.connection_points import ConnectionPoints
from vpp.lab.twin.environment.world_file import KIND_WORLD, World
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.link import TwinLink
from vpp.lab.twin.physics.faults import FaultRates
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.sessions import SessionSource
from vpp.lab.twin.truth import TruthRecorder, final_defaults_kw
from vpp.planning.tariff import Tariff
from vpp.runtime.clock import VirtualClock

HISTORY_DAYS = 8
"""Enough for five workdays of the same kind before any day of the week."""

ANSWER_S = 5.0
"""Time in which nearly all devices respond (`vpp.lab.twin.physics.faults.LATENCY_S`)."""

MOST_STEP_S = 60.0
"""Longest step of the physics, whose lags are exact for any length."""

INTRODUCTION_MINUTES = 4.0
"""Time devices report before the first plan is made."""


def virtual_settings(directory: Path, **given: float | str) -> Settings:
    """Return settings for a service on virtual time; the environment's VPP_* variables count as for any service.

    Args:
        directory: Data folder.
        given: Settings by name; they win.
    """
    return Settings.load(None, data_dir=directory, **given)


def fresh_twin(
    index: FleetIndex,
    sessions: SessionSource,
    *,
    begin_s: float,
    seed: int,
    weather: Weather | None = None,
    faults: FaultRates | None = None,
    promised_share: float = PROMISED_SHARE,
    world: World = KIND_WORLD,
) -> Twin:
    """Return a twin that begins early enough to have a history of a good week at ``begin_s``."""
    return Twin(
        index,
        seed=seed,
        start_s=floor_s(begin_s, STEP_S) - HISTORY_DAYS * SECONDS_PER_DAY,
        sessions=sessions,
        weather=weather or Weather.builtin(),
        faults=faults or FaultRates(),
        promised_share=promised_share,
        world=world,
    )


class CpuMeter:
    """CPU seconds of the loop's own thread by part; plans made beside it do not count.

    Attributes:
        cpu_s: Seconds so far.
    """

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done inside to ``part``."""
        began_s = time.thread_time()
        try:
            yield
        finally:
            self.cpu_s[part] += time.thread_time() - began_s


class VirtualCity:
    """Service, links, twin and clock, moved in step.

    Args:
        twin: The device side; the clock starts at its present.
        settings: Of the service; devices report every ``sample_s``.
        memory: The service's stores.
        recorder: Records the ground truth; one of its own unless given.
        observer: Called after every cycle of the service.
        tariff: Prices; the service's own unless given.
        planning_s: Virtual seconds from the snapshot a plan is made of until it is in force. It is computed beside the
            cycles in between.
        answer_s: The same for the re-dispatch of accepted requests after a new plan; a re-dispatch for an acceptance
            or a shortfall is in force at once.
        scraped: The service's metrics are read.
        ordinary: The twin's ordinary world gets plans of its own; otherwise it is the prepared one.

    Attributes:
        connection_points: The grid's own meters of requests for regulation.
    """

    def __init__(
        self,
        twin: Twin,
        *,
        settings: Settings,
        memory: Memory,
        recorder: TruthRecorder | None = None,
        observer: Observer | None = None,
        tariff: Tariff | None = None,
        planning_s: float = 0.0,
        answer_s: float = 0.0,
        scraped: bool = True,
        ordinary: bool = False,
    ) -> None:
        self.twin, self.index = twin, twin.index
        self.clock = VirtualClock(twin.now_s)
        self.recorder = recorder or TruthRecorder(twin, installed_kw=final_defaults_kw(twin.index))
        self.settings = settings
        self.service: Service
        self.cpu = CpuMeter()
        self.connection_points = ConnectionPoints(twin)
        self._rejoining = Rejoining(twin)
        self._memory = memory
        self._observer = observer
        self._tariff = tariff
        self._planning_s, self._redispatch_delay_s, self._scraped = planning_s, answer_s, scraped
        self._next_plan_s = self._in_force_s = float("inf")
        self._upcoming: asyncio.Task[Prepared | None] | None = None
        self._redispatch: asyncio.Task[Schedule | None] | None = None
        self._redispatch_s = float("inf")
        self._links: Sequence[TwinLink] = []
        self._ordinary: OrdinaryPlans | None = None
        if ordinary:
            self._ordinary = OrdinaryPlans(twin, settings, tariff)

    @property
    def plant(self) -> VirtualPowerPlant:
        """Facade of the service."""
        return self.service.plant

    async def boot(self) -> None:
        """Start the service."""
        self._links = self._made_links()
        self.service = Service(
            self.settings,
            self._memory,
            self.clock,
            self._links,
            observer=self._observe,
            tariff=self._tariff,
            scraped=self._scraped,
        )
        self.connection_points.follow(self.service.core.engine, self.service.requests.measurement.portfolios)
        await self.service.planner.start()
        if self._ordinary is not None:
            await self._ordinary.start()
        await self.service.open()

    def _observe(self, state: FleetState, result: CycleResult) -> None:
        self.connection_points.observe(state, result)
        if self._observer is not None:
            self._observer(state, result)

    async def found(self) -> None:
        """Start, register the fleet with its history, let devices report, and make the first plan."""
        await self.boot()
        index = self.index
        await self.plant.connect(
            areas=index.areas,
            operators=index.operators,
            transformers=index.transformers,
            sites=index.sites,
            resources=index.resources,
        )
        await self._hand_over_history()
        await self.play(minutes=INTRODUCTION_MINUTES)
        await self.plan()

    async def plan(self) -> None:
        """Make a plan now and every planning period from now on."""
        await self._begin_plan()
        await self._install(at_once=True)

    async def _begin_plan(self) -> None:
        now_s, period_s = self.clock.now_s(), int(self.settings.plan_period_s)
        self._upcoming = asyncio.create_task(self.service.slow.prepare())
        self._in_force_s = now_s + self._planning_s
        self._next_plan_s = floor_s(now_s, period_s) + period_s
        if self._ordinary is not None:
            self._ordinary.note(self.service.inputs.latest())
        await asyncio.sleep(0)  # the snapshot is taken now

    async def _install(self, *, at_once: bool = False) -> None:
        if self._upcoming is not None:
            with self.cpu.of("planning"):
                prepared = await self._upcoming
            self._upcoming = None
            if self._ordinary is not None and prepared is not None:
                with self.cpu.of("ordinary"):
                    await self._ordinary.follow(prepared.forecast, at_once=at_once)
            if await self.service.slow.install(prepared):
                await self._begin_redispatch()
            await self.service.requests.availability.turn()

    async def _begin_redispatch(self) -> None:
        """Begin the re-dispatch for the plan that was put in force."""
        await self._discard_redispatch()
        self._redispatch = asyncio.create_task(self.service.slow.answer())
        self._redispatch_s = self.clock.now_s() + self._redispatch_delay_s
        await asyncio.sleep(0)  # the snapshot is taken now
        if not self._redispatch_delay_s:
            await self._install_redispatch()

    async def _install_redispatch(self) -> None:
        """Put the re-dispatch in force."""
        if self._redispatch is not None:
            answer, self._redispatch = self._redispatch, None
            with self.cpu.of("redispatch"):
                self.service.slow.intend(await answer)

    async def _discard_redispatch(self) -> None:
        """Discard the re-dispatch that was begun, once it is finished: solvers are not interrupted."""
        if self._redispatch is not None:
            answer, self._redispatch = self._redispatch, None
            await answer

    async def _follow_plans(self) -> None:
        """Put plan and re-dispatch in force, begin the next plan, or re-dispatch changed requests, as is due."""
        now_s, slow = self.clock.now_s(), self.service.slow
        if now_s >= self._redispatch_s:
            await self._install_redispatch()
        if self._upcoming is not None and now_s >= self._in_force_s:
            await self._install()
        if now_s >= self._next_plan_s:
            await (self._begin_plan() if self._planning_s else self.plan())
        if slow.requests_wait:
            await self._discard_redispatch()
            with self.cpu.of("redispatch"):
                await slow.redispatch()

    async def cycle(self, seconds: float | None = None) -> None:
        """Run one cycle of service and devices, of the nominal length unless given."""
        await self._tick_until(self.clock.now_s() + (self.settings.cycle_s if seconds is None else seconds))
        with self.cpu.of("cycle"):
            await self.service.fast.cycle()
        self._rejoining.follow(self.service.core.engine.book.running(self.clock.now_s()))
        if self._ordinary is not None:
            with self.cpu.of("ordinary"):
                self._ordinary.apply(self.service.inputs.latest())
        with self.cpu.of("settlement"):
            await self.service.requests.settlement.settle_finished()
        await self._follow_plans()

    async def play(self, *, minutes: float) -> None:
        """Run for some minutes."""
        await self.play_until(self.clock.now_s() + minutes * SECONDS_PER_MINUTE)

    async def play_until(self, at_s: float) -> None:
        """Run until ``at_s``."""
        while self.clock.now_s() < at_s:
            await self.cycle()

    async def close(self) -> None:
        """Stop the service as an operator would."""
        for making in (self._upcoming, self._redispatch):
            if making is not None:
                making.cancel()
                await asyncio.wait({making})
        if self._ordinary is not None:
            await self._ordinary.close()
        await self.service.close()

    async def _tick_until(self, cycle_s: float) -> None:
        """Run until a cycle, with the service's ticks in between."""
        fast = self.service.fast
        while (tick_s := fast.next_tick_s(self.clock.now_s(), cycle_s)) is not None:
            await self._move(tick_s - self.clock.now_s())
            with self.cpu.of("tick"):
                await fast.tick()
        await self._move(cycle_s - self.clock.now_s())

    async def _move(self, seconds: float) -> None:
        """Advance time; devices respond to commands within the cycle, not at its end."""
        now_s = self.clock.now_s() + seconds
        if seconds > ANSWER_S and any(link.commands_in_flight for link in self._links):
            await self._advance(now_s - seconds + ANSWER_S)
            with self.cpu.of("link"):
                for link in self._links:
                    link.deliver(self.clock.now_s())
        await self._advance(now_s)
        with self.cpu.of("link"):
            for link in self._links:
                link.pump(now_s)

    async def _advance(self, to_s: float) -> None:
        await self.clock.advance(to_s)
        with self.cpu.of("twin"):
            self.recorder.advance(to_s, step_s=MOST_STEP_S)

    def _made_links(self) -> Sequence[TwinLink]:
        return [TwinLink(self.twin, self.clock, name=a.value, report_s=self.settings.sample_s) for a in Adapter]

    async def _hand_over_history(self) -> None:
        """Write the metered history to the service's store, a quarter of an hour at a time."""
        for start_s, mean_kw in self.twin.drain_history():
            self._memory.meters.write(start_s, mean_kw.astype(np.float64), np.ones(len(mean_kw)))
        self.service.slow.fleet_changed()
