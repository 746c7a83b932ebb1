"""Our side of MQTT: telemetry and outcomes of the sites, commands to them."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from itertools import groupby

import aiomqtt
import structlog

from adapters.kit.batching import Batcher
from adapters.mqtt import payload
from adapters.mqtt.command_queue import CommandQueue, QueuedCommand
from adapters.mqtt.connection import BACKOFF, Broker, Connection, apart
from adapters.mqtt.inbox import Inbox
from adapters.mqtt.payload import Command
from adapters.mqtt.site_directory import SiteDirectory
from adapters.mqtt.subscriptions import SiteSubscriptions
from adapters.mqtt.topics import Leaf, topic
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, LinkSink

_log = structlog.get_logger(__name__)

NAME = "mqtt"
"""Name of this adapter in the registry, metrics and journal."""
_SWEEPS_PER_TIMEOUT = 8
_BATCH_SAMPLES = 5000


class MqttLink:
    """A `vpp.ports.ShardedLink` to the site gateways behind one broker.

    Its places are sites. It owns all of them, under one subscription, until ``own`` is called; from then on it
    subscribes to its own sites one by one, so that the broker sends each message to one process only.

    Args:
        url: ``mqtt://[user:password@]host:port`` or ``mqtts://``.
        clock: The only source of time.
        ack_timeout_s: How long a gateway may take to answer a command, in the clock's seconds.

    Raises:
        ConfigurationError: ``url`` is not such an address.
    """

    def __init__(self, *, url: str, clock: Clock, ack_timeout_s: float = 30.0) -> None:
        self.name: str = NAME
        self._broker = Broker.at(url)
        self._clock = clock
        self._sweep_s = ack_timeout_s / _SWEEPS_PER_TIMEOUT
        self._directory = SiteDirectory()
        self._queue = CommandQueue(ack_timeout_s)
        self._batcher = Batcher(NAME, flush_wall_s=None)
        self._inbox = Inbox(self._directory, self._queue, self._batcher)
        self._failures = 0
        self._subscriptions = SiteSubscriptions(self._directory)
        self._work = asyncio.Event()
        self._tried = asyncio.Event()
        self._lost_at_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``site/device`` and no other resource's."""
        self._directory.places(index)

    def assign(self, index: FleetIndex) -> None:
        """Serve the rows of ``index`` that speak MQTT; raises InputError for an address that is no ``site/device``."""
        changes = self._directory.assign(index)
        for row in changes.left:
            self._inbox.forget(row)
        self._subscriptions.renew()
        reachable = [row for row in changes.joined if self._directory.is_reachable(row)]
        self._batcher.presence(reachable, self._clock.now_s(), connected=True)
        self._batcher.flush()

    def own(self, owns: Callable[[str], bool]) -> None:
        """See ``ShardedLink``; devices of the sites we leave count as not connected."""
        for site in self._subscriptions.own(owns):
            self._leave_site(site)
        self._batcher.flush()
        self._subscriptions.renew()

    async def start(self, sink: LinkSink) -> None:
        """Begin; returns after the first try to reach the broker, which is tried again for ever should it fail."""
        self._batcher.open(sink)
        self._task = asyncio.create_task(self._run(), name="mqtt link")
        self._task.add_done_callback(_log_fault)
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait((self._task, tried), return_when=asyncio.FIRST_COMPLETED)
        tried.cancel()

    def send(self, batch: SetpointBatch) -> None:
        """Hand over instructions; returns at once, outcomes come to the sink."""
        now_s = self._clock.now_s()
        for position in range(len(batch)):
            self._enqueue(batch, position, now_s)
        self._work.set()
        asyncio.get_running_loop().call_soon(self._batcher.flush)

    async def close(self) -> None:
        """Stop; outstanding instructions come back as unreachable."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._give_up()

    def card(self, row: int) -> Mapping[str, object]:
        """Return what is known of a device beyond its registration; empty for a row that does not speak MQTT."""
        place = self._directory.place(row)
        if place is None:
            return {}
        reported_at_s, values = self._inbox.latest(row) or (None, {})
        shown = {quantity.name.lower(): value for quantity, value in values.items()}
        offset_s = self._inbox.clock_offset_s(place[0])
        return {
            "protocol": "MQTT 3.1.1",
            "site": place[0],
            "device": place[1],
            "connected": self._directory.is_reachable(row),
            "reported_at_s": reported_at_s,
            **({"clock_offset_s": round(offset_s, 1)} if offset_s else {}),
            "can_report": sorted(shown),
            "can_fall_back": True,  # the command's `until` is its lease
            **{name: value for name, value in shown.items() if name != Quantity.POWER_KW.name.lower()},
        }

    def _enqueue(self, batch: SetpointBatch, position: int, now_s: float) -> None:
        row, identity = int(batch.rows[position]), int(batch.ids[position])
        place = self._directory.place(row)
        if place is None:
            self._batcher.outcome(identity, row, OutcomeStatus.REJECTED, Reason.UNSUPPORTED, now_s)
            return
        layer = Layer(int(batch.layers[position]))
        command = Command(
            id=identity,
            device=place[1],
            layer=layer,
            power_kw=math.nan if layer is Layer.RELEASE else float(batch.power_kw[position]),
            until_s=float(batch.until_s[position]) if layer is Layer.DISPATCH else math.inf,
            epoch=batch.epoch,
        )
        queued = QueuedCommand(row=row, site=place[0], command=command)
        if not self._directory.is_reachable(row):
            self._end(queued, now_s, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
            return
        replaced = self._queue.add(queued)
        if replaced is not None:
            self._end(replaced, now_s, OutcomeStatus.REJECTED, Reason.EXPIRED)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            group.create_task(self._stay_connected())

    async def _stay_connected(self) -> None:
        while True:
            try:
                await apart(self._serve())
            except* aiomqtt.MqttError as errors:
                self._note_loss(errors.exceptions[0])
            self._failures += 1
            await self._clock.sleep(BACKOFF.wait_s(self._failures))

    async def _serve(self) -> None:
        async with self._broker.connection() as connection:
            await self._subscriptions.begin(connection)
            self._note_connection()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(connection))
                group.create_task(self._send_commands(connection))
                group.create_task(self._subscriptions.run(connection))

    async def _receive(self, connection: Connection) -> None:
        connection.acknowledge_manually()
        unacknowledged: list[aiomqtt.Message] = []
        async for message in connection.messages:
            body = message.payload if isinstance(message.payload, bytes) else b""
            if self._subscriptions.includes(message.topic.value):
                self._inbox.take(message.topic.value, body, self._clock.now_s(), retained=bool(message.retain))
            unacknowledged.append(message)
            if not len(connection.messages) or len(self._batcher) >= _BATCH_SAMPLES:
                self._batcher.flush()
                # Only what the sink has been given may be forgotten by the broker.
                connection.acknowledge(unacknowledged)
                unacknowledged.clear()
                self._work.set()  # an answer may have made room for the next instruction to its row

    async def _send_commands(self, connection: Connection) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            now_s = self._clock.now_s()
            going, ended = self._queue.take_due(now_s)
            for queued in ended:
                self._end(queued, now_s, OutcomeStatus.REJECTED, Reason.EXPIRED)
            self._batcher.flush()
            async with asyncio.TaskGroup() as group:
                for site, some in groupby(sorted(going, key=_by_site), key=_by_site):
                    message = payload.commands(queued.command for queued in some)
                    group.create_task(connection.send(topic(site, Leaf.COMMAND), message))

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(self._sweep_s)
            now_s = self._clock.now_s()
            for queued in self._queue.overdue(now_s):
                self._end(queued, now_s, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
                self._work.set()
            self._batcher.flush()

    def _note_connection(self) -> None:
        self._failures = 0
        self._work.set()
        if self._lost_at_s is not None:
            seconds = round(self._clock.now_s() - self._lost_at_s, 3)
            _log.info("broker recovered", broker=str(self._broker), seconds=seconds)
            self._lost_at_s = None
        self._tried.set()

    def _note_loss(self, error: BaseException) -> None:
        if self._lost_at_s is None:
            self._lost_at_s = self._clock.now_s()
            _log.warning("broker lost", broker=str(self._broker), why=_innermost(error))
            rows = self._directory.lost_all(self._lost_at_s)
            self._batcher.presence(rows, self._lost_at_s, connected=False)
        self._give_up()
        self._tried.set()

    def _leave_site(self, site: str) -> None:
        """Note that another process serves a site now."""
        now_s = self._clock.now_s()
        if self._directory.is_online(site):
            self._batcher.presence(self._directory.lost(site, now_s), now_s, connected=False)
        for queued in self._queue.give_up(site):
            self._end(queued, now_s, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)

    def _end(self, queued: QueuedCommand, now_s: float, status: OutcomeStatus, reason: Reason) -> None:
        self._batcher.outcome(queued.command.id, queued.row, status, reason, now_s)

    def _give_up(self) -> None:
        now_s = self._clock.now_s()
        for queued in self._queue.give_up():
            self._end(queued, now_s, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        self._batcher.flush()


def _log_fault(task: asyncio.Task[None]) -> None:
    """Log a fault of our own at once; ``close`` raises it as well."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("mqtt link ended by a fault", exc_info=error)


def _by_site(queued: QueuedCommand) -> str:
    return queued.site


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
