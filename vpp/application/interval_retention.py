"""Retention of metered quarters of an hour: as long as settled requests are looked at, and no baseline needs them."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog

from vpp.application.delivery.settlement import was_ramped
from vpp.dispatch.requests.book import RequestBook
from vpp.domain.request import OVER, DispatchRequest, RequestState
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import day_grid, local_day
from vpp.ports import Clock, IntervalMemory

_log = structlog.get_logger(__name__)


class IntervalRetention:
    """Deletes metered intervals whose retention is over.

    Kept, whatever the retention, are those that a request which runs, is not settled or waits for late meters may be
    measured in, with the reference days of its baseline; and the reference days of a request that comes now.

    Args:
        clock: The only source of time.
        book: All requests.
        meters: The intervals.
        awaits_correction: Returns whether late meters of a settled request are still to be measured.
        lookback_days: Days before its notice in which a baseline looks for reference days.
        keep_days: Days that intervals are kept.
        with_requests: Requests are forgotten; then nothing is kept that no kept request looks at.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        book: RequestBook,
        meters: IntervalMemory,
        awaits_correction: Callable[[str], bool],
        lookback_days: int,
        keep_days: float,
        with_requests: bool,
    ) -> None:
        self._clock, self._book, self._meters = clock, book, meters
        self._awaits_correction = awaits_correction
        self._lookback_days = lookback_days
        self._keep_s = keep_days * SECONDS_PER_DAY
        self._with_requests = with_requests

    async def forget(self) -> None:
        """Delete what need not be kept now, in a thread.

        Raises:
            StorageError: The database takes nothing now; what was not deleted goes with the next call.
        """
        before_s = self.kept_from_s()
        deleted = await asyncio.to_thread(self._meters.forget, before_s)
        if deleted:
            _log.info("metered intervals deleted", intervals=deleted, before_s=before_s)

    def kept_from_s(self) -> float:
        """Return the start of the first interval that is kept now, epoch seconds."""
        now_s, requests = self._clock.now_s(), self._book.all()
        open_ones = (one for one in requests if not _is_settled(one) or self._awaits_correction(one.id))
        aged_s = min(now_s - self._keep_s, reference_from_s(open_ones, now_s, self._lookback_days))
        return max(aged_s, reference_from_s(requests, now_s, self._lookback_days)) if self._with_requests else aged_s


def _is_settled(request: DispatchRequest) -> bool:
    """Return whether a request is over, and was settled if it has delivered."""
    return request.state in OVER and not (request.state is RequestState.SUPERSEDED and was_ramped(request))


def reference_from_s(requests: Iterable[DispatchRequest], now_s: float, lookback_days: int) -> float:
    """Return the begin of the first reference day of some requests, or of one that comes now, epoch seconds."""
    noticed_s = min((one.created_at.timestamp() for one in requests), default=now_s)
    return day_grid(local_day(noticed_s) - timedelta(days=lookback_days + 1)).start_s
