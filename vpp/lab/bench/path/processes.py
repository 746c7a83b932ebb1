"""Processes of the path benchmark: NATS, service, gateways behind one port, and stations with cars."""

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
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.gateway.report import say, total
from vpp.lab.bench.path.trace import BusTap
from vpp.lab.bench.path.usage import UsageMeter, children_of
from vpp.lab.compose.load.cars import cars, nameplates_of, source_addresses
from vpp.lab.compose.load.worker_group import HOST, WorkerGroup
from vpp.lab.compose.nats_server import local_nats
from vpp.lab.compose.subprocesses import Child, folders_of_a_plant, free_block
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
"""Prefix of the reply subjects of NATS clients."""
_FLEET = "bench"
_SERVES = b"gateway serves"


class Deployment:
    """All processes of a run.

    Attributes:
        stations: Number of stations.
        clock: Of all processes.
        meter: CPU time and memory they use.
        tap: Messages on the bus.
        swarms: The stations.
        client: HTTP client of the service.
        serve: The service.
        gateways: Gateways by name.
        bus: The message bus.
    """

    def __init__(self, stations: int, clock: ScaledClock, swarms: WorkerGroup, port: int) -> None:
        self.stations = stations
        self.clock = clock
        self.meter = UsageMeter()
        self.tap = BusTap()
        self.swarms = swarms
        self.client: httpx.AsyncClient
        self.serve: Child
        self.gateways: dict[str, Child] = {}
        self.bus: FleetBus
        self._port = port
        self._gone: set[str] = set()

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the service's answer, an empty object while it does not answer."""
        try:
            answer = await self.client.get(path)
        except httpx.TransportError:
            return {}
        return answer.json() if answer.is_success else {}

    async def post(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
        """Return the service's answer; raises ConfigurationError for an error."""
        answer = await self.client.post(f"/api/v1{path}", json=body)
        if not answer.is_success:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    async def ask_stations(self, what: str, **arguments: object) -> list[dict[str, Any]]:
        """Query every swarm; the stations keep running."""
        return await asyncio.to_thread(self.swarms.ask, what, **arguments)

    async def ready(self) -> int:
        """Return the number of stations that are booted and have stated their car's charging needs."""
        return int(total(await self.ask_stations("state"), "ready"))

    async def connected(self) -> int:
        """Return the number of stations connected by the service's count."""
        return int((await self.get("/api/v1/fleet")).get("connected", 0))

    async def dial(self) -> None:
        """Connect all stations."""
        await self.ask_stations("dial", port=self._port)

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
        self.meter.sample()
        self.serve.check()
        for name, gateway in self.gateways.items():
            if name not in self._gone:
                gateway.check()

    async def kill(self, name: str) -> None:
        """Kill a gateway with its stations connected."""
        self._gone.add(name)
        self.meter.sample()
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


def create_database(folder: Path, index: FleetIndex, now_s: float) -> str:
    """Create a database with a fleet, hours of metered history and one epoch that is over.

    A request at short notice is measured against the meters before it; these cars charged at their default.

    Returns:
        The database's URL.
    """
    url = f"sqlite:///{folder / 'data' / 'vpp.sqlite3'}"
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
async def running_deployment(
    deployment_of: Callable[[int], Deployment], folder: Path, *, gateways: int, car_pids: Sequence[int]
) -> AsyncIterator[Deployment]:
    """Start NATS, service and gateways and tap the bus; end them in an order that cuts nothing off."""
    port = free_block(2)
    deployment = deployment_of(port)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(local_nats(folder / "nats"))
        deployment.client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{HOST}:{port + 1}", timeout=120.0, trust_env=False)
        )
        environment = _environment(deployment.clock, folder, nats.url, port)
        shared = await NatsBus.at(nats.url, name="vpp bench path")
        stack.push_async_callback(shared.close)
        deployment.bus = FleetBus(shared, _FLEET)
        wire = Client()
        await wire.connect(nats.url)
        stack.push_async_callback(wire.close)
        await _subscribe_tap(deployment, wire)
        deployment.serve = await _started(stack, "serve", environment=environment, log=folder / "serve.log")
        deployment.meter.watch("nats", [nats.pid])
        deployment.meter.watch("serve", [deployment.serve.pid])
        deployment.meter.watch("stations", car_pids)
        for number in range(1, gateways + 1):
            name = f"g{number}"
            log = folder / f"{name}.log"
            gateway = await _started(stack, "gateway", "--name", name, environment=environment, log=log)
            deployment.gateways[name] = gateway
        deployment.meter.watch("gateways", [gateway.pid for gateway in deployment.gateways.values()])
        await deployment.until("gateways", lambda: _serving(deployment), gateways)
        yield deployment


async def _started(
    stack: AsyncExitStack, command: str, *flags: object, environment: Mapping[str, str], log: Path
) -> Child:
    child = await Child.start(command, *flags, environment=environment, log=log)
    stack.push_async_callback(child.end)
    return child


async def _serving(deployment: Deployment) -> int:
    """Return the number of gateways that accept stations; those that listen share the port evenly."""
    found_in = 0
    for gateway in deployment.gateways.values():
        with suppress(OSError):
            found_in += _SERVES in gateway.log.read_bytes()
    return found_in


async def _subscribe_tap(deployment: Deployment, client: Client) -> None:
    """Subscribe the tap to all messages, with the client itself: a ``Bus`` does not expose reply subjects."""

    async def command(message: Msg) -> None:
        deployment.tap.command(message.data, deployment.clock.now_s(), reply=message.reply)

    async def receipt(message: Msg) -> None:
        deployment.tap.receipt(message.subject, message.data)

    async def report(message: Msg) -> None:
        deployment.tap.report(message.data, deployment.clock.now_s())

    async def beat(message: Msg) -> None:
        deployment.tap.beat(message.data)

    received = {to.BEATS: beat, f"{to.ROOT}.set.>": command, f"{to.ROOT}.up.>": report}
    for pattern, handler in received.items():
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
        **folders_of_a_plant(folder),
        "VPP_CLOCK_SPEED": str(clock.speed),
        "VPP_CLOCK_ANCHOR_S": str(clock.anchor_s),
        "VPP_CLOCK_ANCHOR_WALL_S": str(clock.anchor_wall_s),
        "VPP_SAMPLE_S": str(_EVERY_S),
        "VPP_PLAN_PERIOD_S": "120",
        "VPP_RELEASE_MINUTES": "2",
        "VPP_REBOUND_WATCH_MINUTES": "2",
    }
