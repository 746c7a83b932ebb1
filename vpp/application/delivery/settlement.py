"""Settlement of requests: measured once their watch is over and their last interval is metered."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from vpp.application.delivery.baseline_freezing import BaselineFreezing
from vpp.application.delivery.forgotten_calls import Part
from vpp.application.delivery.measurement import Measurement
from vpp.application.delivery.recovery import ISSUED, Issued, issued_body, issued_now, same_result
from vpp.application.delivery.settlement_runs import SettlementRuns
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import COMMITTED
from vpp.dispatch.requests.register import accepted_at
from vpp.domain.errors import ConflictError, ForgottenError
from vpp.domain.flexibility import Verified
from vpp.domain.performance import Performance, Settled, Shares
from vpp.domain.request import Direction, DispatchRequest, RequestState
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S
from vpp.ports import Clock, Journal
from vpp.settlement.tracking import MinuteSeries
from vpp.settlement.verified_power import Shown, shown_by, verified_by

_FINISHED = (RequestState.COMPLETED, RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.VERIFIED)
"""States after which delivery is measured once the watch is over; verified alone is a settlement cut short."""


class Settlement:
    """Measures and settles requests, and keeps what was issued.

    Args:
        clock: The only source of time.
        book: All requests.
        journal: Records every issued measurement.
        measurement: Measures.
        freezing: Freezes baselines that acceptance could not.
        announce: Publishes a transition once it is durable.
        runs: Attempts settlements one by one, and keeps the cause of those that fail.
        metered_until_s: Returns epoch seconds until which every interval is final.
        verified_s: Time for which a drill or call shows what an area delivers, seconds.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        book: RequestBook,
        journal: Journal,
        measurement: Measurement,
        freezing: BaselineFreezing,
        announce: Callable[[DispatchRequest], Awaitable[None]],
        runs: SettlementRuns,
        metered_until_s: Callable[[], float],
        verified_s: float,
    ) -> None:
        self._clock = clock
        self._book = book
        self._journal = journal
        self._measurement = measurement
        self._freezing = freezing
        self._announce = announce
        self._runs = runs
        self._metered_until_s = metered_until_s
        self._verified_s = verified_s
        self._performances: dict[str, Performance] = {}
        self._issued: dict[str, Issued] = {}
        self._late: dict[str, int] = {}

    def resume(self, issued: Mapping[str, Issued]) -> None:
        """Take up what was issued before a restart, by request id."""
        self._issued = dict(issued)

    async def settle_finished(self) -> None:
        """Measure and settle every request whose watch is over and whose last interval is metered.

        One that cannot be settled is kept with its cause and tried again; the others go on.
        """
        await self._freeze_missing()
        now_s = self._clock.now_s()
        for request in self._book.all():
            if request.state in _FINISHED and was_ramped(request) and self._is_metered(request.id, now_s):
                await self._runs.attempt(request.id, partial(self._settle, request), now_s)
        await self._correct_late(now_s)
        for request_id in self._measurement.release():
            self._performances.pop(request_id, None)

    def _is_metered(self, request_id: str, now_s: float) -> bool:
        """Return whether a request's watch is over and its last interval is final."""
        over_s = -(-self._book.timetable(request_id).watched_s // STEP_S) * STEP_S
        return now_s > over_s and self._metered_until_s() >= over_s

    def meters_arrived(self, grid: TimeGrid, *, kept_from_s: float = -math.inf) -> None:
        """Note that meters of past intervals came in late: what they were settled by is measured again.

        A request that began before ``kept_from_s``, epoch seconds, is not: its other intervals are kept no longer.
        """
        for request in self._book.all():
            times = self._book.timetable(request.id) if request.id in self._issued else None
            if times is None or times.ramp_s < kept_from_s:
                continue
            if times.ramp_s < grid.end_s and grid.start_s < times.watched_s:
                self._late[request.id] = self._late.get(request.id, 0) + 1

    def awaits_correction(self, request_id: str) -> bool:
        """Return whether late meters of a settled request are still to be measured."""
        return request_id in self._late

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop what was measured and issued of some requests."""
        for request_id in request_ids:
            self._issued.pop(request_id, None)
            self._performances.pop(request_id, None)
            self._late.pop(request_id, None)
        self._runs.forget(request_ids)

    def unsettled(self, request_id: str) -> Mapping[str, object] | None:
        """Return why a request that is over could not be settled, ``None`` where it was or was not tried."""
        failed = self._runs.failed.get(request_id)
        return None if failed is None else failed.body()

    def failed_count(self) -> int:
        """Return how many requests could not be settled."""
        return len(self._runs.failed)

    def performance(self, request_id: str) -> Performance | None:
        """Return the measurement, provisional while the request runs; ``None`` before it was accepted; blocks."""
        request = self._book.get(request_id)
        if not self._measurement.has_baseline(request_id):
            return None
        try:
            return self._performances.get(request_id) or self._measured(request)
        except KeyError:
            self._book.get(request_id)  # raises ForgottenError where it was forgotten meanwhile
            raise

    def settled(self) -> Sequence[Settled]:
        """Return every settled request with its shares, newest first; those settled before shares were kept are not."""
        return [
            Settled(request_id=request_id, at_s=issued.at_s, shares=issued.shares, version=issued.version)
            for request_id, issued in reversed(self._issued.items())
            if len(issued.shares)
        ]

    def minutes(self, request_id: str) -> MinuteSeries | None:
        """Return the minute series of a request, ``None`` before it was accepted."""
        return self._measurement.minutes(request_id)

    def verified(self, area: str, direction: Direction) -> Verified:
        """Return the power of an area and direction that its drills and calls have shown."""
        part = area, direction
        # In this order: what is forgotten meanwhile is in the second before it leaves the first.
        events = [*self.shown(list(self._issued)).get(part, ()), *self._measurement.forgotten.shown.get(part, ())]
        return verified_by(events, now_s=self._clock.now_s(), valid_s=self._verified_s)

    def shown(self, request_ids: Iterable[str]) -> Mapping[Part, Sequence[Shown]]:
        """Return what some settled requests have shown, by area and direction."""
        found: dict[Part, list[Shown]] = {}
        for request_id in request_ids:
            request, issued = self._kept(request_id), self._issued.get(request_id)
            if request is None or issued is None:
                continue
            one = shown_by(request, issued.delivered_mean_kw)
            if one is not None:
                found.setdefault((request.draft.area, request.draft.direction), []).append(one)
        return found

    def delivered_ratio(self, request: DispatchRequest) -> float:
        """Return the mean power delivered as a share of what was committed; NaN before it is settled."""
        issued = self._issued.get(request.id)
        return math.nan if issued is None or not request.accepted_kw else issued.delivered_mean_kw / request.accepted_kw

    def _kept(self, request_id: str) -> DispatchRequest | None:
        """Return a request, ``None`` where it was forgotten while this was asked for in a thread."""
        try:
            return self._book.get(request_id)
        except ForgottenError:
            return None

    def _measured(self, request: DispatchRequest) -> Performance:
        issued = self._issued.get(request.id)
        if issued is None:
            return self._measurement.measure(request)
        again = self._performances[request.id] = self._issued_again(request, issued)
        # While it was measured in a thread, the settlement may have been corrected, or forgotten.
        if self._issued.get(request.id) is not issued:
            self._performances.pop(request.id, None)
        return again

    def _issued_again(self, request: DispatchRequest, issued: Issued) -> Performance:
        """Return a measurement that was issued before a restart, recomputed from the stored intervals."""
        measured = self._measurement.measure(request)
        return replace(
            measured,
            issued_at=instant(issued.at_s),
            spread_kw=dict(issued.spread_kw),
            shares=_as_issued(issued.shares, measured.shares),
        )

    async def _freeze_missing(self) -> None:
        """Freeze baselines that an acceptance could not, because the service ended between the two."""
        committed = [request for request in reversed(self._book.all()) if request.state in COMMITTED]
        # Of those that overlap, the one committed first keeps the rows it needs.
        waiting: set[str] = set()
        for request in sorted(committed, key=accepted_at):
            missing = not self._measurement.has_baseline(request.id)
            if missing and not self._freezing.under_way(request.id):
                beside = {one.id for one in self._book.overlapping(request.id)}
                if waiting & beside or not self._freezing.is_ripe(request):
                    waiting.add(request.id)
                    continue
                freeze = partial(self._freezing.freeze, request, late=True)
                await self._runs.attempt(request.id, freeze, self._clock.now_s())
            elif request.revisions:
                await self._runs.attempt(request.id, partial(self._freezing.lengthen, request), self._clock.now_s())

    async def _correct_late(self, now_s: float) -> None:
        """Measure the requests again whose meters came in late; one that fails is tried again."""
        for request_id, imports in sorted(self._late.items()):
            await self._runs.attempt(request_id, partial(self._correct, self._book.get(request_id)), now_s)
            # What came in while it was measured is in the next version only.
            if request_id not in self._runs.failed and self._late.get(request_id) == imports:
                del self._late[request_id]

    async def _correct(self, request: DispatchRequest) -> None:
        """Issue a new version of a settlement, unless it comes out as it was."""
        before = self._issued[request.id]
        measured = await asyncio.to_thread(self._measurement.measure, request)
        programme = self._measurement.programme
        if measured.baseline.programme_sha256 not in {"", programme.sha256}:
            raise ConflictError(f"settled by programme {measured.baseline.programme_sha256}, which is not in force now")
        performance = replace(measured, spread_kw=dict(before.spread_kw))
        after = issued_now(performance, at_s=self._clock.now_s(), version=before.version + 1)
        if same_result(before, after):
            return
        self._issued[request.id], self._performances[request.id] = after, performance
        self._journal.append(ISSUED, after.at_s, issued_body(performance, programme, after.version))
        await self._journal.flush()

    async def _settle(self, request: DispatchRequest) -> None:
        if not self._measurement.has_baseline(request.id):
            raise ConflictError("no baseline was frozen when it was accepted")
        performance = await asyncio.to_thread(self._measurement.measure, request, final=True)
        self._performances[request.id] = performance
        now = self._clock.now()
        self._issued[request.id] = issued_now(performance, at_s=now.timestamp(), version=1)
        self._journal.append(ISSUED, now.timestamp(), issued_body(performance, self._measurement.programme))
        self._book.verified(request.id, now=now)
        await self._announce(self._book.settled(request.id, now=now))


def _as_issued(issued: Shares, measured: Shares) -> Shares:
    """Return shares as they were issued, with the intervals measured again where owners are the same."""
    same = (issued.operator_ids, issued.site_ids) == (measured.operator_ids, measured.site_ids)
    if not len(issued):
        return measured
    return replace(issued, delivered_kw=measured.delivered_kw) if same else issued


def was_ramped(request: DispatchRequest) -> bool:
    """Return whether a request ever began: only then there is something to settle."""
    return any(t.to_state is RequestState.RAMPING for t in request.history)
