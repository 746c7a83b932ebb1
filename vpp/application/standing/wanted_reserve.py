"""Reserve that is worth its price: what standing commitments ask for, elsewhere what calls are expected to pay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.dispatch.requests.book import RequestBook
from vpp.domain.request import Direction, DispatchRequest, Product, RequestState
from vpp.domain.standing import StandingCommitment
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import DayCalendar
from vpp.planning.reserve.call_expectation import CallExpectation, PastCall, learnt
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.reserve.standing_hours import StandingCall, calls_spent, due_steps, standing_demand, step_of
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
        standing = standing_demand(self.commitments(), grid, self.calendar, calls=self._calls())
        expected = self._learnt() if self.expected is None else self.expected
        if expected is None:
            return standing
        return standing.otherwise(expected.demand(grid, self.calendar, self.call_cny_per_kwh))

    def due(self, at_s: float) -> Sequence[StandingCommitment]:
        """Return the commitments whose power has to be available at an instant: in their hours, with a call left."""
        step, calls = step_of(at_s), self._calls()
        return [
            one
            for one in self.commitments()
            if due_steps(one, step, self.calendar).any()
            and int(calls_spent(one, calls, step, self.calendar)[0]) < one.terms.calls_a_day
        ]

    def _calls(self) -> Sequence[StandingCall]:
        """Return the calls from yesterday on."""
        since_s = self.clock.now_s() - 2.0 * SECONDS_PER_DAY
        return [
            StandingCall(
                area=request.draft.area,
                direction=request.draft.direction,
                start_s=request.draft.start_at.timestamp(),
                corners=self.book.timetable(request.id).corners(),
            )
            for request in self.book.all()
            if request.draft.start_at.timestamp() > since_s and _is_call(request)
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
