"""Phases of a request, and the power due at any instant."""

from dataclasses import dataclass
from enum import StrEnum

from vpp.dispatch.requests.target_course import Corner, course, due_at
from vpp.dispatch.settings import PhaseLengths
from vpp.domain.request import CITY, DispatchRequest, RequestState, Revision
from vpp.domain.units import SECONDS_PER_MINUTE

STOPPED = (RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.FAILED)
"""States that end a running request early, through the same release."""

COMMITTED = (
    RequestState.ACCEPTED,
    RequestState.SCHEDULED,
    RequestState.PRECONDITIONING,
    RequestState.RAMPING,
    RequestState.HOLDING,
    RequestState.RELEASING,
    RequestState.REBOUND_WATCH,
)
"""States in which something is promised or in force."""


class Phase(StrEnum):
    """Phase by the clock, whatever the request's state is called."""

    WAITING = "waiting"
    PRECONDITIONING = "preconditioning"
    RAMPING = "ramping"
    HOLDING = "holding"
    RELEASING = "releasing"
    REBOUND_WATCH = "rebound_watch"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimes:
    """Epoch seconds of a committed request's phases; derived from the request alone.

    Attributes:
        ramp_s: Ramp begins; not before the request was accepted.
        start_s: Full target is due from here.
        end_s: Release begins: the request's end, or the instant it was stopped.
        released_s: Nothing is due any more.
        watched_s: The rebound watch ends.
        target_kw: Accepted power.
        release_kw: Target at ``end_s``, from which the release ramps down.
        course: Corners of ramp and hold where the target was changed under way; empty where it was not.
    """

    precondition_s: float
    ramp_s: float
    start_s: float
    end_s: float
    released_s: float
    watched_s: float
    target_kw: float
    release_kw: float
    course: tuple[Corner, ...] = ()

    @classmethod
    def of(cls, request: DispatchRequest, lengths: PhaseLengths) -> "PhaseTimes":
        """Return the phases of an accepted request, or of a draft as it would run if accepted now."""
        draft = request.draft
        start_s, planned_end_s = draft.start_at.timestamp(), draft.end_at.timestamp()
        minutes = lengths.ramp_minutes if draft.ramp_minutes is None else draft.ramp_minutes
        ramp_s = min(start_s, max(start_s - minutes * SECONDS_PER_MINUTE, _accepted_s(request)))
        target_kw = draft.target_kw if request.accepted_kw is None else request.accepted_kw
        end_s = min(planned_end_s, max(_stopped_s(request), ramp_s))
        released_s = end_s + lengths.release_minutes * SECONDS_PER_MINUTE
        changed = _changed(request)
        corners = course(changed, ramp_s=ramp_s, start_s=start_s, ramp_minutes=minutes) if changed else ()
        return cls(
            precondition_s=ramp_s - lengths.precondition_minutes * SECONDS_PER_MINUTE,
            ramp_s=ramp_s,
            start_s=start_s,
            end_s=end_s,
            released_s=released_s,
            watched_s=released_s + lengths.rebound_watch_minutes * SECONDS_PER_MINUTE,
            target_kw=target_kw,
            release_kw=due_at(corners, end_s) if corners else target_kw * _share(end_s, ramp_s, start_s),
            course=corners,
        )

    def phase_at(self, now_s: float) -> Phase:
        """Return the phase at ``now_s``; the hold is ``[start_s, end_s)``."""
        phase = Phase.WAITING
        for begins_s, later in self.begins():
            if now_s >= begins_s:
                phase = later
        return phase

    def begins(self) -> tuple[tuple[float, Phase], ...]:
        """Return the begin of every phase in order; a hold that was never reached is left out."""
        held = ((self.start_s, Phase.HOLDING),) if self.start_s < self.end_s else ()
        return (
            (self.precondition_s, Phase.PRECONDITIONING),
            (self.ramp_s, Phase.RAMPING),
            *held,
            (self.end_s, Phase.RELEASING),
            (self.released_s, Phase.REBOUND_WATCH),
            (self.watched_s, Phase.OVER),
        )

    def target_at(self, now_s: float) -> float:
        """Return the power due at ``now_s``: linear ramp, hold, linear release."""
        if now_s < self.end_s and self.course:
            return due_at(self.course, now_s)
        if now_s < self.end_s:
            return self.target_kw * _share(now_s, self.ramp_s, self.start_s)
        return self.release_kw * self.release_share(now_s)

    def corners(self) -> tuple[Corner, ...]:
        """Return the corners of all that is due, from the ramp's begin to the release's end."""
        plain = ((self.ramp_s, 0.0), (self.start_s, self.target_kw))
        kept = [corner for corner in self.course or plain if corner[0] < self.end_s]
        return (*kept, (self.end_s, self.release_kw), (self.released_s, 0.0))

    def release_share(self, now_s: float) -> float:
        """Return the share of what was held that is still due: 1 before the release, 0 after it."""
        return 1.0 - _share(now_s, self.end_s, self.released_s)

    def active_at(self, now_s: float) -> bool:
        """Return whether setpoints of the request may be in force."""
        return self.ramp_s <= now_s < self.watched_s


def holds_power(request: DispatchRequest, timetable: PhaseTimes) -> bool:
    """Return whether power is promised to a request, or not yet released from it."""
    if request.state in COMMITTED:
        return True
    accepted = any(t.to_state is RequestState.ACCEPTED for t in request.history)
    return accepted and request.state in STOPPED and timetable.end_s > timetable.ramp_s


def was_given(request: DispatchRequest, timetable: PhaseTimes, now_s: float) -> bool:
    """Return whether something was given to a request and its release has begun, whatever became of it since."""
    accepted = any(t.to_state is RequestState.ACCEPTED for t in request.history)
    return accepted and timetable.ramp_s < timetable.end_s <= now_s


def areas_overlap(one: str, other: str) -> bool:
    """Return whether two areas overlap; the city holds every other."""
    return one == other or CITY in (one, other)


def windows_overlap(one: PhaseTimes, other: PhaseTimes) -> bool:
    """Return whether two requests would hold the same kW at one time, ramps and releases included."""
    return one.ramp_s < other.released_s and other.ramp_s < one.released_s


def watches_overlap(one: PhaseTimes, other: PhaseTimes) -> bool:
    """Return whether one of two requests would run while the other's load is still watched for its rebound."""
    return one.ramp_s < other.watched_s and other.ramp_s < one.watched_s


def _share(now_s: float, from_s: float, until_s: float) -> float:
    if now_s >= until_s:
        return 1.0
    return max(0.0, (now_s - from_s) / (until_s - from_s))


def _changed(request: DispatchRequest) -> list[Revision]:
    """Return the revisions in force, in the order in which they came into force."""
    return [revision for revision in request.revisions if revision.accepted_at is not None]


def _accepted_s(request: DispatchRequest) -> float:
    return _entered_s(request, (RequestState.ACCEPTED,), float("-inf"))


def _stopped_s(request: DispatchRequest) -> float:
    return _entered_s(request, STOPPED, float("inf"))


def _entered_s(request: DispatchRequest, states: tuple[RequestState, ...], otherwise: float) -> float:
    return next((t.at.timestamp() for t in request.history if t.to_state in states), otherwise)
