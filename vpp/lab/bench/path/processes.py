"""The whole path as processes of their own: NATS, service, gateways behind one port, and stations with cars."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg

from vpp.bootstrap.store import Store
from vpp.bus.transport import subjects as to
from vpp.bus.transport.fleet_bus import FleetBus, scoped
from vpp.bus.transport.nats import NatsBus
from vpp.domain.errors import ConfigurationError
from vpp.domain.fleet import FleetIndex
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.lab.bench.gateway.report import say, total
from vpp.lab.bench.path.trace import Tap
from vpp.lab.bench.path.usage import Meter, children_of
from vpp.lab.compose.load.cars import cars, nameplates_of, source_addresses
from vpp.lab.compose.load.worker_group import HOST, WorkerGroup
from vpp.lab.compose.nats_server import local_nats
from vpp.lab.compose.subprocesses import Child, free_block
from vpp.runtime.clock import ScaledClock

PER_SWARM = 16_700
"""Stations a process: it may have 20,000 files."""
_AT_ONCE = 300
_EVERY_S = 60.0
_PATIENCE_WALL_S = 420.0
_POLL_WALL_S = 0.5
_SAY_WALL_S = 10.0
_PAST_STEPS = 16
_ANSWERS = "_INBOX"
"""Where NATS clients hear what they asked for."""
_FLEET = "bench"
_SERVES = b"gateway serves"


class Plane:
    """Everything that runs, and what the benchmark asks of it.

    Attributes:
        stations: How many there are.
        clock: Of all processes.
        meter: What they use.
        tap: What passes on the bus.
        swarms: The stations.
        client: Speaks to the service.
        serve: The service.
        gateways: Gateways by name.
        bus: Where everybody meets.
    """

    def __init__(self, stations: int, clock: ScaledClock, swarms: WorkerGroup, port: int) -> None:
        self.stations = stations
        self.clock = clock
        self.meter = Meter()
        self.tap = Tap()
        self.swarms = swarms
        self.client: httpx.AsyncClient
        self.serve: Child
        self.gateways: dict[str, Child] = {}
        self.bus: FleetBus
        self._port = port
        self._gone: set[str] = set()

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the service shows, an empty object while it does not answer."""
        try:
            answer = await self.client.get(path)
        except httpx.TransportError:
            return {}
        return answer.json() if answer.is_success else {}

    async def post(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
        """Return what the service answers; raises ConfigurationError for a refusal."""
        answer = await self.client.post(f"/api/v1{path}", json=body)
        if not answer.is_success:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    async def stations_say(self, what: str, **arguments: object) -> list[dict[str, Any]]:
        """Ask every swarm; the stations go on meanwhile."""
        return await asyncio.to_thread(self.swarms.ask, what, **arguments)

    async def ready(self) -> int:
        """Return how many stations are booted, have a car, and have said what it wants."""
        return int(total(await self.stations_say("state"), "ready"))

    async def connected(self) -> int:
        """Return how many stations the service sees."""
        return int((await self.get("/api/v1/fleet")).get("connected", 0))

    async def dial(self) -> None:
        """Have all stations connect."""
        await self.stations_say("dial", port=self._port)

    async def until(self, what: str, count: Callable[[], Any], wanted: int) -> float:
        """Wait until a count has come to ``wanted`` and return the wall seconds that took.

        Raises:
            ConfigurationError: A process has ended, or it takes too long.
        """
        began = said = time.perf_counter()
        while (there := await count()) < wanted:
            self.check()
            now = time.perf_counter()
            if now - said > _SAY_WALL_S:
                said = now
                say(f"  {what}: {there:,} of {wanted:,} after {now - began:.0f} s")
            if now - began > _PATIENCE_WALL_S:
                raise ConfigurationError(f"{what}: {there:,} of {wanted:,} after {now - began:.0f} s")
            await asyncio.sleep(_POLL_WALL_S)
        return time.perf_counter() - began

    def check(self) -> None:
        """Raise ConfigurationError if a process has ended that should not have; note what all have used."""
        self.meter.watch("optimizer", children_of(self.serve.pid))
        self.meter.look()
        self.serve.check()
        for name, gateway in self.gateways.items():
            if name not in self._gone:
                gateway.check()

    async def kill(self, name: str) -> None:
        """Kill a gateway with its stations connected."""
        self._gone.add(name)
        self.meter.look()
        self.gateways[name].send_signal(signal.SIGKILL)
        await self.gateways[name].wait()

    def left(self) -> list[str]:
        """Return the gateways that have not been killed."""
        return [name for name in self.gateways if name not in self._gone]


def fork_stations(index: FleetIndex, clock: ScaledClock) -> tuple[WorkerGroup, list[int]]:
    """Fork the stations of a fleet, one a row; return them and their process ids."""
    swarms, before = WorkerGroup(), set(children_of(os.getpid()))
    rows = np.arange(len(index))
    for number, part in enumerate(np.array_split(rows, -(-len(index) // PER_SWARM))):
        main = partial(cars, every_s=_EVERY_S, at_once=_AT_ONCE)
        swarms.add(main, nameplates_of(index, part.tolist()), source_addresses(number, len(part)), clock)
    return swarms, [pid for pid in children_of(os.getpid()) if pid not in before]


def found(folder: Path, index: FleetIndex, now_s: float) -> str:
    """Write a fleet straight into a new database, with hours of its past and one epoch that will be over.

    A request at short notice is measured against the meters before it; these cars charged as their default allows.

    Returns:
        The database's URL.
    """
    url = f"sqlite:///{folder / 'vpp.sqlite3'}"
    store = Store.open(url)
    store.registry.add(FleetIndex.empty(), index)
    store.leases.next_epoch()
    store.meters.grow(len(index))
    mean_kw = np.array([resource.default_kw for resource in index.resources])
    last_s = floor_s(now_s, STEP_S)
    for start_s in np.arange(last_s - _PAST_STEPS * STEP_S, last_s, STEP_S).tolist():
        store.meters.write(start_s, mean_kw, np.ones(len(index)))
    store.close()
    return url


@asynccontextmanager
async def running(
    plane_of: Callable[[int], Plane], folder: Path, *, gateways: int, car_pids: Sequence[int]
) -> AsyncIterator[Plane]:
    """Start NATS, service and gateways and listen in; end them in the order in which nothing is cut off."""
    port = free_block(2)
    plane = plane_of(port)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(local_nats(folder / "nats"))
        plane.client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{HOST}:{port + 1}", timeout=120.0, trust_env=False)
        )
        environment = _environment(plane.clock, folder, nats.url, port)
        shared = await NatsBus.at(nats.url, name="vpp bench path")
        stack.push_async_callback(shared.close)
        plane.bus = FleetBus(shared, _FLEET)
        wire = Client()
        await wire.connect(nats.url)
        stack.push_async_callback(wire.close)
        await _listen_in(plane, wire)
        plane.serve = await _started(stack, "serve", environment=environment, log=folder / "serve.log")
        plane.meter.watch("nats", [nats.pid])
        plane.meter.watch("serve", [plane.serve.pid])
        plane.meter.watch("stations", car_pids)
        for number in range(1, gateways + 1):
            name = f"g{number}"
            log = folder / f"{name}.log"
            gateway = await _started(stack, "gateway", "--name", name, environment=environment, log=log)
            plane.gateways[name] = gateway
        plane.meter.watch("gateways", [gateway.pid for gateway in plane.gateways.values()])
        await plane.until("gateways", lambda: _serving(plane), gateways)
        yield plane


async def _started(
    stack: AsyncExitStack, command: str, *flags: object, environment: Mapping[str, str], log: Path
) -> Child:
    child = await Child.start(command, *flags, environment=environment, log=log)
    stack.push_async_callback(child.end)
    return child


async def _serving(plane: Plane) -> int:
    """Return how many gateways take stations: those that wait at the port share it evenly."""
    found_in = 0
    for gateway in plane.gateways.values():
        with suppress(OSError):
            found_in += _SERVES in gateway.log.read_bytes()
    return found_in


async def _listen_in(plane: Plane, client: Client) -> None:
    """Let the tap hear everybody; by the client itself, for who answers whom is none of a ``Bus``'s business."""

    async def instruction(message: Msg) -> None:
        plane.tap.instruction(message.data, plane.clock.now_s(), reply=message.reply)

    async def receipt(message: Msg) -> None:
        plane.tap.receipt(message.subject, message.data)

    async def report(message: Msg) -> None:
        plane.tap.report(message.data, plane.clock.now_s())

    async def beat(message: Msg) -> None:
        plane.tap.beat(message.data)

    heard = {to.BEATS: beat, f"{to.ROOT}.set.>": instruction, f"{to.ROOT}.up.>": report}
    for pattern, handler in heard.items():
        await client.subscribe(scoped(_FLEET, pattern), cb=handler)
    await client.subscribe(f"{_ANSWERS}.>", cb=receipt)
    await client.flush()


def _environment(clock: ScaledClock, folder: Path, nats_url: str, port: int) -> dict[str, str]:
    # Without the user's own settings: a benchmark must not write to the database of a real plant.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VPP_")}
    return {
        **inherited,
        "VPP_HTTP": f"{HOST}:{port + 1}",
        "VPP_OCPP": f"{HOST}:{port}",
        "VPP_BUS_URL": nats_url,
        "VPP_FLEET_ID": _FLEET,
        "VPP_DATA_DIR": str(folder),
        "VPP_CLOCK_SPEED": str(clock.speed),
        "VPP_CLOCK_ANCHOR_S": str(clock.anchor_s),
        "VPP_CLOCK_ANCHOR_WALL_S": str(clock.anchor_wall_s),
        "VPP_SAMPLE_S": str(_EVERY_S),
        "VPP_PLAN_PERIOD_S": "120",
        "VPP_RELEASE_MINUTES": "2",
        "VPP_REBOUND_WATCH_MINUTES": "2",
    }
