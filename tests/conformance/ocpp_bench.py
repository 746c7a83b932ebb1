# ruff: noqa: D102 - short helpers of tests whose names say what they do
"""What the OCPP tests share: a fleet, a sink that can be waited on, a raw station, and a small physical world."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.server import Listening
from adapters.ocpp.central_system.server import DEFAULT_PATHS, OcppLink
from adapters.ocpp.central_system.session_policy import SessionPolicy
from adapters.ocpp.profiles.profile_policy import ProfilePolicy
from tests.patience import PATIENCE_WALL_S
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import ScaledClock

EV, EV2, V2G = range(3)
"""Rows of ``fleet()``: three-phase chargers CP1 and CP2, and the V2G station V1."""
ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)

Json = dict[str, Any]


def resource(number: int, address: str, **changes: Any) -> Resource:  # noqa: ANN401 - any field of Resource
    plain = Resource(
        id=f"r{number}",
        site_id="s1",
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=address,
        p_min_kw=0.0,
        p_max_kw=11.0,
        floor_kw=3.96,
        default_kw=9.0,
    )
    return replace(plain, **changes)


def fleet(*more: Resource) -> FleetIndex:
    v2g = resource(2, "V1/1", resource_class=ResourceClass.V2G, p_min_kw=-10.0, p_max_kw=10.0, floor_kw=0.0)
    return FleetIndex(
        areas=(Area(id="north", name="North"),),
        operators=(Operator(id="op", name="Operator"),),
        transformers=(Transformer(id="t1", area_id="north", limit_kw=1000.0, export_limit_kw=0.0),),
        sites=(Site(id="s1", name="Site", area_id="north", operator_id="op", transformer_id="t1"),),
        resources=(resource(0, "CP1/1"), resource(1, "CP2/1"), v2g, *more),
    )


def clock(speed: float = 1.0) -> ScaledClock:
    return ScaledClock.starting(datetime(2025, 7, 1, 18, tzinfo=UTC), speed)


@dataclass
class Sink:
    """Keeps what a link hears and wakes whoever waits for it."""

    values: dict[tuple[int, Quantity], float] = field(default_factory=dict)
    at_s: dict[tuple[int, Quantity], float] = field(default_factory=dict)
    batches: int = 0
    samples: int = 0
    ended: dict[int, tuple[OutcomeStatus, Reason]] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)
    events: list[SessionEvent] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    refused_connections: list[RefusedConnection] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def telemetry(self, batch: TelemetryBatch) -> None:
        self.batches += 1
        self.samples += len(batch)
        for row, quantity, value, at_s in zip(
            batch.rows.tolist(), batch.quantities.tolist(), batch.values.tolist(), batch.at_s.tolist(), strict=True
        ):
            self.values[row, Quantity(quantity)] = value
            self.at_s[row, Quantity(quantity)] = at_s
        self._news.set()

    def outcomes(self, batch: OutcomeBatch) -> None:
        for command_id, status, reason in zip(
            batch.ids.tolist(), batch.status.tolist(), batch.reasons.tolist(), strict=True
        ):
            self.told.append(command_id)
            self.ended[command_id] = (OutcomeStatus(status), Reason(reason))
        self._news.set()

    def session(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._news.set()

    def rejected_frame(self, adapter: str, reason: str) -> None:
        assert adapter == "ocpp"
        self.rejected.append(reason)
        self._news.set()

    def healed(self, adapter: str, kind: str) -> None:
        assert adapter == "ocpp"
        self.repaired.append(kind)
        self._news.set()

    def connection_refused(self, refused: RefusedConnection) -> None:
        assert refused.adapter == "ocpp"
        self.refused_connections.append(refused)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def outcome(self, command_id: int) -> tuple[OutcomeStatus, Reason]:
        await self.until(lambda: command_id in self.ended)
        return self.ended[command_id]

    async def value(self, row: int, quantity: Quantity) -> float:
        await self.until(lambda: (row, quantity) in self.values)
        return self.values[row, quantity]

    async def event(self, kind: type[SessionEvent]) -> SessionEvent:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))


def link_of(**given: Any) -> OcppLink:  # noqa: ANN401 - any field of what a link is made of
    """Return a central system; every field goes to the part that has it."""
    given = {"host": "127.0.0.1", "port": 0, "clock": clock(), **given}
    if "profile_interval_s" in given:
        given["least_interval_s"] = given.pop("profile_interval_s")
    given["paths"] = Paths(given.get("paths", DEFAULT_PATHS))

    def made(kind: type[Any]) -> Any:  # noqa: ANN401 - an object of that kind
        return kind(**{one.name: given.pop(one.name) for one in fields(kind) if one.name in given})

    parts = {"listening": Listening, "entry": EntryRules, "sessions": SessionPolicy, "profiles": ProfilePolicy}
    return OcppLink(**{name: made(kind) for name, kind in parts.items()}, **given)


@asynccontextmanager
async def central(sink: Sink, index: FleetIndex | None = None, **changes: Any) -> AsyncIterator[OcppLink]:  # noqa: ANN401 - any argument of OcppLink
    link = link_of(**{"control_test": False, **changes})
    link.assign(index or fleet())
    await link.start(sink)
    try:
        yield link
    finally:
        await link.close()


def setpoints(*commands: tuple[int, int, Layer, float, float], epoch: int = 1) -> SetpointBatch:
    """Return a batch of ``(id, row, layer, power_kw, until_s)``."""
    ids, rows, layers, power_kw, until_s = zip(*commands, strict=True)
    return SetpointBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        layers=np.array(layers, dtype=np.uint8),
        power_kw=np.array(power_kw, dtype=np.float64),
        until_s=np.array(until_s, dtype=np.float64),
        epoch=epoch,
    )


_BOOTS: dict[str, Json] = {
    "ocpp1.6": {"chargePointVendor": "Acme", "chargePointModel": "One"},
    "ocpp2.0.1": {"chargingStation": {"vendorName": "Acme", "model": "Two"}, "reason": "PowerUp"},
    "ocpp2.1": {"chargingStation": {"vendorName": "Acme", "model": "Three"}, "reason": "PowerUp"},
}
_CONFIGURATION: dict[str, str] = {"ChargingScheduleAllowedChargingRateUnit": "Power", "ChargeProfileMaxStackLevel": "8"}
_VARIABLES: dict[str, str] = {"RateUnit": "W", "ProfileStackLevel": "8"}


class RawStation:
    """A station that says exactly what a test wants and answers the central system as ``answers`` has it."""

    def __init__(self, socket: ClientConnection, version: str) -> None:
        self.socket = socket
        self.version = version
        self.asked: list[tuple[str, Json]] = []
        self.answers: dict[str, Json | str | None] = {}
        self.rules: dict[str, Callable[[Json], Json | str | None]] = {}
        self.odd: dict[str, str] = {}
        """Whole frames to answer with, ID standing for the message id."""
        self.units = "Power" if version == "ocpp1.6" else "W"
        self.silent = False
        self.held: list[str] = []
        """Ids of the messages that were left unanswered."""
        self._ids = itertools.count(1)
        self._news = asyncio.Event()
        self._results: dict[str, list[Any]] = {}

    async def call(self, action: str, payload: Json, message_id: str | None = None) -> list[Any]:
        """Send a CALL and return the frame that answers it."""
        message_id = message_id or f"m{next(self._ids)}"
        await self.socket.send(orjson.dumps([2, message_id, action, payload]).decode())
        return await self.answer(message_id)

    async def answer(self, message_id: str) -> list[Any]:
        await self.until(lambda: message_id in self._results)
        return self._results.pop(message_id)

    async def boot(self) -> Json:
        result = await self.call("BootNotification", _BOOTS[self.version])
        payload: Json = result[2]
        return payload

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def asked_for(self, action: str, count: int = 1) -> Json:
        """Wait for the ``count``-th CALL of an action and return its payload."""
        await self.until(lambda: sum(name == action for name, _ in self.asked) >= count)
        return [payload for name, payload in self.asked if name == action][count - 1]

    async def left_unanswered(self, count: int) -> None:
        """Wait until so many messages were left unanswered."""
        await self.until(lambda: len(self.held) == count)

    async def settled(self) -> None:
        """Wait until the central system has gone through its questions after a boot."""
        last = "MeterValues" if self.version == "ocpp1.6" else "TransactionEvent"
        await self.until(lambda: any(payload.get("requestedMessage") == last for _, payload in self.asked))

    async def listen(self) -> None:
        async for frame in self.socket:
            message = orjson.loads(frame)
            if message[0] != 2:
                self._results[message[1]] = message
            elif not self.silent:
                self.asked.append((message[2], message[3]))
                await self._answer(*message[1:])
            self._news.set()

    async def _answer(self, message_id: str, action: str, payload: Json) -> None:
        if action in self.odd:
            await self.socket.send(self.odd[action].replace("ID", message_id))
            return
        answer = self.answers.get(action, self._usual(action, payload))
        if action in self.rules:
            answer = self.rules[action](payload)
        if isinstance(answer, dict):
            await self.socket.send(orjson.dumps([3, message_id, answer]).decode())
        elif isinstance(answer, str):
            await self.socket.send(orjson.dumps([4, message_id, answer, "", {}]).decode())
        else:
            self.held.append(message_id)

    async def release(self, message_id: str) -> None:
        """Accept what was left unanswered."""
        await self.socket.send(orjson.dumps([3, message_id, {"status": "Accepted"}]).decode())

    def _usual(self, action: str, payload: Json) -> Json:
        match action:
            case "GetConfiguration":
                known = _CONFIGURATION | {"ChargingScheduleAllowedChargingRateUnit": self.units}
                return {"configurationKey": [{"key": k, "readonly": True, "value": v} for k, v in known.items()]}
            case "GetVariables":
                known = _VARIABLES | {"RateUnit": self.units}
                results = [
                    {**one, "attributeStatus": "Accepted", "attributeValue": known[one["variable"]["name"]]}
                    if one["variable"]["name"] in known
                    else {**one, "attributeStatus": "UnknownVariable"}
                    for one in payload["getVariableData"]
                ]
                return {"getVariableResult": results}
            case "SetVariables":
                kept = ("component", "variable")
                results = [
                    {key: one[key] for key in kept} | {"attributeStatus": "Accepted"}
                    for one in payload["setVariableData"]
                ]
                return {"setVariableResult": results}
            case _:
                return {"status": "Accepted"}


class CentralOfOneLine:
    """A central system of one line: lets a station boot, then asks what the test asks."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.heard: list[tuple[str, Json]] = []
        self._results: dict[str, list[Any]] = {}
        self._news = asyncio.Event()
        self._number = 0

    async def listen(self) -> None:
        async for frame in self.socket:
            message = orjson.loads(frame)
            if message[0] == 2:
                self.heard.append((message[2], message[3]))
                await self.socket.send(orjson.dumps([3, message[1], self._usual(message[2])]).decode())
            else:
                self._results[message[1]] = message
            self._news.set()

    async def ask(self, action: str, payload: Json) -> list[Any]:
        self._number += 1
        message_id = f"q{self._number}"
        await self.socket.send(orjson.dumps([2, message_id, action, payload]).decode())
        await self.until(lambda: message_id in self._results)
        return self._results.pop(message_id)

    async def status(self, action: str, payload: Json) -> object:
        answer = await self.ask(action, payload)
        assert isinstance(answer[2], dict), answer
        return answer[2]["status"]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, action: str, **fields: object) -> Json:
        def found() -> Json | None:
            heard = (payload for name, payload in self.heard if name == action)
            return next((payload for payload in heard if fields.items() <= payload.items()), None)

        await self.until(lambda: found() is not None)
        payload = found()
        assert payload is not None
        return payload

    def _usual(self, action: str) -> Json:
        now = "2025-07-01T18:00:00Z"
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": now, "interval": 300}
            case "StartTransaction":
                return {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}}
            case "Heartbeat":
                return {"currentTime": now}
            case "DataTransfer":
                return {"status": "Accepted"}
            case "NotifyEVChargingNeeds":
                return {"status": "Processing"}
            case _:
                return {}


@asynccontextmanager
async def station(
    link: OcppLink, name: str = "CP1", version: str = "ocpp1.6", *, boot: bool = True
) -> AsyncIterator[RawStation]:
    """Connect a raw station, by default booted and through with the central system's questions."""
    async with connect(f"ws://127.0.0.1:{link.port}/ocpp/{name}", subprotocols=[version], compression=None) as socket:
        raw = RawStation(socket, version)
        listening = asyncio.create_task(raw.listen())
        try:
            if boot:
                await raw.boot()
                await raw.settled()
            yield raw
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await listening


class LoopTime:
    """The time of the running event loop, put forward by a test: whatever waits for less is due at once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        time, self._ahead_s = loop.time, 0.0
        patch.setattr(loop, "time", lambda: time() + self._ahead_s)

    def put_forward(self, seconds: float) -> None:
        self._ahead_s += seconds


@dataclass
class World:
    """A physical model of one line: every device takes at once what it is told."""

    index: FleetIndex
    clock: ScaledClock
    answer: DeviceResponse = field(default_factory=lambda: DeviceResponse(latency_s=0.0, refused=False, ignored=False))
    applied: list[tuple[int, Layer, float, float]] = field(default_factory=list)
    events: list[PlugEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.index)
        self.power_kw = np.zeros(count)
        self.energy_kwh = np.full(count, 100.0)
        self.soc = np.full(count, np.nan)
        self.online = np.ones(count, dtype=np.bool_)
        self.news = asyncio.Event()

    def readings(self) -> DeviceReadings:
        return DeviceReadings(
            at_s=self.clock.now_s(),
            power_kw=self.power_kw,
            energy_kwh=self.energy_kwh,
            soc=self.soc,
            plugged=self.power_kw > 0.0,
            online=self.online,
            p_min_kw=self.index.nameplate.p_min_kw,
            p_max_kw=self.index.nameplate.p_max_kw,
        )

    def response(self, row: int) -> DeviceResponse:
        assert 0 <= row < len(self.index)
        return self.answer

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        self.applied.append((row, layer, power_kw, until_s))
        self.news.set()

    def plug_events(self) -> list[PlugEvent]:
        events, self.events = self.events, []
        self.news.set()
        return events

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not condition():
                self.news.clear()
                await self.news.wait()
