"""A gateway: the device links of a shard of the fleet, and the leader they answer to, joined by the bus."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from vpp.bus.device_inspection import GatewayInspection
from vpp.bus.device_memory import BusMemory
from vpp.bus.device_sessions import HeldSessions, connection_of
from vpp.bus.gateway.card_reports import CardReports
from vpp.bus.gateway.command_fencing import CommandFencing
from vpp.bus.gateway.default_feed import DefaultFeed, RememberDefault
from vpp.bus.gateway.gateway_links import GatewayLinks
from vpp.bus.gateway.membership import Beat, Membership
from vpp.bus.gateway.place_ownership import PlaceOwnership
from vpp.bus.gateway.uplink import Uplink
from vpp.bus.gateway.uplink_sender import UplinkSender
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Frame, Kind, decode, encode
from vpp.bus.messages.frames import receipt, setpoints_of, superseded_of
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, ConfigurationError, FrameError, InputError, SkipError
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.ports import Bus, BusSubscription, Clock, DeviceLink, DialledLink, RememberingLink

_log = structlog.get_logger(__name__)
_NAME = re.compile(r"[\w-]{1,64}")
_BEAT_WALL_S = 0.5
_BEATS_PER_AGE = 4
_RETRY_WALL_S = 0.2
_FAREWELL_WALL_S = 3.0


class Gateway:
    """Everything of one ``vpp gateway`` that is not a protocol.

    Args:
        name: Its name, the same over restarts: letters, digits, ``-`` and ``_``.
        incarnation: Number of this life, higher than any earlier one's.
        bus: Where leader and other gateways are.
        links: The protocols it speaks.
        clock: The only source of time.
        flush_wall_s: How long what was heard may wait for company.
        lost_wall_s: Wall seconds of silence after which a gateway counts as gone; the same for all.
        remember_default: Takes every default value in force, by row, for stations that may come here next.
        fleet_taken: Called once the links have a fleet, and again whenever it has grown.

    Attributes:
        fencing: Decides which commands go on to the links.

    Raises:
        InputError: The name is not accepted.
    """

    def __init__(
        self,
        *,
        name: str,
        incarnation: int,
        bus: Bus,
        links: Sequence[DeviceLink],
        clock: Clock,
        flush_wall_s: float,
        lost_wall_s: float,
        remember_default: RememberDefault | None = None,
        fleet_taken: Callable[[], None] | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InputError("gateway", name, "a name of letters, digits, '-' and '_', at most 64 of them")
        self.name = name
        self.fencing = CommandFencing()
        self._incarnation = incarnation
        self._bus = bus
        self._clock = clock
        self._flush_wall_s = flush_wall_s
        self._fleet_taken = fleet_taken
        self._links = GatewayLinks(links)
        self._sessions = HeldSessions(name)
        self._uplink = Uplink(self._sessions, clock)
        self._sender = UplinkSender(
            gateway=name, incarnation=incarnation, bus=bus, uplink=self._uplink, clock=clock, epoch=self._epoch
        )
        self._cards = CardReports(gateway=name, links=self._links, uplink=self._uplink, sessions=self._sessions)
        self._defaults = DefaultFeed(bus, remember_default)
        self._membership = Membership(name, incarnation, lost_wall_s=lost_wall_s)
        self._places = PlaceOwnership(self._membership, self._links)
        self._digest = master_data.digest(self._links.index)
        self._leader: tuple[int, str] = (0, self._digest)
        self._leader_changed = asyncio.Event()
        self._superseded = asyncio.Event()
        self._beats = 0
        self._claimed_epoch = 0
        self._subscriptions: list[BusSubscription] = []
        self._inspection = GatewayInspection(self._links.device_schedule)
        memory = BusMemory(bus, self._epoch)
        for link in links:
            if isinstance(link, DialledLink):
                link.report_connections(self._uplink.began)
            if isinstance(link, RememberingLink):
                link.remember_in(memory)

    async def run(self) -> None:
        """Serve until cancelled, then leave in order.

        Raises:
            ConfigurationError: Another gateway runs under this name, or the leader's fleet is not the one we know.
            OSError: An address to listen on is taken.
        """
        serving = asyncio.create_task(self._serve(), name=f"gateway {self.name}")
        try:
            await asyncio.wait((serving,))
            serving.result()
        finally:
            # In a task of its own: this one may be cancelled.
            await asyncio.wait((asyncio.create_task(self._leave(serving)),))

    @property
    def sessions(self) -> int:
        """Number of rows that have their session here."""
        return self._sessions.count

    async def _serve(self) -> None:
        for pattern, handler in (
            (to.LEADER, self._beacon),
            (to.BEATS, self._beat),
            (to.DEFAULTS, self._defaults.announced),
            (to.setpoints(self.name, self._incarnation), self._instructed),
            (to.inspection(self.name, self._incarnation), self._inspection.answer),
        ):
            self._subscriptions.append(await self._bus.subscribe(pattern, handler))
        async with asyncio.TaskGroup() as group:
            for name, loop in (
                ("pulse", self._pulse()),
                ("follow", self._follow()),
                ("speak", self._sender.run(self._flush_wall_s)),
                ("show_cards", self._cards.run()),
                ("watch_name", self._watch_name()),
            ):
                group.create_task(loop, name=f"gateway {name}")

    def _epoch(self) -> int:
        return self.fencing.epoch

    # Downlink.

    def _beacon(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEACON)
        if frame.count != 1 or frame.number < self.fencing.epoch:
            return
        self.fencing.learn(frame.number)
        leader = (frame.number, frame.texts("digest")[0])
        if leader != self._leader or not self._links.started:
            self._leader = leader
            self._leader_changed.set()

    def _instructed(self, _: str, content: bytes) -> bytes:
        """Take commands, the question for all of our sessions, or the notice of sessions newer than ours."""
        now_s = self._clock.now_s()
        frame = decode(content, Kind.SETPOINTS, Kind.ASK, Kind.SUPERSEDED)
        if frame.kind is Kind.ASK:
            self._uplink.claim_all()
            return receipt(0, now_s)
        if frame.kind is Kind.SUPERSEDED:
            self._end_superseded(frame)
            return receipt(0, now_s)
        sequence, batch = setpoints_of(content)
        stale = self.fencing.stale
        passed, refused = self.fencing.judge(sequence, batch, now_s)
        if self.fencing.stale > stale:
            _log.warning("instructions of a deposed leader refused", epoch=batch.epoch, highest=self.fencing.epoch)
        if len(refused):
            self._uplink.outcomes(refused)
        if len(passed):
            for unserved in self._links.send(passed):
                self._uplink.outcomes(
                    unserved.outcomes(OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED, self._clock.now_s())
                )
        return receipt(sequence, now_s)

    def _end_superseded(self, frame: Frame) -> None:
        """End connections of devices that have come to another gateway since."""
        rows, sessions = superseded_of(frame)
        self._sessions.superseded(rows, sessions)
        self._links.supersede(rows, connection_of(sessions))

    # Master data.

    async def _follow(self) -> None:
        """Fetch what the leader has and we have not, again whenever it announces more."""
        while True:
            await self._leader_changed.wait()
            self._leader_changed.clear()
            epoch, digest = self._leader
            try:
                await self._catch_up(epoch, digest)
            except (BusError, SkipError) as error:
                _log.info("master data not fetched yet", epoch=epoch, why=str(error))
                await asyncio.sleep(_RETRY_WALL_S)
                self._leader_changed.set()

    async def _catch_up(self, epoch: int, digest: str) -> None:
        index, grown = self._links.index, digest != self._digest
        if grown:
            index = await master_data.fetched(self._bus, epoch, index, expected=digest)
            self._digest = digest
            self.fencing.resize(len(index))
            self._uplink.resize(len(index))
        if grown or not self._links.started:
            self._links.assign(index)
            if self._fleet_taken is not None:
                self._fleet_taken()
        if self._links.started:
            self._defaults.resize(len(index))
        await self._defaults.fetch(epoch)
        if not self._links.started:
            self._places.restrict()
            await self._links.start(self._uplink)
            self._defaults.resize(len(index))
            _log.info("gateway serves", gateway=self.name, epoch=epoch, resources=len(index))
        if epoch != self._claimed_epoch:
            self._claimed_epoch = epoch
            self._uplink.claim_all()

    # Signs of life.

    async def _pulse(self) -> None:
        while True:
            with contextlib.suppress(BusError):
                await self._bus.publish(to.BEATS, self._sign_of_life(leaving=False))
            await asyncio.sleep(_BEAT_WALL_S)
            self._places.review(_now())
            self._report_ages()

    def _report_ages(self) -> None:
        """State every few beats how long ago the links' pollers turned: the leader sees what stands still here."""
        self._beats += 1
        if self._links.started and self._beats % _BEATS_PER_AGE == 0:
            self._uplink.aged(self._links.ages_wall_s())

    def _beat(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEAT)
        if frame.count != 1:
            raise FrameError(f"a beat has one row, got {frame.count}")
        self.fencing.learn(frame.number)
        beat = Beat(
            gateway=frame.texts("gateway")[0],
            incarnation=int(frame.array("incarnation")[0]),
            members=int(frame.array("members")[0]),
            leaving=bool(frame.array("leaving")[0]),
        )
        if self._membership.hear(beat, _now()):
            self._superseded.set()
        self._places.review(_now())

    async def _watch_name(self) -> NoReturn:
        await self._superseded.wait()
        raise ConfigurationError(f"another gateway runs under the name {self.name}; give each its own")

    def _sign_of_life(self, *, leaving: bool) -> bytes:
        row: dict[str, list[object]] = {
            "gateway": [self.name],
            "incarnation": [self._incarnation],
            "members": [self._membership.fingerprint(_now())],
            "resources": [len(self._links.index)],
            "held": [self._sessions.count],
            "leaving": [leaving],
        }
        return encode(Kind.BEAT, row, number=self.fencing.epoch)

    async def _leave(self, serving: asyncio.Task[None]) -> None:
        """Close the links, whose last outcomes are still sent meanwhile, send what is left, and announce the end."""
        await self._inspection.close()
        await self._links.close()
        serving.cancel()
        await asyncio.wait((serving,))
        with contextlib.suppress(TimeoutError, BusError):
            async with asyncio.timeout(_FAREWELL_WALL_S):
                if self.fencing.epoch:
                    await self._sender.send_waiting()
                await self._bus.publish(to.BEATS, self._sign_of_life(leaving=True))
        for subscription in self._subscriptions:
            await subscription.close()
        _log.info("gateway left", gateway=self.name)


def _now() -> float:
    return asyncio.get_running_loop().time()
