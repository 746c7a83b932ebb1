"""Device side of MQTT: simulated site gateways, each with a connection of its own."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from itertools import count

import aiomqtt
import structlog

from adapters.mqtt import payload
from adapters.mqtt.connection import BACKOFF, Broker, Connection, apart
from adapters.mqtt.payload import Command, DeviceReading
from adapters.mqtt.simulated.gateway import Gateway, Replies
from adapters.mqtt.topics import Leaf, split_address, topic
from vpp.domain.device import DeviceReadings
from vpp.domain.errors import FrameError, InputError
from vpp.domain.resource import Adapter
from vpp.domain.telemetry import Quantity
from vpp.ports import Clock, DeviceWorld

_log = structlog.get_logger(__name__)
_PHASES = 8
"""Sites report in that many groups, one after the other, so that they do not all report at once."""


class MqttSites:
    """A `vpp.ports.DeviceSimulator`: every MQTT site of ``world``.

    A site cuts its connection without a DISCONNECT, so that its last will is published, when all of its devices have
    lost their link, and when ``run`` is cancelled; where only some have, the gateway reports them as away.

    Args:
        url: ``mqtt://[user:password@]host:port`` or ``mqtts://``.
        world: The physical model.
        clock: The only source of time.
        report_s: Time between two reports of a site, in the clock's seconds.

    Raises:
        ConfigurationError: ``url`` is not such an address.
        InputError: A resource's address is not ``site/device``.
    """

    def __init__(self, *, url: str, world: DeviceWorld, clock: Clock, report_s: float = 30.0) -> None:
        self._world = world
        self._clock = clock
        self._report_s = report_s
        self._received: Counter[int] = Counter()
        broker = Broker.at(url)
        self._sites = [
            _Site(name, rows, broker, clock, Gateway(rows=rows, world=world, clock=clock, received=self._received))
            for name, rows in _rows_by_site(world).items()
        ]

    @property
    def commands_received(self) -> Counter[int]:
        """Number of arrivals of each command id at any gateway."""
        return self._received

    async def run(self) -> None:
        """Connect, report and carry out commands until cancelled."""
        async with asyncio.TaskGroup() as group:
            for site in self._sites:
                group.create_task(site.run(), name=f"mqtt site {site.name}")
            group.create_task(self._read_meters(), name="mqtt readings")

    async def _read_meters(self) -> None:
        """Read all meters once a phase and show them to every site; those of that phase report."""
        start_s = self._clock.now_s()
        for beat in count(1):
            readings = self._world.readings()
            for position, site in enumerate(self._sites):
                site.update(readings, report=position % _PHASES == beat % _PHASES)
            await self._clock.sleep_until(start_s + beat * self._report_s / _PHASES)


class _Site:
    """One gateway and its connection."""

    def __init__(self, name: str, rows: Mapping[str, int], broker: Broker, clock: Clock, gateway: Gateway) -> None:
        self.name = name
        self._rows = rows
        self._broker = broker
        self._clock = clock
        self._gateway = gateway
        self._readings: DeviceReadings | None = None
        self._present = asyncio.Event()
        self._absent = asyncio.Event()
        self._due = asyncio.Event()
        self._failures = 0
        self._lost_at_s: float | None = None

    def update(self, readings: DeviceReadings, *, report: bool) -> None:
        """Take new readings; disconnect or reconnect with the devices' links; report if due."""
        self._readings = readings
        self._gateway.away = {row for row in self._rows.values() if not readings.online[row]}
        here, gone = self._present, self._absent
        if len(self._gateway.away) == len(self._rows):
            here, gone = gone, here
        here.set()
        gone.clear()
        if report:
            self._due.set()

    async def run(self) -> None:
        """Stay connected while the devices are there, until cancelled."""
        while True:
            await self._present.wait()
            try:
                await apart(self._serve())
            except* aiomqtt.MqttError as errors:
                self._note_loss(errors)
            if self._present.is_set():
                self._failures += 1
                await self._clock.sleep(BACKOFF.wait_s(self._failures))

    async def _serve(self) -> None:
        will = aiomqtt.Will(topic(self.name, Leaf.STATUS), payload.status(online=False), qos=1, retain=True)
        async with self._broker.connection(identifier=f"vpp-site-{self.name}", will=will) as connection:
            try:
                await self._announce(connection)
                replies = Replies()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._report(connection))
                    group.create_task(self._serve_commands(connection, replies, group))
                    group.create_task(self._reply(connection, replies))
                    group.create_task(self._leave(connection))
            finally:
                await connection.cut()

    async def _announce(self, connection: Connection) -> None:
        await connection.subscribe_to(topic(self.name, Leaf.COMMAND))
        status = payload.status(online=True, at_s=self._clock.now_s())
        await connection.send(topic(self.name, Leaf.STATUS), status, retain=True)
        self._failures = 0
        self._due.set()
        if self._lost_at_s is not None:
            _log.info("site recovered", site=self.name, seconds=round(self._clock.now_s() - self._lost_at_s, 3))
            self._lost_at_s = None

    async def _report(self, connection: Connection) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if self._readings is not None:
                message = payload.telemetry(self._readings.at_s, self._device_readings(self._readings))
                await connection.send(topic(self.name, Leaf.TELEMETRY), message, qos=0)

    async def _serve_commands(self, connection: Connection, replies: Replies, group: asyncio.TaskGroup) -> None:
        async for message in connection.messages:
            for command in self._parsed(message.payload):
                group.create_task(self._answer(command, replies))

    async def _answer(self, command: Command, replies: Replies) -> None:
        answer = await self._gateway.answer(command)
        if answer is not None:
            replies.add(answer)

    async def _reply(self, connection: Connection, replies: Replies) -> None:
        while True:
            answers = await replies.next()
            message = payload.outcomes(self._clock.now_s(), answers)
            await connection.send(topic(self.name, Leaf.OUTCOME), message)

    async def _leave(self, connection: Connection) -> None:
        await self._absent.wait()
        await connection.cut()

    def _device_readings(self, readings: DeviceReadings) -> list[DeviceReading]:
        columns = (
            (Quantity.POWER_KW, readings.power_kw),
            (Quantity.ENERGY_KWH, readings.energy_kwh),
            (Quantity.SOC, readings.soc),
            (Quantity.P_MIN_KW, readings.p_min_kw),
            (Quantity.P_MAX_KW, readings.p_max_kw),
        )
        return [
            DeviceReading(
                device=device,
                values={quantity: float(column[row]) for quantity, column in columns},
                online=bool(readings.online[row]),
            )
            for device, row in self._rows.items()
        ]

    def _parsed(self, message: object) -> list[Command]:
        try:
            commands, faults = payload.parse_commands(message if isinstance(message, bytes) else b"")
        except (FrameError, InputError) as error:
            _log.warning("commands dropped", site=self.name, why=str(error))
            return []
        for fault in faults:
            _log.warning("command dropped", site=self.name, why=str(fault))
        return commands

    def _note_loss(self, errors: BaseExceptionGroup[aiomqtt.MqttError]) -> None:
        if self._absent.is_set() or self._lost_at_s is not None:
            return
        self._lost_at_s = self._clock.now_s()
        _log.warning("site lost its broker", site=self.name, why=str(errors))


def _rows_by_site(world: DeviceWorld) -> dict[str, dict[str, int]]:
    sites: dict[str, dict[str, int]] = {}
    for row, resource in enumerate(world.index.resources):
        if resource.adapter is Adapter.MQTT:
            site, device = split_address(resource.address)
            sites.setdefault(site, {})[device] = row
    return sites
