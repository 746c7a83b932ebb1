"""Load of MQTT and Modbus sites: our links and thousands of devices as worker processes."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import structlog
import uvloop

from adapters.modbus.link import ModbusLink
from adapters.modbus.simulated.equipment import SimulatedInverter
from adapters.modbus.simulated.server import Endpoint
from adapters.mqtt.link import MqttLink
from adapters.mqtt.simulated.broker import local_broker
from adapters.mqtt.simulated.swarm import SiteSwarm
from vpp.bus.gateway.membership import owned_by
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.load.column_sink import ColumnSink
from vpp.lab.compose.load.worker_group import Reply, answer_requests, requests_of
from vpp.ports import DeviceLink
from vpp.runtime.clock import SYSTEM_CLOCK

WINDOW_S = 0.1
"""Width of the windows in which polls are counted."""


class SiteSink(ColumnSink):
    """A gateway's columns that can be stalled and that count samples by window of time.

    Attributes:
        stall_s: Seconds by which the next batch is delayed, once.
        powers: Samples of power received.
        windows: Number of them measured in each window.
    """

    stall_s: float = 0.0
    powers: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.windows: Counter[float] = Counter()

    def telemetry(self, batch: TelemetryBatch) -> None:
        """See ``LinkSink``."""
        stall_s, self.stall_s = self.stall_s, 0.0
        time.sleep(stall_s)
        super().telemetry(batch)
        measured_s = batch.at_s[batch.quantities == Quantity.POWER_KW]
        self.powers += len(measured_s)
        windows, counts = np.unique(np.floor(measured_s / WINDOW_S), return_counts=True)
        self.windows.update(dict(zip(windows.tolist(), counts.tolist(), strict=True)))


def broker(pipe: Connection, folder: Path) -> None:
    """Run a broker until the parent ends; answers with its address."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))  # results go to the other
    asyncio.run(_broker(pipe, folder))


async def _broker(pipe: Connection, folder: Path) -> None:
    async with local_broker(directory=folder) as url:
        await answer_requests(pipe, lambda _what, _arguments: {"url": url})


def mqtt_link(pipe: Connection, index: FleetIndex, url: str) -> None:
    """Run our end of MQTT until the parent ends."""
    lift_limits()
    uvloop.run(_linked(pipe, MqttLink(url=url, clock=SYSTEM_CLOCK), index))


def modbus_link(pipe: Connection, index: FleetIndex, poll_s: float, own: str, members: tuple[str, ...]) -> None:
    """Run our end of Modbus for the endpoints of one of several gateways until the parent ends."""
    lift_limits()
    link = ModbusLink(clock=SYSTEM_CLOCK, poll_s=poll_s, timeout_s=10.0)
    link.own(owned_by(own, *([members] if members else [])))
    uvloop.run(_linked(pipe, link, index))


async def _linked(pipe: Connection, link: DeviceLink, index: FleetIndex) -> None:
    sink = SiteSink(len(index))
    link.assign(index)
    await link.start(sink)

    def answer(what: str, arguments: Reply) -> Reply:
        if what == "stall":
            sink.stall_s = float(arguments["wall_s"])
        if what == "counts":
            return {"energy_kwh": sink.values[:, Quantity.ENERGY_KWH].copy()}
        if what == "spread":
            windows, sink.windows = sink.windows, Counter()
            return {"windows": windows}
        return {
            "cpu_s": time.process_time(),
            "samples": sink.samples,
            "powers": sink.powers,
            "batches": sink.batches,
            "connected": int((sink.values[:, Quantity.CONNECTED] == 1.0).sum()),
            "rejected": dict(sink.rejected),
        }

    try:
        await answer_requests(pipe, answer)
    finally:
        await link.close()


def mqtt_sites(
    pipe: Connection, url: str, names: Sequence[str], devices: Sequence[str], sources: Sequence[str]
) -> None:
    """Run MQTT sites as requested until the parent ends."""
    lift_limits()
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    swarm = SiteSwarm((host, int(port)), names, devices=devices, sources=sources, now_s=SYSTEM_CLOCK.now_s)
    for what, arguments in requests_of(pipe, idle=lambda: False):
        before = swarm.receipts
        swarm.latency_s.clear()
        if what == "run":
            swarm.run(**arguments)
        if what == "settle":
            deadline = time.perf_counter() + float(arguments["wall_s"])
            while swarm.owed() and time.perf_counter() < deadline:
                swarm.run(0.05)
        pipe.send(
            {
                "ready": swarm.ready,
                "lost": swarm.lost,
                "owed": swarm.owed(),
                "receipts": swarm.receipts - before,
                "counts": swarm.counts(),
                "latency_s": np.array(swarm.latency_s),
            }
        )
    swarm.close()


def modbus_sites(pipe: Connection, index: FleetIndex) -> None:
    """Answer for every Modbus site at every address of 127.0.0.0/8, until the parent ends; all show one inverter."""
    lift_limits()
    uvloop.run(_modbus_sites(pipe, index))


async def _modbus_sites(pipe: Connection, index: FleetIndex) -> None:
    world = _OneInverter(index)
    device = SimulatedInverter(world=world, clock=SYSTEM_CLOCK, row=0, base=40000)
    device.refresh(world.readings())
    endpoint = Endpoint({1: device})
    server = await asyncio.get_running_loop().create_server(endpoint.connection, "0.0.0.0", 0, backlog=4096)  # noqa: S104 - all of loopback, for as long as the benchmark runs
    port = server.sockets[0].getsockname()[1]
    await answer_requests(
        pipe,
        lambda _what, _arguments: {
            "port": port,
            "cpu_s": time.process_time(),
            "connections": len(endpoint.connections),
        },
    )
    server.close()
    endpoint.cut()


@dataclass(slots=True)
class _OneInverter:
    """A physical model whose readings never change."""

    index: FleetIndex

    def readings(self) -> DeviceReadings:
        count = len(self.index)
        return DeviceReadings(
            at_s=datetime(2026, 7, 15, 4, tzinfo=UTC).timestamp(),
            power_kw=np.full(count, -20.0),
            energy_kwh=np.zeros(count),
            soc=np.full(count, np.nan),
            plugged=np.zeros(count, dtype=np.bool_),
            online=np.ones(count, dtype=np.bool_),
            p_min_kw=np.full(count, -30.0),
            p_max_kw=np.zeros(count),
        )

    def response(self, row: int) -> DeviceResponse:
        del row
        return DeviceResponse(latency_s=0.0, refused=False, ignored=False)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Ignore the command."""

    def plug_events(self) -> list[PlugEvent]:
        return []


def spread_of(windows: Counter[float]) -> float:
    """Return by how much the fullest window is above the mean, as a factor; NaN where there were too few."""
    if len(windows) < 3:  # noqa: PLR2004 - without the first and the last, which are cut off
        return math.nan
    first, last = round(min(windows)), round(max(windows))
    counts = np.array([windows[number] for number in range(first + 1, last)])
    return float(counts.max() / max(counts.mean(), 1e-9))
