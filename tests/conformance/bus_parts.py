"""A leader and its gateways in one process, with links that do what a test tells them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import numpy as np

from tests.patience import PATIENCE_WALL_S
from vpp.bus.gateway.gateway import Gateway
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.domain.errors import BusError
from vpp.domain.refused_connection import RefusedConnection, RefusedConnections
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.ports import Bus, BusHandler, BusSubscription, LinkSink
from vpp.runtime.clock import SYSTEM_CLOCK

LOST_WALL_S = 1.5


def city(count: int, adapter: Adapter = Adapter.OCPP) -> FleetIndex:
    """Return a fleet of ``count`` devices of one protocol."""
    return FleetIndex(
        areas=(Area(id="north", name="North"),),
        operators=(Operator(id="op", name="Operator"),),
        transformers=(
            Transformer(id="t0", area_id="north", limit_kw=9e3, export_limit_kw=0.0),
            Transformer(id="t1", area_id="north", limit_kw=1e3, export_limit_kw=0.0, parent_id="t0"),
        ),
        sites=(Site(id="s1", name="Südplatz", area_id="north", operator_id="op", transformer_id="t1"),),
        resources=tuple(
            Resource(
                id=f"r{row}",
                site_id="s1",
                resource_class=ResourceClass.EV,
                adapter=adapter,
                address=f"cp{row}/1",
                p_min_kw=0.0,
                p_max_kw=7.0,
                default_kw=7.0,
            )
            for row in range(count)
        ),
    )


class Ears:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, Quantity], float] = {}
        self.verdicts: dict[int, tuple[OutcomeStatus, Reason]] = {}
        self.heard_twice: list[int] = []
        self.cars: list[SessionEvent] = []
        self.samples = 0
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.repaired: Counter[tuple[str, str]] = Counter()
        self.refused_connections = RefusedConnections()
        self.order: list[str] = []

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements."""
        self.samples += len(batch)
        for row, quantity, value in zip(batch.rows.tolist(), batch.quantities.tolist(), batch.values, strict=True):
            self.values[row, Quantity(quantity)] = float(value)
            self.order.append(f"{Quantity(quantity).name} {row}")

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes."""
        for number, status, reason in zip(batch.ids.tolist(), batch.status, batch.reasons, strict=True):
            if number in self.verdicts:
                self.heard_twice.append(number)
            self.verdicts[number] = (OutcomeStatus(int(status)), Reason(int(reason)))

    def session(self, event: SessionEvent) -> None:
        """Take news of a car."""
        self.cars.append(event)
        self.order.append(type(event).__name__)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count."""
        self.rejected[adapter, reason] += 1

    def healed(self, adapter: str, kind: str) -> None:
        """Count."""
        self.repaired[adapter, kind] += 1

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Note."""
        self.refused_connections.take(refused)

    def connected(self, row: int) -> bool:
        """Return what was last said of a row."""
        return self.values.get((row, Quantity.CONNECTED)) == 1.0


class Devices:
    """A link whose devices come and go as they are told, and obey at once unless they are mute."""

    def __init__(self, name: str = "ocpp") -> None:
        self.name = name
        self.received: list[int] = []
        self.defaults: dict[int, float] = {}
        self.owned: set[str] = set()
        self.mute = False
        self.age = 0.5
        self.index = FleetIndex.empty()
        self.sink: LinkSink | None = None

    def check(self, index: FleetIndex) -> None:
        """Accept every address."""

    def assign(self, index: FleetIndex) -> None:
        """Take the fleet."""
        self.index = index

    async def start(self, sink: LinkSink) -> None:
        """Begin."""
        self.sink = sink

    def send(self, batch: SetpointBatch) -> None:
        """Obey."""
        self.received += batch.ids.tolist()
        if self.mute or self.sink is None:
            return
        count = len(batch)
        self.sink.outcomes(
            OutcomeBatch(
                ids=batch.ids,
                rows=batch.rows,
                status=np.zeros(count, dtype=np.uint8),
                reasons=np.zeros(count, dtype=np.uint8),
                at_s=np.full(count, SYSTEM_CLOCK.now_s()),
            )
        )

    def age_wall_s(self) -> float:
        """Return what the test has it be."""
        return self.age

    def card(self, row: int) -> Mapping[str, object]:
        """Return something."""
        return {"model": f"model of {row}"}

    async def close(self) -> None:
        """End."""
        self.sink = None

    def say(self, *samples: tuple[int, Quantity, float]) -> None:
        """Let devices report."""
        assert self.sink is not None
        now_s = SYSTEM_CLOCK.now_s()
        self.sink.telemetry(TelemetryBatch.of([(row, quantity, value, now_s) for row, quantity, value in samples]))

    def connect(self, *rows: int, up: bool = True) -> None:
        """Let devices come or go."""
        self.say(*((row, Quantity.CONNECTED, float(up)) for row in rows))


class Places(Devices):
    """The same for devices that we dial."""

    def own(self, owns: Callable[[str], bool]) -> None:
        """Dial those that are ours."""
        self.owned = {resource.address for resource in self.index.resources if owns(resource.address)}


class BadBus:
    """A bus on which a test may lose answers, or everything."""

    def __init__(self, bus: Bus) -> None:
        self.down = False
        self.lost_answers = 0
        self._bus = bus

    async def publish(self, subject: str, content: bytes) -> None:
        """Publish unless down."""
        self._check()
        await self._bus.publish(subject, content)

    async def subscribe(self, pattern: str, handler: BusHandler) -> BusSubscription:
        """Subscribe; while down nothing is heard."""

        def heard(subject: str, content: bytes) -> bytes | None:
            return None if self.down else handler(subject, content)

        return await self._bus.subscribe(pattern, heard)

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """Ask; the answer may get lost."""
        self._check()
        answer = await self._bus.request(subject, content, patience_wall_s=patience_wall_s)
        if self.lost_answers:
            self.lost_answers -= 1
            raise BusError("the answer got lost")
        self._check()
        return answer

    async def close(self) -> None:
        """End."""

    def _check(self) -> None:
        if self.down:
            raise BusError("down")


@asynccontextmanager
async def leading(
    bus: Bus, index: FleetIndex, *, epoch: int = 1, answer_s: float = PATIENCE_WALL_S, ears: Ears | None = None
) -> AsyncIterator[tuple[LeaderEndpoint, Ears]]:
    """Run the leader's end."""
    hub, ears = LeaderEndpoint(bus, SYSTEM_CLOCK, answer_s=answer_s, lost_wall_s=LOST_WALL_S), ears or Ears()
    hub.lead(epoch)
    hub.assign(index)
    await hub.start(ears)
    try:
        yield hub, ears
    finally:
        await hub.close()


@asynccontextmanager
async def serving(name: str, bus: Bus, *links: Devices, life: int = 1) -> AsyncIterator[Gateway]:
    """Run a gateway; entered once it serves the leader's fleet."""
    gateway = Gateway(
        name=name,
        incarnation=life,
        bus=bus,
        links=links,
        clock=SYSTEM_CLOCK,
        flush_wall_s=0.005,
        lost_wall_s=LOST_WALL_S,
        remember_default=lambda row, power_kw: links[0].defaults.update({row: power_kw}),
    )
    task = asyncio.create_task(gateway.run(), name=f"run {name}")
    try:
        await until(lambda: links[0].sink is not None or task.done())
        yield gateway
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def orders(
    ids: list[int],
    rows: list[int],
    *,
    epoch: int = 1,
    layer: Layer = Layer.DISPATCH,
    power_kw: float = 3.0,
    lease_s: float = 60.0,
) -> SetpointBatch:
    """Return one instruction a row."""
    count, until_s = len(ids), SYSTEM_CLOCK.now_s() + lease_s
    return SetpointBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        layers=np.full(count, layer, dtype=np.uint8),
        power_kw=np.full(count, power_kw),
        until_s=np.full(count, np.inf if layer is Layer.DEFAULT else until_s),
        epoch=epoch,
    )


def gateways_running(name: str) -> int:
    """Return how many gateways of a name run."""
    return sum(task.get_name() == f"run {name}" for task in asyncio.all_tasks())


async def until(true: Callable[[], bool]) -> None:
    """Return once a condition holds; fails if it does not in time."""
    async with asyncio.timeout(PATIENCE_WALL_S):
        while not true():  # noqa: ASYNC110 - the parts under test have no event for it
            await asyncio.sleep(0.005)
