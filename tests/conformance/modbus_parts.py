"""Parts of the tests of the Modbus link: a fast clock, a sink, a small fleet, a device with quirks to switch on."""

import asyncio
import math
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from adapters.modbus import ModbusLink, RegisterMap
from adapters.modbus.devices.sunspec.models import models
from tests.patience import PATIENCE_WALL_S
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.ports import DeviceMemory

SPEED = 20.0
NO_UINT, NO_INT = 0xFFFF, 0x8000


class FastClock:
    """Wall time, twenty times as fast."""

    def __init__(self, speed: float = SPEED) -> None:
        self._speed = speed
        self._began = time.monotonic()

    def now_s(self) -> float:
        """Return epoch seconds."""
        return 1_750_000_000.0 + (time.monotonic() - self._began) * self._speed

    def now(self) -> datetime:
        """Return the instant."""
        return datetime.fromtimestamp(self.now_s(), tz=UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(self.wall(max(seconds, 0.0)))

    async def sleep_until(self, at_s: float) -> None:
        """Wait until then."""
        await self.sleep(at_s - self.now_s())

    def wall(self, seconds: float) -> float:
        """Return wall seconds."""
        return seconds / self._speed


@dataclass(slots=True)
class Ear:
    """A sink that remembers and wakes whoever waits."""

    samples: list[tuple[int, Quantity, float]] = field(default_factory=list)
    outcomes_by_id: dict[int, tuple[OutcomeStatus, Reason]] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements."""
        columns = zip(batch.rows.tolist(), batch.quantities.tolist(), batch.values.tolist(), strict=True)
        self.samples += [(row, Quantity(quantity), value) for row, quantity, value in columns]
        self.news.set()

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes."""
        for command, status, reason in zip(batch.ids, batch.status, batch.reasons, strict=True):
            assert int(command) not in self.outcomes_by_id, "one outcome for each instruction"
            self.outcomes_by_id[int(command)] = (OutcomeStatus(int(status)), Reason(int(reason)))
        self.news.set()

    def session(self, event: SessionEvent) -> None:
        """Fail: there are no cars here."""
        raise AssertionError(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count."""
        assert adapter == "modbus"
        self.rejected.append(reason)

    def healed(self, adapter: str, kind: str) -> None:
        """Count."""
        assert adapter == "modbus"
        self.repaired.append(kind)

    def last(self, row: int, quantity: Quantity) -> float:
        """Return the last value."""
        return next((v for r, q, v in reversed(self.samples) if (r, q) == (row, quantity)), math.nan)

    def history(self, row: int, quantity: Quantity) -> list[float]:
        """Return all values."""
        return [v for r, q, v in self.samples if (r, q) == (row, quantity)]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition that news may bring."""
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def until_connected(self, *rows: int) -> None:
        """Wait for devices."""
        await self.until(lambda: all(self.last(row, Quantity.CONNECTED) == 1.0 for row in rows))

    async def outcome(self, command: int) -> tuple[OutcomeStatus, Reason]:
        """Wait for an outcome."""
        await self.until(lambda: command in self.outcomes_by_id)
        return self.outcomes_by_id[command]


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def fleet(*resources: Resource) -> FleetIndex:
    return FleetIndex(
        resources=resources,
        sites=(Site(id="s", name="s", area_id="a", operator_id="o", transformer_id="t"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=1000.0, export_limit_kw=1000.0),),
        areas=(Area(id="a", name="a"),),
        operators=(Operator(id="o", name="o"),),
    )


def pv(address: str, name: str = "pv") -> Resource:
    return Resource(
        id=name,
        site_id="s",
        resource_class=ResourceClass.PV,
        adapter=Adapter.MODBUS,
        address=address,
        p_min_kw=-50.0,
        p_max_kw=0.0,
    )


def battery(address: str, name: str = "battery") -> Resource:
    return Resource(
        id=name,
        site_id="s",
        resource_class=ResourceClass.STORAGE,
        adapter=Adapter.MODBUS,
        address=address,
        p_min_kw=-50.0,
        p_max_kw=50.0,
        capacity_kwh=100.0,
    )


class OddDevice:
    """Registers behind Modbus TCP that answer as a test tells them.

    Args:
        chain: SunSpec models in order, each as long as its definition.
        base: Where the ``SunS`` mark stands.

    Attributes:
        refuse: Returns the exception code for function, address and count; 0 to go on.
        silent: Returns whether such a request gets no answer at all.
        alter: Changes the bytes of an answer before they leave.
        kept: Registers that ignore what is written.
        hears: Unit numbers that answer, ``None`` for any.
        hangs_up: The connection is closed after each answer.
        asked: Function, address and count of every request, in order.
        accepted: How many connections there were.
        closed: How many of them have ended at this end, too.
    """

    def __init__(self, *chain: int, base: int = 40000) -> None:
        self.registers: dict[int, int] = {base: 0x5375, base + 1: 0x6E53} if chain else {}
        self.at: dict[int, int] = {}
        self.base, place = base, base + 2
        for number in chain:
            size = models()[number].length() if number in models() else 20
            self.at[number] = place
            self.registers |= dict.fromkeys(range(place, place + size + 2), 0)
            self.registers |= {place: number, place + 1: size}
            place += size + 2
        if chain:
            self.registers |= {place: 0xFFFF, place + 1: 0}
        self.refuse: Callable[[int, int, int], int] = lambda function, address, count: 0  # noqa: ARG005
        self.silent: Callable[[int, int, int], bool] = lambda function, address, count: False  # noqa: ARG005
        self.alter: Callable[[bytes], bytes] = lambda answer: answer
        self.kept: set[int] = set()
        self.hears: set[int] | None = None
        self.hangs_up = False
        self.asked: list[tuple[int, int, int]] = []
        self.accepted = self.closed = 0

    def put(self, number: int, name: str, *words: int) -> None:
        """Show a point."""
        for i, word in enumerate(words):
            self.registers[self.place(number, name) + i] = word & 0xFFFF

    def show(self, number: int, name: str) -> int:
        """Return the first register of a point."""
        return self.registers[self.place(number, name)]

    def place(self, number: int, name: str) -> int:
        """Return the address of a point."""
        return self.at[number] + models()[number].points[name].offset

    def keep(self, number: int, name: str) -> None:
        """Let a point ignore what is written."""
        place = self.place(number, name)
        self.kept |= set(range(place, place + models()[number].points[name].size))

    @property
    def written(self) -> list[tuple[int, int, int]]:
        """Return the write requests."""
        return [one for one in self.asked if one[0] in {6, 16}]

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        """Listen; yield the port."""
        server = await asyncio.start_server(self._client, "127.0.0.1", port)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                serial, _, size, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                body = await reader.readexactly(size - 1)
                if self.hears is not None and unit not in self.hears:
                    continue
                answer = self._answer(body)
                if answer is not None:
                    writer.write(self.alter(struct.pack(">HHHB", serial, 0, len(answer) + 1, unit) + answer))
                    await writer.drain()
                if self.hangs_up:
                    break
        writer.close()
        self.closed += 1

    def _answer(self, body: bytes) -> bytes | None:
        function, (address, count) = body[0], struct.unpack(">HH", body[1:5])
        reach = 1 if function == 6 else count
        self.asked.append((function, address, reach))
        if self.silent(function, address, reach):
            return None
        code = self.refuse(function, address, reach)
        if not code and not all(address + i in self.registers for i in range(reach)):
            code = 2
        if code:
            return bytes((function | 0x80, code))
        if function in {3, 4}:
            return bytes((function, 2 * count)) + struct.pack(
                f">{count}H", *(self.registers[address + i] for i in range(count))
            )
        values = [count] if function == 6 else struct.unpack(f">{count}H", body[6 : 6 + 2 * count])
        self.registers |= {address + i: v for i, v in enumerate(values) if address + i not in self.kept}
        return body[:5]


def inverter(*chain: int, base: int = 40000) -> OddDevice:
    """Return an inverter of 50 kW that produces 30, by default with models 1, 103 and 120 to 123."""
    device = OddDevice(*(chain or (1, 103, 120, 121, 122, 123)), base=base)
    for number, name, word in (
        (103, "W", 3000),
        (103, "W_SF", 1),
        (121, "WMax", 5000),
        (121, "WMax_SF", 1),
        (122, "WAval", 3000),
        (122, "WAval_SF", 1),
        (123, "WMaxLimPct", 10000),
        (123, "WMaxLimPct_SF", -2),
        (704, "WMaxLimPct", 10000),
        (704, "WMaxLimPct_SF", -2),
        (702, "WMax", 5000),
        (702, "W_SF", 1),
        (701, "W", 3000),
        (701, "W_SF", 1),
    ):
        if number in device.at:
            device.put(number, name, word)
    return device


@dataclass(slots=True, kw_only=True)
class Line:
    """A link, what it tells, and the clock both live by."""

    clock: FastClock
    link: ModbusLink
    ear: Ear
    last: int = 0

    def card(self, row: int = 0) -> dict[str, object]:
        """Return the card of a row."""
        return dict(self.link.card(row))

    async def tell(
        self, layer: Layer, kw: float = math.nan, lease_s: float = math.inf, *, row: int = 0
    ) -> tuple[OutcomeStatus, Reason]:
        """Give one instruction and return its outcome."""
        return await self.ear.outcome(self.order(layer, kw, lease_s, row=row))

    def order(self, layer: Layer, kw: float, lease_s: float, *, row: int = 0) -> int:
        """Give one instruction and return its number."""
        self.last += 1
        self.link.send(
            SetpointBatch(
                ids=np.array([self.last], dtype=np.int64),
                rows=np.array([row], dtype=np.int32),
                layers=np.array([layer], dtype=np.uint8),
                power_kw=np.array([kw]),
                until_s=np.array([self.clock.now_s() + lease_s]),
                epoch=1,
            )
        )
        return self.last


@asynccontextmanager
async def dialled(
    *resources: Resource,
    poll_s: float = 4.0,
    timeout_s: float = 3.0,
    memory: DeviceMemory | None = None,
    maps: dict[str, RegisterMap] | None = None,
    speed: float = SPEED,
) -> AsyncIterator[Line]:
    """Run a link that serves these resources."""
    line = Line(
        clock=(clock := FastClock(speed)),
        link=ModbusLink(clock=clock, poll_s=poll_s, timeout_s=timeout_s, maps=maps or {}),
        ear=Ear(),
    )
    if memory is not None:
        line.link.remember_in(memory)
    line.link.assign(fleet(*resources))
    await line.link.start(line.ear)
    try:
        yield line
    finally:
        await line.link.close()
