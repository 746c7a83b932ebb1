"""A toy protocol on the kit: meters dial in over WebSocket, report power and take setpoints.

    meter → service   {"power_kw": 4.2}                      a reading of now, load positive
    service → meter   {"id": 7, "kw": 3.0, "until_s": 1e9}   a leased setpoint; "kw": null ends it
    meter → service   {"id": 7, "ok": true}                  its answer

How to write a protocol, in the order of this file:

1. Messages: types, and a decoder that accepts nothing else.
2. An endpoint, a ``WebSocketEndpoint`` for each connection: it decodes, hands readings to the ``Batcher``, keeps one
   command under way and one waiting behind it, and schedules a deadline on the timing wheel.
3. A link, ``vpp.ports.DeviceLink`` towards the service and ``acceptor.Host`` towards the kit: it maps device ids to
   rows of the fleet, sends setpoints, and reports each outcome exactly once.
4. A name in ``vpp.domain.resource.Adapter`` (the toy borrows MODBUS), and the link in ``vpp.bootstrap.links``.

The kit does the rest: TLS, passwords, admission at a rate, slow readers, fragments; and a connection whose messages
raise is cut without harm to any other. A link that runs in several gateway processes also implements
``vpp.ports.DialledLink`` (see ``adapters.ocpp.central_system.server``).
"""

import math
from collections.abc import Mapping

import msgspec

from adapters.kit.batching import Batcher
from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.connection import WebSocketConnection
from adapters.kit.websocket.endpoint import WebSocketEndpoint
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.host import DeviceHost
from adapters.kit.websocket.server import Listening, WebSocketServer
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, LinkSink

NAME = Adapter.MODBUS
ANSWER_WALL_S = 5.0
"""How long a meter may take to answer a setpoint."""
_ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)
_REFUSED = (OutcomeStatus.REJECTED, Reason.REFUSED)
_EXPIRED = (OutcomeStatus.REJECTED, Reason.EXPIRED)
_NOT_CONNECTED = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """Anything a meter says."""

    power_kw: float = math.nan
    id: int = 0
    ok: bool = False


decode, encode = msgspec.json.Decoder(Message).decode, msgspec.json.encode


class Meter(WebSocketEndpoint):
    """One connection of one meter. At most one command is under way, and one waits behind it."""

    __slots__ = ("_link", "_row", "_under_way_until", "under_way", "waiting")

    def __init__(self, link: "ToyLink", row: int) -> None:
        super().__init__(link.server.context)
        self.under_way: tuple[int, bytes] | None = None
        self.waiting: tuple[int, bytes] | None = None
        self._link = link
        self._row = row
        self._under_way_until = math.inf

    def message_received(self, raw: bytes) -> None:
        """Take a reading or an answer; whatever is neither ends this connection, and no other."""
        try:
            message = decode(raw)
        except msgspec.MsgspecError:
            self.rejected("json")
            self.hang_up(CloseCode.PROTOCOL_ERROR)
            return
        if not math.isnan(message.power_kw):
            self._link.batcher.sample(self._row, Quantity.POWER_KW, message.power_kw, self._link.clock.now_s())
        if self.under_way is not None and message.id == self.under_way[0]:
            self._end(*_ACCEPTED if message.ok else _REFUSED)

    def rejected(self, reason: str) -> None:
        """See ``WebSocketEndpoint``."""
        self._link.batcher.rejected(reason)

    def command(self, command_id: int, message: bytes) -> None:
        """Send a command, or have it wait in place of an older one."""
        if self.waiting is not None:
            self._link.outcome(self.waiting[0], self._row, *_EXPIRED)
        self.waiting = command_id, message
        self._send_next()

    def due(self, now: float) -> float:
        """See ``WebSocketEndpoint``: the answer is overdue."""
        if self.under_way is not None and now >= self._under_way_until:
            self._end(OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        return math.inf if self.under_way is None else self._under_way_until

    def lost(self) -> None:
        """See ``WebSocketEndpoint``: what was not answered comes back as unreachable."""
        commands, self.under_way, self.waiting = (self.under_way, self.waiting), None, None
        for command in commands:
            if command is not None:
                self._link.outcome(command[0], self._row, *_NOT_CONNECTED)
        self._link.lost(self, self._row)

    def _send_next(self) -> None:
        if self.under_way is None and self.waiting is not None:
            self.under_way, self.waiting = self.waiting, None
            self.send(self.under_way[1])
            self._under_way_until = self._context.poller.now + ANSWER_WALL_S
            self._context.timers.schedule(self, self._under_way_until)

    def _end(self, status: OutcomeStatus, reason: Reason) -> None:
        command, self.under_way = self.under_way, None
        if command is not None:
            self._link.outcome(command[0], self._row, status, reason)
        self._send_next()


class ToyLink(DeviceHost):
    """A ``vpp.ports.DeviceLink`` and an ``acceptor.Host``; an address is the meter's id."""

    name = realm = NAME.value

    def __init__(self, *, clock: Clock, listening: Listening, entry: EntryRules | None = None) -> None:
        self.clock = clock
        self.batcher = Batcher(self.name)
        self.server = WebSocketServer(listening, entry or EntryRules())
        super().__init__(self.batcher, clock, self.server.context.poller)
        self._rows: dict[str, int] = {}
        self._meters: dict[int, Meter] = {}
        self._epoch = 0

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``."""
        ids = [resource.address for resource in index.resources if resource.adapter is NAME]
        if len(set(ids)) < len(ids) or "" in ids:
            raise InputError("address", ids, "meter ids, each once")

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``."""
        self._rows = {one.address: row for row, one in enumerate(index.resources) if one.adapter is NAME}

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``."""
        self.batcher.open(sink)
        self.server.start(self, before_rest=self.batcher.flush)

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        stale, self._epoch = batch.epoch < self._epoch, max(self._epoch, batch.epoch)
        columns = (batch.ids, batch.rows, batch.layers, batch.power_kw, batch.until_s)
        for number, row, layer, power_kw, until_s in zip(*(column.tolist() for column in columns), strict=True):
            meter = self._meters.get(row)
            if stale or meter is None:
                self.outcome(number, row, *_EXPIRED if stale else _NOT_CONNECTED)
            else:
                power = None if layer == Layer.RELEASE else power_kw
                meter.command(number, encode({"id": number, "kw": power, "until_s": until_s}))

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``."""
        return {"connected": row in self._meters} if row in self._rows.values() else {}

    async def close(self) -> None:
        """See ``DeviceLink``."""
        self.server.stop_accepting()
        for meter in list(self._meters.values()):
            meter.hang_up(CloseCode.GOING_AWAY)
        self.batcher.flush()
        await self.server.close()

    def knows(self, device: str) -> bool:
        """See ``acceptor.Host``."""
        return device in self._rows

    def connected(self, connection: WebSocketConnection, device: str, subprotocol: str) -> None:  # noqa: ARG002 - one
        """See ``acceptor.Host``; the newest connection of a meter counts."""
        row = self._rows[device]
        before, self._meters[row] = self._meters.get(row), Meter(self, row)
        if before is not None:
            before.hang_up(CloseCode.GOING_AWAY)
        self._meters[row].begin(connection)
        self.batcher.presence([row], self.clock.now_s(), connected=True)

    def lost(self, meter: Meter, row: int) -> None:
        """Take note that a connection is over, unless a newer one has taken its place."""
        if self._meters.get(row) is meter:
            del self._meters[row]
            self.batcher.presence([row], self.clock.now_s(), connected=False)

    def outcome(self, command_id: int, row: int, status: OutcomeStatus, reason: Reason) -> None:
        """Report what became of a command; each comes back exactly once."""
        self.batcher.outcome(command_id, row, status, reason, self.clock.now_s())
