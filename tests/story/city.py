"""A small city on virtual time: the real service over device links without sockets, a twin behind them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from vpp.bootstrap.store import Store
from vpp.bootstrap.volatile_store import VolatileMemory
from vpp.domain.request import Direction, DispatchRequest, NoticeClass, Product, RequestDraft, RequestState
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import RowArray, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.index import FleetIndex
from vpp.lab.simulate import city
from vpp.lab.simulate.city import HISTORY_DAYS, fresh_twin, virtual_settings
from vpp.lab.twin.delivery_truth import judge
from vpp.lab.twin.environment.world_file import KIND_WORLD
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.link import TwinLink
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions, SessionSource
from vpp.lab.twin.revenue_meters import history_grid
from vpp.lab.twin.truth import final_defaults_kw
from vpp.runtime.clock import VirtualClock

BEGIN_S = datetime(2026, 7, 15, 12, 9, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
"""A hot July workday, a good quarter of an hour before the first hold."""

SEED = 1
FAR_TOO_MUCH_KW = 1e6
CYCLE_S = 10.0
REPORT_S = 30.0
_PREROLL_STEP_S = 120.0
_LINKS = ("ocpp", "modbus", "mqtt")
_OVER = (RequestState.SETTLED, RequestState.CANCELLED, RequestState.FAILED)
_LONGEST_S = 4.0 * 3600.0


class PowerCut(BaseException):
    """The process ends here; no handler of the service may run."""


@dataclass(kw_only=True)
class Wire:
    """What went over the links of all services that ever ran on one twin.

    Attributes:
        ids: Every command id, in order.
        sent: Time, row and kind of every command: epoch seconds, row, layer, kW.
        fuse_s: From when on the next batch meets a power cut before it gets out.
    """

    ids: list[int] = field(default_factory=list)
    sent: list[tuple[float, int, int, float]] = field(default_factory=list)
    fuse_s: float = float("inf")


class WatchedLink(TwinLink):
    """A link whose commands are noted on their way out."""

    def __init__(self, twin: Twin, clock: VirtualClock, wire: Wire, *, name: str, report_s: float = REPORT_S) -> None:
        super().__init__(twin, clock, name=name, report_s=report_s)
        self._wire, self._time = wire, clock

    def send(self, batch: SetpointBatch) -> None:
        """Note the commands and pass them on, unless the lights go out first."""
        now_s = self._time.now_s()
        if now_s >= self._wire.fuse_s:
            self._wire.fuse_s = float("inf")
            raise PowerCut
        self._wire.ids += batch.ids.tolist()
        columns = (batch.rows.tolist(), batch.layers.tolist(), batch.power_kw.tolist())
        self._wire.sent += [(now_s, *command) for command in zip(*columns, strict=True)]
        super().send(batch)

    def fall_silent(self) -> None:
        """Lose the service: what left still arrives, what comes back is heard by nobody."""
        self._sink = _Deaf()
        self._serves_cars = False  # cars wait to be told of until somebody listens

    def inherit(self, dead: "WatchedLink") -> None:
        """Take over what the devices could not tell the service before: they remember it, not the service."""
        self._unreported = dead._unreported


class _Deaf:
    """A service that is dead: devices go on talking."""

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Hear nothing."""

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Hear nothing."""

    def session(self, event: SessionEvent) -> None:
        """Hear nothing."""

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Hear nothing."""

    def healed(self, adapter: str, kind: str) -> None:
        """Hear nothing."""


def small_fleet() -> FleetIndex:
    """Return 168 devices of every kind."""
    return demo_fleet(stations=120, inverters=20, batteries=10, v2g=8, sites=10)


def prerolled(index: FleetIndex, sessions: SessionSource, *, begin_s: float = BEGIN_S, seed: int = SEED) -> Twin:
    """Return a twin with a good week behind it, at ``begin_s``."""
    twin = fresh_twin(index, sessions, begin_s=begin_s, seed=seed, world=KIND_WORLD)
    twin.advance(begin_s, step_s=_PREROLL_STEP_S)
    return twin


@cache
def _standard_twin() -> Twin:
    return prerolled(small_fleet(), BuiltinSessions(SEED))


def small_twin() -> Twin:
    """Return the twin of the small fleet at ``BEGIN_S``; the week before it is run only once."""
    return copy.deepcopy(_standard_twin())


class VirtualCity(city.VirtualCity):
    """The product's virtual city with a database, watched wires, and a way to die.

    Args:
        twin: The device side; the clock starts at its present.
        directory: Where the database is kept.
        watch_minutes: How long the rebound is watched.
        report_s: How often devices report.
    """

    def __init__(self, twin: Twin, directory: Path, *, watch_minutes: float = 15.0, report_s: float = REPORT_S) -> None:
        settings = virtual_settings(
            directory, sample_s=report_s, rebound_watch_minutes=watch_minutes, call_timeout_s=120.0
        )
        super().__init__(twin, settings=settings, memory=VolatileMemory())  # until there is a database
        self.wire = Wire()
        self.store: Store
        self._dead: list[WatchedLink] = []

    async def boot(self) -> None:
        """Start a service on the database, new or not."""
        self._memory = self.store = Store.open(self.settings.database_url)
        await super().boot()

    @property
    def _watched(self) -> list[WatchedLink]:
        return [link for link in self._links if isinstance(link, WatchedLink)]

    def _made_links(self) -> list[TwinLink]:
        report_s = self.settings.sample_s
        links = [WatchedLink(self.twin, self.clock, self.wire, name=name, report_s=report_s) for name in _LINKS]
        for link, before in zip(links, self._dead, strict=False):
            link.inherit(before)
        return list(links)

    async def _hand_over_history(self) -> None:
        """Import the past as an operator's back office would."""
        grid = history_grid(days=HISTORY_DAYS, until_s=self.clock.now_s())
        await self.plant.import_meters(grid, [r.id for r in self.index.resources], self.twin.read(grid))

    async def play_out(self, request_id: str) -> DispatchRequest:
        """Let time pass until the request is over and, if there was anything to settle, settled."""
        last_s = self.clock.now_s() + _LONGEST_S
        while self.plant.request(request_id).state not in _OVER:
            assert self.clock.now_s() < last_s, f"still {self.plant.request(request_id).state}"
            await self.cycle()
        return self.plant.request(request_id)

    def draft(self, target_kw: float, *, minutes: float = 45.0, **more: Any) -> RequestDraft:  # noqa: ANN401 - any field
        """Return a cut of the whole city's net load that begins at the next quarter an intraday call may name."""
        start_at = instant(-(-(self.clock.now_s() + 15.0 * SECONDS_PER_MINUTE) // STEP_S) * STEP_S)
        asked: dict[str, Any] = {
            "product": Product.PEAK_SHAVING,
            "direction": Direction.UP,
            "target_kw": target_kw,
            "area": "city",
            "start_at": start_at,
            "end_at": start_at + timedelta(minutes=minutes),
            "notice_class": NoticeClass.INTRADAY,
        }
        return RequestDraft(**(asked | more))

    async def ask(self, draft: RequestDraft) -> DispatchRequest:
        """Submit a request."""
        request, _ = await self.plant.submit(draft, key=None, actor="dispatcher")
        return request

    async def quoted_kw(self, draft: RequestDraft) -> tuple[float, float]:
        """Return what could be had in the draft's window: with even chances, and with one chance in ten."""
        quote = (await self.ask(draft)).quote
        assert quote is not None
        return quote.p50_kw, min(quote.deliverable_p90_kw)

    async def commit(self, draft: RequestDraft, offer: int | None = None) -> DispatchRequest:
        """Submit a request and accept its quote or one of its counter-offers."""
        request = await self.ask(draft)
        return await self.plant.accept(request.id, offer=offer, actor="dispatcher")

    def verdict(self, request: DispatchRequest) -> Mapping[str, Any]:
        """Return what the twin's counterfactual says of a request, as far as its hold has come.

        Defaults must be those of the fleet as it is by now.
        """
        self.recorder.expect_defaults(final_defaults_kw(self.service.core.engine.index)[: len(self.index)])
        return judge(
            self.recorder.truth(),
            start_s=request.draft.start_at.timestamp(),
            end_s=min(request.draft.end_at.timestamp(), self.clock.now_s()),
            target_kw=request.accepted_kw or request.draft.target_kw,
            direction=request.draft.direction,
        )

    async def kill(self) -> None:
        """Let the service's process die: nothing is flushed, told or handed over."""
        await self.service.planner.close()  # the operating system ends the child of a dead process
        self.store.database.dispose()
        self._dead = self._watched
        for link in self._dead:
            link.fall_silent()

    async def dark(self, seconds: float) -> None:
        """Let time pass while no service runs."""
        until_s = self.clock.now_s() + seconds
        while self.clock.now_s() < until_s:
            await self._move(self.settings.cycle_s)

    async def close(self) -> None:
        """Stop the service as an operator would."""
        await super().close()
        self.store.close()

    def rows_of(self, *classes: str) -> RowArray:
        """Return the rows of some classes."""
        chosen = [row for row, r in enumerate(self.index.resources) if r.resource_class.value in classes]
        return np.array(chosen, dtype=np.int32)
