"""The leader's end of the bus: every gateway behind one object, as `vpp serve` sees the device plane."""

import asyncio
import contextlib
from itertools import count

import numpy as np
import structlog

from vpp.bus.device_inspection import ask_gateway
from vpp.bus.device_memory import LeaderMemory
from vpp.bus.device_sessions import NOBODY, SessionDirectory
from vpp.bus.leader.background import BackgroundTasks, publish_once
from vpp.bus.leader.command_delivery import RECEIPT_WALL_S, CommandDelivery
from vpp.bus.leader.default_values import DefaultValues
from vpp.bus.leader.gateway_directory import GatewayDirectory, KnownGateway
from vpp.bus.leader.session_takeover import SessionTakeover
from vpp.bus.leader.uplink_reader import UplinkReader, connection_samples
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Kind, decode, encode
from vpp.bus.transport import subjects as to
from vpp.bus.transport.fleet_bus import FleetBus, Strangers
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import BusError, ConflictError, DeviceUnreachableError, FrameError
from vpp.fleet.index import FleetIndex
from vpp.ports import Bus, BusHandler, BusSubscription, Clock, DeviceMemory, LinkSink

_log = structlog.get_logger(__name__)
BEACON_WALL_S = 0.5


class LeaderEndpoint:
    """Leads the gateways under one epoch: beacons, master data, commands down and uplinks up.

    Args:
        bus: Where the gateways are.
        clock: The only source of time.
        answer_s: Clock seconds after which a command without outcome is unreachable.
        lost_wall_s: Wall seconds of silence after which a gateway counts as gone, and its sessions with it.

    Attributes:
        commands: Takes commands for devices behind the gateways.
    """

    def __init__(self, bus: Bus, clock: Clock, *, answer_s: float, lost_wall_s: float) -> None:
        self._bus = bus
        self._clock = clock
        self._answer_s = answer_s
        self._lost_wall_s = lost_wall_s
        self._epoch = 0
        self._index = FleetIndex.empty()
        self._digest = master_data.digest(self._index)
        self._tasks = BackgroundTasks()
        self._sessions = SessionDirectory()
        self._gateways = GatewayDirectory(self._lose)
        self._defaults = DefaultValues(self._tasks)
        self.commands = CommandDelivery(
            sessions=self._sessions,
            gateways=self._gateways,
            defaults=self._defaults,
            clock=clock,
            tasks=self._tasks,
            answer_s=answer_s,
        )
        self._takeover = SessionTakeover(bus, self._tasks)
        self._cards: dict[int, str] = {}
        self._questions = count(1)
        self._sink: LinkSink | None = None
        self._subscriptions: list[BusSubscription] = []
        self._memory: LeaderMemory | None = None
        self._strangers: Strangers | None = None

    def lead(self, epoch: int, *, fleet: str = "") -> None:
        """State the epoch under which this process leads, and whose fleet; before ``start``.

        Without a fleet the bus is taken to be this fleet's own, as in one process.
        """
        self._epoch = epoch
        if fleet and self._strangers is None:  # every link hands over the same
            self._strangers = Strangers(self._bus, fleet)
            self._bus = FleetBus(self._bus, fleet)
            self._takeover = SessionTakeover(self._bus, self._tasks)

    @property
    def deposed(self) -> bool:
        """Another service leads under a higher epoch; no command leaves this one any more."""
        return self.commands.fenced

    @property
    def strangers(self) -> int:
        """Number of announcements of services of other fleets that were heard and refused."""
        return 0 if self._strangers is None else self._strangers.announcements

    def assign(self, index: FleetIndex) -> None:
        """Take the fleet, which only grows; gateways fetch what is new."""
        if index is self._index:
            return  # every link hands over the same fleet
        self._defaults.assign(self._index, index)
        self._index = index
        self._digest = master_data.digest(index)
        self._sessions.resize(len(index))
        if self._sink is not None:
            self._tasks.start(publish_once(self._bus, to.LEADER, self._beacon()))

    def remember_default(self, row: int, power_kw: float) -> None:
        """State the default value in force at ``row`` from before a restart."""
        self._defaults.remember(row, power_kw)

    def remember_in(self, memory: DeviceMemory) -> None:
        """See ``RememberingLink``: what gateways find in devices is kept there; before ``start``."""
        self._memory = LeaderMemory(memory, self._tasks.start, self._clock.now_s)

    async def start(self, sink: LinkSink) -> None:
        """Begin to listen and to lead; repeating it changes nothing.

        Raises:
            ConflictError: No epoch was stated.
            BusError: The bus is away.
        """
        if self._sink is not None:
            return
        if not self._epoch:
            raise ConflictError("the leader's end of the bus needs an epoch; state it before the start")
        self._sink = sink
        self.commands.start(self._bus, sink)
        self._defaults.start(self._bus)
        for pattern, handler in self._handlers(sink):
            self._subscriptions.append(await self._bus.subscribe(pattern, handler))
        if self._strangers is not None:
            await self._strangers.start()
        self._tasks.start(self._lead())

    def card(self, row: int) -> str | None:
        """Return what the device in ``row`` says of itself, as JSON."""
        return self._cards.get(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Ask the gateway of a device; raises as ``vpp.ports.InspectableLink`` has it."""
        code = int(self._sessions.gateways(np.array([row], dtype=np.int32))[0])
        if self._sink is None or code == NOBODY:
            raise DeviceUnreachableError("the device is not connected to any gateway")
        gateway = self._gateways[code]
        return await ask_gateway(
            self._bus,
            to.inspection(gateway.name, gateway.incarnation),
            number=(self._epoch << 32) + next(self._questions),
            row=row,
            duration_s=duration_s,
            answer_wall_s=self._clock.wall(self._answer_s),
        )

    def age_wall_s(self, adapter: str) -> float:
        """Return wall seconds since the poller of an adapter last turned; see ``GatewayDirectory``."""
        return self._gateways.age_wall_s(adapter)

    def gateways(self) -> dict[str, int]:
        """Return how many rows each living gateway holds, by its name."""
        return {gateway.name: len(self._sessions.held(gateway.code)) for gateway in self._gateways.living()}

    async def close(self) -> None:
        """Leave; commands in flight come back as unreachable. Repeating it changes nothing."""
        if self._subscriptions:
            _log.info("instructions by leg", **self.commands.legs.report())
        await self._tasks.close()
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions.clear()
        if self._strangers is not None:
            await self._strangers.close()
        self.commands.close()

    def _handlers(self, sink: LinkSink) -> list[tuple[str, BusHandler]]:
        """Return the subjects to subscribe to and their handlers."""
        reader = UplinkReader(
            sink,
            gateways=self._gateways,
            sessions=self._sessions,
            takeover=self._takeover,
            commands=self.commands,
            cards=self._cards,
            clock=self._clock,
        )
        handlers: list[tuple[str, BusHandler]] = [
            (to.uplink(self._epoch), reader.take),
            (to.fleet(self._epoch), self._master_data_page),
            (to.defaults_in_force(self._epoch), self._defaults.page),
            (to.BEATS, self._beat),
            (to.LEADER, self._other_leader),
        ]
        if self._memory is not None:
            handlers.append((to.memory(self._epoch), self._memory.answer))
        return handlers

    def _master_data_page(self, _: str, content: bytes) -> bytes:
        return master_data.page(self._index, *master_data.asked(content))

    def _beat(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEAT)
        if frame.count != 1:
            raise FrameError(f"a beat has one row, got {frame.count}")
        if frame.number > self._epoch:
            self._step_down(frame.number)
        gateway = self._gateways.heard(frame.texts("gateway")[0], int(frame.array("incarnation")[0]))
        if frame.array("leaving")[0]:
            self._lose(gateway, "left")
        elif not gateway.synced:
            self._tasks.start(self._sync(gateway))

    def _other_leader(self, _: str, content: bytes) -> None:
        epoch = decode(content, Kind.BEACON).number
        if epoch > self._epoch:
            self._step_down(epoch)

    def _step_down(self, epoch: int) -> None:
        if not self.deposed:
            self.commands.fenced = True
            _log.error("another service leads; no instruction leaves this one any more", ours=self._epoch, theirs=epoch)

    def _lose(self, gateway: KnownGateway, why: str) -> None:
        if not gateway.alive:
            return
        gateway.alive = gateway.synced = False
        self._takeover.forget(gateway.name)
        rows = self._sessions.lose(gateway.code)
        _log.warning("gateway lost", gateway=gateway.name, why=why, rows=len(rows))
        if self._sink is not None:
            down, at_s = np.zeros(len(rows), dtype=np.uint8), np.full(len(rows), self._clock.now_s())
            self._sink.telemetry(connection_samples(rows, down, at_s))
        self.commands.abandon(gateway.code)

    async def _sync(self, gateway: KnownGateway) -> None:
        """Ask a gateway that was believed lost for all of its sessions."""
        with contextlib.suppress(BusError):
            subject = to.setpoints(gateway.name, gateway.incarnation)
            await self._bus.request(subject, master_data.ask("claims", 0), patience_wall_s=RECEIPT_WALL_S)
            gateway.synced = True

    async def _lead(self) -> None:
        before = asyncio.get_running_loop().time()
        while True:
            await publish_once(self._bus, to.LEADER, self._beacon())
            if self._strangers is not None:
                with contextlib.suppress(BusError):
                    await self._strangers.announce(self._epoch)
            now = asyncio.get_running_loop().time()
            held_up_s, before = max(now - before - 2.0 * BEACON_WALL_S, 0.0), now
            for gateway in self._gateways.silent(now, longer_than_s=self._lost_wall_s, held_up_s=held_up_s):
                self._lose(gateway, "silent")
            self.commands.expire()
            await asyncio.sleep(BEACON_WALL_S)

    def _beacon(self) -> bytes:
        return encode(Kind.BEACON, {"resources": [len(self._index)], "digest": [self._digest]}, number=self._epoch)
