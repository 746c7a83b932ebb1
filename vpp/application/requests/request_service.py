"""The dispatcher's desk: answers requests, keeps their baselines, and proves what was delivered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import structlog

from vpp.application.cycle_record import baseline_body
from vpp.application.requests.measurement import Measurement
from vpp.application.requests.quoting import Quoter
from vpp.application.requests.recovery import ISSUED, Issued, issued_body, issued_of
from vpp.application.requests.revision_service import RevisionService
from vpp.application.requests.settlement_runs import SettlementRuns
from vpp.application.requests.single_flight import SingleFlight
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.dispatch.requests.phases import COMMITTED
from vpp.domain.daytype import DayCalendar
from vpp.domain.errors import ConflictError, VppError
from vpp.domain.fleet_state import FleetState
from vpp.domain.holidays import CHINA
from vpp.domain.journal import JournalEntry
from vpp.domain.performance import Baseline, Performance
from vpp.domain.request import (
    Direction,
    DispatchRequest,
    Product,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
)
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import STEP_S
from vpp.planning.forecast.load_forecast import Forecast
from vpp.ports import Clock, IntervalMemory, Journal, News
from vpp.settlement.revised_course import lengthened
from vpp.settlement.tracking import MinuteSeries

_log = structlog.get_logger(__name__)
BASELINE = "baseline.issued"
_FINISHED = (RequestState.COMPLETED, RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.VERIFIED)
"""States after which delivery is measured once the watch is over; verified alone is a settlement cut short."""


class RequestService:
    """Carries requests from their submission to their settlement.

    Args:
        state: Returns the latest picture.
        schedule: Returns the plan in force.
        outlook: Returns a forecast that begins with the step of a picture and has its rows; without it the desk makes
            its own.
        changed: Called when what is promised changes, so that the fleet is planned for it.
        metered_until_s: Returns until when every quarter of an hour is final in ``meters``.
        calendar: Tells workdays, weekends and holidays; the one the forecasts go by.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        engine: DispatchEngine,
        meters: IntervalMemory,
        journal: Journal,
        news: News,
        state: Callable[[], FleetState],
        schedule: Callable[[], Schedule | None],
        quote_valid_s: float,
        outlook: Callable[[FleetState], Forecast] | None = None,
        changed: Callable[[], None] | None = None,
        metered_until_s: Callable[[], float],
        calendar: DayCalendar = CHINA,
    ) -> None:
        self.clearing = SettlementRuns(journal, news)
        self._measuring = Measurement(
            clock=clock,
            engine=engine,
            meters=meters,
            journal=journal,
            state=state,
            schedule=schedule,
            calendar=calendar,
        )
        self._quoter = Quoter(
            clock=clock,
            engine=engine,
            meters=meters,
            enlisting=self._measuring.enlisting,
            portfolios=self._measuring.portfolios,
            valid_s=quote_valid_s,
            outlook=outlook,
            calendar=calendar,
        )
        self.assessor = self._quoter.assessor
        self.baselines = self._measuring.baselines
        self.portfolios = self._measuring.portfolios
        self.progress: dict[str, Progress] = {}
        self._performances: dict[str, Performance] = {}
        self._issued: dict[str, Issued] = {}
        self._told: dict[str, int] = {}
        self._clock = clock
        self._engine = engine
        self._journal = journal
        self._news = news
        self._state = state
        self._schedule = schedule
        self._changed = changed or _nothing
        self._metered_until_s = metered_until_s
        self._short: set[str] = set()
        self._quoting: SingleFlight[DispatchRequest] = SingleFlight()
        self._freezing: SingleFlight[None] = SingleFlight()
        self._reviser = RevisionService(
            clock=clock,
            engine=engine,
            state=state,
            quote=self._quote_besides,
            ramp_minutes=engine.settings.ramp_minutes,
            freeze=self._freeze_further,
        )

    async def submit(self, draft: RequestDraft, *, key: str | None, actor: str) -> tuple[DispatchRequest, bool]:
        """Take a request and quote it."""
        book, now = self._engine.book, self._clock.now()
        areas = {area.id for area in self._state().index.areas}
        if not self._asked_before(key):
            # What makes no sense is refused by name, whether or not anything could be quoted just now.
            book.check(draft, now=now, known_areas=areas)
            _check_quotable(self._state(), self._schedule())
        request, created = book.submit(draft, key=key, actor=actor, now=now, known_areas=areas)
        # Who comes with the same key meanwhile gets the same quote; one the service never came to is quoted now.
        if request.state is RequestState.SUBMITTED:
            request = await self._quoting.answer(request.id, partial(self._answer, request.id, draft))
        if request.state is RequestState.FAILED and request.quote is None:
            raise ConflictError(f"request {request.id} could not be quoted: {request.history[-1].reason}")
        return request, created

    async def _answer(self, request_id: str, draft: RequestDraft) -> DispatchRequest:
        """Quote a request that was submitted; one that cannot be quoted has failed."""
        state, schedule = self._state(), self._schedule()
        _check_quotable(state, schedule)
        try:
            answer = await asyncio.to_thread(self._quoter.quote, request_id, draft, state, schedule)
        except VppError as error:
            await self._announce(self._engine.book.fail(request_id, reason=str(error), now=self._clock.now()))
            raise
        request = self._engine.book.quoted(request_id, answer, self._clock.now())
        await self._announce(request)
        return request

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Commit, and freeze the baseline that will be measured against."""
        request = self._engine.book.accept(request_id, offer=offer, actor=actor, now=self._clock.now(), key=key)
        if request_id not in self.baselines:
            await self._freezing.answer(request_id, partial(self._freeze, request))
        await self._announce(request)
        self._changed()
        return self._engine.book.get(request_id)

    async def _freeze(self, request: DispatchRequest, known: Baseline | None = None, *, late: bool = False) -> None:
        """Freeze the baseline of an accepted request, beyond what is known of it already, and write it down."""
        baseline = await asyncio.to_thread(
            self._measuring.baseline, request, self._state(), self._schedule(), late=late
        )
        baseline = baseline if known is None else lengthened(known, baseline)
        self.keep_baseline(request, baseline)
        self._journal.append(BASELINE, self._clock.now_s(), baseline_body(request.id, baseline))

    async def revise(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, actor: str, key: str | None
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed request."""
        revision, created = await self._reviser.revise(
            request_id, target_kw=target_kw, end_at=end_at, actor=actor, key=key
        )
        await self._journal.flush()
        return revision, created

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Put a change in force; the fleet is planned for it."""
        request = await self._reviser.accept(request_id, number, actor=actor, key=key)
        await self._announce(request)
        self._changed()
        return request

    def _quote_besides(self, draft: RequestDraft, state: FleetState, request_id: str) -> Quote:
        """Quote a draft as if the request it changes had been promised nothing."""
        schedule = self._schedule()
        _check_quotable(state, schedule)
        return self._quoter.quote(request_id, draft, state, schedule, besides=True)

    async def _freeze_further(self, request: DispatchRequest) -> None:
        """Freeze a longer baseline for a request that ends later; what was frozen before stays as it is."""
        known = self.baselines.get(request.id)
        if known is None or known.grid.end_s >= self._engine.book.timetable(request.id).watched_s:
            return
        await self._freezing.answer(f"{request.id} {request.version}", partial(self._freeze, request, known, late=True))

    async def decline(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Turn a quote down."""
        request = self._engine.book.decline(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announce(request)
        return request

    async def supersede(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release."""
        request = self._engine.book.supersede(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announce(request)
        self._changed()
        return request

    def _asked_before(self, key: str | None) -> bool:
        return key is not None and any(request.idempotency_key == key for request in self._engine.book.all())

    def restore(self, entries: Sequence[JournalEntry]) -> None:
        """Take up what was issued and measured before a restart; baselines and sessions are in place already."""
        self._issued = issued_of(entries)
        self._measuring.resume(entries)
        self._told = {request.id: request.version for request in self._engine.book.all()}

    def grow(self, count: int) -> None:
        """Serve a larger fleet; rows that joined count for no request that has its baseline already."""
        self._measuring.grow(count)

    def keep_baseline(self, request: DispatchRequest, baseline: Baseline) -> None:
        """Track a request against its frozen baseline from now on."""
        self._measuring.keep(request, baseline)

    def keep_sessions(self, start_s: float, mean_kw: FloatArray) -> None:
        """Keep one interval's means of what charging sessions would have taken, NaN in other rows."""
        self._measuring.sessions.keep(start_s, mean_kw)

    async def cancel(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Stop safely."""
        request = self._engine.book.cancel(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announce(request)
        self._changed()
        return request

    def performance(self, request_id: str) -> Performance | None:
        """Return the measurement, provisional while the request runs."""
        request = self._engine.book.get(request_id)
        if request_id not in self.baselines:
            return None
        known = self._performances.get(request_id)
        if known is None and request_id in self._issued:
            known = self._performances[request_id] = self._issued_again(request)
        return known or self._measuring.measure(request)

    def _issued_again(self, request: DispatchRequest) -> Performance:
        """Return a measurement that was issued before a restart, recomputed from the stored intervals."""
        issued = self._issued[request.id]
        measured = self._measuring.measure(request)
        return replace(measured, issued_at=instant(issued.at_s), spread_kw=dict(issued.spread_kw))

    def kept_until_s(self) -> float | None:
        """Return until when the plan of storage and V2G is promised to a request as its baseline."""
        now_s = self._clock.now_s()
        ends = [self._engine.book.timetable(r.id).watched_s for r in self._engine.book.running(now_s)]
        return max(ends, default=None)

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Take the news of a cycle: tell of transitions and progress."""
        self.progress = {p.request_id: p for p in result.progress}
        short = {p.request_id for p in result.progress if p.shortfall is not None}
        if short - self._short:
            self._changed()
        self._short = short
        if result.transitions:
            for request in self._engine.book.all():
                self._tell(request, state.at_s)
        self._measuring.follow(state, result)
        self._quoter.follow(state, result)

    async def verify_finished(self) -> None:
        """Measure and settle every request whose watch is over and whose last interval is metered.

        One that cannot be settled is kept in ``clearing`` with its cause and tried again; the others go on.
        """
        await self._freeze_missing()
        now_s = self._clock.now_s()
        for request in self._engine.book.all():
            over_s = -(-self._engine.book.timetable(request.id).watched_s // STEP_S) * STEP_S
            metered = self._metered_until_s() >= over_s
            if request.state in _FINISHED and was_ramped(request) and now_s > over_s and metered:
                await self.clearing.attempt(request.id, partial(self._settle, request), now_s)

    async def _freeze_missing(self) -> None:
        """Freeze what an acceptance could not, because the service ended between the two."""
        for request in self._engine.book.all():
            if request.state in COMMITTED and request.id not in self.baselines and request.id not in self._freezing:
                freeze = partial(self._freezing.answer, request.id, partial(self._freeze, request, late=True))
                await self.clearing.attempt(request.id, freeze, self._clock.now_s())
            elif request.state in COMMITTED and request.revisions:
                await self.clearing.attempt(request.id, partial(self._freeze_further, request), self._clock.now_s())

    async def _settle(self, request: DispatchRequest) -> None:
        if request.id not in self.baselines:
            raise ConflictError("no baseline was frozen when it was accepted")
        performance = await asyncio.to_thread(self._measuring.measure, request, final=True)
        self._performances[request.id] = performance
        now = self._clock.now()
        self._issued[request.id] = Issued(
            at_s=now.timestamp(), delivered_mean_kw=performance.delivered_mean_kw, spread_kw=performance.spread_kw
        )
        self._journal.append(ISSUED, now.timestamp(), issued_body(performance))
        self._engine.book.verified(request.id, now=now)
        await self._announce(self._engine.book.settled(request.id, now=now))

    def minutes(self, request_id: str) -> MinuteSeries | None:
        """Return the minute series of a request, ``None`` before it was accepted."""
        return self._measuring.minutes(request_id)

    def verified_kw(self, area: str, direction: Direction) -> float:
        """Return the greatest mean power measured so far in a request of this area and direction, 0 before any."""
        measured = [
            issued.delivered_mean_kw
            for request_id, issued in self._issued.items()
            if np.isfinite(issued.delivered_mean_kw) and self._asked_for(request_id) == (area, direction, True)
        ]
        return max(measured, default=0.0)

    def _asked_for(self, request_id: str) -> tuple[str, Direction, bool]:
        """Return area, direction, and whether what was asked stayed the same."""
        draft = self._engine.book.get(request_id).draft
        return draft.area, draft.direction, draft.product is not Product.REGULATION

    def countable(self, state: FleetState, schedule: Schedule | None) -> BoolArray:
        """Return the rows a request for an hour from now could count on, shape ``(n_resources,)``."""
        return self._quoter.countable(state, schedule)

    def delivery_ratio(self, state: FleetState) -> FloatArray:
        """Return each row's chance to do as told, measured by cohort, from a prior on, shape ``(n_resources,)``."""
        return self._quoter.delivery_ratio(state)

    async def _announce(self, request: DispatchRequest) -> None:
        await self._journal.flush()
        self._tell(request, self._clock.now_s())

    def _tell(self, request: DispatchRequest, at_s: float) -> None:
        if self._told.get(request.id) == request.version:
            return
        self._told[request.id] = request.version
        last = request.history[-1]
        _log.info("request", id=request.id, state=request.state.value, actor=last.actor, reason=last.reason)
        self._news.publish("request", at_s, {"id": request.id, "state": request.state.value, "reason": last.reason})


def was_ramped(request: DispatchRequest) -> bool:
    """Return whether a request ever began: only then there is something to settle."""
    return any(t.to_state is RequestState.RAMPING for t in request.history)


def _check_quotable(state: FleetState, schedule: Schedule | None) -> None:
    if not len(state):
        raise ConflictError("nothing is connected yet, so nothing can be quoted")
    if schedule is None:
        raise ConflictError(
            "there is no plan yet, so nothing can be quoted; the first follows the first connected devices"
        )


def _nothing() -> None:
    """Nobody listens."""


def progress_body(progress: Progress) -> dict[str, float]:
    """Return how a running request stands, for the API."""
    return {
        "target_kw": progress.target_kw,
        "baseline_kw": progress.baseline_kw,
        "measured_kw": progress.measured_kw,
        "delivered_kw": progress.delivered_kw,
        "rows": progress.rows,
        "metered_ratio": progress.metered_ratio,
    }
