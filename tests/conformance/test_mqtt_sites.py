"""Both ends of MQTT over a real broker."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import numpy as np
import orjson
import pytest
from structlog.testing import capture_logs

from adapters.mqtt import payload
from adapters.mqtt.connection import Broker, Connection
from adapters.mqtt.link import MqttLink
from adapters.mqtt.simulated.broker import local_broker
from adapters.mqtt.simulated.sites import MqttSites
from tests.conformance.bus_parts import until
from tests.patience import PATIENCE_WALL_S
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import ScaledClock

_SPEED = 50.0
_ADDRESSES = ("mall/ahu-1", "mall/ahu-2", "plant/press")
AHU_1, AHU_2, PRESS = range(3)


def fleet(addresses: tuple[str, ...] = _ADDRESSES) -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="north", name="North"),),
        operators=(Operator(id="op", name="Operator"),),
        transformers=(Transformer(id="t1", area_id="north", limit_kw=1000.0, export_limit_kw=0.0),),
        sites=(Site(id="s1", name="Site", area_id="north", operator_id="op", transformer_id="t1"),),
        resources=tuple(
            Resource(
                id=f"r{row}",
                site_id="s1",
                resource_class=ResourceClass.HVAC,
                adapter=Adapter.MQTT,
                address=address,
                p_min_kw=0.0,
                p_max_kw=100.0,
            )
            for row, address in enumerate(addresses)
        ),
    )


@dataclass
class Sink:
    """Keeps what a link hears and wakes whoever waits for it."""

    values: dict[tuple[int, int], float] = field(default_factory=dict)
    results: list[tuple[int, int, int]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Keep the newest value of everything."""
        for row, quantity, value in zip(batch.rows, batch.quantities, batch.values, strict=True):
            self.values[int(row), int(quantity)] = float(value)
        self.news.set()

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Keep every outcome in order."""
        self.results += zip(batch.ids.tolist(), batch.status.tolist(), batch.reasons.tolist(), strict=True)
        self.news.set()

    def session(self, event: SessionEvent) -> None:
        """Complain: MQTT sites have no cars."""
        raise AssertionError(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Keep the reason."""
        assert adapter == "mqtt"
        self.rejected.append(reason)
        self.news.set()

    def healed(self, adapter: str, kind: str) -> None:
        """Keep the kind of the repair."""
        assert adapter == "mqtt"
        self.repaired.append(kind)
        self.news.set()

    def power(self, row: int) -> float | None:
        """Return the newest metered power."""
        return self.values.get((row, Quantity.POWER_KW))

    def connected(self, row: int) -> float | None:
        """Return the newest news of the link."""
        return self.values.get((row, Quantity.CONNECTED))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, looking again whenever something arrives."""
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


@dataclass
class World:
    """Three devices that do at once what they are told."""

    clock: ScaledClock
    index: FleetIndex = field(default_factory=fleet)
    power_kw: list[float] = field(default_factory=lambda: [40.0, 50.0, 60.0])
    online: list[bool] = field(default_factory=lambda: [True, True, True])
    response_to: dict[int, DeviceResponse] = field(default_factory=dict)
    applied: list[tuple[int, Layer, float]] = field(default_factory=list)

    def readings(self) -> DeviceReadings:
        """Return what the meters show."""
        n = len(self.index)
        return DeviceReadings(
            at_s=self.clock.now_s(),
            power_kw=np.array(self.power_kw[:n]),
            energy_kwh=np.full(n, 7.0),
            soc=np.full(n, np.nan),
            plugged=np.zeros(n, dtype=np.bool_),
            online=np.array(self.online[:n]),
            p_min_kw=np.zeros(n),
            p_max_kw=np.full(n, 80.0),
        )

    def response(self, row: int) -> DeviceResponse:
        """Return how a device treats an instruction."""
        return self.response_to.get(row, DeviceResponse(latency_s=0.5, refused=False, ignored=False))

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Follow at once."""
        del until_s
        self.applied.append((row, layer, power_kw))
        if layer is not Layer.RELEASE:
            self.power_kw[row] = power_kw

    def plug_events(self) -> list[PlugEvent]:
        """Return nothing: there are no cars."""
        return []


@dataclass
class Scene:
    """A broker, the link and the simulated sites."""

    clock: ScaledClock
    directory: Path
    stack: AsyncExitStack
    url: str = ""
    sink: Sink = field(default_factory=Sink)
    broker: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_broker(self) -> None:
        """Start the broker, on the same port as before if there was one."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self.url = await self.broker.enter_async_context(local_broker(port=port, directory=self.directory))

    async def link(self, **settings: float) -> MqttLink:
        """Start our side."""
        link = MqttLink(url=self.url, clock=self.clock, **settings)
        link.assign(fleet())
        await link.start(self.sink)
        self.stack.push_async_callback(link.close)
        return link

    async def sites(self, world: World) -> MqttSites:
        """Start the device side."""
        sites = MqttSites(url=self.url, world=world, clock=self.clock)
        task = asyncio.create_task(sites.run())
        self.stack.push_async_callback(_ended, task)
        return sites

    async def stranger(self) -> Connection:
        """Return a plain client, to say what our own gateways never would."""
        return await self.stack.enter_async_context(Broker.at(self.url).connection())

    def lease(self, *wishes: tuple[int, int, float], layer: Layer = Layer.DISPATCH, epoch: int = 1) -> SetpointBatch:
        """Return instructions from ``(id, row, power_kw)``."""
        ids, rows, power_kw = zip(*wishes, strict=True)
        until_s = self.clock.now_s() + 600.0 if layer is Layer.DISPATCH else np.inf
        return SetpointBatch(
            ids=np.array(ids, dtype=np.int64),
            rows=np.array(rows, dtype=np.int32),
            layers=np.full(len(ids), layer, dtype=np.uint8),
            power_kw=np.array(power_kw, dtype=np.float64),
            until_s=np.full(len(ids), until_s),
            epoch=epoch,
        )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def _scene(directory: Path) -> AsyncIterator[Scene]:
    clock = ScaledClock.starting(datetime(2026, 7, 1, 10, tzinfo=UTC), _SPEED)
    async with AsyncExitStack() as stack:
        scene = Scene(clock=clock, directory=directory, stack=stack)
        stack.push_async_callback(scene.broker.aclose)
        await scene.start_broker()
        yield scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with _scene(tmp_path) as scene:
        yield scene


async def _ready(scene: Scene, world: World, **settings: float) -> tuple[MqttLink, MqttSites]:
    """Start both ends and wait until every device has connected and reported."""
    link = await scene.link(**settings)
    sites = await scene.sites(world)
    rows = range(len(world.index))
    await scene.sink.until(
        lambda: all(scene.sink.connected(r) == 1.0 and scene.sink.power(r) is not None for r in rows)
    )
    return link, sites


async def test_telemetry_reaches_the_sink_in_kilowatts(scene: Scene) -> None:
    link, _ = await _ready(scene, World(scene.clock))
    assert [scene.sink.power(row) for row in range(3)] == [40.0, 50.0, 60.0]
    assert scene.sink.values[AHU_1, Quantity.ENERGY_KWH] == 7.0
    assert scene.sink.values[AHU_1, Quantity.P_MAX_KW] == 80.0
    assert (AHU_1, Quantity.SOC) not in scene.sink.values
    card = link.card(AHU_1)
    assert (card["site"], card["device"], card["connected"], card["p_max_kw"]) == ("mall", "ahu-1", True, 80.0)
    assert scene.sink.rejected == []


async def test_every_command_is_obeyed_and_accepted_once(scene: Scene) -> None:
    world = World(scene.clock)
    link, sites = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0), (2, AHU_2, 20.0), (3, PRESS, 30.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 3)
    assert sorted(scene.sink.results) == [(i, OutcomeStatus.ACCEPTED, Reason.NONE) for i in (1, 2, 3)]
    assert sorted(world.applied) == [(row, Layer.DISPATCH, 10.0 * (row + 1)) for row in range(3)]
    await scene.sink.until(lambda: scene.sink.power(PRESS) == 30.0)
    assert sites.commands_received == {1: 1, 2: 1, 3: 1}


async def test_default_and_release_arrive_as_such(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 35.0), layer=Layer.DEFAULT))
    link.send(scene.lease((2, AHU_2, np.nan), layer=Layer.RELEASE))
    await scene.sink.until(lambda: len(scene.sink.results) == 2)
    assert (AHU_1, Layer.DEFAULT, 35.0) in world.applied
    assert [entry[:2] for entry in world.applied if entry[0] == AHU_2] == [(AHU_2, Layer.RELEASE)]


async def test_a_refusal_comes_back_as_refused_and_an_ignored_command_as_accepted(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {
        AHU_1: DeviceResponse(latency_s=0.5, refused=True, ignored=False),
        AHU_2: DeviceResponse(latency_s=0.5, refused=False, ignored=True),
    }
    link, _ = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0), (2, AHU_2, 20.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 2)
    assert sorted(scene.sink.results) == [
        (1, OutcomeStatus.REJECTED, Reason.REFUSED),
        (2, OutcomeStatus.ACCEPTED, Reason.NONE),
    ]
    assert world.applied == []


async def test_a_silent_gateway_means_a_timeout_and_its_late_answer_changes_nothing(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {AHU_1: DeviceResponse(latency_s=60.0, refused=False, ignored=False)}
    link, _ = await _ready(scene, world, ack_timeout_s=5.0)
    link.send(scene.lease((1, AHU_1, 10.0)))
    await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)])
    await scene.sink.until(lambda: scene.sink.power(AHU_1) == 10.0)  # it has answered by then
    assert len(scene.sink.results) == 1
    assert scene.sink.rejected == []


async def test_a_newer_command_replaces_the_one_that_has_not_left_yet(scene: Scene) -> None:
    world = World(scene.clock)
    link, sites = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0), (2, AHU_1, 20.0), (3, PRESS, 30.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 3)
    assert (1, OutcomeStatus.REJECTED, Reason.EXPIRED) in scene.sink.results
    assert (2, OutcomeStatus.ACCEPTED, Reason.NONE) in scene.sink.results
    assert sites.commands_received == {2: 1, 3: 1}


async def test_only_one_command_a_row_is_under_way(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {AHU_1: DeviceResponse(latency_s=10.0, refused=False, ignored=False)}
    link, sites = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0), (2, PRESS, 60.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 1)  # the press has answered, so both have left
    world.response_to = {}  # what comes next would be answered at once, and so before the first
    link.send(scene.lease((3, AHU_1, 30.0)))
    link.send(scene.lease((4, AHU_1, 40.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 4)
    assert scene.sink.results[1:] == [
        (3, OutcomeStatus.REJECTED, Reason.EXPIRED),
        (1, OutcomeStatus.ACCEPTED, Reason.NONE),
        (4, OutcomeStatus.ACCEPTED, Reason.NONE),
    ]
    assert sites.commands_received == {1: 1, 2: 1, 4: 1}


async def test_a_lease_that_has_ended_is_never_sent(scene: Scene) -> None:
    link, sites = await _ready(scene, World(scene.clock))
    ended = scene.lease((1, AHU_1, 10.0))
    ended.until_s[:] = scene.clock.now_s() - 1.0
    link.send(ended)
    await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.REJECTED, Reason.EXPIRED)])
    assert sites.commands_received == {}


async def test_a_site_that_drops_out_is_disconnected_by_its_last_will_and_comes_back(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    world.online[PRESS] = False
    await scene.sink.until(lambda: scene.sink.connected(PRESS) == 0.0)
    assert scene.sink.connected(AHU_1) == 1.0
    link.send(scene.lease((1, PRESS, 10.0)))
    await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)])
    world.online[PRESS] = True
    await scene.sink.until(lambda: scene.sink.connected(PRESS) == 1.0)


async def test_one_lost_device_does_not_take_its_site_along(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    world.online[AHU_2] = False
    await scene.sink.until(lambda: scene.sink.connected(AHU_2) == 0.0)
    link.send(scene.lease((1, AHU_1, 10.0), (2, AHU_2, 20.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 2)
    assert sorted(scene.sink.results) == [
        (1, OutcomeStatus.ACCEPTED, Reason.NONE),
        (2, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED),
    ]
    world.online[AHU_2] = True
    await scene.sink.until(lambda: scene.sink.connected(AHU_2) == 1.0)


async def test_a_site_that_vanishes_leaves_no_command_unanswered(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {PRESS: DeviceResponse(latency_s=1e6, refused=False, ignored=False)}
    link, sites = await _ready(scene, world, ack_timeout_s=1e6)
    link.send(scene.lease((1, PRESS, 10.0), (2, AHU_1, 10.0)))
    await scene.sink.until(lambda: sites.commands_received[1] == 1 and len(scene.sink.results) == 1)
    world.online[PRESS] = False
    await scene.sink.until(lambda: (1, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED) in scene.sink.results)


async def test_both_ends_survive_a_restart_of_the_broker(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    await scene.broker.aclose()
    await scene.sink.until(lambda: all(scene.sink.connected(row) == 0.0 for row in range(3)))
    link.send(scene.lease((1, AHU_1, 10.0)))
    await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)])
    await scene.start_broker()
    await scene.sink.until(lambda: all(scene.sink.connected(row) == 1.0 for row in range(3)))
    link.send(scene.lease((2, AHU_1, 20.0)))
    await scene.sink.until(lambda: (2, OutcomeStatus.ACCEPTED, Reason.NONE) in scene.sink.results)
    assert world.applied == [(AHU_1, Layer.DISPATCH, 20.0)]


async def test_a_status_the_broker_kept_over_its_restart_does_not_count_as_a_return(scene: Scene) -> None:
    await scene.link()
    async with Broker.at(scene.url).connection() as mall:
        said = payload.status(online=True, at_s=scene.clock.now_s())
        await mall.send("vpp/v1/sites/mall/status", said, retain=True)
        await scene.sink.until(lambda: scene.sink.connected(AHU_1) == 1.0)
    await scene.broker.aclose()
    await scene.sink.until(lambda: scene.sink.connected(AHU_1) == 0.0)
    await scene.start_broker()
    plant = await scene.stranger()
    async with asyncio.timeout(PATIENCE_WALL_S):
        while scene.sink.connected(PRESS) != 1.0:  # live news counts once the link is back
            said = payload.status(online=True, at_s=scene.clock.now_s())
            await plant.send("vpp/v1/sites/plant/status", said, retain=True)
            await scene.clock.sleep(1.0)
    assert scene.sink.connected(AHU_1) == 0.0


async def test_a_lost_broker_is_told_once_and_its_return_once_with_the_duration(scene: Scene) -> None:
    with capture_logs() as logs:
        link = await scene.link()
        await scene.broker.aclose()
        await scene.sink.until(lambda: scene.sink.connected(AHU_1) == 0.0)
        since_s = scene.clock.now_s()
        await until(lambda: link._failures >= 4)  # three tries in vain
        away_s = scene.clock.now_s() - since_s
        await scene.start_broker()
        await scene.sites(World(scene.clock))
        await scene.sink.until(lambda: scene.sink.connected(AHU_1) == 1.0)
    told = [log for log in logs if log["event"] in ("broker lost", "broker recovered")]
    assert [log["event"] for log in told] == ["broker lost", "broker recovered"]
    assert told[1]["seconds"] > away_s - 0.001


async def test_a_link_without_a_broker_starts_and_connects_later(scene: Scene) -> None:
    await scene.broker.aclose()
    await scene.link()
    await scene.start_broker()
    await scene.sites(World(scene.clock))
    await scene.sink.until(lambda: scene.sink.connected(AHU_1) == 1.0)


async def test_a_repeated_command_is_applied_once_and_its_outcome_counted_once(scene: Scene) -> None:
    world = World(scene.clock)
    link, sites = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 1)
    stranger = await scene.stranger()
    await stranger.subscribe_to("vpp/v1/sites/mall/outcome")
    repeated = {"id": 1, "device": "ahu-1", "layer": "default", "power_kw": 10.0, "until": None, "epoch": 1}
    await stranger.publish("vpp/v1/sites/mall/command", orjson.dumps({"commands": [repeated]}), qos=1)
    async with asyncio.timeout(PATIENCE_WALL_S):
        message = await anext(aiter(stranger.messages))
    assert isinstance(message.payload, bytes)
    assert orjson.loads(message.payload)["outcomes"] == [{"id": 1, "device": "ahu-1", "status": "accepted"}]
    link.send(scene.lease((2, AHU_1, 20.0)))
    await scene.sink.until(lambda: len(scene.sink.results) == 2)
    assert [result[0] for result in scene.sink.results] == [1, 2]
    assert world.applied == [(AHU_1, Layer.DISPATCH, 10.0), (AHU_1, Layer.DISPATCH, 20.0)]
    assert sites.commands_received == {1: 2, 2: 1}


async def test_a_gateway_refuses_a_leader_that_has_been_replaced(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    link.send(scene.lease((1, AHU_1, 10.0), epoch=5))
    await scene.sink.until(lambda: len(scene.sink.results) == 1)
    link.send(scene.lease((2, AHU_1, 99.0), epoch=4))
    await scene.sink.until(lambda: (2, OutcomeStatus.REJECTED, Reason.REFUSED) in scene.sink.results)
    assert world.applied == [(AHU_1, Layer.DISPATCH, 10.0)]


async def _say(stranger: aiomqtt.Client, name: str, message: object) -> None:
    body = message if isinstance(message, bytes) else orjson.dumps(message)
    await stranger.publish(f"vpp/v1/sites/{name}", body, qos=1)


async def test_malformed_messages_are_counted_and_harm_nobody(scene: Scene) -> None:
    await scene.link()
    stranger = await scene.stranger()
    await _say(stranger, "mall/telemetry", b"{not json")
    await _say(stranger, "mall/telemetry", b"[1, 2]")
    await _say(stranger, "mall/telemetry", {"at": "yesterday", "devices": []})
    await _say(stranger, "mall/outcome", b"\xff\xfe")
    await _say(stranger, "mall/status", {"online": "yes"})
    await _say(stranger, "nowhere/telemetry", {"at": "2026-07-01T10:00:00Z", "devices": []})
    devices = [{"id": "ahu-1", "power_kw": "much"}, {"id": "ghost", "power_kw": 1.0}, {"id": "ahu-2", "power_kw": 5.0}]
    await _say(stranger, "mall/telemetry", {"at": "2026-07-01T10:00:00Z", "devices": devices})
    await scene.sink.until(lambda: scene.sink.power(AHU_2) == 5.0 and len(scene.sink.rejected) == 8)
    assert scene.sink.power(AHU_1) is None
    assert sorted(scene.sink.rejected) == [
        *["invalid_field"] * 3,
        *["malformed"] * 3,
        "unknown_device",
        "unknown_site",
    ]


async def test_watts_are_converted_and_watts_called_kilowatts_are_left_to_the_gate(scene: Scene) -> None:
    await scene.link()
    stranger = await scene.stranger()
    devices = [
        {"id": "ahu-1", "power_w": 41500},
        {"id": "ahu-2", "power_kw": 41.5, "power_w": 41.5},
    ]
    await _say(stranger, "mall/telemetry", {"at": "2026-07-01T10:00:00Z", "devices": devices})
    devices = [{"id": "press", "power_kw": 41500}]
    await _say(stranger, "plant/telemetry", {"at": "2026-07-01T10:00:00Z", "devices": devices})
    await scene.sink.until(lambda: scene.sink.power(AHU_1) == 41.5 and len(scene.sink.rejected) == 2)
    assert sorted(scene.sink.rejected) == ["implausible", "invalid_field"]
    assert scene.sink.power(AHU_2) is None
    assert scene.sink.power(PRESS) == 41500.0, "refused by the gate, which shows it on the device"


async def test_an_outcome_from_another_site_or_for_nothing_asked_does_not_count(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {AHU_1: DeviceResponse(latency_s=20.0, refused=False, ignored=False)}
    link, sites = await _ready(scene, world)
    link.send(scene.lease((7, AHU_1, 10.0)))
    stranger = await scene.stranger()
    forged = [{"id": 7, "device": "ahu-1", "status": "rejected"}, {"id": 999, "device": "ahu-1", "status": "accepted"}]
    await _say(stranger, "plant/outcome", {"at": "2026-07-01T10:00:00Z", "outcomes": forged})
    await scene.sink.until(lambda: len(scene.sink.rejected) == 2)
    assert scene.sink.rejected == ["unknown_command"] * 2
    await scene.sink.until(lambda: scene.sink.results == [(7, OutcomeStatus.ACCEPTED, Reason.NONE)])
    assert sites.commands_received == {7: 1}


async def test_a_row_that_is_not_ours_is_unsupported_and_a_new_row_is_served(scene: Scene) -> None:
    world = World(scene.clock)
    link, _ = await _ready(scene, world)
    link.send(scene.lease((1, 77, 10.0)))
    await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.REJECTED, Reason.UNSUPPORTED)])
    link.assign(fleet((*_ADDRESSES, "mall/ahu-3")))
    await scene.sink.until(lambda: scene.sink.connected(3) == 1.0)


async def test_closing_the_link_answers_what_is_outstanding(scene: Scene) -> None:
    world = World(scene.clock)
    world.response_to = {AHU_1: DeviceResponse(latency_s=1e6, refused=False, ignored=False)}
    link, _ = await _ready(scene, world, ack_timeout_s=1e6)
    link.send(scene.lease((1, AHU_1, 10.0)))
    link.send(scene.lease((2, AHU_1, 20.0)))
    await link.close()
    assert sorted(result[0] for result in scene.sink.results) == [1, 2]
    assert (2, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED) in scene.sink.results


async def test_a_taken_port_is_said_so(scene: Scene, tmp_path: Path) -> None:
    port = int(scene.url.rpartition(":")[2])
    with pytest.raises(OSError, match="already"):
        async with local_broker(port=port, directory=tmp_path / "second"):
            pass


async def test_mosquitto_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if mosquitto is None:
        pytest.skip("mosquitto is not installed")
    monkeypatch.setattr(
        "adapters.mqtt.simulated.broker._candidates", lambda name: [mosquitto] if name == "mosquitto" else []
    )
    async with _scene(tmp_path) as scene:
        world = World(scene.clock)
        link, _ = await _ready(scene, world)
        link.send(scene.lease((1, AHU_1, 10.0)))
        await scene.sink.until(lambda: scene.sink.results == [(1, OutcomeStatus.ACCEPTED, Reason.NONE)])
        world.online[PRESS] = False
        await scene.sink.until(lambda: scene.sink.connected(PRESS) == 0.0)


async def test_two_links_that_share_the_sites_each_hear_and_command_their_own(scene: Scene) -> None:
    mall, plant = Sink(), Sink()
    links = {}
    for sink, mine in ((mall, "mall"), (plant, "plant")):
        scene.sink = sink
        links[mine] = MqttLink(url=scene.url, clock=scene.clock)
        links[mine].assign(fleet())
        links[mine].own(lambda site, mine=mine: site == mine)
        await links[mine].start(sink)
        scene.stack.push_async_callback(links[mine].close)
    await scene.sites(World(scene.clock))
    await mall.until(lambda: mall.power(AHU_2) is not None)
    await plant.until(lambda: plant.power(PRESS) is not None)
    assert {row for row, _ in mall.values} == {AHU_1, AHU_2}
    assert {row for row, _ in plant.values} == {PRESS}
    links["mall"].send(scene.lease((1, AHU_1, 5.0), (2, PRESS, 5.0)))
    await mall.until(lambda: len(mall.results) == 2)
    assert sorted(mall.results) == [
        (1, OutcomeStatus.ACCEPTED, Reason.NONE),
        (2, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED),
    ]
    links["mall"].own(lambda _: False)
    assert [mall.connected(row) for row in (AHU_1, AHU_2)] == [0.0, 0.0]
    links["plant"].own(lambda _: True)
    await plant.until(lambda: plant.power(AHU_1) is not None and plant.connected(AHU_1) == 1.0)
