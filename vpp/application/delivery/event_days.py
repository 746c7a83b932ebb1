"""Event days and called hours of a portfolio: what other requests asked of it is no part of what would have been."""

from collections.abc import Iterator
from datetime import date

from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import PhaseTimes, areas_overlap
from vpp.domain.request import DispatchRequest, RequestState
from vpp.fleet.calendar import local_day, span
from vpp.settlement.baselines.called_hours import CalledHours


def event_days(book: RequestBook, request: DispatchRequest) -> frozenset[date]:
    """Return the Shanghai dates on which the portfolio of a request was called by another: no reference days.

    A day counts from the first ramp to the end of the watch, whatever became of the call (NAESB demand response
    measurement and verification, event days are excluded).
    """
    days: set[date] = set()
    for times in _calls(book, request):
        days |= span(local_day(times.ramp_s), local_day(times.watched_s))
    return frozenset(days)


def called_hours(book: RequestBook, request: DispatchRequest) -> CalledHours:
    """Return the hours in which the portfolio was called by another, from the ramp to the end of the watch."""
    return CalledHours(spans=tuple(sorted((times.ramp_s, times.watched_s) for times in _calls(book, request))))


def _calls(book: RequestBook, request: DispatchRequest) -> Iterator[PhaseTimes]:
    """Iterate the phases of every other request that was ramped in an overlapping area."""
    for other in book.all():
        called = any(t.to_state is RequestState.RAMPING for t in other.history)
        if other.id != request.id and called and areas_overlap(other.draft.area, request.draft.area):
            yield book.timetable(other.id)
