"""Measurement of requests: frozen baselines, live tracking, and the meters' account of delivery."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import structlog

from vpp.application.delivery.event_days import called_hours, event_days
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.participation import SERVING, SERVING_WORDS, Participation, eligible, enlisted
from vpp.application.delivery.past_delivery import PastDelivery
from vpp.application.delivery.retired_rows import Metered, counted_until_retired
from vpp.application.delivery.session_baselines import SessionBaselines
from vpp.application.operating_picture import OperatingPicture
from vpp.application.row_alignment import FittedMeter, fitted_flags, fitted_rows
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.regulation.portfolio import sign_of
from vpp.domain.errors import ConflictError, ForgottenError
from vpp.domain.performance import Baseline, Performance
from vpp.domain.request import DispatchRequest, Product, RequestDraft, RequestState
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.ports import Journal
from vpp.settlement.baselines.baseline import compute_baseline, with_own_meters
from vpp.settlement.money.programme import Programme
from vpp.settlement.performance import baseline_spread, evaluate, phases_of, target_profile
from vpp.settlement.regulation_performance import asked_means_kw, scored
from vpp.settlement.revised_course import course_means_kw, held_course_kw
from vpp.settlement.tracking import MinuteSeries, TrackedIntervals, Tracker
from vpp.state.eligibility import part_rows

_log = structlog.get_logger(__name__)
_OVER = frozenset(
    {
        RequestState.CANCELLED,
        RequestState.DECLINED,
        RequestState.EXPIRED,
        RequestState.FAILED,
        RequestState.SETTLED,
    }
)
"""States in which a request's delivery is looked at only when somebody asks."""
_UNUSED_S = 6.0 * SECONDS_PER_HOUR
"""Time after which what nobody has asked for is released."""


class Measurement:
    """Proof of delivery: baselines and portfolios from acceptance on, performances from the meters.

    Args:
        engine: Holds requests and regulation signals.
        journal: Records the session baselines.
        picture: The fleet as it is known.
        programme: Rules by which requests are measured and settled.

    Attributes:
        programme: Rules by which requests are measured and settled.
        baselines: Frozen baselines by request id.
        portfolios: Enlisted rows by request id, shape ``(n_resources,)`` each.
        sessions: Counterfactual power of charging sessions.
        participation: Eligibility of rows for a request.
    """

    def __init__(
        self, *, engine: DispatchEngine, journal: Journal, picture: OperatingPicture, programme: Programme
    ) -> None:
        self.programme = programme
        self.baselines: dict[str, Baseline] = {}
        self.portfolios: dict[str, BoolArray] = {}
        self.sessions = SessionBaselines(journal, picture.clock.now_s())
        self._trackers: dict[str, Tracker] = {}
        self._past = PastDelivery(journal=journal)
        self._used_s: dict[str, float] = {}
        self._recalling = threading.Lock()
        self._clock = picture.clock
        self._engine = engine
        self._picture = picture
        self._meters = picture.meters
        self.participation = Participation(engine=engine, meters=picture.meters, programme=programme)

    def resume(self, past: PastDelivery) -> None:
        """Continue from what earlier runs journalled, for every request that is not over for good; blocks."""
        self._past = past
        running = {request.id for request in self._engine.book.running(self._clock.now_s())}
        for request in self._engine.book.all():
            if request.state not in _OVER or request.id in running:
                self._recall_if_readable(request.id)

    @property
    def forgotten(self) -> ForgottenCalls:
        """What stays known of forgotten requests."""
        return self._past.forgotten

    def has_baseline(self, request_id: str) -> bool:
        """Return whether the baseline of a request is frozen."""
        return request_id in self.baselines or request_id in self._past.baselines

    def _recall_if_readable(self, request_id: str) -> None:
        """Take a request up, or go on without its baseline: damage of the journal keeps no service from starting."""
        try:
            self.recall(request_id)
        except ConflictError as error:
            _log.error("request resumed without its baseline", request=request_id, why=str(error))

    def recall(self, request_id: str) -> None:
        """Take up a request of an earlier run, unless that was done; blocks while its baseline is read.

        Raises:
            ConflictError: Its baseline was pruned from the journal.
        """
        with self._recalling:
            self._used_s[request_id] = self._clock.now_s()
            if request_id not in self.baselines and request_id in self._past.baselines:
                self._recall(request_id)
            self._drop_if_forgotten(request_id)

    def _recall(self, request_id: str) -> None:
        baseline, request = self._past.baseline(request_id), self._engine.book.get(request_id)
        for start_s, mean_kw in self._past.means_on(baseline.grid).items():
            self.sessions.keep(start_s, mean_kw)
        self.keep(request, baseline, self._past.tracked(request_id, baseline, request.draft.direction))

    def _drop_if_forgotten(self, request_id: str) -> None:
        """Drop what was recalled in a thread while the request was forgotten; raises ForgottenError."""
        try:
            self._engine.book.get(request_id)
        except ForgottenError:
            self._drop((request_id,))
            raise

    def noted(self, request_id: str, sequence: int) -> None:
        """Note the entry of the journal that holds a request's baseline; 0 where the journal keeps none."""
        if sequence:
            self._past.baselines[request_id] = sequence

    def release(self) -> Sequence[str]:
        """Release what is as large as the fleet of requests that are over, and return their ids.

        It is read from the journal again when somebody asks; without its entry there it stays.
        """
        now_s = self._clock.now_s()
        # A copy: a settlement in a thread may recall a request meanwhile.
        released = [request_id for request_id in list(self.baselines) if self._is_unused(request_id, now_s)]
        for request_id in released:
            self._past.minutes[request_id] = self._trackers[request_id].minutes()
            del self.baselines[request_id], self.portfolios[request_id], self._trackers[request_id]
        if released:
            self._past.session_means.update(self.sessions.entries)
            begins_s = [baseline.grid.start_s for baseline in list(self.baselines.values())]
            begin_s = min(begins_s, default=now_s - _UNUSED_S)
            self.sessions.release(begin_s, self._past.session_means)
        return released

    def forget(self, request_ids: Sequence[str], means_from_s: float) -> None:
        """Drop requests, and session means of intervals before ``means_from_s``, epoch seconds, for good."""
        self._drop(request_ids)
        self._past.forget(request_ids, means_from_s)
        self.sessions.forget(means_from_s)

    def _drop(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            self.baselines.pop(request_id, None)
            self.portfolios.pop(request_id, None)
            self._trackers.pop(request_id, None)
            self._used_s.pop(request_id, None)

    def _is_unused(self, request_id: str, now_s: float) -> bool:
        request, times = self._engine.book.get(request_id), self._engine.book.timetable(request_id)
        used_s = max(times.watched_s, self._used_s.get(request_id, times.watched_s))
        return request.state in _OVER and request_id in self._past.baselines and now_s - used_s > _UNUSED_S

    def grow(self, count: int) -> None:
        """Serve a larger fleet; new rows take no part in requests that have their baseline already."""
        for request_id, rows in list(self.portfolios.items()):
            self.portfolios[request_id] = fitted_flags(rows, count)

    def keep(self, request: DispatchRequest, baseline: Baseline, seen: TrackedIntervals | None = None) -> None:
        """Track a request against its frozen baseline from now on; ``seen`` is what was tracked in earlier runs."""
        rows = counted(request.draft, baseline, self._picture.state().index)
        followed = self._trackers.get(request.id)
        self.baselines[request.id] = baseline
        self.portfolios[request.id] = rows
        self._trackers[request.id] = Tracker(
            baseline=baseline,
            portfolio=rows[: len(baseline.power_kw)],
            direction=request.draft.direction,
            resumed=seen if followed is None else followed.tracked().lengthened(baseline.grid),
        )

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Take a cycle: delivery of running requests, counterfactual power of charging sessions."""
        for progress in result.progress:
            tracker = self._trackers.get(progress.request_id)
            if tracker is not None:
                tracker.observe(state, target_kw=progress.target_kw, baseline_kw=progress.baseline_kw)
        self.sessions.follow(state, result)

    def minutes(self, request_id: str) -> MinuteSeries | None:
        """Return the minute series of a request, ``None`` before it was accepted."""
        self.recall(request_id)
        tracker = self._trackers.get(request_id)
        return None if tracker is None else tracker.minutes()

    def baseline(
        self, request: DispatchRequest, state: FleetState, schedule: Schedule | None, *, late: bool = False
    ) -> Baseline:
        """Return the baseline of the rows that are eligible now; it names the others."""
        times = self._engine.book.timetable(request.id)
        found = self.participation.standing(request.draft, times, state, schedule, late=late)
        found[self._serving_others(request, len(state))] = SERVING
        rows = part_rows(request.draft, state.index) & eligible(found)
        baseline = self._baseline_of(request, state.index, schedule, times.watched_s, rows)(request.draft)
        baseline = replace(baseline, programme_sha256=self.programme.sha256)
        return enlisted(baseline, request.draft, state.index, found)

    def _serving_others(self, request: DispatchRequest, count: int) -> BoolArray:
        """Return the rows enlisted for requests that overlap one, shape ``(count,)``: a row serves one at a time."""
        others = (self.portfolios.get(other.id) for other in self._engine.book.overlapping(request.id))
        enlisted = [fitted_flags(rows, count) for rows in others if rows is not None]
        return np.asarray(np.logical_or.reduce([np.zeros(count, dtype=np.bool_), *enlisted]))

    def hand_over(self, request: DispatchRequest, rows: BoolArray) -> Baseline:
        """Take rows out of a request's portfolio, shape ``(n_resources,)``, and return its baseline without them.

        They were not moved for it, so that neither what it delivered nor what it is paid depends on them.
        """
        known, index = self.baselines[request.id], self._picture.state().index
        handed = np.flatnonzero(fitted_flags(rows, len(known.power_kw)))
        power_kw = known.power_kw.copy()
        power_kw[handed] = 0.0
        why = known.excluded_why | {SERVING_WORDS: known.excluded_why.get(SERVING_WORDS, 0) + len(handed)}
        ids = tuple(index.resources[row].id for row in handed.tolist())
        left = replace(known, power_kw=power_kw, excluded_ids=(*known.excluded_ids, *ids), excluded_why=why)
        self.keep(request, left)
        return left

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
            event_days=event_days(self._engine.book, self.forgotten, request),
            called=called_hours(self._engine.book, self.forgotten, request),
            calendar=self._picture.calendar,
            rules=self.programme.rules,
            choice=self.programme.choice,
            known_s=next(accepted, start_s),
        )

    def _spread_kw(
        self, request: DispatchRequest, measured_kw: FloatArray, metered_ratio: FloatArray, phases: Sequence[str]
    ) -> dict[str, float]:
        """Return delivered power by each other baseline method, kW."""
        frozen = self.baselines[request.id].grid
        index = self._picture.state().index.first(resources=len(measured_kw))
        rows = self.portfolios[request.id][: len(index)]
        return baseline_spread(
            request.draft,
            # To the frozen end: one that was stopped early ends sooner by its timetable than by its baseline.
            self._baseline_of(request, index, self._picture.schedule, frozen.end_s, rows),
            index=index,
            portfolio=rows,
            measured_kw=measured_kw,
            metered_ratio=metered_ratio,
            phases=phases,
        )

    def measure(self, request: DispatchRequest, *, final: bool = False) -> Performance:
        """Return the measurement of a request that has a baseline, as far as it has come."""
        self.recall(request.id)
        frozen, timetable = self.baselines[request.id], self._engine.book.timetable(request.id)
        baseline = with_own_meters(frozen, self.sessions.on(frozen), self._picture.state().index)
        times = {"start_s": timetable.start_s, "end_s": timetable.end_s, "release_end_s": timetable.released_s}
        phases = phases_of(baseline.grid, **times)
        measured_kw = fitted_rows(self._meters.read(baseline.grid), len(baseline.power_kw))
        metered_ratio = np.nan_to_num(
            fitted_rows(self._meters.read_completeness(baseline.grid), len(baseline.power_kw))
        )
        baseline, measured_kw, metered_ratio = counted_until_retired(
            self._picture.state().index, Metered(baseline, measured_kw, metered_ratio)
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
            standing = self._engine.regulation.portfolio.standing(request.id, self._clock.now_s())
            target_kw = asked_means_kw(standing, baseline.grid, sign_of(request))
        performance = evaluate(
            request,
            index=self._picture.state().index,
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
            terms=None if regulating or request.draft.is_drill else self.programme.terms,
        )
        return (
            scored(performance, standing, tolerance_ratio=request.draft.tolerance_ratio) if regulating else performance
        )


def counted(draft: RequestDraft, baseline: Baseline, index: FleetIndex) -> BoolArray:
    """Return the enlisted rows, which have a baseline and are commanded and settled, shape ``(n_resources,)``."""
    rows = part_rows(draft, index)
    rows[len(baseline.power_kw) :] = False
    rows[[index.row_of[identity] for identity in baseline.excluded_ids]] = False
    return rows
