"""A gateway: runs the device links of a shard of the fleet and meets the leader on the bus."""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
import orjson
import structlog

from vpp.bus.device_inspection import GatewayInspection
from vpp.bus.device_memory import BusMemory
from vpp.bus.device_sessions import HeldSessions, connection_of
from vpp.bus.gateway.command_fencing import CommandFencing
from vpp.bus.gateway.membership import Beat, Membership, owned_by
from vpp.bus.gateway.uplink import Uplink
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Frame, Kind, bundled, decode, encode
from vpp.bus.messages.frames import defaults_of, overtaken_of, receipt, receipt_of, setpoints_of
from vpp.bus.transport import subjects as to
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import (
    BusError,
    ConfigurationError,
    ConflictError,
    DeviceUnreachableError,
    FrameError,
    InputError,
    SkipError,
)
from vpp.domain.fleet import ADAPTERS, FleetIndex
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.ports import (
    Bus,
    BusSubscription,
    Clock,
    DeviceLink,
    DialledLink,
    InspectableLink,
    LiveLink,
    RememberingLink,
    ShardedLink,
)

_log = structlog.get_logger(__name__)
_NAME = re.compile(r"[\w-]{1,64}")
_BEAT_WALL_S = 0.5
_BEATS_PER_AGE = 4
_RECEIPT_WALL_S = 2.0
_RETRY_WALL_S = 0.2
_FAREWELL_WALL_S = 3.0
_CARDS_AT_ONCE = 500
_CARDS_AGAIN = 50
_NOBODY: tuple[tuple[str, ...], ...] = ((),)
"""Memberships under which nobody owns anything."""
RememberDefault = Callable[[int, float], None]


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
        remember_default: Told of every default value in force, by row, for stations that may come here next.
        fleet_taken: Called once the links have a fleet, and again whenever it has grown.

    Raises:
        InputError: The name is none.
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
        self.admission = CommandFencing()
        self._incarnation = incarnation
        self._bus = bus
        self._links = {link.name: link for link in links}
        self._clock = clock
        self._flush_wall_s = flush_wall_s
        self._sessions = HeldSessions(name)
        self._uplink = Uplink(self._sessions, clock)
        self._membership = Membership(name, incarnation, lost_wall_s=lost_wall_s)
        self._remember_default = remember_default
        self._fleet_taken = fleet_taken
        self._defaults: dict[int, float] = {}
        self._index = FleetIndex.empty()
        self._digest = master_data.digest(self._index)
        self._leader: tuple[int, str] = (0, self._digest)
        self._news = asyncio.Event()
        self._superseded = asyncio.Event()
        self._started = False
        self._beats = 0
        self._sequence = 0
        self._told_epoch = 0
        self._in_flight: bytes | None = None
        self._owned: tuple[tuple[str, ...], ...] = _NOBODY
        self._again: deque[int] = deque()
        self._subscriptions: list[BusSubscription] = []
        self._inspection = GatewayInspection(self._device_schedule)
        memory = BusMemory(bus, lambda: self.admission.epoch)
        for link in links:
            if isinstance(link, DialledLink):
                link.tell_sessions(self._uplink.began)
            if isinstance(link, RememberingLink):
                link.remember_in(memory)

    async def run(self) -> None:
        """Serve until cancelled, then say goodbye.

        Raises:
            ConfigurationError: Another gateway runs under this name, or the leader's fleet is not the one we know.
            OSError: An address to listen on is taken.
        """
        serving = asyncio.create_task(self._serve(), name=f"gateway {self.name}")
        try:
            await asyncio.wait((serving,))
            serving.result()
        finally:
            # In a task of its own, which nobody has cancelled.
            await asyncio.wait((asyncio.create_task(self._leave(serving)),))

    async def _serve(self) -> None:
        for pattern, handler in (
            (to.LEADER, self._beacon),
            (to.BEATS, self._beat),
            (to.DEFAULTS, self._default_news),
            (to.setpoints(self.name, self._incarnation), self._instructed),
            (to.inspection(self.name, self._incarnation), self._inspection.answer),
        ):
            self._subscriptions.append(await self._bus.subscribe(pattern, handler))
        async with asyncio.TaskGroup() as group:
            for loop in (self._pulse, self._follow, self._speak, self._show_cards, self._watch_name):
                group.create_task(loop(), name=f"gateway {loop.__name__.strip('_')}")

    @property
    def sessions(self) -> int:
        """How many rows have their session here."""
        return self._sessions.count

    # What the leader says.

    def _beacon(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEACON)
        if frame.count != 1 or frame.number < self.admission.epoch:
            return
        self.admission.learn(frame.number)
        told = (frame.number, frame.texts("digest")[0])
        if told != self._leader or not self._started:
            self._leader = told
            self._news.set()

    def _default_news(self, _: str, content: bytes) -> None:
        rows, power_kw = defaults_of(decode(content, Kind.DEFAULTS))
        self._note_defaults(rows, power_kw)

    def _instructed(self, _: str, content: bytes) -> bytes:
        """Take instructions, the question for all of our sessions, or news of sessions newer than ours."""
        now_s = self._clock.now_s()
        frame = decode(content, Kind.SETPOINTS, Kind.ASK, Kind.OVERTAKEN)
        if frame.kind is Kind.ASK:
            self._uplink.claim_all()
            return receipt(0, now_s)
        if frame.kind is Kind.OVERTAKEN:
            self._overtaken(frame)
            return receipt(0, now_s)
        sequence, batch = setpoints_of(content)
        stale = self.admission.stale
        going, ended = self.admission.judge(sequence, batch, now_s)
        if self.admission.stale > stale:
            _log.warning("instructions of a deposed leader refused", epoch=batch.epoch, highest=self.admission.epoch)
        if len(ended):
            self._uplink.outcomes(ended)
        if len(going):
            self._hand_over(going)
        return receipt(sequence, now_s)

    def _overtaken(self, frame: Frame) -> None:
        """End connections of devices that have come to another gateway since."""
        rows, sessions = overtaken_of(frame)
        self._sessions.overtaken(rows, sessions)
        for link in self._links.values():
            if isinstance(link, DialledLink) and self._started:
                link.supersede(rows, connection_of(sessions))

    def _hand_over(self, batch: SetpointBatch) -> None:
        codes = self._index.adapter_code[batch.rows]
        for code in np.unique(codes).tolist():
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            link = self._links.get(ADAPTERS[code].value)
            if link is None or not self._started:
                self._uplink.outcomes(_unreachable(share, self._clock.now_s()))
            else:
                link.send(share)

    async def _device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        if not self._started or not 0 <= row < len(self._index):
            raise DeviceUnreachableError(f"gateway {self.name} does not serve row {row} yet")
        adapter = ADAPTERS[self._index.adapter_code[row]].value
        link = self._links.get(adapter)
        if not isinstance(link, InspectableLink):
            raise ConflictError(f"a device of adapter {adapter} cannot be asked for its schedule")
        return await link.device_schedule(row, duration_s)

    # Fleet and defaults.

    async def _follow(self) -> None:
        """Fetch what the leader has and we have not, again whenever it says that there is more."""
        while True:
            await self._news.wait()
            self._news.clear()
            epoch, digest = self._leader
            try:
                await self._catch_up(epoch, digest)
            except (BusError, SkipError) as error:
                _log.info("master data not fetched yet", epoch=epoch, why=str(error))
                await asyncio.sleep(_RETRY_WALL_S)
                self._news.set()

    async def _catch_up(self, epoch: int, digest: str) -> None:
        grown = digest != self._digest
        if grown:
            self._index = await master_data.fetched(self._bus, epoch, self._index, expected=digest)
            self._digest = digest
            self.admission.resize(len(self._index))
            self._uplink.resize(len(self._index))
        if grown or not self._started:
            for link in self._links.values():
                link.assign(self._index)
            if self._fleet_taken is not None:
                self._fleet_taken()
        await self._fetch_defaults(epoch)
        if not self._started:
            self._restrict(self._owned)
            for link in self._links.values():
                await link.start(self._uplink)
            self._started = True
            self._repeat_defaults()
            _log.info("gateway serves", gateway=self.name, epoch=epoch, resources=len(self._index))
        if epoch != self._told_epoch:
            self._told_epoch = epoch
            self._uplink.claim_all()

    async def _fetch_defaults(self, epoch: int) -> None:
        first = 0
        while True:
            answer = await self._bus.request(
                to.defaults_in_force(epoch), master_data.ask("defaults", first), patience_wall_s=_RECEIPT_WALL_S
            )
            rows, power_kw = defaults_of(decode(answer, Kind.DEFAULTS))
            if not len(rows):
                return
            self._note_defaults(rows, power_kw)
            first = int(rows[-1]) + 1

    def _note_defaults(self, rows: RowArray, power_kw: FloatArray) -> None:
        self._defaults.update(zip(rows.tolist(), power_kw.tolist(), strict=True))
        if self._started:
            self._repeat_defaults()

    def _repeat_defaults(self) -> None:
        """Tell whoever installs defaults; those of rows that are to come wait until they are there."""
        if self._remember_default is None:
            self._defaults.clear()
            return
        here = [row for row in self._defaults if row < len(self._index)]
        for row in here:
            self._remember_default(row, self._defaults.pop(row))

    # What we say.

    async def _speak(self) -> None:
        """Send what was heard, one message at a time, each until the leader has it."""
        while True:
            await self._uplink.work.wait()
            await asyncio.sleep(self._flush_wall_s)
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        while True:
            if self._in_flight is None:
                frames = self._uplink.take()
                if not frames:
                    return
                self._sequence += 1
                self._in_flight = bundled([self._head(), *frames])
            await self._send(self._in_flight)
            self._in_flight = None

    def _head(self) -> bytes:
        row: dict[str, list[object]] = {
            "gateway": [self.name],
            "incarnation": [self._incarnation],
            "at_s": [self._clock.now_s()],
        }
        return encode(Kind.UPLINK, row, number=self._sequence)

    async def _send(self, content: bytes) -> None:
        while True:
            epoch = self.admission.epoch
            try:
                answer = await self._bus.request(to.uplink(epoch), content, patience_wall_s=_RECEIPT_WALL_S)
                if receipt_of(answer)[0] == self._sequence:
                    return
            except (BusError, FrameError):
                await asyncio.sleep(_RETRY_WALL_S)

    async def _show_cards(self) -> None:
        """Tell the leader what devices say of themselves: soon after they appear, and now and then again."""
        while True:
            await asyncio.sleep(1.0)
            fresh = [self._uplink.appeared.popleft() for _ in range(min(len(self._uplink.appeared), _CARDS_AT_ONCE))]
            again = [self._again.popleft() for _ in range(min(len(self._again), _CARDS_AGAIN))]
            rows = [row for row in dict.fromkeys(fresh + again) if self._sessions.is_up(row)]
            if rows and self._started:
                self._again.extend(rows)
                self._uplink.cards(rows, [self._card(row) for row in rows])

    def _card(self, row: int) -> str:
        link = self._links.get(ADAPTERS[self._index.adapter_code[row]].value)
        card = {} if link is None else dict(link.card(row))
        return orjson.dumps({**card, "gateway": self.name}, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode()

    # Who is there.

    async def _pulse(self) -> None:
        while True:
            with contextlib.suppress(BusError):
                await self._bus.publish(to.BEATS, self._sign_of_life(leaving=False))
            await asyncio.sleep(_BEAT_WALL_S)
            self._share()
            self._tell_ages()

    def _tell_ages(self) -> None:
        """Say every few beats how long ago the links' pollers turned: what stands still here is seen at the leader."""
        self._beats += 1
        if self._started and self._beats % _BEATS_PER_AGE == 0:
            live = (link for link in self._links.values() if isinstance(link, LiveLink))
            self._uplink.aged({link.name: link.age_wall_s() for link in live})

    def _beat(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEAT)
        if frame.count != 1:
            raise FrameError(f"a beat has one row, got {frame.count}")
        self.admission.learn(frame.number)
        beat = Beat(
            gateway=frame.texts("gateway")[0],
            incarnation=int(frame.array("incarnation")[0]),
            members=int(frame.array("members")[0]),
            leaving=bool(frame.array("leaving")[0]),
        )
        if self._membership.hear(beat, _now()):
            self._superseded.set()
        self._share()

    def _share(self) -> None:
        """Let go what others own now; take what is ours once all agree on who is there."""
        now = _now()
        live = self._membership.live(now)
        if self._membership.agreed(now):
            memberships: tuple[tuple[str, ...], ...] = (live,)
        else:
            memberships = self._owned if live in self._owned else (*self._owned, live)
        if memberships != self._owned and self._started:
            self._restrict(memberships)

    def _restrict(self, memberships: tuple[tuple[str, ...], ...]) -> None:
        self._owned = memberships
        for link in self._links.values():
            if isinstance(link, ShardedLink):
                link.own(owned_by(self.name, *memberships))

    async def _watch_name(self) -> NoReturn:
        await self._superseded.wait()
        raise ConfigurationError(f"another gateway runs under the name {self.name}; give each its own")

    def _sign_of_life(self, *, leaving: bool) -> bytes:
        row: dict[str, list[object]] = {
            "gateway": [self.name],
            "incarnation": [self._incarnation],
            "members": [self._membership.mark(_now())],
            "resources": [len(self._index)],
            "held": [self._sessions.count],
            "leaving": [leaving],
        }
        return encode(Kind.BEAT, row, number=self.admission.epoch)

    async def _leave(self, serving: asyncio.Task[None]) -> None:
        """Close the links, which may take its time while we still tell of it, send what is left, and go."""
        await self._inspection.close()
        if self._started:
            for link in self._links.values():
                await link.close()
        serving.cancel()
        await asyncio.wait((serving,))
        with contextlib.suppress(TimeoutError, BusError):
            async with asyncio.timeout(_FAREWELL_WALL_S):
                if self.admission.epoch:
                    await self._send_waiting()
                await self._bus.publish(to.BEATS, self._sign_of_life(leaving=True))
        for subscription in self._subscriptions:
            await subscription.close()
        _log.info("gateway left", gateway=self.name)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _unreachable(batch: SetpointBatch, at_s: float) -> OutcomeBatch:
    count = len(batch)
    return OutcomeBatch(
        ids=batch.ids,
        rows=batch.rows,
        status=np.full(count, OutcomeStatus.UNREACHABLE, dtype=np.uint8),
        reasons=np.full(count, Reason.NOT_CONNECTED, dtype=np.uint8),
        at_s=np.full(count, at_s),
    )
