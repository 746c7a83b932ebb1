"""Retention of requests: what is over and settled for long enough is forgotten, and stays in the journal.

An entry of the journal names the requests and says what stays known of them; memory is dropped by the same entry here,
in a standby, in a replay and after a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from vpp.application.delivery.event_days import called_span
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.measurement import Measurement
from vpp.application.delivery.official_results import OfficialResults
from vpp.application.delivery.settlement import Settlement, was_ramped
from vpp.application.interval_retention import reference_from_s
from vpp.application.requests.announcements import Announcements
from vpp.application.requests.commitments import Commitments
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.requests.forgotten import FORGOTTEN, Batch
from vpp.domain.request import OVER, DispatchRequest, RequestState
from vpp.domain.timegrid import floor_s
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.ports import Clock, Journal

_log = structlog.get_logger(__name__)
_AT_ONCE = 1_000
"""Requests of one entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryParts:
    """Parts that remember the delivery of requests."""

    measurement: Measurement
    settlement: Settlement
    official: OfficialResults
    commitments: Commitments


class RequestRetention:
    """Forgets requests whose retention is over.

    Kept are requests that run, are not settled, whose late meters are still to be measured, whose energy is still to be
    recovered, or to which a device is bound.

    Args:
        clock: The only source of time.
        engine: Holds requests, signals and commands.
        journal: Records what is forgotten.
        delivery: Parts that remember delivery.
        announcements: Remember what was published.
        keep_days: Days for which a request is kept once it is over; 0 for ever.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        engine: DispatchEngine,
        journal: Journal,
        delivery: DeliveryParts,
        announcements: Announcements,
        keep_days: float,
    ) -> None:
        self._clock, self._engine, self._journal = clock, engine, journal
        self._delivery = delivery
        self._announcements = announcements
        self._keep_s = keep_days * SECONDS_PER_DAY
        self._lookback_days = delivery.measurement.programme.rules.lookback_days

    async def forget(self) -> None:
        """Forget what may be forgotten now.

        Raises:
            StorageError: The database takes nothing now; what was recorded goes out with the next flush.
        """
        if not self._keep_s:
            return
        now_s = self._clock.now_s()
        bound = self._engine.bound_requests(now_s)
        old = [
            request
            for request in reversed(self._engine.book.all())
            if request.id not in bound and self._is_forgettable(request, now_s)
        ]
        for first in range(0, len(old), _AT_ONCE):
            self._forget(old[first : first + _AT_ONCE], now_s)
            await self._journal.flush()
        if old:
            _log.info("requests forgotten", requests=len(old), older_than_days=self._keep_s / SECONDS_PER_DAY)

    def _is_forgettable(self, request: DispatchRequest, now_s: float) -> bool:
        """Return whether a request is over and settled for long enough, and nothing of it is needed."""
        before_s = now_s - self._keep_s
        if request.state not in OVER or request.history[-1].at.timestamp() > before_s:
            return False
        if not was_ramped(request):
            return True
        watched_s = self._engine.book.timetable(request.id).watched_s
        if request.state is RequestState.SUPERSEDED or watched_s > before_s:
            return False
        if self._delivery.settlement.awaits_correction(request.id):
            return False
        return not self._delivery.commitments.is_recovering(request, now_s)

    def _forget(self, requests: Sequence[DispatchRequest], now_s: float) -> None:
        """Record that some requests are forgotten, and drop them before anything else is recorded."""
        delivery, ids = self._delivery, tuple(request.id for request in requests)
        calls = self._calls_of(requests)
        calls_from_s, means_from_s = self._reference_from_s(ids, now_s), self._means_from_s(ids, now_s)
        body = {
            "ids": list(ids),
            "calls": calls.body(),
            "calls_from_s": calls_from_s,
            "means_from_s": means_from_s,
        }
        sequence = self._journal.append(FORGOTTEN, now_s, body)
        delivery.measurement.forgotten.add(calls, from_s=calls_from_s)
        # The book first: a thread that recalls one of them meanwhile finds it gone there, and keeps nothing.
        self._engine.forget_requests(Batch(at_s=now_s, sequence=sequence, ids=ids))
        delivery.settlement.forget(ids)
        delivery.official.forget(ids)
        delivery.measurement.forget(ids, means_from_s)
        self._announcements.forget(ids)

    def _calls_of(self, requests: Sequence[DispatchRequest]) -> ForgottenCalls:
        found = ForgottenCalls()
        for request in requests:
            called = called_span(self._engine.book, request)
            spans = found.drilled if request.draft.is_drill else found.called
            if called is not None:
                spans[request.draft.area] = (*spans.get(request.draft.area, ()), called)
        shown = self._delivery.settlement.shown([request.id for request in requests])
        found.shown.update((part, tuple(events)) for part, events in shown.items())
        return found

    def _reference_from_s(self, ids: Sequence[str], now_s: float) -> float:
        """Return the begin of the first reference day of a request that is kept, or of a later one, epoch seconds."""
        return reference_from_s(self._kept(ids), now_s, self._lookback_days)

    def _means_from_s(self, ids: Sequence[str], now_s: float) -> float:
        """Return the start of the first interval in which a request that is kept may be measured, epoch seconds."""
        times = (self._engine.book.timetable(request.id) for request in self._kept(ids))
        return floor_s(min((one.ramp_s for one in times), default=now_s), STEP_S) - STEP_S

    def _kept(self, ids: Sequence[str]) -> Sequence[DispatchRequest]:
        gone = frozenset(ids)
        return [request for request in self._engine.book.all() if request.id not in gone]
