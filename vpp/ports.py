"""The outside world as the service sees it: one small Protocol for each thing it leans on."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.event import StreamEvent
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.flexibility import Capability
from vpp.domain.health import DeviceHealth
from vpp.domain.journal import JournalEntry
from vpp.domain.knock import Knock
from vpp.domain.performance import Performance
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import Direction, DispatchRequest, RequestDraft, Revision
from vpp.domain.resource import Resource
from vpp.domain.schedule import Schedule
from vpp.domain.session import ChargingSession, Promise, SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, Quantity, RowArray, TelemetryBatch
from vpp.domain.timegrid import TimeGrid
from vpp.domain.trouble import Trouble


class Clock(Protocol):
    """The only source of time. Seconds are the clock's own, which may run faster than the wall's."""

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        ...

    def now_s(self) -> float:
        """Return UTC epoch seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that many of the clock's seconds."""
        ...

    async def sleep_until(self, at_s: float) -> None:
        """Wait until epoch second ``at_s``; return at once if it has passed."""
        ...

    def wall(self, seconds: float) -> float:
        """Return how many wall seconds that many of the clock's seconds take."""
        ...


@runtime_checkable
class YieldingClock(Clock, Protocol):
    """A clock that waits for work that is late; only a simulated one can."""

    def owing(self, at_s: float) -> AbstractContextManager[None]:
        """Let time come no further than a little beyond ``at_s`` while inside."""
        ...


def owing(clock: Clock, at_s: float) -> AbstractContextManager[None]:
    """Return a context in which work due at ``at_s`` is done, for which a clock that can waits."""
    return clock.owing(at_s) if isinstance(clock, YieldingClock) else nullcontext()


class LinkSink(Protocol):
    """Where a device link puts what it hears. Calls return at once and never raise for what a device did."""

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements, ``Quantity.CONNECTED`` among them."""
        ...

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes; each command handed to ``DeviceLink.send`` comes back exactly once."""
        ...

    def session(self, event: SessionEvent) -> None:
        """Take news of a car."""
        ...

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count a frame or row that was dropped; ``reason`` is from a bounded list."""
        ...

    def healed(self, adapter: str, kind: str) -> None:
        """Count a cosmetic fault that was repaired, its message taken; ``kind`` is from a bounded list."""
        ...

    def knocked(self, knock: Knock) -> None:
        """Note an id that asked to be let in and was not."""
        ...


class DeviceLink(Protocol):
    """One protocol's connection to its share of the fleet, in batches.

    ``assign`` is called before ``start`` and again whenever the fleet grows; rows never change their meaning.
    """

    name: str

    def check(self, index: FleetIndex) -> None:
        """Raise InputError where a row of this link has an address it cannot serve; changes nothing.

        Called before a larger fleet is stored, so that nobody registers what keeps the service from starting.
        """
        ...

    def assign(self, index: FleetIndex) -> None:
        """Serve the rows of ``index`` whose ``Resource.adapter`` is this link's name."""
        ...

    async def start(self, sink: LinkSink) -> None:
        """Open sockets and begin; returns once connections are taken. Raises OSError if an address is taken."""
        ...

    def send(self, batch: SetpointBatch) -> None:
        """Hand over instructions; returns at once, outcomes come to the sink.

        At most one instruction a row is outstanding towards the device: a newer one for the same row replaces one
        that has not left yet, which then comes back as rejected for ``Reason.EXPIRED``.
        """
        ...

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the device in ``row`` told of itself: make, model, version, abilities; empty before it did."""
        ...

    async def close(self) -> None:
        """Stop cleanly; outstanding instructions come back as unreachable."""
        ...


@runtime_checkable
class ShardedLink(DeviceLink, Protocol):
    """A link that dials its devices, so that somebody must say which of several processes dials which.

    A place is whatever goes together: an endpoint, a site. What is not owned is left alone and not connected.
    """

    def own(self, owns: Callable[[str], bool]) -> None:
        """Serve only the places for which ``owns`` is true, from now on and until told otherwise."""
        ...


class DeviceMemory(Protocol):
    """What stood in devices before our first write to them, which a release puts back, also after a crash.

    Values are by names that only the link understands. They are kept from before the first write until the device is
    its owner's again.
    """

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        """Keep these values in place of earlier ones, durably when this returns; none if ``values`` is empty.

        Raises:
            RetryError: They could not be made durable; nothing must be written to the device.
        """
        ...

    async def recall(self, row: int) -> Mapping[str, float]:
        """Return what is kept for a row, empty where nothing is.

        Raises:
            RetryError: It cannot be asked for now.
        """
        ...


@runtime_checkable
class RememberingLink(DeviceLink, Protocol):
    """A link whose devices hold values of their owners that have to be put back."""

    def remember_in(self, memory: DeviceMemory) -> None:
        """Keep what is found in devices there; called before ``start``."""
        ...


@runtime_checkable
class DialledLink(DeviceLink, Protocol):
    """A link that devices dial, so that one may have come to another process while we still believe it here.

    Every connection has a number, which rises with time over all processes: the one with the highest is the newest.
    """

    def tell_sessions(self, told: Callable[[Sequence[int], int], None]) -> None:
        """Have ``told`` called with rows and number of every connection, before its rows are said to be connected."""
        ...

    def supersede(self, rows: RowArray, numbers: IdArray) -> None:
        """Hear that newer connections serve these rows elsewhere, shape ``(n,)`` each: older ones of ours end.

        Nobody is told of a loss; instructions under way come back as unreachable. Numbers yet to be given out are
        above ``numbers``.
        """
        ...


@runtime_checkable
class LiveLink(DeviceLink, Protocol):
    """A link that serves its devices in turns of its own, so that it may stand still while the process runs on."""

    def age_wall_s(self) -> float:
        """Return wall seconds since its last turn, NaN while it is not started.

        Seconds where all is well, whether or not any device speaks; what it grows to tells how long nobody is served.
        """
        ...


@runtime_checkable
class InspectableLink(DeviceLink, Protocol):
    """A link whose devices can be asked which schedule they hold."""

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Return what the device in ``row`` says it holds for the next ``duration_s`` seconds.

        Raises:
            UnknownIdError: The row is not this link's.
            DeviceUnreachableError: The device is not connected or does not answer.
            ConflictError: It answers that it cannot say, or its protocol has no such question.
        """
        ...


@runtime_checkable
class FencedLink(Protocol):
    """A link over which nothing is sent any more once a later leader has been heard of."""

    @property
    def deposed(self) -> bool:
        """Whether one has."""
        ...


class DeviceWorld(Protocol):
    """The physical model behind simulated devices, as their protocol ends see it."""

    index: FleetIndex

    def readings(self) -> DeviceReadings:
        """Return what all meters show now."""
        ...

    def response(self, row: int) -> DeviceResponse:
        """Draw how the device in ``row`` will treat one instruction."""
        ...

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a default or dispatch value in force, or end the dispatch value for ``Layer.RELEASE``."""
        ...

    def plug_events(self) -> list[PlugEvent]:
        """Return and forget the cars that came and went since the last call."""
        ...


class DeviceSimulator(Protocol):
    """Device side of one protocol: speaks for its share of the world until cancelled."""

    async def run(self) -> None:
        """Connect, report, obey; returns only by cancellation."""
        ...


LEAST_METERED_RATIO = 0.5
"""Share of a quarter of an hour below which its mean is unknown."""


class IntervalMeter(Protocol):
    """Metered 15-minute means of the whole fleet."""

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where unknown, shape ``(n_resources, grid.count)``."""
        ...


class Journal(Protocol):
    """Append-only, hash-chained record of decisions."""

    @property
    def pending(self) -> int:
        """Number of entries that are not durable yet."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Their size in memory, roughly."""
        ...

    def set_torn_aside(self, at_s: float) -> int:
        """Keep apart what a crash left unreadable at the end; return how many entries. Called before ``entries``.

        Raises:
            AuditError: What cannot be read is not the end.
        """
        ...

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Add one entry; it is durable after the next ``flush``."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable, in order.

        Raises:
            StorageError: That is not possible now; what is missing is kept and goes out with the next flush.
        """
        ...

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0) -> Iterator[JournalEntry]:
        """Iterate durable entries in order, those of ``kinds`` only if any are named."""
        ...


class IntervalMemory(IntervalMeter, Protocol):
    """Metered 15-minute means that can be added to, and how much of each was metered.

    ``read`` gives means of which at least `LEAST_METERED_RATIO` was metered: less is no measurement of an interval.
    """

    def read_completeness(self, grid: TimeGrid) -> FloatArray:
        """Return the share of each interval that was metered, 0 where nothing was, shape as ``read``."""
        ...

    def grow(self, n_resources: int) -> None:
        """Serve a larger fleet."""
        ...

    def write(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Store one interval of the whole fleet; NaN where nothing was metered. Arrays of shape ``(n_resources,)``."""
        ...

    def keep(self, start_s: float, mean_kw: FloatArray, completeness: FloatArray) -> None:
        """Take one interval as ``write`` does, without waiting: it is read at once, and durable after ``flush``."""
        ...

    @property
    def pending(self) -> int:
        """Number of kept intervals that are not durable yet."""
        ...

    async def flush(self) -> None:
        """Make every kept interval durable; raises StorageError where that is not possible now."""
        ...

    def import_rows(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Merge means of some rows, shape ``(len(rows), grid.count)``; return the number of values stored."""
        ...


class TelemetryLog(Protocol):
    """Every sample, cycle by cycle, exactly as the loop saw it."""

    def append(self, cycle: int, at_s: float, batch: TelemetryBatch) -> None:
        """Store the samples that went into one cycle's picture; they are durable after the next ``flush``."""
        ...

    @property
    def pending(self) -> int:
        """Number of cycles that are not durable yet."""
        ...

    @property
    def dropped(self) -> int:
        """Number of samples that had to be dropped because nothing could be written for too long."""
        ...

    async def flush(self) -> None:
        """Make everything appended so far durable; raises StorageError where that is not possible now."""
        ...

    def since(self, from_s: float) -> Iterator[tuple[float, TelemetryBatch]]:
        """Iterate what was kept of the cycles from ``from_s`` on: epoch seconds and samples, in order; blocks."""
        ...


class TelemetryHistory(Protocol):
    """Samples as they were kept, for those who ask; calls block and may come from any thread."""

    def history(self, row: int, *, from_s: float, to_s: float, quantity: Quantity | None = None) -> TelemetryBatch:
        """Return the samples of one device in ``[from_s, to_s)``, by quantity and time."""
        ...

    def minutes(
        self, *, from_s: float, to_s: float, area: int | None = None, step_s: int = 60
    ) -> tuple[FloatArray, FloatArray, IdArray]:
        """Return start of every step, mean kW of an area (the city for ``None``) and how many devices reported."""
        ...

    def latest(self, *, since_s: float, to_s: float) -> TelemetryBatch:
        """Return the last sample of every device and quantity in ``[since_s, to_s)``."""
        ...


class Registry(Protocol):
    """The fleet's master data, which survive a restart."""

    def fleet_id(self, given: str | None = None) -> str:
        """Return the id of the fleet, made once and kept; ``given`` names a fleet that has none yet."""
        ...

    def load(self) -> FleetIndex:
        """Return the fleet as registered so far."""
        ...

    def add(self, before: FleetIndex, after: FleetIndex) -> None:
        """Make the additions from ``before`` to ``after`` durable."""
        ...


class Sequences(Protocol):
    """Numbers that never come twice, not even after a crash."""

    def next_epoch(self) -> int:
        """Return a leader epoch above every earlier one."""
        ...

    def reserve_ids(self, count: int) -> int:
        """Reserve ``count`` command ids and return the first."""
        ...


class News(Protocol):
    """Where the service tells what happens, and where clients listen."""

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> StreamEvent:
        """Number an event and hand it to every listener."""
        ...

    def subscribe(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """Iterate events, those still kept after number ``after`` first."""
        ...


class Plant(Protocol):
    """The whole service as its edges (HTTP, console) see it."""

    clock: Clock

    def fleet(self) -> FleetState:
        """Return the latest snapshot."""
        ...

    def sessions(self) -> Sequence[ChargingSession]:
        """Return the sessions of plugged-in cars."""
        ...

    def requests(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        ...

    def request(self, request_id: str) -> DispatchRequest:
        """Return one request; raises UnknownIdError."""
        ...

    async def submit(self, draft: RequestDraft, *, key: str | None, actor: str) -> tuple[DispatchRequest, bool]:
        """Take a request and quote it; the flag is false if ``key`` was seen before.

        Raises InputError for a field that makes no sense, UnknownIdError for the area, ConflictError where the key was
        used for another draft.
        """
        ...

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Commit to the quote, or to counter-offer number ``offer`` (from 0); raises ConflictError.

        Repeating is harmless. An idempotency ``key`` names this very act: under another one it is a ConflictError.
        """
        ...

    async def cancel(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Stop safely at any time: before the start cancelled, after it aborted through the release ramp."""
        ...

    async def revise(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, actor: str, key: str | None
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed or running request; the flag is false if ``key`` was seen before.

        Raises UnknownIdError, InputError for a change that makes no sense, ConflictError where the request is over.
        """
        ...

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Put revision ``number`` (from 1) in force; raises UnknownIdError, ConflictError. Repeating is harmless."""
        ...

    async def decline(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Turn a quote down; raises ConflictError where it was not quoted or is committed already."""
        ...

    async def supersede(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through its release; raises ConflictError."""
        ...

    def performance(self, request_id: str) -> Performance | None:
        """Return the measurement of a request; provisional while it runs, ``None`` before it is accepted."""
        ...

    def unsettled(self, request_id: str) -> Mapping[str, object] | None:
        """Return ``cause``, ``since_at`` and ``tried_at`` of a settlement that failed; ``None`` where none did."""
        ...

    def progress(self, request_id: str) -> Mapping[str, float] | None:
        """Return ``target_kw`` and ``delivered_kw`` of a running request as of now; ``None`` while it does not run."""
        ...

    def losses(self, request_id: str) -> Mapping[str, Sequence[str]]:
        """Return the enlisted resources that cannot be called now, by reason; empty while the request does not run."""
        ...

    def commands(self) -> Mapping[str, int]:
        """Return how many setpoints were ``sent`` and what became of them: ``confirmed``, ``unaccounted`` and more."""
        ...

    def capability(self, area: str, direction: Direction, day: date) -> Capability:
        """Return the 96 points of ``day`` (Asia/Shanghai)."""
        ...

    def schedule(self) -> Schedule:
        """Return the plan in force."""
        ...

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
    ) -> None:
        """Add to the fleet, all or nothing; repeating an identical addition changes nothing."""
        ...

    async def promise(self, session_id: str, promise: Promise) -> ChargingSession:
        """Record a driver's wish; raises UnknownIdError."""
        ...

    async def import_meters(self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray) -> int:
        """Store metered 15-minute means, shape ``(len(resource_ids), grid.count)``; return the number of values."""
        ...

    def card(self, row: int) -> Mapping[str, object]:
        """Return what is known of a device's abilities beyond its registration."""
        ...

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Ask the device in ``row`` which schedule it holds; raises as ``InspectableLink.device_schedule`` does."""
        ...

    def health(self, row: int) -> DeviceHealth:
        """Return the troubles of the device in ``row`` and what was last refused of it."""
        ...

    def rows_with(self, trouble: Trouble) -> BoolArray:
        """Return which rows of the latest snapshot have a trouble, shape ``(n_resources,)``."""
        ...

    def troubles(self) -> Mapping[Trouble, int]:
        """Return how many devices have each trouble now; those without any are left out."""
        ...

    def events(self, *, after: int | None) -> AsyncIterator[StreamEvent]:
        """Iterate fleet, request and alarm events, those still kept after number ``after`` first."""
        ...

    def knocks(self) -> Sequence[Knock]:
        """Return the ids that asked to be let in and were not, the latest first."""
        ...

    def ready(self) -> Mapping[str, bool]:
        """Return named readiness checks."""
        ...


@runtime_checkable
class RegulationPlant(Protocol):
    """A service that follows regulation signals, as its edges see it."""

    async def take_signal(self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str) -> int:
        """Take values of a signal, shape ``(k,)`` each, and return how many were new; all or nothing.

        ``unit`` is ``"value"`` for shares of the accepted power or ``"target_kw"``; positive where net load is to
        fall. Raises UnknownIdError, InputError for values that make no sense, ConflictError for stale ones and for
        requests that take none.
        """
        ...

    def regulation(self, request_id: str) -> RegulationStanding:
        """Return how a request for regulation stands; raises UnknownIdError, and ConflictError where it is none."""
        ...


BusHandler = Callable[[str, bytes], bytes | None]
"""Takes subject and content of one message; what it returns, if anything, answers a request."""


class BusSubscription(Protocol):
    """One handler's place on a bus."""

    async def close(self) -> None:
        """Hear nothing more; repeating it is harmless."""
        ...


class Bus(Protocol):
    """How our processes talk: subjects of words between dots, contents of bytes, each delivered at most once.

    Messages of one publisher to one subscriber keep their order. What must not be lost is asked (`request`) and asked
    again until it is answered. A pattern's ``*`` stands for one word, a final ``>`` for one or more.
    """

    async def publish(self, subject: str, content: bytes) -> None:
        """Send to every subscriber there is now.

        Raises:
            BusError: The bus is away or closed; nothing was sent.
            InputError: The subject is none, or the content is too long.
        """
        ...

    async def subscribe(self, pattern: str, handler: BusHandler) -> BusSubscription:
        """Call ``handler`` with every message to come, in this process's event loop.

        A handler that raises a VppError is logged and loses that message only. Where the bus goes away and comes
        back the subscription lives on; what was sent meanwhile is lost.

        Raises:
            BusError: The bus is away or closed.
            InputError: The pattern is none.
        """
        ...

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """Send and return the first answer.

        Raises:
            BusError: Nobody listens, nobody has answered in time, or the bus is away.
            InputError: As ``publish``.
        """
        ...

    async def close(self) -> None:
        """Leave; subscriptions end."""
        ...
