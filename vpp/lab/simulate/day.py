"""A simulated day: requests are submitted, quoted, accepted and carried out as time passes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from vpp.application.loops.quarter_hours import next_turn_s
from vpp.application.requests.shadow_quotes import AFTER_S
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import PhaseTimes, areas_overlap, was_given, windows_overlap
from vpp.domain.errors import VppError
from vpp.domain.request import CITY, DispatchRequest, Product, RequestDraft, RequestState, Verdict
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.lab.simulate.city import VirtualCity
from vpp.lab.simulate.planned_requests import PlannedRequest
from vpp.lab.twin.signals import regd_like
from vpp.ports import Clock

_log = structlog.get_logger(__name__)
_ACTOR = "dispatcher"
_LEAD_S = 60.0
"""Lead before a ramp from which cycles are short."""

_SIGNAL_S = 4.0
"""Time between two values of a regulation signal."""

_SAMPLES = 15
"""Instants an interval's mean is taken from."""

_SETTLING_S = 30.0 * SECONDS_PER_MINUTE
"""Time after a rebound watch until the last interval is metered and settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Length of a cycle: long while no request runs.

    Attributes:
        regulating_s: While a regulation signal is followed, whose accuracy depends on fresh meters.
        busy_s: While any other request ramps, holds or is released.
        watching_s: While its rebound is watched.
        idle_s: Otherwise; devices report once a minute.
    """

    regulating_s: float = 4.0
    busy_s: float = 15.0
    watching_s: float = 30.0
    idle_s: float = 60.0

    def at(self, now_s: float, running: Sequence[tuple[Product, PhaseTimes]]) -> float:
        """Return the length of the cycle that begins at ``now_s``; cycles end on whole multiples of their length."""
        length_s = self.idle_s
        for product, phases in running:
            if phases.ramp_s - _LEAD_S <= now_s < phases.released_s:
                busy_s = self.regulating_s if product is Product.REGULATION else self.busy_s
                length_s = min(length_s, busy_s)
            elif phases.released_s <= now_s < phases.watched_s:
                length_s = min(length_s, self.watching_s)
        return (now_s // length_s + 1.0) * length_s - now_s


@dataclass(kw_only=True)
class RequestResult:
    """Course of one request.

    Attributes:
        planned: The request, and when it was submitted.
        first: The request as submitted; ``None`` if the service rejected it.
        accepted: The request that was accepted: the first, or one for less.
        refusal: Reason where none was accepted.
    """

    planned: PlannedRequest
    first: DispatchRequest | None = None
    accepted: DispatchRequest | None = None
    refusal: str = ""


@dataclass(kw_only=True)
class Day:
    """Plays requests to a city.

    Attributes:
        city: The service and its devices.
        planned: Requests in order of submission.
        end_s: Epoch seconds of the day's end; it goes on until every request is settled.
        share: Part of the quoted p50 that is asked for where the wanted amount cannot be had.
        sure: No more than the quoted p10 is asked for.
        learns: The service quotes windows for nobody and learns from them, as it does when it runs by itself.
        seed: Of the signal that a request for regulation is sent (`vpp.lab.twin.signals.regd_like`).
        pace: Lengths of its cycles.
        results: Results of the requests submitted so far.
    """

    city: VirtualCity
    planned: Sequence[PlannedRequest]
    end_s: float
    share: float
    seed: int = 0
    sure: bool = False
    learns: bool = False
    pace: Pace = field(default_factory=Pace)
    results: list[RequestResult] = field(default_factory=list)
    _turn_s: float = 0.0

    async def step(self) -> bool:
        """Let one cycle pass; return whether there is more to come."""
        await asyncio.sleep(0)  # a signal may be waiting
        now_s = self.city.clock.now_s()
        due = [planned for planned in self.planned[len(self.results) :] if planned.submit_s <= now_s]
        for planned in due:
            self.results.append(await self._submit(planned))
        running = [(request.draft.product, self._phases(request)) for request in self._accepted()]
        await self.city.cycle(self.pace.at(now_s, running))
        if self.learns and self.city.clock.now_s() >= self._turn_s:
            self._turn_s = next_turn_s(self.city.clock.now_s(), AFTER_S)
            with self.city.cpu.of("windows"):
                await self.city.service.requests.shadows.turn()
        return self.city.clock.now_s() < self.last_s

    @property
    def last_s(self) -> float:
        """Epoch seconds at which the day is over, as far as is known."""
        open_s = [
            self._phases(request).watched_s + _SETTLING_S
            for request in self._accepted()
            if self.city.plant.request(request.id).state is not RequestState.SETTLED
        ]
        return max([self.end_s, *open_s])

    def _accepted(self) -> list[DispatchRequest]:
        return [result.accepted for result in self.results if result.accepted is not None]

    def _phases(self, request: DispatchRequest) -> PhaseTimes:
        return self.city.service.core.engine.book.timetable(request.id)

    async def _submit(self, planned: PlannedRequest) -> RequestResult:
        """Submit a request; commit to what is available where the wanted amount is not."""
        result = RequestResult(planned=_not_in_the_past(planned, self.city.clock))
        with self.city.cpu.of("quoting"):
            try:
                await self._commit(result)
            except VppError as error:
                result.refusal = str(error)
                _log.warning("request refused", reason=str(error))
        return result

    async def _commit(self, result: RequestResult) -> None:
        plant, draft = self.city.plant, result.planned.draft
        request, _ = await plant.submit(draft, key=None, actor=_ACTOR)
        result.first = request
        quote = request.quote
        if quote is None:
            return
        certain_kw = min(quote.deliverable_p10_kw, default=0.0)
        if quote.verdict is not Verdict.FEASIBLE or (self.sure and certain_kw < draft.target_kw):
            less_kw = float(int(min(certain_kw, draft.target_kw) if self.sure else self.share * quote.p50_kw))
            if less_kw <= 0.0:
                result.refusal = f"nothing can be had: {', '.join(limit.name for limit in quote.limits)}"
                return
            request, _ = await plant.submit(replace(draft, target_kw=less_kw), key=None, actor=_ACTOR)
        result.accepted = await plant.accept(request.id, offer=None, actor=_ACTOR)
        if draft.product is Product.REGULATION:
            await self._send_signal(request.id, draft)

    async def _send_signal(self, request_id: str, draft: RequestDraft) -> None:
        """Send the whole of a request's signal, as a file of values to come."""
        start_s, end_s = draft.start_at.timestamp(), draft.end_at.timestamp()
        signal = regd_like(seed=self.seed, duration_s=end_s - start_s, step_s=_SIGNAL_S, start_s=start_s)
        await self.city.plant.take_signal(request_id, signal.time_s, signal.value, unit=signal.unit)


def _not_in_the_past(planned: PlannedRequest, clock: Clock) -> PlannedRequest:
    return planned if planned.submit_s >= clock.now_s() else replace(planned, submit_s=clock.now_s())


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideIt:
    """Requests that overlap one, as far as its judgement needs them.

    Attributes:
        area: Area in which their sum is judged: the request's own, or the whole city where theirs is another.
        due_kw: Mean power due in that area to them in each 15-minute interval of the hold, below 0 where they ask for
            the other direction, shape ``(n_intervals,)``.
    """

    area: str
    due_kw: FloatArray

    @classmethod
    def of(cls, request: DispatchRequest, book: RequestBook) -> "BesideIt":
        """Return what is beside a request, which was committed to."""
        start_s, end_s = request.draft.start_at.timestamp(), request.draft.end_at.timestamp()
        edges_s = np.append(np.arange(start_s, end_s, STEP_S), end_s)
        area = request.draft.area
        others = [other for other in book.all() if _is_beside(other, request, area, book)]
        if any(other.draft.area != area for other in others):
            area = CITY
            others = [other for other in book.all() if _is_beside(other, request, area, book)]
        instants_s = edges_s[:-1, None] + (np.arange(_SAMPLES) + 0.5) / _SAMPLES * np.diff(edges_s)[:, None]
        due_kw = np.zeros(len(instants_s))
        for other in others:
            target_kw = [book.timetable(other.id).target_at(at_s) for at_s in instants_s.ravel().tolist()]
            sign = 1.0 if other.draft.direction is request.draft.direction else -1.0
            due_kw += sign * np.reshape(target_kw, instants_s.shape).mean(axis=1)
        return cls(area=area, due_kw=due_kw)


def _is_beside(other: DispatchRequest, request: DispatchRequest, area: str, book: RequestBook) -> bool:
    """Return whether something was due to another call that overlaps an area while it was to a request.

    A signal takes as much as it gives, so regulation is none.
    """
    held = not other.draft.is_drill and other.draft.product is not Product.REGULATION
    if other.id == request.id or not held or not areas_overlap(other.draft.area, area):
        return False
    times = book.timetable(other.id)
    return was_given(other, times, times.watched_s) and windows_overlap(times, book.timetable(request.id))
