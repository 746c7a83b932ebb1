"""Service as its edges see it, one protocol a concern: `GridSink` for grid links, `Administration` for operators.

Every method that returns or changes members of the fleet, requests, results or events takes the caller's
`vpp.fleet.scope.Scope` and honours it: nothing that is out of sight is listed, counted or summed, and an id that is out
of sight is the same UnknownIdError as one that does not exist. Requests, capabilities and sums of an area are for
scopes that cover the area.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.event import StreamEvent
from vpp.domain.flexibility import Capability
from vpp.domain.health import DeviceHealth
from vpp.domain.official_settlement import OfficialLine, OfficialResult, Reconciliation
from vpp.domain.performance import Performance, Settled
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import Direction, DispatchRequest, QuoteCalibration, RequestDraft, Revision
from vpp.domain.resource import Resource
from vpp.domain.schedule import Schedule
from vpp.domain.session import ChargingSession, Promise
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.standing import AvailabilityDay, StandingCommitment, StandingTerms
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, TelemetryBatch
from vpp.domain.timegrid import TimeGrid
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.members.changes import ChangeOutcome
from vpp.fleet.members.member_codec import FleetMember
from vpp.fleet.members.tenure import FormerMember
from vpp.fleet.scope import Scope
from vpp.ports.clock import Clock


class RequestHandling(Protocol):
    """Requests for flexibility: submitted, quoted, accepted, revised, ended.

    Every act names its ``actor``, who goes to the journal. An idempotency ``key`` names one very act: the same act
    again under it changes nothing, another act under it is a ConflictError.
    """

    def requests(self, *, scope: Scope) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        ...

    def request(self, request_id: str, *, scope: Scope) -> DispatchRequest:
        """Return one request; raises UnknownIdError."""
        ...

    async def submit(
        self, draft: RequestDraft, *, key: str | None, actor: str, scope: Scope
    ) -> tuple[DispatchRequest, bool]:
        """Record a request and quote it; the flag is false if ``key`` was seen before.

        Raises InputError for a field that makes no sense, UnknownIdError for the area, ConflictError where the key was
        used for another draft.
        """
        ...

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None, scope: Scope
    ) -> DispatchRequest:
        """Commit to the quote, or to counter-offer number ``offer`` (from 0); raises ConflictError.

        Repeating is harmless.
        """
        ...

    async def cancel(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope
    ) -> DispatchRequest:
        """Stop safely at any time: before the start cancelled, after it aborted through the release ramp."""
        ...

    async def revise(
        self,
        request_id: str,
        *,
        target_kw: float | None,
        end_at: datetime | None,
        actor: str,
        key: str | None,
        scope: Scope,
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed or running request; the flag is false if ``key`` was seen before.

        Raises UnknownIdError, InputError for a change that makes no sense, ConflictError where the request is over.
        """
        ...

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None, scope: Scope
    ) -> DispatchRequest:
        """Put revision ``number`` (from 1) in force; raises UnknownIdError, ConflictError. Repeating is harmless."""
        ...

    async def decline(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope
    ) -> DispatchRequest:
        """Turn a quote down; raises ConflictError where it was not quoted or is committed already."""
        ...

    async def supersede(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope
    ) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through its release; raises ConflictError."""
        ...


class StandingPower(Protocol):
    """Standing commitments: power that is available in stated hours for a price; raises as `RequestHandling` does."""

    def standing_commitments(self, *, scope: Scope) -> Sequence[StandingCommitment]:
        """Return every standing commitment: those of the settings, then those entered, oldest first."""
        ...

    def standing_commitment(self, commitment_id: str, *, scope: Scope) -> StandingCommitment:
        """Return one standing commitment; raises UnknownIdError."""
        ...

    async def enter_standing(
        self, terms: StandingTerms, *, key: str | None, actor: str, scope: Scope
    ) -> tuple[StandingCommitment, bool]:
        """Enter a standing commitment; the flag is false if ``key`` was seen before.

        Raises InputError, UnknownIdError for the area, ConflictError where the key was used for other terms.
        """
        ...

    async def end_standing(self, commitment_id: str, *, actor: str, scope: Scope) -> StandingCommitment:
        """End a standing commitment now; raises UnknownIdError, ConflictError for one of the settings.

        Repeating is harmless.
        """
        ...

    def standing_availability(self, commitment_id: str, *, scope: Scope) -> Sequence[AvailabilityDay]:
        """Return the settled days of a standing commitment, newest first; raises UnknownIdError. Blocks."""
        ...


class RequestResults(Protocol):
    """Delivery of requests: as metered now, as measured and settled in the end."""

    def progress(self, request_id: str, *, scope: Scope) -> Mapping[str, float] | None:
        """Return ``target_kw`` and ``delivered_kw`` of a running request as of now; ``None`` while it does not run."""
        ...

    def losses(self, request_id: str, *, scope: Scope) -> Mapping[str, Sequence[str]]:
        """Return the enlisted resources that cannot be called now, by reason; empty while the request does not run."""
        ...

    def performance(self, request_id: str, *, scope: Scope) -> Performance | None:
        """Return the measurement of a request; provisional while it runs, ``None`` before it is accepted."""
        ...

    def settlements(self, *, scope: Scope) -> Sequence[Settled]:
        """Return every settled request with the shares of the sites in sight, newest first.

        An operator sees its own shares of requests that it does not see itself.
        """
        ...

    async def take_official(
        self, request_id: str, *, source: str, lines: Sequence[OfficialLine], scope: Scope
    ) -> tuple[OfficialResult, bool]:
        """Record the market operator's result of a settled request; the flag is false if it is the last one again.

        Raises UnknownIdError, and ConflictError where the request is not settled.
        """
        ...

    def official(self, request_id: str, version: int | None, *, scope: Scope) -> Reconciliation:
        """Return an official result, the last one unless a version is named, against the shares in sight; blocks.

        Raises UnknownIdError.
        """
        ...

    def unsettled(self, request_id: str, *, scope: Scope) -> Mapping[str, object] | None:
        """Return ``cause``, ``since_at`` and ``tried_at`` of a settlement that failed; ``None`` where none did."""
        ...


@runtime_checkable
class RegulationSignals(Protocol):
    """Regulation signals: values received, and how well they are followed."""

    async def take_signal(
        self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str, scope: Scope
    ) -> int:
        """Record values of a signal, shape ``(k,)`` each, all or none; return how many were new.

        ``unit`` is ``"value"`` for shares of the accepted power or ``"target_kw"``; positive where net load is to
        fall. Raises UnknownIdError, InputError for values that make no sense, ConflictError for stale ones and for
        requests without a signal.
        """
        ...

    def regulation(self, request_id: str, *, scope: Scope) -> RegulationStanding:
        """Return how a request for regulation stands; raises UnknownIdError, and ConflictError where it is none."""
        ...


class FleetStatus(Protocol):
    """Live state of the fleet and of its devices."""

    def fleet(self, *, scope: Scope) -> FleetState:
        """Return the latest snapshot; its index and rows are those in sight."""
        ...

    def sessions(self, *, scope: Scope) -> Sequence[ChargingSession]:
        """Return the charging sessions of plugged-in cars; rows are those of ``fleet`` for the same scope."""
        ...

    def card(self, resource_id: str, *, scope: Scope) -> Mapping[str, object]:
        """Return what is known of a device's abilities beyond its registration; raises UnknownIdError."""
        ...

    async def device_schedule(self, resource_id: str, duration_s: int, *, scope: Scope) -> DeviceSchedule:
        """Ask a device which schedule it holds; raises as ``InspectableLink.device_schedule`` does."""
        ...

    def health(self, resource_id: str, *, scope: Scope) -> DeviceHealth:
        """Return the troubles of a device and what was last refused of it; raises UnknownIdError."""
        ...

    def rows_with(self, trouble: Trouble, *, scope: Scope) -> BoolArray:
        """Return which rows of ``fleet`` for the same scope have a trouble, shape ``(n_resources,)``."""
        ...

    def troubles(self, *, scope: Scope) -> Mapping[Trouble, int]:
        """Return how many devices have each trouble now; troubles without any device are left out."""
        ...


class SampleHistory(Protocol):
    """Stored samples; calls block and may come from any thread."""

    def samples(self, resource_id: str, *, from_s: float, to_s: float, scope: Scope) -> TelemetryBatch:
        """Return the samples of one device in ``[from_s, to_s)``, by quantity and time; raises UnknownIdError.

        Those of before its owner was in sight are left out.
        """
        ...

    def power(
        self, area: str, *, from_s: float, to_s: float, step_s: int, scope: Scope
    ) -> tuple[FloatArray, FloatArray, IdArray]:
        """Return start of every step, mean kW of an area and how many devices reported; raises UnknownIdError."""
        ...


class PlanStatus(Protocol):
    """Plan in force, and the capability declared from it."""

    def capability(self, area: str, direction: Direction, day: date, *, scope: Scope) -> Capability:
        """Return the 96 points of ``day`` (Asia/Shanghai); takes seconds after a new plan: call it in a thread."""
        ...

    def quote_calibration(self, *, scope: Scope) -> QuoteCalibration:
        """Return how quotes of the areas in sight were kept so far.

        Windows that could not be judged are counted over the whole fleet: for a scope that sees everything.
        """
        ...

    def schedule(self, *, scope: Scope) -> Schedule:
        """Return the plan in force for the rows in sight; raises ConflictError before the first.

        What concerns the whole plan (its cost) is unknown to a scope that does not see everything.
        """
        ...


class EventSource(Protocol):
    """Events of the service, numbered, for any number of readers."""

    def events(self, *, after: int | None, scope: Scope) -> AsyncIterator[StreamEvent]:
        """Iterate fleet, request and alarm events, those still kept after number ``after`` first.

        Alarms of the service itself are for scopes that see everything.
        """
        ...


class FleetRegistration(Protocol):
    """Master data, metered history and drivers' wishes, handed over by operators of sites."""

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
        actor: str = "",
        scope: Scope,
    ) -> None:
        """Add to the fleet, all or nothing; repeating an identical addition changes nothing.

        A scope that does not see everything adds sites of its operators in its areas, and resources there.
        """
        ...

    async def put_member(
        self, member: FleetMember, *, actor: str, version: int | None = None, dry_run: bool = False, scope: Scope
    ) -> ChangeOutcome:
        """Let a member stand as stated: it joins, or takes the place of its version before; repeating is harmless.

        ``version`` is the one to be replaced, 0 for none, any where it is not given; a ``dry_run`` changes nothing.
        A scope that does not see everything changes its sites and resources, and leaves them in sight. Raises
        InputError for a field that is not accepted, UnknownIdError, VersionError where another version stands.
        """
        ...

    async def retire_member(
        self,
        kind: str,
        identity: str,
        *,
        actor: str,
        version: int | None = None,
        dry_run: bool = False,
        scope: Scope,
    ) -> ChangeOutcome:
        """Retire a member with what cannot be without it; repeating is harmless.

        Raises UnknownIdError, VersionError where another version stands, ConflictError where members in service refer
        to it.
        """
        ...

    async def member_history(self, kind: str, identity: str, *, scope: Scope) -> Sequence[FormerMember]:
        """Return the former versions of a member in sight, the oldest first; raises UnknownIdError."""
        ...

    async def import_meters(
        self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray, *, scope: Scope
    ) -> int:
        """Store metered 15-minute means, shape ``(len(resource_ids), grid.count)``; return the number of values."""
        ...

    async def promise(self, session_id: str, promise: Promise, *, scope: Scope) -> ChargingSession:
        """Record a driver's wish; raises UnknownIdError."""
        ...


class ServiceStatus(Protocol):
    """State of the service itself, for those who run it."""

    def ready(self) -> Mapping[str, bool]:
        """Return named readiness checks."""
        ...

    def commands(self, *, scope: Scope) -> Mapping[str, int]:
        """Return how many setpoints were ``sent`` and what became of them: ``confirmed``, ``unaccounted`` and more.

        They are counted over the whole fleet: empty for a scope that does not see everything.
        """
        ...

    def refused_connections(self, *, scope: Scope) -> Sequence[RefusedConnection]:
        """Return the devices whose connection was refused, the latest first.

        Ids that belong to no device in sight are for scopes that see everything.
        """
        ...


class GridSink(RequestHandling, StandingPower, RequestResults, FleetStatus, PlanStatus, EventSource, Protocol):
    """Rights of a grid link: requests in; state, plans, delivery and events out.

    Regulation signals are accepted by a sink that is `RegulationSignals` as well.
    """

    clock: Clock


class Administration(FleetRegistration, FleetStatus, ServiceStatus, Protocol):
    """Rights of operators: the fleet's master data and state, and the state of the service."""
