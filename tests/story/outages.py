"""Outages of every kind in a city on virtual time, and what the truth says of the time after them."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity, WatchedLink, Wire
from vpp.domain.request import DispatchRequest
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.lab.twin.command_queue import Commands
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.link import TwinLink
from vpp.lab.twin.worlds import ACTUAL, PREPARED
from vpp.ports import LinkSink
from vpp.runtime.clock import VirtualClock

_LINKS = ("ocpp", "modbus", "mqtt")
HOLD_MINUTES = 60.0
INTO_THE_HOLD_S = 600.0
LONGEST_FILLING_S = 600.0
"""Begun pages of a database take the records of a few quiet minutes."""


class CutBus:
    """The bus between gateways and service, as it is when it fails: devices and gateways stay up.

    While it is cut gateways keep samples and news of cars, outcomes come too late for anybody to wait for them, and
    the service finds every device disconnected.
    """

    def __init__(self, sink: LinkSink) -> None:
        self.cut = False
        self._sink = sink
        self._kept: list[Callable[[], None]] = []

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Pass samples on, or keep them."""
        if self.cut:
            kept = batch.quantities != Quantity.CONNECTED
            self._kept.append(lambda: self._sink.telemetry(_chosen(batch, kept)))
        else:
            self._sink.telemetry(batch)

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Pass outcomes on; those of a cut bus are waited for by nobody."""
        if not self.cut:
            self._sink.outcomes(batch)

    def session(self, event: SessionEvent) -> None:
        """Pass news of a car on, or keep them."""
        if self.cut:
            self._kept.append(lambda: self._sink.session(event))
        else:
            self._sink.session(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Pass a count on."""
        self._sink.rejected_frame(adapter, reason)

    def healed(self, adapter: str, kind: str) -> None:
        """Pass a count on."""
        self._sink.healed(adapter, kind)

    def give_up(self, batch: OutcomeBatch) -> None:
        """Tell the service what it will never hear the outcome of."""
        self._sink.outcomes(batch)

    def say_connected(self, rows: RowArray, up: FloatArray, at_s: float) -> None:
        """Tell the service whose link is up, whatever the bus is like."""
        quantities = np.full(len(rows), Quantity.CONNECTED, dtype=np.uint8)
        self._sink.telemetry(TelemetryBatch(rows=rows, quantities=quantities, values=up, at_s=np.full(len(rows), at_s)))

    def heal(self) -> None:
        """Deliver what was kept, in order."""
        self.cut = False
        kept, self._kept = self._kept, []
        for tell in kept:
            tell()


class BusLink(WatchedLink):
    """A watched link with a bus on its way."""

    def __init__(self, twin: Twin, clock: VirtualClock, wire: Wire, *, name: str, report_s: float) -> None:
        super().__init__(twin, clock, wire, name=name, report_s=report_s)
        self._bus: CutBus | None = None

    async def start(self, sink: LinkSink) -> None:
        """Begin behind the bus."""
        self._bus = CutBus(sink)
        await super().start(self._bus)

    def send(self, batch: SetpointBatch) -> None:
        """Hand instructions over, unless there is no bus to carry them."""
        if self._bus is not None and self._bus.cut:
            self._bus.give_up(_unreachable(batch, self._time.now_s()))
        else:
            super().send(batch)

    def cut(self) -> None:
        """Lose the bus: what is under way arrives at its device, and nobody hears that it did."""
        assert self._bus is not None
        for slots in (self._commands.in_flight, self._commands.waiting):
            lost = slots.pop(slots.all_rows())
            self._bus.give_up(_unreachable(lost, self._time.now_s()))
            self._twin.setpoints.apply_all(lost.rows, lost.layers, lost.power_kw, lost.until_s)
        self._bus.say_connected(self._rows, np.zeros(len(self._rows)), self._time.now_s())
        self._bus.cut = True

    def heal(self) -> None:
        """Have the bus back: gateways tell of their sessions first, then of what they heard meanwhile."""
        assert self._bus is not None
        self._bus.say_connected(self._rows, self._twin.online()[self._rows].astype(np.float64), self._time.now_s())
        self._bus.heal()


class OutageCity(VirtualCity):
    """A virtual city in which everything may fail."""

    def _made_links(self) -> list[TwinLink]:
        report_s = self.settings.sample_s
        links = [BusLink(self.twin, self.clock, self.wire, name=a, report_s=report_s) for a in _LINKS]
        for link, before in zip(links, self._dead, strict=False):
            link.inherit(before)
        return list(links)

    @property
    def database(self) -> Path:
        """The file everything durable is in."""
        return Path(self.settings.database_url.removeprefix("sqlite:///"))

    def cut_bus(self) -> None:
        """Lose the bus."""
        for link in self._links:
            assert isinstance(link, BusLink)
            link.cut()

    def heal_bus(self) -> None:
        """Have it back."""
        for link in self._links:
            assert isinstance(link, BusLink)
            link.heal()

    async def into_the_hold(self, share: float) -> DispatchRequest:
        """Commit to a share of what can be had, and play until ten minutes of the hold have passed."""
        quoted_kw, _ = await self.quoted_kw(self.draft(FAR_TOO_MUCH_KW, minutes=HOLD_MINUTES))
        request = await self.commit(self.draft(round(share * quoted_kw), minutes=HOLD_MINUTES))
        await self.play_until(request.draft.start_at.timestamp() + INTO_THE_HOLD_S)
        return request

    def fresh_ratio(self) -> float:
        """Return the share of rows that are connected and freshly metered."""
        state = self.plant.fleet()
        return float(np.mean(state.connected & (state.at_s - state.power_at_s <= self.settings.stale_s)))


def delivered_ratio(city: VirtualCity, request: DispatchRequest, *, from_s: float, to_s: float) -> FloatArray:
    """Return what was truly delivered in each minute as a share of what was accepted."""
    truth = city.recorder.truth()
    change_kw = truth.city_kw[PREPARED] - truth.city_kw[ACTUAL]
    energy = np.concatenate([[0.0], np.cumsum(change_kw * (truth.end_s - truth.start_s))])
    at_s = np.concatenate([truth.start_s[:1], truth.end_s])
    edges_s = np.arange(from_s, to_s + 1.0, 60.0)
    means_kw = np.diff(np.interp(edges_s, at_s, energy)) / 60.0
    return np.asarray(means_kw / (request.accepted_kw or request.draft.target_kw))


def rolling(values: FloatArray, minutes: int) -> FloatArray:
    """Return the means of so many minutes one after the other, of all there are where they are fewer."""
    width = min(minutes, len(values))
    return np.convolve(values, np.full(width, 1.0 / width), mode="valid")


Outage = Callable[[OutageCity], AbstractAsyncContextManager[None]]
"""Has something fail for as long as its context lasts."""


@asynccontextmanager
async def no_devices(city: OutageCity) -> AsyncIterator[None]:
    """Have every device lose its link."""
    rows = np.arange(len(city.index), dtype=np.int32)
    city.twin.drop(rows)
    yield
    city.twin.restore(rows)


@asynccontextmanager
async def no_gateway(city: OutageCity) -> AsyncIterator[None]:
    """Have the third of the devices that is at one gateway lose their links."""
    rows = np.random.default_rng(1).permutation(len(city.index)).astype(np.int32)[::3]
    city.twin.drop(rows)
    yield
    city.twin.restore(rows)


@asynccontextmanager
async def no_bus(city: OutageCity) -> AsyncIterator[None]:
    """Have commands and telemetry lost while devices are up."""
    city.cut_bus()
    yield
    city.heal_bus()


@asynccontextmanager
async def no_service(city: OutageCity) -> AsyncIterator[None]:
    """Have the service's process die, and another start."""
    await city.kill()
    yield
    await city.boot()


@asynccontextmanager
async def locked_database(city: OutageCity) -> AsyncIterator[None]:
    """Have somebody else hold the database's lock."""
    with closing(sqlite3.connect(str(city.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        assert city.service.core.durability.failing
        other.execute("ROLLBACK")


@asynccontextmanager
async def full_disk(city: OutageCity) -> AsyncIterator[None]:
    """Have no page left for the database; the outage begins once what room its pages had is used up."""
    engine = city.store.database

    def limit(raw: sqlite3.Connection, _: object) -> None:
        raw.execute("PRAGMA max_page_count=1")  # SQLite makes it what there is

    sa.event.listen(engine, "connect", limit)
    engine.dispose()
    try:
        last_s = city.clock.now_s() + LONGEST_FILLING_S
        while "the journal cannot be written" not in city.service.core.durability.reason:  # nor is it merely late
            assert city.clock.now_s() < last_s, "the disk takes more than it has room for"
            await city.cycle()
        yield
        assert city.service.core.durability.failing
    finally:
        sa.event.remove(engine, "connect", limit)
        engine.dispose()


OUTAGES: Mapping[str, Outage] = {
    "devices": no_devices,
    "gateway": no_gateway,
    "bus": no_bus,
    "service": no_service,
    "database": locked_database,
    "disk": full_disk,
}


def _unreachable(batch: SetpointBatch | Commands, at_s: float) -> OutcomeBatch:
    count = len(batch)
    return OutcomeBatch(
        ids=batch.ids,
        rows=batch.rows,
        status=np.full(count, OutcomeStatus.UNREACHABLE, dtype=np.uint8),
        reasons=np.full(count, Reason.NOT_CONNECTED, dtype=np.uint8),
        at_s=np.full(count, at_s),
    )


def _chosen(batch: TelemetryBatch, chosen: BoolArray) -> TelemetryBatch:
    return TelemetryBatch(
        rows=batch.rows[chosen],
        quantities=batch.quantities[chosen],
        values=batch.values[chosen],
        at_s=batch.at_s[chosen],
    )
