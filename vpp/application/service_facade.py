"""Facade of the whole service for its edges: the sum of its parts, with no logic of its own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from vpp.application.delivery.official_results import OfficialResults
from vpp.application.delivery.settlement import Settlement
from vpp.application.driver_promises import DriverPromises
from vpp.application.fleet_monitor import FleetMonitor
from vpp.application.meter_import import MeterImport
from vpp.application.operating_picture import PlansInForce
from vpp.application.registry.fleet_handover import FleetHandover
from vpp.application.registry.fleet_registration import FleetRegistration
from vpp.application.requests.capability_declaration import CapabilityDeclaration
from vpp.application.requests.request_service import RequestService
from vpp.application.requests.running_requests import RunningRequests
from vpp.application.requests.shadow_quotes import ShadowQuotes
from vpp.application.requests.signal_intake import SignalIntake
from vpp.application.scoping.visibility import Visibility
from vpp.application.service_monitor import ServiceMonitor
from vpp.application.standing.availability import Availability
from vpp.application.standing.standing_service import StandingService
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import UnknownIdError
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
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.members.changes import ChangeOutcome
from vpp.fleet.members.member_codec import FleetMember
from vpp.fleet.members.tenure import FormerMember
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.ports import Clock, News


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherParts:
    """Parts of the service behind a grid link."""

    requests: RequestService
    running: RunningRequests
    settlement: Settlement
    official: OfficialResults
    signals: SignalIntake
    plans: PlansInForce
    declarations: CapabilityDeclaration
    shadows: ShadowQuotes
    standing: StandingService
    availability: Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorParts:
    """Parts of the service behind its administration."""

    registration: FleetRegistration
    handover: FleetHandover
    meters: MeterImport
    promises: DriverPromises
    status: ServiceMonitor


class VirtualPowerPlant:
    """Offers the parts of the service to its edges, each caller what its scope has in sight.

    It is a `vpp.ports.GridSink`, a `vpp.ports.RegulationSignals` and a `vpp.ports.Administration`; they say what each
    method promises. Edges are typed by these ports, which require a scope; the composition sees everything.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        fleet: FleetMonitor,
        dispatchers: DispatcherParts,
        operators: OperatorParts,
        news: News,
    ) -> None:
        self.clock = clock
        self._fleet = fleet
        self._requests = dispatchers.requests
        self._running = dispatchers.running
        self._settlement = dispatchers.settlement
        self._official = dispatchers.official
        self._signals = dispatchers.signals
        self._plans = dispatchers.plans
        self._declarations = dispatchers.declarations
        self._shadows = dispatchers.shadows
        self._standing = dispatchers.standing
        self._availability = dispatchers.availability
        self._operators = operators
        self._news = news
        self._seen = Visibility(fleet.fleet, dispatchers.requests.get)

    def fleet(self, *, scope: Scope = EVERYTHING) -> FleetState:
        """Return the latest snapshot."""
        return self._seen.state(scope)

    def sessions(self, *, scope: Scope = EVERYTHING) -> Sequence[ChargingSession]:
        """Return the charging sessions of plugged-in cars."""
        return self._seen.sessions(self._fleet.sessions(), scope)

    def card(self, resource_id: str, *, scope: Scope = EVERYTHING) -> Mapping[str, object]:
        """Return what a device reported of itself."""
        return self._fleet.card(self._seen.row(resource_id, scope))

    async def device_schedule(self, resource_id: str, duration_s: int, *, scope: Scope = EVERYTHING) -> DeviceSchedule:
        """Return the schedule that a device says it holds."""
        return await self._fleet.device_schedule(self._seen.row(resource_id, scope), duration_s)

    def health(self, resource_id: str, *, scope: Scope = EVERYTHING) -> DeviceHealth:
        """Return the troubles of a device and what was last refused of it."""
        return self._fleet.health(self._seen.row(resource_id, scope))

    def rows_with(self, trouble: Trouble, *, scope: Scope = EVERYTHING) -> BoolArray:
        """Return which rows in sight have a trouble."""
        return self._seen.flags(self._fleet.rows_with(trouble), scope)

    def troubles(self, *, scope: Scope = EVERYTHING) -> Mapping[Trouble, int]:
        """Return how many devices have each trouble now."""
        if scope.is_everything:
            return self._fleet.troubles()
        counts = {trouble: int(self.rows_with(trouble, scope=scope).sum()) for trouble in self._fleet.troubles()}
        return {trouble: count for trouble, count in counts.items() if count}

    def requests(self, *, scope: Scope = EVERYTHING) -> Sequence[DispatchRequest]:
        """Return every request in sight, newest first."""
        return self._seen.requests(self._requests.all(), scope)

    def request(self, request_id: str, *, scope: Scope = EVERYTHING) -> DispatchRequest:
        """Return one request."""
        return self._seen.request(request_id, scope)

    async def submit(
        self, draft: RequestDraft, *, key: str | None, actor: str, scope: Scope = EVERYTHING
    ) -> tuple[DispatchRequest, bool]:
        """Record a request and quote it."""
        self._seen.require_area(draft.area, scope)
        return await self._requests.submit(draft, key=key, actor=actor)

    async def accept(
        self,
        request_id: str,
        *,
        offer: int | None,
        actor: str,
        key: str | None = None,
        scope: Scope = EVERYTHING,
    ) -> DispatchRequest:
        """Commit to the quote or a counter-offer."""
        self._seen.request(request_id, scope)
        return await self._requests.accept(request_id, offer=offer, actor=actor, key=key)

    async def cancel(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope = EVERYTHING
    ) -> DispatchRequest:
        """Stop safely at any time."""
        self._seen.request(request_id, scope)
        return await self._requests.cancel(request_id, actor=actor, reason=reason, key=key)

    async def revise(
        self,
        request_id: str,
        *,
        target_kw: float | None,
        end_at: datetime | None,
        actor: str,
        key: str | None,
        scope: Scope = EVERYTHING,
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed request."""
        self._seen.request(request_id, scope)
        return await self._requests.revise(request_id, target_kw=target_kw, end_at=end_at, actor=actor, key=key)

    async def accept_revision(
        self,
        request_id: str,
        number: int,
        *,
        actor: str,
        key: str | None = None,
        scope: Scope = EVERYTHING,
    ) -> DispatchRequest:
        """Put a change in force."""
        self._seen.request(request_id, scope)
        return await self._requests.accept_revision(request_id, number, actor=actor, key=key)

    async def decline(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope = EVERYTHING
    ) -> DispatchRequest:
        """Turn a quote down."""
        self._seen.request(request_id, scope)
        return await self._requests.decline(request_id, actor=actor, reason=reason, key=key)

    async def supersede(
        self, request_id: str, *, actor: str, reason: str, key: str | None = None, scope: Scope = EVERYTHING
    ) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release."""
        self._seen.request(request_id, scope)
        return await self._requests.supersede(request_id, actor=actor, reason=reason, key=key)

    def standing_commitments(self, *, scope: Scope = EVERYTHING) -> Sequence[StandingCommitment]:
        """Return every standing commitment in sight."""
        return [one for one in self._standing.all() if scope.covers(one.terms.area)]

    def standing_commitment(self, commitment_id: str, *, scope: Scope = EVERYTHING) -> StandingCommitment:
        """Return one standing commitment."""
        return self._seen.standing(self._standing.get(commitment_id), scope)

    async def enter_standing(
        self, terms: StandingTerms, *, key: str | None, actor: str, scope: Scope = EVERYTHING
    ) -> tuple[StandingCommitment, bool]:
        """Enter a standing commitment."""
        self._seen.require_area(terms.area, scope)
        return await self._standing.enter(terms, key=key, actor=actor)

    async def end_standing(self, commitment_id: str, *, actor: str, scope: Scope = EVERYTHING) -> StandingCommitment:
        """End a standing commitment now."""
        self.standing_commitment(commitment_id, scope=scope)
        return await self._standing.end(commitment_id, actor=actor)

    def standing_availability(self, commitment_id: str, *, scope: Scope = EVERYTHING) -> Sequence[AvailabilityDay]:
        """Return what a standing commitment kept available, by day, with the shares in sight."""
        commitment = self._standing.get(commitment_id)
        return self._seen.availability(self._availability.days(commitment), commitment, scope)

    def progress(self, request_id: str, *, scope: Scope = EVERYTHING) -> Mapping[str, float] | None:
        """Return target, baseline, measured and delivered kW of a running request."""
        self._seen.request(request_id, scope)
        return self._running.figures(request_id)

    def losses(self, request_id: str, *, scope: Scope = EVERYTHING) -> Mapping[str, Sequence[str]]:
        """Return the enlisted resources that cannot be called now, by reason."""
        self._seen.request(request_id, scope)
        return self._running.losses(request_id)

    def performance(self, request_id: str, *, scope: Scope = EVERYTHING) -> Performance | None:
        """Return the measurement of a request."""
        self._seen.request(request_id, scope)
        return self._settlement.performance(request_id)

    def settlements(self, *, scope: Scope = EVERYTHING) -> Sequence[Settled]:
        """Return every settled request with the shares in sight."""
        return self._seen.settlements(self._settlement.settled(), scope)

    async def take_official(
        self, request_id: str, *, source: str, lines: Sequence[OfficialLine], scope: Scope = EVERYTHING
    ) -> tuple[OfficialResult, bool]:
        """Record an official result; durable before this returns."""
        self._seen.request(request_id, scope)
        return await self._official.take(request_id, source=source, lines=lines)

    def official(self, request_id: str, version: int | None, *, scope: Scope = EVERYTHING) -> Reconciliation:
        """Return an official result against the shares in sight."""
        settled = next((one for one in self.settlements(scope=scope) if one.request_id == request_id), None)
        if settled is None:
            self._seen.request(request_id, scope)  # one that was forgotten says so
            raise UnknownIdError("settlement", request_id)
        return self._seen.official(self._official.compared(request_id, settled, version), scope)

    def unsettled(self, request_id: str, *, scope: Scope = EVERYTHING) -> Mapping[str, object] | None:
        """Return why a request that is over could not be settled."""
        self._seen.request(request_id, scope)
        return self._settlement.unsettled(request_id)

    async def take_signal(
        self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str, scope: Scope = EVERYTHING
    ) -> int:
        """Record values of a regulation signal; durable before this returns."""
        self._seen.request(request_id, scope)
        return await self._signals.take_signal(request_id, at_s, signal, unit=unit)

    def regulation(self, request_id: str, *, scope: Scope = EVERYTHING) -> RegulationStanding:
        """Return how a request for regulation stands."""
        self._seen.request(request_id, scope)
        return self._signals.regulation(request_id)

    def capability(self, area: str, direction: Direction, day: date, *, scope: Scope = EVERYTHING) -> Capability:
        """Return the 96 points of ``day`` in Asia/Shanghai; takes seconds after a new plan: call it in a thread."""
        self._seen.require_area(area, scope)
        return self._declarations.capability(self._fleet.fleet(), area, direction, day)

    def quote_calibration(self, *, scope: Scope = EVERYTHING) -> QuoteCalibration:
        """Return how quotes of the areas in sight were kept so far."""
        return self._seen.quote_calibration(self._shadows.record(), scope)

    def schedule(self, *, scope: Scope = EVERYTHING) -> Schedule:
        """Return the plan in force for the rows in sight."""
        return self._seen.schedule(self._plans.required(), scope)

    def events(self, *, after: int | None, scope: Scope = EVERYTHING) -> AsyncIterator[StreamEvent]:
        """Iterate the events in sight."""
        return self._seen.events(self._news.subscribe(after), scope)

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
        actor: str = "",
        scope: Scope = EVERYTHING,
    ) -> None:
        """Add to the fleet, all or nothing."""
        self._seen.require_addable((*areas, *operators, *transformers), sites, resources, scope)
        await self._operators.registration.connect(
            areas=areas, operators=operators, transformers=transformers, sites=sites, resources=resources, actor=actor
        )

    async def put_member(
        self,
        member: FleetMember,
        *,
        actor: str,
        version: int | None = None,
        dry_run: bool = False,
        scope: Scope = EVERYTHING,
    ) -> ChangeOutcome:
        """Let a member stand as stated."""
        self._seen.require_changeable(member, scope)
        registration = self._operators.registration
        made = await registration.put(member, actor=actor, version=version, dry_run=dry_run)
        return self._seen.outcome(made, scope)

    async def retire_member(
        self,
        kind: str,
        identity: str,
        *,
        actor: str,
        version: int | None = None,
        dry_run: bool = False,
        scope: Scope = EVERYTHING,
    ) -> ChangeOutcome:
        """Retire a member with what cannot be without it."""
        self._seen.require_member(kind, identity, scope)
        registration = self._operators.registration
        made = await registration.retire(kind, identity, actor=actor, version=version, dry_run=dry_run)
        return self._seen.outcome(made, scope)

    async def member_history(self, kind: str, identity: str, *, scope: Scope = EVERYTHING) -> Sequence[FormerMember]:
        """Return the former versions of a member."""
        self._seen.require_member(kind, identity, scope)
        return self._seen.history(await self._operators.registration.history(kind, identity), scope)

    async def import_meters(
        self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray, *, scope: Scope = EVERYTHING
    ) -> int:
        """Store metered 15-minute means of some resources, all or none."""
        self._seen.require_resources(resource_ids, scope)
        return await self._operators.meters.store(grid, resource_ids, mean_kw)

    async def promise(self, session_id: str, promise: Promise, *, scope: Scope = EVERYTHING) -> ChargingSession:
        """Record a driver's wish."""
        self._seen.require_session(session_id, self._fleet.sessions, scope)
        recorded = await self._operators.promises.record(session_id, promise)
        return self._seen.sessions([recorded], scope)[0]

    def ready(self) -> Mapping[str, bool]:
        """Return named readiness checks."""
        return self._operators.status.ready()

    def commands(self, *, scope: Scope = EVERYTHING) -> Mapping[str, int]:
        """Return what became of every setpoint so far."""
        return self._operators.status.commands() if scope.is_everything else {}

    def refused_connections(self, *, scope: Scope = EVERYTHING) -> Sequence[RefusedConnection]:
        """Return the devices whose connection was refused, the latest first."""
        return self._seen.refused_connections(self._operators.status.refused_connections(), scope)
