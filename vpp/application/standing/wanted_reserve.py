"""Reserve that is worth its price: what standing commitments ask for, elsewhere what calls are expected to pay."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import PhaseTimes, areas_overlap
from vpp.domain.request import Direction, DispatchRequest, Product, RequestState
from vpp.domain.standing import StandingCommitment
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.fleet.calendar import DayCalendar, day_number
from vpp.planning.reserve.call_expectation import CallExpectation, PastCall, learnt
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.reserve.standing_hours import due_steps, standing_demand
from vpp.ports import Clock

_EXPERIENCE_DAYS = 90.0
"""Days from which calls are learnt: about a season."""
_NEVER_GIVEN = frozenset(
    {RequestState.CANCELLED, RequestState.DECLINED, RequestState.EXPIRED, RequestState.FAILED, RequestState.SUPERSEDED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReserve:
    """Reserve that plans hold for its price.

    Attributes:
        clock: The only source of time.
        commitments: Returns the standing commitments.
        book: All requests.
        calendar: Types of days.
        expected: Calls that are expected as set; ``None`` learns them from the book.
        call_cny_per_kwh: Paid for a called kWh where no commitment says so.
    """

    clock: Clock
    commitments: Callable[[], Sequence[StandingCommitment]]
    book: RequestBook
    calendar: DayCalendar
    expected: CallExpectation | None
    call_cny_per_kwh: float

    def demand(self, grid: TimeGrid) -> ReserveDemand:
        """Return what is wanted on the steps of a plan."""
        commitments = self.commitments()
        standing = standing_demand(commitments, grid, self.calendar, called=self._called(commitments))
        expected = self._learnt() if self.expected is None else self.expected
        if expected is None:
            return standing
        return standing.otherwise(expected.demand(grid, self.calendar, self.call_cny_per_kwh))

    def due(self, at_s: float) -> Sequence[StandingCommitment]:
        """Return the commitments whose power has to be available at an instant, and is not held by a request."""
        commitments = self.commitments()
        called, day = self._called(commitments), int(day_number(at_s))
        return [
            one
            for one in commitments
            if due_steps(one, _step_of(at_s), self.calendar).any()
            and called[one.id].get(day, 0) < one.terms.calls_a_day
            and not self._is_held(one, at_s)
        ]

    def _is_held(self, commitment: StandingCommitment, at_s: float) -> bool:
        """Return whether a request holds power of the commitment's area; a drill takes none from a call."""
        return any(
            areas_overlap(request.draft.area, commitment.terms.area) and not request.draft.is_drill
            for request in self.book.running(at_s)
            if _holds(self.book.timetable(request.id), at_s)
        )

    def _called(self, commitments: Sequence[StandingCommitment]) -> Mapping[str, Mapping[int, int]]:
        """Return the calls of each commitment from yesterday on, by day."""
        since_s = self.clock.now_s() - 2.0 * SECONDS_PER_DAY
        recent = (request for request in self.book.all() if request.draft.start_at.timestamp() > since_s)
        calls = [request for request in recent if _is_call(request)]
        return {one.id: Counter(self._days_called(one, calls)) for one in commitments}

    def _days_called(self, commitment: StandingCommitment, calls: Sequence[DispatchRequest]) -> Sequence[int]:
        terms = commitment.terms
        mine = [
            call.draft.start_at
            for call in calls
            if call.draft.direction is terms.direction and areas_overlap(call.draft.area, terms.area)
        ]
        return [
            int(day_number(at.timestamp()))
            for at in mine
            if due_steps(commitment, _step_of(at.timestamp()), self.calendar).any()
        ]

    def _learnt(self) -> CallExpectation | None:
        """Return what the calls of the past let expect, ``None`` while they let nothing."""
        requests, now_s = self.book.all(), self.clock.now_s()
        if not requests:
            return None
        calls = [
            PastCall(
                start_s=request.draft.start_at.timestamp(),
                end_s=request.draft.end_at.timestamp(),
                power_kw=request.accepted_kw or 0.0,
            )
            for request in requests
            if _is_call(request) and request.draft.direction is Direction.UP
        ]
        first_s = min(request.created_at.timestamp() for request in requests)
        since_s = max(first_s, now_s - _EXPERIENCE_DAYS * SECONDS_PER_DAY)
        return learnt(calls, self.calendar, since_s=since_s, now_s=now_s)


def nothing_wanted(grid: TimeGrid) -> ReserveDemand:
    """Return a demand for nothing."""
    return ReserveDemand.nothing(grid.count)


def _is_call(request: DispatchRequest) -> bool:
    """Return whether a request asked for power that was committed and given, or is to be; a drill is no call."""
    draft, committed = request.draft, request.accepted_kw is not None and bool(np.isfinite(request.accepted_kw))
    called = draft.product is not Product.REGULATION and not draft.is_drill
    return committed and called and request.state not in _NEVER_GIVEN


def _holds(times: PhaseTimes, at_s: float) -> bool:
    """Return whether power is held at an instant, from the ramp to the end of the release."""
    return times.ramp_s <= at_s < times.released_s


def _step_of(at_s: float) -> TimeGrid:
    """Return the quarter of an hour that holds an instant, as a grid of one step."""
    return TimeGrid(start_at=instant(floor_s(at_s, STEP_S)), count=1)
