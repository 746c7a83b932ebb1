"""The leader's end of the bus: every gateway behind one object, as `vpp serve` sees the device plane."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from math import isnan, nan
from time import monotonic

import numpy as np
import structlog

from vpp.bus.device_inspection import ask_gateway
from vpp.bus.device_memory import LeaderMemory
from vpp.bus.device_sessions import NOBODY, SessionRegistry
from vpp.bus.leader.in_flight import Dispatch, InFlight, Legs
from vpp.bus.leader.session_takeover import SessionTakeover
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Frame, Kind, decode, encode, unbundled
from vpp.bus.messages.frames import (
    FRAME_ROWS,
    ages_of,
    cars_of,
    claims_of,
    default_frames,
    knocks_of,
    outcomes_of,
    receipt,
    receipt_of,
    setpoint_frame,
    tally_of,
    telemetry_of,
)
from vpp.bus.transport import subjects as to
from vpp.bus.transport.fleet_bus import FleetBus, Strangers
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import BusError, ConflictError, DeviceUnreachableError, FrameError, SkipError
from vpp.domain.fleet import FleetIndex
from vpp.domain.session import SessionEvent, SessionPromised
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.ports import Bus, BusHandler, BusSubscription, Clock, DeviceMemory, LinkSink

_log = structlog.get_logger(__name__)
NAME = "bus"
BEACON_WALL_S = 0.5
_RECEIPT_WALL_S = 1.0
_RETRY_WALL_S = 0.2
_COUNTED_AT_ONCE = 1000
"""Counts of dropped frames that one message may add: a sink takes them one by one."""


@dataclass(slots=True, kw_only=True)
class _Peer:
    """A gateway as the hub knows it."""

    code: int
    name: str
    incarnation: int
    heard: float
    alive: bool = True
    synced: bool = True
    sequence: int = 0
    turned: dict[str, float] = field(default_factory=dict)
    """Monotonic time of the last turn of each adapter's poller there, as it was told."""


class LeaderEndpoint:
    """Hears every gateway, knows which row is at which, and sends each its share of a batch.

    Args:
        bus: Where the gateways are.
        clock: The only source of time.
        answer_s: Clock seconds after which an instruction without outcome is unreachable.
        lost_wall_s: Wall seconds of silence after which a gateway counts as gone, and its sessions with it.
    """

    def __init__(self, bus: Bus, clock: Clock, *, answer_s: float, lost_wall_s: float) -> None:
        self.legs = Legs()
        self.deposed = False
        self._bus = bus
        self._clock = clock
        self._answer_s = answer_s
        self._lost_wall_s = lost_wall_s
        self._epoch = 0
        self._index = FleetIndex.empty()
        self._digest = master_data.digest(self._index)
        self._registry = SessionRegistry()
        self._outstanding = InFlight()
        self._default_kw: FloatArray = np.zeros(0)
        self._cards: dict[int, str] = {}
        self._peers: dict[str, _Peer] = {}
        self._names: list[str] = []
        self._sequence = 0
        self._questions = count(1)
        self._sink: LinkSink | None = None
        self._subscriptions: list[BusSubscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaking = SessionTakeover(bus, self._later)
        self._memory: LeaderMemory | None = None
        self._strangers: Strangers | None = None

    # What the service does with it.

    def lead(self, epoch: int, *, fleet: str = "") -> None:
        """State the epoch under which this process leads, and whose fleet; before ``start``.

        Without a fleet the bus is taken to be this fleet's own, as in one process.
        """
        self._epoch = epoch
        if fleet and self._strangers is None:  # every link hands over the same
            self._strangers = Strangers(self._bus, fleet)
            self._bus = FleetBus(self._bus, fleet)
            self._overtaking = SessionTakeover(self._bus, self._later)

    @property
    def strangers(self) -> int:
        """How many announcements of services of other fleets were heard and refused."""
        return 0 if self._strangers is None else self._strangers.announcements

    def assign(self, index: FleetIndex) -> None:
        """Take the fleet, which only grows; gateways fetch what is new."""
        if index is self._index:
            return  # every link hands over the same fleet
        self._index = index
        self._digest = master_data.digest(index)
        self._registry.resize(len(index))
        grown = np.full(len(index), np.nan)
        grown[: len(self._default_kw)] = self._default_kw
        self._default_kw = grown
        if self._sink is not None:
            self._later(self._tell(to.LEADER, self._beacon()))

    def remember_default(self, row: int, power_kw: float) -> None:
        """State what lies underneath at ``row`` from an earlier life."""
        self._default_kw[row] = power_kw

    def remember_in(self, memory: DeviceMemory) -> None:
        """See ``RememberingLink``: what gateways find in devices is kept there; before ``start``."""
        self._memory = LeaderMemory(memory, self._later, self._clock.now_s)

    async def start(self, sink: LinkSink) -> None:
        """Begin to listen and to lead; repeating it changes nothing.

        Raises:
            ConflictError: No epoch was stated.
            BusError: The bus is away.
        """
        if self._sink is not None:
            return
        if not self._epoch:
            raise ConflictError("a hub leads under an epoch; state it before the start")
        self._sink = sink
        handlers: list[tuple[str, BusHandler]] = [
            (to.uplink(self._epoch), self._heard),
            (to.fleet(self._epoch), self._hand_out),
            (to.defaults_in_force(self._epoch), self._hand_out_defaults),
            (to.BEATS, self._beat),
            (to.LEADER, self._other_leader),
        ]
        if self._memory is not None:
            handlers.append((to.memory(self._epoch), self._memory.answer))
        for pattern, handler in handlers:
            self._subscriptions.append(await self._bus.subscribe(pattern, handler))
        if self._strangers is not None:
            await self._strangers.start()
        self._later(self._lead())

    def send(self, batch: SetpointBatch) -> None:
        """Hand over instructions; returns at once, each comes back to the sink exactly once."""
        codes = self._registry.gateways(batch.rows)
        if self._sink is None or self.deposed:
            codes = np.full(len(batch), NOBODY, dtype=np.int32)
        for code in np.unique(codes).tolist():
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            if code == NOBODY:
                self._unreachable(share, Reason.NOT_CONNECTED)
            else:
                for first in range(0, len(share), FRAME_ROWS):
                    part = np.arange(first, min(first + FRAME_ROWS, len(share)), dtype=np.int64)
                    self._dispatch(share.take(part), self._peers[self._names[code]])

    def card(self, row: int) -> str | None:
        """Return what the device in ``row`` told of itself, as JSON."""
        return self._cards.get(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Ask the gateway of a device; raises as ``vpp.ports.InspectableLink`` has it."""
        code = int(self._registry.gateways(np.array([row], dtype=np.int32))[0])
        if self._sink is None or code == NOBODY:
            raise DeviceUnreachableError("the device is not connected to any gateway")
        peer = self._peers[self._names[code]]
        return await ask_gateway(
            self._bus,
            to.inspection(peer.name, peer.incarnation),
            number=(self._epoch << 32) + next(self._questions),
            row=row,
            duration_s=duration_s,
            answer_wall_s=self._clock.wall(self._answer_s),
        )

    def age_wall_s(self, adapter: str) -> float:
        """Return wall seconds since the poller of an adapter last turned at the live gateway where that is longest ago.

        NaN where no gateway has told of it. A gateway that has stopped telling grows old too.
        """
        now = monotonic()
        ages = [now - peer.turned[adapter] for peer in self._peers.values() if peer.alive and adapter in peer.turned]
        return max((age for age in ages if not isnan(age)), default=nan)

    def gateways(self) -> dict[str, int]:
        """Return how many rows each live gateway holds, by its name."""
        return {peer.name: len(self._registry.held(peer.code)) for peer in self._peers.values() if peer.alive}

    async def close(self) -> None:
        """Leave; outstanding instructions come back as unreachable. Repeating it changes nothing."""
        if self._subscriptions:
            _log.info("instructions by leg", **self.legs.report())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions.clear()
        if self._strangers is not None:
            await self._strangers.close()
        for batch in self._outstanding.all():
            self._unreachable(batch, Reason.NOT_CONNECTED)

    # Downwards.

    def _dispatch(self, batch: SetpointBatch, peer: _Peer) -> None:
        now_s = self._clock.now_s()
        dispatch = self._outstanding.add(batch, gateway=peer.code, sent_s=now_s, deadline_s=now_s + self._answer_s)
        self._sequence += 1
        self._later(self._deliver(dispatch, peer, self._sequence))

    async def _deliver(self, dispatch: Dispatch, peer: _Peer, sequence: int) -> None:
        """Ask the gateway to take a batch until it says that it has, or until nobody waits for it any more."""
        subject = to.setpoints(peer.name, peer.incarnation)
        content = setpoint_frame(dispatch.batch, sequence=sequence)
        while dispatch.open.any():
            try:
                answer = await self._bus.request(subject, content, patience_wall_s=_RECEIPT_WALL_S)
                _, dispatch.received_s = receipt_of(answer)
            except (BusError, FrameError):
                await asyncio.sleep(_RETRY_WALL_S)
                continue
            self.legs.note("deliver", np.full(len(dispatch.batch), dispatch.received_s - dispatch.sent_s))
            return

    # Upwards.

    def _heard(self, subject: str, content: bytes) -> bytes:
        """Take a bundle in, once; the receipt says that it need not come again."""
        frames = list(unbundled(content))
        head = decode(frames[0] if frames else b"", Kind.UPLINK)
        if head.count != 1:
            raise FrameError(f"an uplink has one head, got {head.count} on {subject}")
        peer = self._peer(head.texts("gateway")[0], int(head.array("incarnation")[0]))
        if head.number > peer.sequence:
            peer.sequence = head.number
            for frame in frames[1:]:
                self._take(peer, frame)
        return receipt(head.number, self._clock.now_s())

    def _take(self, peer: _Peer, content: bytes) -> None:
        try:
            self._take_frame(peer, decode(content))
        except SkipError as error:
            self._the_sink.rejected_frame(NAME, "frame")
            _log.warning("frame dropped", gateway=peer.name, why=str(error))

    def _take_frame(self, peer: _Peer, frame: Frame) -> None:
        match frame.kind:
            case Kind.TELEMETRY:
                self._the_sink.telemetry(telemetry_of(frame))
            case Kind.OUTCOMES:
                self._take_outcomes(outcomes_of(frame))
            case Kind.CLAIMS:
                self._take_claims(peer, frame)
            case Kind.CARS:
                for event in cars_of(frame):
                    self._take_car(event)
            case Kind.CARDS:
                self._cards.update(zip(frame.array("rows").tolist(), frame.texts("card"), strict=True))
            case _:
                self._take_note(peer, frame)

    def _take_note(self, peer: _Peer, frame: Frame) -> None:
        """Take what operators want to know of a gateway, and no loop needs."""
        match frame.kind:
            case Kind.REJECTED | Kind.HEALED:
                sink = self._the_sink
                tell = sink.rejected_frame if frame.kind is Kind.REJECTED else sink.healed
                for adapter, reason, count in tally_of(frame):
                    for _ in range(min(count, _COUNTED_AT_ONCE)):
                        tell(adapter, reason)
            case Kind.KNOCKS:
                for knock in knocks_of(frame):
                    self._the_sink.knocked(knock)
            case Kind.AGES:
                now = monotonic()
                peer.turned = {adapter: now - age_wall_s for adapter, age_wall_s in ages_of(frame).items()}
            case _:
                raise FrameError(f"{frame.kind.name} does not come from a gateway")

    def _take_outcomes(self, batch: OutcomeBatch) -> None:
        known, touched = self._outstanding.settle(batch.ids)
        now_s = self._clock.now_s()
        for dispatch, places, here in touched:
            self.legs.note("obey", batch.at_s[here] - dispatch.received_s)
            self.legs.note("tell", now_s - batch.at_s[here])
            self._note_defaults(dispatch.batch, places[batch.status[here] == OutcomeStatus.ACCEPTED])
        if known.any():
            self._the_sink.outcomes(_chosen(batch, known))

    def _note_defaults(self, batch: SetpointBatch, accepted: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        """Tell every gateway of default values that have come into force: the station may go to another next."""
        places = accepted[batch.layers[accepted] == Layer.DEFAULT]
        rows, power_kw = batch.rows[places], batch.power_kw[places]
        self._default_kw[rows] = power_kw
        for content in default_frames(rows, power_kw):
            self._later(self._tell(to.DEFAULTS, content))

    def _take_claims(self, peer: _Peer, frame: Frame) -> None:
        claims = claims_of(frame)
        ruling = self._registry.take(peer.code, claims)
        counts = ruling.counts
        if counts.any():
            self._connected(claims.rows[counts], claims.up[counts], claims.at_s[counts])
        for code in np.unique(ruling.losers[ruling.losers != NOBODY]).tolist():
            loser, lost = self._peers[self._names[code]], ruling.losers == code
            self._overtaking.tell(loser.name, loser.incarnation, claims.rows[lost], ruling.newest[lost])

    def _take_car(self, event: SessionEvent) -> None:
        if not isinstance(event, SessionPromised) and not 0 <= event.row < len(self._index):
            raise FrameError(f"a car at row {event.row} of {len(self._index)}")
        self._the_sink.session(event)

    def _connected(self, rows: RowArray, up: CodeArray | BoolArray, at_s: FloatArray) -> None:
        self._the_sink.telemetry(
            TelemetryBatch(
                rows=rows,
                quantities=np.full(len(rows), Quantity.CONNECTED, dtype=np.uint8),
                values=up.astype(np.float64),
                at_s=at_s,
            )
        )

    # Who is there.

    def _peer(self, name: str, incarnation: int) -> _Peer:
        """Return the gateway of that name as it lives now; raises FrameError for one of its earlier lives."""
        now = asyncio.get_running_loop().time()
        peer = self._peers.get(name)
        if peer is None:
            peer = _Peer(code=len(self._names), name=name, incarnation=incarnation, heard=now)
            self._names.append(name)
            self._peers[name] = peer
            _log.info("gateway joined", gateway=name)
        elif incarnation < peer.incarnation:
            raise FrameError(f"gateway {name} speaks from an earlier life")
        elif incarnation > peer.incarnation:
            self._lose(peer, "restarted")
            peer.incarnation, peer.sequence, peer.synced, peer.alive = incarnation, 0, True, True
            peer.turned.clear()
        peer.heard = now
        if not peer.alive:
            peer.alive = True
            _log.info("gateway recovered", gateway=name)
        return peer

    def _beat(self, _: str, content: bytes) -> None:
        frame = decode(content, Kind.BEAT)
        if frame.count != 1:
            raise FrameError(f"a beat has one row, got {frame.count}")
        if frame.number > self._epoch:
            self._step_down(frame.number)
        peer = self._peer(frame.texts("gateway")[0], int(frame.array("incarnation")[0]))
        if frame.array("leaving")[0]:
            self._lose(peer, "left")
        elif not peer.synced:
            self._later(self._sync(peer))

    def _other_leader(self, _: str, content: bytes) -> None:
        epoch = decode(content, Kind.BEACON).number
        if epoch > self._epoch:
            self._step_down(epoch)

    def _step_down(self, epoch: int) -> None:
        if not self.deposed:
            self.deposed = True
            _log.error("another service leads; no instruction leaves this one any more", ours=self._epoch, theirs=epoch)

    def _lose(self, peer: _Peer, why: str) -> None:
        if not peer.alive:
            return
        peer.alive = peer.synced = False
        self._overtaking.forget(peer.name)
        rows = self._registry.lose(peer.code)
        _log.warning("gateway lost", gateway=peer.name, why=why, rows=len(rows))
        now_s = self._clock.now_s()
        self._connected(rows, np.zeros(len(rows), dtype=np.uint8), np.full(len(rows), now_s))
        for batch in self._outstanding.of_gateway(peer.code):
            self._unreachable(batch, Reason.NOT_CONNECTED)

    async def _sync(self, peer: _Peer) -> None:
        """Ask a gateway that was believed lost for all of its sessions."""
        with contextlib.suppress(BusError):
            subject = to.setpoints(peer.name, peer.incarnation)
            await self._bus.request(subject, master_data.ask("claims", 0), patience_wall_s=_RECEIPT_WALL_S)
            peer.synced = True

    async def _lead(self) -> None:
        before = asyncio.get_running_loop().time()
        while True:
            await self._tell(to.LEADER, self._beacon())
            if self._strangers is not None:
                with contextlib.suppress(BusError):
                    await self._strangers.announce(self._epoch)
            now = asyncio.get_running_loop().time()
            # While we were held up ourselves we could not hear: that is nobody's silence.
            held_up, before = max(now - before - 2.0 * BEACON_WALL_S, 0.0), now
            for peer in self._peers.values():
                peer.heard += held_up
                if peer.alive and now - peer.heard > self._lost_wall_s:
                    self._lose(peer, "silent")
            for batch in self._outstanding.overdue(self._clock.now_s()):
                self._unreachable(batch, Reason.TIMEOUT)
            await asyncio.sleep(BEACON_WALL_S)

    def _beacon(self) -> bytes:
        return encode(Kind.BEACON, {"resources": [len(self._index)], "digest": [self._digest]}, number=self._epoch)

    # Pages.

    def _hand_out(self, _: str, content: bytes) -> bytes:
        return master_data.page(self._index, *master_data.asked(content))

    def _hand_out_defaults(self, _: str, content: bytes) -> bytes:
        """Return the default values in force from a row on, one frame at the most."""
        _, first = master_data.asked(content)
        rows = np.flatnonzero(~np.isnan(self._default_kw[first:])).astype(np.int32)[:FRAME_ROWS] + np.int32(first)
        return encode(Kind.DEFAULTS, {"rows": rows, "power_kw": self._default_kw[rows]})

    # The rest.

    @property
    def _the_sink(self) -> LinkSink:
        if self._sink is None:
            raise ConflictError("the hub is not started")
        return self._sink

    def _unreachable(self, batch: SetpointBatch, reason: Reason) -> None:
        if not len(batch) or self._sink is None:
            return
        count = len(batch)
        self._sink.outcomes(
            OutcomeBatch(
                ids=batch.ids,
                rows=batch.rows,
                status=np.full(count, OutcomeStatus.UNREACHABLE, dtype=np.uint8),
                reasons=np.full(count, reason, dtype=np.uint8),
                at_s=np.full(count, self._clock.now_s()),
            )
        )

    async def _tell(self, subject: str, content: bytes) -> None:
        with contextlib.suppress(BusError):  # told again: beacons by the next, defaults when a gateway asks for all
            await self._bus.publish(subject, content)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("bus hub task ended by a fault", exc_info=error)


def _chosen(batch: OutcomeBatch, chosen: BoolArray) -> OutcomeBatch:
    return OutcomeBatch(
        ids=batch.ids[chosen],
        rows=batch.rows[chosen],
        status=batch.status[chosen],
        reasons=batch.reasons[chosen],
        at_s=batch.at_s[chosen],
    )
