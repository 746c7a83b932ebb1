"""The dispatcher's desk: answers requests, keeps their baselines, and proves what was delivered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import structlog

from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.dispatch.regulation_desk import sign_of
from vpp.dispatch.timetable import COMMITTED, areas_overlap
from vpp.domain.daytype import DayCalendar
from vpp.domain.errors import ConflictError, VppError
from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.holidays import CHINA
from vpp.domain.journal import JournalEntry
from vpp.domain.performance import Baseline, Performance
from vpp.domain.request import (
    CITY,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
)
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.planning.assessor import Assessor
from vpp.planning.delivery import DeliveryRecord
from vpp.planning.forecasting import Forecast, forecast
from vpp.planning.notices import calendar_notices
from vpp.planning.past import Past
from vpp.ports import Clock, IntervalMemory, Journal, News
from vpp.runtime.clearing import Clearing
from vpp.runtime.enlisting import Enlisting, eligible, enlisted
from vpp.runtime.events import event_days
from vpp.runtime.growth import FittedMeter, first_rows, fitted_flags, fitted_rows
from vpp.runtime.record import array_body, baseline_body
from vpp.runtime.resumption import ISSUED, Issued, cycles_of, issued_body, issued_of, resumed
from vpp.runtime.revising import Reviser
from vpp.runtime.underway import UnderWay
from vpp.settlement.bands import SettlementTerms
from vpp.settlement.baseline import compute_baseline, with_sessions
from vpp.settlement.course import course_means_kw, held_course_kw, lengthened
from vpp.settlement.followed import asked_means_kw, scored
from vpp.settlement.performance import baseline_spread, evaluate, phases_of, target_profile
from vpp.settlement.reference import BaselineRules
from vpp.settlement.tracking import MinuteSeries, Tracker
from vpp.state.eligibility import part_rows
from vpp.telemetry.resample import IntervalMeans

_log = structlog.get_logger(__name__)
BASELINE = "baseline.issued"
SESSIONS = "baseline.sessions"
_TRIALS_S = 60.0
"""How often setpoints in force are compared with meters."""
_FINISHED = (RequestState.COMPLETED, RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.VERIFIED)
"""States after which delivery is measured once the watch is over; verified alone is a settlement cut short."""


class Desk:
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
        self.assessor = Assessor()
        self.clearing = Clearing(journal, news)
        self.baselines: dict[str, Baseline] = {}
        self.portfolios: dict[str, BoolArray] = {}
        self.progress: dict[str, Progress] = {}
        self._performances: dict[str, Performance] = {}
        self._issued: dict[str, Issued] = {}
        self._trackers: dict[str, Tracker] = {}
        self._told: dict[str, int] = {}
        self._session_kw: dict[float, FloatArray] = {}
        self._session_rows = 0
        self._measuring = False
        self._session_means = IntervalMeans(0, clock.now_s())
        self._clock = clock
        self._engine = engine
        self._meters = meters
        self._journal = journal
        self._news = news
        self._state = state
        self._schedule = schedule
        self._quote_valid_s = quote_valid_s
        self._outlook = outlook or self._own_forecast
        self._changed = changed or _nothing
        self._metered_until_s = metered_until_s
        self._calendar = calendar
        self._rules = BaselineRules()
        self._enlisting = Enlisting(engine=engine, meters=meters, rules=self._rules)
        self._short: set[str] = set()
        self._delivery = DeliveryRecord()
        self._compared_s = float("-inf")
        self._forecast: Forecast | None = None
        self._past = Past()
        self._quoting: UnderWay[DispatchRequest] = UnderWay()
        self._freezing: UnderWay[None] = UnderWay()
        self._revised = Assessor()
        self._reviser = Reviser(
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
            answer = await asyncio.to_thread(self._quote, request_id, draft, state, schedule)
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
        baseline = await asyncio.to_thread(self._baseline, request, self._state(), self._schedule(), late=late)
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
        return self._quote(request_id, draft, state, schedule, besides=True)

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
        for request_id, cycles in cycles_of(entries).items():
            if request_id in self.baselines:
                baseline, direction = self.baselines[request_id], self._engine.book.get(request_id).draft.direction
                self._trackers[request_id] = Tracker(
                    baseline=baseline,
                    portfolio=self.portfolios[request_id][: len(baseline.power_kw)],
                    direction=direction,
                    resumed=resumed(baseline.grid, len(baseline.power_kw), cycles, direction),
                )
        self._told = {request.id: request.version for request in self._engine.book.all()}

    def grow(self, count: int) -> None:
        """Serve a larger fleet; rows that joined count for no request that has its baseline already."""
        for request_id, rows in self.portfolios.items():
            self.portfolios[request_id] = fitted_flags(rows, count)

    def keep_baseline(self, request: DispatchRequest, baseline: Baseline) -> None:
        """Track a request against its frozen baseline from now on."""
        rows = counted(request.draft, baseline, self._state().index)
        followed = self._trackers.get(request.id)
        self.baselines[request.id] = baseline
        self.portfolios[request.id] = rows
        self._trackers[request.id] = Tracker(
            baseline=baseline,
            portfolio=rows[: len(baseline.power_kw)],
            direction=request.draft.direction,
            resumed=None if followed is None else followed.tracked().lengthened(baseline.grid),
        )

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
        return known or self._measure(request)

    def _issued_again(self, request: DispatchRequest) -> Performance:
        """Return a measurement that was issued before a restart, recomputed from the stored intervals."""
        issued = self._issued[request.id]
        measured = self._measure(request)
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
        for progress in result.progress:
            tracker = self._trackers.get(progress.request_id)
            if tracker is not None:
                tracker.observe(state, target_kw=progress.target_kw, baseline_kw=progress.baseline_kw)
        self._follow_sessions(state, result)
        self._compare(state, result)

    def keep_sessions(self, start_s: float, mean_kw: FloatArray) -> None:
        """Keep one interval's means of what charging sessions would have taken, NaN in other rows."""
        self._session_kw[start_s] = mean_kw

    def _follow_sessions(self, state: FleetState, result: CycleResult) -> None:
        """Average what sessions would take, and make it durable while a request is measured by it."""
        if len(result.session_kw) > self._session_rows:
            self._session_means.resize(len(result.session_kw))
            self._session_rows = len(result.session_kw)
        # An interval counts if a request ran in any part of it: the last one ends when the request is over already.
        self._measuring |= bool(result.progress)
        for start_s, mean_kw, _ in self._session_means.update(state.at_s, result.session_kw):
            if self._measuring:
                self.keep_sessions(start_s, mean_kw)
                self._journal.append(SESSIONS, state.at_s, {"start_s": start_s, "mean_kw": array_body(mean_kw)})
            self._measuring = bool(result.progress)

    def _sessions_on(self, baseline: Baseline) -> FloatArray:
        """Return the sessions' counterfactual on a baseline's grid, NaN where unknown."""
        whole = np.full(baseline.power_kw.shape, np.nan)
        for step, start_s in enumerate(baseline.grid.starts_s().tolist()):
            mean_kw = self._session_kw.get(start_s)
            if mean_kw is not None:
                whole[: len(mean_kw), step] = mean_kw[: len(whole)]
        return whole

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
        performance = await asyncio.to_thread(self._measure, request, final=True)
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
        tracker = self._trackers.get(request_id)
        return None if tracker is None else tracker.minutes()

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

    def _quote(
        self,
        request_id: str,
        draft: RequestDraft,
        state: FleetState,
        schedule: Schedule | None,
        *,
        besides: bool = False,
    ) -> Quote:
        outlook = self._outlook(state)
        times = self._engine.book.timetable(request_id)
        rows = eligible(self._enlisting.standing(draft, times, state, schedule))
        if besides and request_id in self.portfolios:
            rows &= fitted_flags(self.portfolios[request_id], len(state))  # who was enlisted, and no others
        # Pictures as if a request did not run are none for others: they have an assessor of their own.
        answer = (self._revised if besides else self.assessor).quote(
            draft,
            state=state,
            forecast=outlook,
            schedule=schedule,
            delivery_ratio=partial(self.delivery_ratio, state),
            committed_kw=self._committed_kw(draft, outlook, request_id if besides else None),
            now=instant(state.at_s),
            valid_s=self._quote_valid_s,
            eligible=rows,
        )
        return replace(answer, notices=calendar_notices(self._calendar, draft))

    def _own_forecast(self, state: FleetState) -> Forecast:
        known = self._forecast
        fresh = known is not None and len(known.expected_kw) == len(state) and known.grid.index_at(state.at_s) == 0
        if known is None or not fresh:
            meter = FittedMeter(meter=self._meters, count=len(state))
            self._forecast = known = forecast(state, meter, past=self._past, calendar=self._calendar)
        return known

    def countable(self, state: FleetState, schedule: Schedule | None) -> BoolArray:
        """Return the rows a request for an hour from now could count on, shape ``(n_resources,)``."""
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=1.0,
            area=CITY,
            start_at=instant(state.at_s + SECONDS_PER_HOUR),
            end_at=instant(state.at_s + 2.0 * SECONDS_PER_HOUR),
            notice_class=NoticeClass.INTRADAY,
        )
        times = self._engine.book.timetable_of(draft, instant(state.at_s))
        return eligible(self._enlisting.standing(draft, times, state, schedule))

    def delivery_ratio(self, state: FleetState) -> FloatArray:
        """Return each row's chance to do as told, measured by cohort, from a prior on, shape ``(n_resources,)``."""
        return self._delivery.ratio(state.index, self._engine.outbox.ledger().by_reason)

    def _compare(self, state: FleetState, result: CycleResult) -> None:
        """Let setpoints that stand meet their meters, now and then while a request runs."""
        if result.progress and state.at_s - self._compared_s >= _TRIALS_S:
            self._compared_s = state.at_s
            self._delivery.observe(state, self._engine.setpoints_kw())

    def _committed_kw(self, draft: RequestDraft, outlook: Forecast, besides: str | None = None) -> FloatArray:
        """Return what overlapping requests of the same direction were promised, shape ``(grid.count,)``.

        A request for regulation is promised both.
        """
        starts_s = outlook.grid.starts_s()
        total = np.zeros(outlook.grid.count)
        for other in self._engine.book.running(self._clock.now_s()):
            if other.id == besides:
                continue
            both = Product.REGULATION in (other.draft.product, draft.product)
            if (both or other.draft.direction is draft.direction) and areas_overlap(other.draft.area, draft.area):
                timetable = self._engine.book.timetable(other.id)
                total += np.array([timetable.target_at(at_s) for at_s in starts_s])
        return total

    def _baseline(
        self, request: DispatchRequest, state: FleetState, schedule: Schedule | None, *, late: bool = False
    ) -> Baseline:
        """Return the baseline of the rows that are eligible now; those that are not are named in it."""
        times = self._engine.book.timetable(request.id)
        found = self._enlisting.standing(request.draft, times, state, schedule, late=late)
        rows = part_rows(request.draft, state.index) & eligible(found)
        baseline = self._baseline_of(request, state.index, schedule, times.watched_s, rows)(request.draft)
        return enlisted(baseline, request.draft, state.index, found)

    def _baseline_of(
        self, request: DispatchRequest, index: FleetIndex, schedule: Schedule | None, end_s: float, rows: BoolArray
    ) -> Callable[[RequestDraft], Baseline]:
        """Return the computation of some rows' baseline until ``end_s``, open only for the draft and its method."""
        start_s = self._engine.book.timetable(request.id).ramp_s
        accepted = (t.at.timestamp() for t in request.history if t.to_state is RequestState.ACCEPTED)
        return partial(
            compute_baseline,
            index=index,
            portfolio=rows,
            meter=FittedMeter(meter=self._meters, count=len(index)),
            schedule=schedule,
            # A request may be accepted when its ramp should have begun: what is metered in the ramp adjusts nothing.
            notice_s=min(request.created_at.timestamp(), start_s),
            start_s=start_s,
            end_s=end_s,
            event_days=event_days(self._engine.book, request),
            calendar=self._calendar,
            rules=self._rules,
            known_s=next(accepted, start_s),
        )

    def _spread_kw(
        self, request: DispatchRequest, measured_kw: FloatArray, metered_ratio: FloatArray, phases: Sequence[str]
    ) -> dict[str, float]:
        """Return what each other method would have found delivered."""
        frozen = self.baselines[request.id].grid
        index = first_rows(self._state().index, len(measured_kw))
        rows = self.portfolios[request.id][: len(index)]
        return baseline_spread(
            request.draft,
            # To the frozen end: one that was stopped early ends sooner by its timetable than by its baseline.
            self._baseline_of(request, index, self._schedule(), frozen.end_s, rows),
            index=index,
            portfolio=rows,
            measured_kw=measured_kw,
            metered_ratio=metered_ratio,
            phases=phases,
        )

    def _measure(self, request: DispatchRequest, *, final: bool = False) -> Performance:
        frozen, timetable = self.baselines[request.id], self._engine.book.timetable(request.id)
        baseline = with_sessions(frozen, self._sessions_on(frozen))
        times = {"start_s": timetable.start_s, "end_s": timetable.end_s, "release_end_s": timetable.released_s}
        phases = phases_of(baseline.grid, **times)
        measured_kw = fitted_rows(self._meters.read(baseline.grid), len(baseline.power_kw))
        metered_ratio = np.nan_to_num(
            fitted_rows(self._meters.read_completeness(baseline.grid), len(baseline.power_kw))
        )
        seen = self._trackers[request.id].tracked()
        good_ratio = seen.good_ratio()
        regulating = request.draft.product is Product.REGULATION
        target_kw = target_profile(baseline.grid, timetable.target_kw, ramp_s=timetable.ramp_s, **times)
        held_kw = None
        if timetable.course:
            target_kw = course_means_kw(baseline.grid, timetable.corners())
            held_kw = held_course_kw(baseline.grid, timetable.corners(), timetable.start_s, timetable.end_s)
        if regulating:
            standing = self._engine.regulation.desk.standing(request.id, self._clock.now_s())
            target_kw = asked_means_kw(standing, baseline.grid, sign_of(request))
        performance = evaluate(
            request,
            index=self._state().index,
            portfolio=self.portfolios[request.id],
            baseline=baseline,
            measured_kw=measured_kw,
            metered_ratio=metered_ratio,
            target_kw=target_kw,
            phases=phases,
            ramp_s=timetable.ramp_s,
            hold_s=(timetable.start_s, timetable.end_s),
            held_kw=held_kw,
            issued_at=self._clock.now(),
            until_s=self._clock.now_s(),
            # Qualities are not kept over a restart; the share of metered rows is the next best witness.
            good_ratio=good_ratio if np.isfinite(good_ratio).any() else None,
            quality_ratio=seen.quality_ratio(),
            minutes=seen.minutes,
            spread_kw=self._spread_kw(request, measured_kw, metered_ratio, phases) if final else None,
            terms=None if regulating else SettlementTerms(),
        )
        return (
            scored(performance, standing, tolerance_ratio=request.draft.tolerance_ratio) if regulating else performance
        )

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


def counted(draft: RequestDraft, baseline: Baseline, index: FleetIndex) -> BoolArray:
    """Return the rows that were enlisted: they have a baseline and are commanded and settled, ``(n_resources,)``."""
    rows = part_rows(draft, index)
    rows[len(baseline.power_kw) :] = False
    rows[[index.row_of[identity] for identity in baseline.excluded_ids]] = False
    return rows


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
