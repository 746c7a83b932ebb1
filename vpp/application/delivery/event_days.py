"""Event days and called hours of a portfolio: what other requests asked of it is no part of what would have been.

A drill makes no event day: it is short, and days with one every week would leave no reference days. Its hours are left
out of them.
"""

from collections.abc import Iterator
from datetime import date

from vpp.application.delivery.forgotten_calls import ForgottenCalls, Span
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import areas_overlap, windows_overlap
from vpp.domain.request import DispatchRequest, RequestState
from vpp.fleet.calendar import local_day, span
from vpp.settlement.baselines.called_hours import CalledHours


def event_days(book: RequestBook, forgotten: ForgottenCalls, request: DispatchRequest) -> frozenset[date]:
    """Return the Shanghai dates on which the portfolio of a request was called by another: no reference days.

    A day counts from the first ramp to the end of the watch, whatever became of the call, and whether or not its
    request was forgotten (NAESB demand response measurement and verification, event days are excluded).
    """
    days: set[date] = set()
    for begin_s, end_s in _calls(book, forgotten, request, drills=False):
        days |= span(local_day(begin_s), local_day(end_s))
    return frozenset(days)


def called_hours(book: RequestBook, forgotten: ForgottenCalls, request: DispatchRequest) -> CalledHours:
    """Return the hours in which the portfolio was called by another, from the ramp to the end of the watch.

    Those of drills are among them.
    """
    return CalledHours(spans=tuple(sorted(_calls(book, forgotten, request, drills=True))))


def called_span(book: RequestBook, request: DispatchRequest) -> Span | None:
    """Return ramp and end of the watch of a request that was ramped, epoch seconds; ``None`` for any other."""
    if not any(t.to_state is RequestState.RAMPING for t in request.history):
        return None
    times = book.timetable(request.id)
    return times.ramp_s, times.watched_s


def _calls(book: RequestBook, forgotten: ForgottenCalls, request: DispatchRequest, *, drills: bool) -> Iterator[Span]:
    """Iterate the calls, and the ``drills`` where they are wanted, of every other request in an overlapping area.

    A call at the same time is none of them: requests that overlap share no row (`area_sharing`).
    """
    for known in (forgotten.called, forgotten.drilled) if drills else (forgotten.called,):
        for area, spans in known.items():
            if areas_overlap(area, request.draft.area):
                yield from spans
    mine = book.times(request)
    for other in book.all():
        called = called_span(book, other)
        counts = other.id != request.id and (drills or not other.draft.is_drill)
        if not counts or called is None or not areas_overlap(other.draft.area, request.draft.area):
            continue
        if other.draft.is_drill or not windows_overlap(mine, book.timetable(other.id)):
            yield called
