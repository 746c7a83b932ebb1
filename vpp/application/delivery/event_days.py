"""Event days: days on which a portfolio was called, which are no reference days of its baseline."""

from datetime import date

from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import areas_overlap
from vpp.domain.request import DispatchRequest, RequestState
from vpp.fleet.calendar import local_day, span


def event_days(book: RequestBook, request: DispatchRequest) -> frozenset[date]:
    """Return the Shanghai dates on which the portfolio of a request was called by another: no reference days.

    A day counts from the first ramp to the end of the watch, whatever became of the call (NAESB demand response
    measurement and verification, event days are excluded).
    """
    days: set[date] = set()
    for other in book.all():
        called = any(t.to_state is RequestState.RAMPING for t in other.history)
        if other.id != request.id and called and areas_overlap(other.draft.area, request.draft.area):
            times = book.timetable(other.id)
            days |= span(local_day(times.ramp_s), local_day(times.watched_s))
    return frozenset(days)
