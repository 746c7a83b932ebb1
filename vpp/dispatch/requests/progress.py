"""Progress of requests by the clock: their phases, and the power they hold against each other."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from vpp.dispatch.requests.phases import (
    COMMITTED,
    STOPPED,
    Phase,
    PhaseTimes,
    areas_overlap,
    holds_power,
    was_given,
    watches_overlap,
    windows_overlap,
)
from vpp.dispatch.requests.register import ALLOWED, SERVICE, RequestRegister, S
from vpp.dispatch.settings import PhaseLengths
from vpp.domain.errors import ConflictError
from vpp.domain.request import DispatchRequest, Product, RequestDraft, Shortfall, Transition
from vpp.domain.timegrid import instant

_STATE_OF = {
    Phase.PRECONDITIONING: S.PRECONDITIONING,
    Phase.RAMPING: S.RAMPING,
    Phase.HOLDING: S.HOLDING,
    Phase.RELEASING: S.RELEASING,
    Phase.REBOUND_WATCH: S.REBOUND_WATCH,
    Phase.OVER: S.COMPLETED,
}
_ORDER = (S.SCHEDULED, *_STATE_OF.values())
_FLAGGABLE = (S.RAMPING, S.HOLDING)
_SUPERSEDABLE = frozenset(state for state, following in ALLOWED.items() if S.SUPERSEDED in following)


class RequestProgress:
    """Progress of the requests of a register by the clock.

    Args:
        register: The requests.
        lengths: Of their phases.
    """

    def __init__(self, register: RequestRegister, lengths: PhaseLengths) -> None:
        self._register, self._lengths = register, lengths

    def timetable(self, request_id: str) -> PhaseTimes:
        """Return when each phase of a request begins."""
        return self.times(self._register.get(request_id))

    def times(self, request: DispatchRequest) -> PhaseTimes:
        """Return when each phase of a request begins, be it one of the register or not."""
        return PhaseTimes.of(request, self._lengths)

    def timetable_of(self, draft: RequestDraft, now: datetime) -> PhaseTimes:
        """Return when each phase of a draft would begin if it were accepted now."""
        return PhaseTimes.of(DispatchRequest(id="", draft=draft, state=S.SUBMITTED, created_at=now), self._lengths)

    def running(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the committed or stopped requests whose rebound watch is not over, oldest first."""
        return tuple(r for r, timetable in self._holding() if now_s < timetable.watched_s)

    def given(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the requests of which nothing more is due by ``now_s``, oldest first."""
        return tuple(r for r in self._register if was_given(r, self.timetable(r.id), now_s))

    def flag(self, request_id: str, shortfall: Shortfall | None, now_s: float) -> DispatchRequest:
        """Set, change or clear the shortfall flag of a ramping or holding request."""
        request = self._register.get(request_id)
        if shortfall == request.shortfall or (shortfall is not None and request.state not in _FLAGGABLE):
            return request
        return self._register.flag(request, shortfall, now_s)

    def advance(self, now_s: float) -> list[Transition]:
        """Make every transition the phases ask for by ``now_s``; calling again changes nothing."""
        return [t for request in self._register for t in self.follow(request, now_s)]

    def follow(self, request: DispatchRequest, now_s: float) -> list[Transition]:
        """Make every transition one request's phases ask for by ``now_s``; return them."""
        before = request.version
        if request.state is S.QUOTED and request.quote is not None and now_s >= request.quote.expires_at.timestamp():
            request = self.expire(request, request.quote.expires_at)
        elif request.state is S.SUBMITTED and now_s >= request.draft.start_at.timestamp():
            # The service ended while it was quoting, and the request was not repeated.
            request = self._register.move(
                request, S.EXPIRED, actor=SERVICE, at=request.draft.start_at, reason="it was never quoted"
            )
        elif request.state in _ORDER:
            request = self._follow_phases(request, now_s)
        if request.shortfall is not None and request.state not in _FLAGGABLE:
            request = self.flag(request.id, None, now_s)
        return list(request.history[before:])

    def _follow_phases(self, request: DispatchRequest, now_s: float) -> DispatchRequest:
        for begins_s, phase in PhaseTimes.of(request, self._lengths).begins():
            state = _STATE_OF[phase]
            if begins_s <= now_s and _ORDER.index(state) > _ORDER.index(request.state):
                request = self._register.move(request, state, actor=SERVICE, at=instant(now_s), reason="timetable")
        return request

    def check_promise(self, request: DispatchRequest, counted: Collection[str], now: datetime) -> None:
        """Refuse to promise power too late or twice.

        Args:
            request: As it would stand.
            counted: Ids of the overlapping requests that its quote has left their rows.
            now: The present.

        Raises:
            ConflictError: The request should have started, or its power is promised to another.
        """
        if request.draft.start_at < now:
            raise ConflictError(f"request {request.id} should have started at {request.draft.start_at.isoformat()}")
        rival = self.rival(request)
        if rival is not None:
            raise ConflictError(f"request {request.id} overlaps {window_of(rival)}, to which the power is promised")
        later = next((other for other in self.overlapping(request) if other.id not in counted), None)
        if later is not None:
            raise ConflictError(
                f"request {request.id} overlaps {window_of(later)}, which its quote does not count; ask for another one"
            )

    def rival(self, request: DispatchRequest) -> DispatchRequest | None:
        """Return a committed request of the same area and time with which nothing can be shared.

        The other direction would take back what is given here, and a signal moves its rows both ways. A drill is no
        rival of a call, for it yields; it keeps out of the watches of others, and they out of its own.
        """
        if not request.draft.is_drill:
            return next((o for o in self.overlapping(request) if not can_share(o.draft, request.draft)), None)
        mine = PhaseTimes.of(request, self._lengths)
        return next((o for o, timetable in self._sharing(request) if watches_overlap(mine, timetable)), None)

    def overlapping(self, request: DispatchRequest) -> Sequence[DispatchRequest]:
        """Return the committed calls that hold power of a call's area at the same time, oldest first."""
        if request.draft.is_drill:
            return ()
        mine = PhaseTimes.of(request, self._lengths)
        return tuple(
            other
            for other, timetable in self._sharing(request)
            if not other.draft.is_drill and windows_overlap(mine, timetable)
        )

    def yielding(self, request: DispatchRequest) -> Sequence[DispatchRequest]:
        """Return the drills that are not released yet and would hold power of a call's area at the same time."""
        if request.draft.is_drill:
            return ()
        mine = PhaseTimes.of(request, self._lengths)
        return [
            other
            for other, timetable in self._sharing(request)
            if other.draft.is_drill and other.state in _SUPERSEDABLE and windows_overlap(mine, timetable)
        ]

    def _sharing(self, request: DispatchRequest) -> Iterator[tuple[DispatchRequest, PhaseTimes]]:
        """Iterate every other request that holds power of an overlapping area."""
        for other, timetable in self._holding():
            if other.id != request.id and areas_overlap(other.draft.area, request.draft.area):
                yield other, timetable

    def _holding(self) -> Iterator[tuple[DispatchRequest, PhaseTimes]]:
        for request in self._register:
            if request.state in COMMITTED or request.state in STOPPED:
                timetable = PhaseTimes.of(request, self._lengths)
                if holds_power(request, timetable):
                    yield request, timetable

    def expire(self, request: DispatchRequest, at: datetime) -> DispatchRequest:
        """Return a request whose quote was not accepted in time as expired."""
        return self._register.move(
            request, S.EXPIRED, actor=SERVICE, at=at, reason="the quote was not accepted in time"
        )


def window_of(request: DispatchRequest) -> str:
    """Return a request's area and window for a message."""
    draft = request.draft
    return f"request {request.id} in {draft.area} from {draft.start_at.isoformat()} to {draft.end_at.isoformat()}"


def can_share(one: RequestDraft, other: RequestDraft) -> bool:
    """Return whether two requests can share an area at the same time: in one direction, neither for regulation."""
    return one.direction is other.direction and Product.REGULATION not in (one.product, other.product)


def why_alone(request: DispatchRequest, rival: DispatchRequest) -> str:
    """Return why a request cannot share an area with another, in words."""
    if request.draft.is_drill:
        return "a drill runs alone"
    if Product.REGULATION in (request.draft.product, rival.draft.product):
        return "a request for regulation shares its area with none"
    return f"that one asks for {rival.draft.direction.value}, which would take back what is given here"
