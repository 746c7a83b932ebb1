"""Visibility: what of the fleet, its requests and its events one scope has in sight."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from vpp.application.watch.cycle_reports import fleet_body
from vpp.domain.errors import ForgottenError, InputError, UnknownIdError
from vpp.domain.event import StreamEvent
from vpp.domain.official_settlement import Agreement, Reconciliation
from vpp.domain.performance import FEN_PER_CNY, Settled, Shares
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.request import DispatchRequest, QuoteCalibration
from vpp.domain.resource import Resource
from vpp.domain.schedule import Schedule
from vpp.domain.session import ChargingSession
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.standing import AvailabilityDay, StandingCommitment
from vpp.domain.telemetry import BoolArray
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.members.changes import ChangeOutcome
from vpp.fleet.members.member_codec import FleetMember
from vpp.fleet.members.tenure import FormerMember
from vpp.fleet.scope import Scope
from vpp.fleet.scoped_view import ScopedView

_MOST_VIEWS = 64
"""Scopes whose view of the fleet is kept; the oldest is made again when it is asked for."""


class Visibility:
    """Narrows what the service knows to a scope; a scope that sees everything is handed it as it is.

    An id out of sight raises the same UnknownIdError as one that does not exist.

    Args:
        latest: Returns the latest snapshot.
        request: Returns a request by its id; raises UnknownIdError.
    """

    def __init__(self, latest: Callable[[], FleetState], request: Callable[[str], DispatchRequest]) -> None:
        self._latest = latest
        self._request = request
        self._views: dict[Scope, ScopedView] = {}

    def state(self, scope: Scope) -> FleetState:
        """Return the latest snapshot, its rows those in sight."""
        state = self._latest()
        return state if scope.is_everything else self._view(state, scope).state(state)

    def row(self, resource_id: str, scope: Scope) -> int:
        """Return the row in the fleet of a resource; raises UnknownIdError."""
        state = self._latest()
        row = state.index.row_of.get(resource_id)
        if row is None or not self._sees_row(state, row, scope):
            raise UnknownIdError("resource", resource_id)
        return row

    def flags(self, flags: BoolArray, scope: Scope) -> BoolArray:
        """Return flags of the latest snapshot's rows for those in sight."""
        return flags if scope.is_everything else flags[self._view(self._latest(), scope).rows]

    def sessions(self, sessions: Sequence[ChargingSession], scope: Scope) -> Sequence[ChargingSession]:
        """Return the sessions in sight, their rows those of ``state``."""
        if scope.is_everything:
            return sessions
        view = self._view(self._latest(), scope)
        placed = ((session, view.position(session.row)) for session in sessions)
        return [replace(session, row=place) for session, place in placed if place is not None]

    def request(self, request_id: str, scope: Scope) -> DispatchRequest:
        """Return a request; raises UnknownIdError, ForgottenError where the scope sees every request."""
        try:
            request = self._request(request_id)
        except ForgottenError:
            if scope.is_everything:
                raise
            # Its area is not known any more, so whether it was in sight is not either.
            raise UnknownIdError("request", request_id) from None
        if not scope.covers(request.draft.area):
            raise UnknownIdError("request", request_id)
        return request

    def requests(self, requests: Sequence[DispatchRequest], scope: Scope) -> Sequence[DispatchRequest]:
        """Return the requests in sight, in the same order."""
        return requests if scope.is_everything else [r for r in requests if scope.covers(r.draft.area)]

    def standing(self, commitment: StandingCommitment, scope: Scope) -> StandingCommitment:
        """Return a standing commitment; raises UnknownIdError for one of an area that is not in sight as a whole."""
        if not scope.covers(commitment.terms.area):
            raise UnknownIdError("standing commitment", commitment.id)
        return commitment

    def availability(
        self, days: Sequence[AvailabilityDay], commitment: StandingCommitment, scope: Scope
    ) -> Sequence[AvailabilityDay]:
        """Return the days of a commitment in sight as they are, and those of any other as far as shares are in sight.

        Raises:
            UnknownIdError: Neither is in sight.
        """
        if scope.covers(commitment.terms.area):
            return days
        seen = [(one, self._shares(one.shares, scope)) for one in days]
        if not any(len(shares) for _, shares in seen):
            raise UnknownIdError("standing commitment", commitment.id)
        return [_part_of(one, shares) for one, shares in seen if len(shares)]

    def _shares(self, shares: Shares, scope: Scope) -> Shares:
        """Return the parts of sites in sight, by the operator at the time of delivery."""
        site_of = self._latest().index.site_of
        owners = zip(shares.operator_ids, shares.site_ids, strict=True)
        return shares.chosen(
            [
                place
                for place, (operator_id, site_id) in enumerate(owners)
                if site_id in site_of and scope.sees(replace(site_of[site_id], operator_id=operator_id))
            ]
        )

    def quote_calibration(self, calibration: QuoteCalibration, scope: Scope) -> QuoteCalibration:
        """Return the records of the areas in sight; what was left out belongs to those who see everything."""
        if scope.is_everything:
            return calibration
        return QuoteCalibration(
            records=tuple(one for one in calibration.records if scope.covers(one.area)), left_out={}
        )

    def schedule(self, schedule: Schedule, scope: Scope) -> Schedule:
        """Return a plan of the rows in sight; its cost is that of the whole fleet, and unknown."""
        if scope.is_everything:
            return schedule
        view = self._view(self._latest(), scope)
        return replace(
            schedule,
            power_kw=schedule.power_kw[view.rows[view.rows < len(schedule.power_kw)]],
            objective_cny=float("nan"),
            gap_ratio=float("nan"),
            overload_kw={name: kw for name, kw in schedule.overload_kw.items() if name in view.open_feeders},
        )

    def settlements(self, settled: Sequence[Settled], scope: Scope) -> Sequence[Settled]:
        """Return settled requests with the shares of the sites in sight, by the operator at the time of delivery."""
        if scope.is_everything:
            return settled
        seen = [replace(one, shares=self._shares(one.shares, scope)) for one in settled]
        return [one for one in seen if len(one.shares)]

    def official(self, found: Reconciliation, scope: Scope) -> Reconciliation:
        """Return the lines of an official result that the shares in sight answer to; others name other operators."""
        if scope.is_everything:
            return found
        seen = tuple(line for line in found.lines if line.agreement is not Agreement.ONLY_OFFICIAL)
        # The official lines come first, each in its place; those that follow are ours alone.
        beside = zip(found.result.lines, found.lines, strict=False)
        stated = tuple(line for line, both in beside if both.agreement is not Agreement.ONLY_OFFICIAL)
        return replace(found, result=replace(found.result, lines=stated), lines=seen)

    def refused_connections(self, refused: Sequence[RefusedConnection], scope: Scope) -> Sequence[RefusedConnection]:
        """Return the refused connections that stated the address of a device in sight."""
        if scope.is_everything:
            return refused
        known = {
            identity
            for resource in self.state(scope).index.resources
            for identity in (resource.address, resource.address.rpartition("/")[0])
            if identity  # one that states no id may be anybody's
        }
        return [one for one in refused if one.identity in known]

    def history(self, former: Sequence[FormerMember], scope: Scope) -> Sequence[FormerMember]:
        """Return the former versions of a site or resource in sight; those of before it was so are another's."""
        if scope.is_everything:
            return former
        index = self._latest().index
        return [
            one
            for one in former
            if (isinstance(one.member, Site) and scope.sees(one.member))
            or (isinstance(one.member, Resource) and one.until_s > scope.since_s(index, index.row_of[one.member.id]))
        ]

    def outcome(self, outcome: ChangeOutcome, scope: Scope) -> ChangeOutcome:
        """Return a change with its effects in sight."""
        if scope.is_everything:
            return outcome
        feeders = self._view(self._latest(), scope).open_feeders
        overloaded = tuple(name for name in outcome.effects.overloaded if name in feeders)
        return replace(outcome, effects=replace(outcome.effects, overloaded=overloaded))

    def events(self, events: AsyncIterator[StreamEvent], scope: Scope) -> AsyncIterator[StreamEvent]:
        """Return the events in sight."""
        return events if scope.is_everything else self._scoped_events(events, scope)

    def require_area(self, area: str, scope: Scope) -> None:
        """Raise UnknownIdError for an area that is not in sight as a whole."""
        if not scope.covers(area):
            raise UnknownIdError("area", area)

    def require_resources(self, resource_ids: Sequence[str], scope: Scope) -> None:
        """Raise UnknownIdError for the first resource out of sight."""
        if not scope.is_everything:
            for resource_id in resource_ids:
                self.row(resource_id, scope)

    def require_session(self, session_id: str, known: Callable[[], Sequence[ChargingSession]], scope: Scope) -> None:
        """Raise UnknownIdError for a session out of sight."""
        if not scope.is_everything and session_id not in {s.id for s in self.sessions(known(), scope)}:
            raise UnknownIdError("session", session_id)

    def require_addable(
        self,
        shared: Sequence[Area | Operator | Transformer],
        sites: Sequence[Site],
        resources: Sequence[Resource],
        scope: Scope,
    ) -> None:
        """Refuse additions that a scope could not see afterwards, or that refer to what is out of sight.

        Raises:
            InputError: Areas, operators and transformers are added by scopes that see everything.
            UnknownIdError: A site's area, operator or transformer, or a resource's site, is out of sight.
        """
        if scope.is_everything:
            return
        if shared:
            raise InputError("id", shared[0].id, "sites and resources only: the rest is for those who see the fleet")
        index = self.state(scope).index
        transformers = {transformer.id for transformer in index.transformers}
        for site in sites:
            if scope.operators is not None and site.operator_id not in scope.operators:
                raise UnknownIdError("operator", site.operator_id)
            if scope.areas is not None and site.area_id not in scope.areas:
                raise UnknownIdError("area", site.area_id)
            if site.transformer_id not in transformers:
                raise UnknownIdError("transformer", site.transformer_id)
        places = {site.id for site in (*index.sites, *sites)}
        for resource in resources:
            if resource.site_id not in places:
                raise UnknownIdError("site", resource.site_id)

    def require_member(self, kind: str, identity: str, scope: Scope) -> None:
        """Raise UnknownIdError for a site or resource out of sight; other kinds are for those who see the fleet."""
        if scope.is_everything:
            return
        if kind == "resource":
            self.row(identity, scope)
        elif kind != "site" or identity not in self.state(scope).index.site_of:
            raise UnknownIdError(kind, identity)

    def require_changeable(self, member: FleetMember, scope: Scope) -> None:
        """Refuse to put a member that a scope could not see afterwards, or that takes the place of one out of sight.

        Raises:
            InputError: Areas, operators and transformers are for scopes that see everything.
            UnknownIdError: The member, or what it refers to, is out of sight.
        """
        if scope.is_everything:
            return
        index = self._latest().index
        if isinstance(member, Site):
            self.require_addable((), (member,), (), scope)
            if member.id in index.site_of:
                self.require_member("site", member.id, scope)
        elif isinstance(member, Resource):
            self.require_addable((), (), (member,), scope)
            if member.id in index.row_of:
                self.require_member("resource", member.id, scope)
        else:
            self.require_addable((member,), (), (), scope)

    async def _scoped_events(self, events: AsyncIterator[StreamEvent], scope: Scope) -> AsyncIterator[StreamEvent]:
        async for event in events:
            seen = self._event(event, scope)
            if seen is not None:
                yield seen

    def _event(self, event: StreamEvent, scope: Scope) -> StreamEvent | None:
        """Return an event as a scope sees it, ``None`` where it names nothing in sight.

        A summary of the fleet is made anew of the rows in sight, as long as its snapshot is the latest. An alarm is in
        sight where all it names is; one that names nothing is about the service itself.
        """
        match event.kind:
            case "gap":
                return replace(event, body={"missed": None})
            case "fleet":
                state = self.state(scope)
                return replace(event, body=fleet_body(state)) if state.at_s == event.at_s else None
            case "request":
                return event if self._sees_request(str(event.body["id"]), scope) else None
        named = [self._sees_named(kind, str(value), scope) for kind, value in event.body.items() if kind in _NAMES]
        return event if named and all(named) else None

    def _sees_named(self, kind: str, identity: str, scope: Scope) -> bool:
        if kind == "request_id":
            return self._sees_request(identity, scope)
        state = self._latest()
        if kind == "transformer_id":
            return identity in self._view(state, scope).open_feeders
        row = state.index.row_of.get(identity)
        return row is not None and self._sees_row(state, row, scope)

    def _sees_request(self, request_id: str, scope: Scope) -> bool:
        try:
            return scope.covers(self._request(request_id).draft.area)
        except UnknownIdError:
            return False

    def _sees_row(self, state: FleetState, row: int, scope: Scope) -> bool:
        if scope.is_everything:
            return True
        return scope.sees(state.index.site_of[state.index.resources[row].site_id])

    def _view(self, state: FleetState, scope: Scope) -> ScopedView:
        view = self._views.get(scope)
        if view is None or view.whole is not state.index:
            self._views.pop(scope, None)
            view = self._views[scope] = ScopedView(state.index, scope)
            if len(self._views) > _MOST_VIEWS:
                del self._views[next(iter(self._views))]
        return view


_NAMES = ("request_id", "transformer_id", "resource_id")
"""Keys of an alarm's body that name what it is about."""


def _part_of(day: AvailabilityDay, shares: Shares) -> AvailabilityDay:
    """Return a day as if there were nothing but some of its shares, of whose power the day's mean is known."""
    count = len(day.available_kw)
    kept_kw = float(shares.energy_kwh.sum()) * SECONDS_PER_HOUR / STEP_S / count
    return replace(
        day,
        shares=shares,
        available_kw=(kept_kw,) * count,
        amounts_cny={
            name: Decimal(int(fen.sum())) / Decimal(FEN_PER_CNY) for name, fen in shares.settlement_fen.items()
        },
    )
