"""One simulated day: time passes, requests are made, answered, accepted and carried out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.errors import VppError
from vpp.domain.request import DispatchRequest, Product, RequestDraft, RequestState, Verdict
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.lab.simulate.asking import Ask
from vpp.lab.simulate.city import VirtualCity
from vpp.lab.twin.signals import regd_like
from vpp.ports import Clock

_log = structlog.get_logger(__name__)
_ACTOR = "dispatcher"
_LEAD_S = 60.0
"""How long before a ramp the service looks closely."""

_SIGNAL_S = 4.0
"""Time between two values of a regulation signal."""

_SETTLING_S = 30.0 * SECONDS_PER_MINUTE
"""How long after a watch the last interval is metered and settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Length of a cycle: nobody needs the fast loop's period while nothing runs.

    Attributes:
        regulating_s: While a signal is followed: an answer is as good as the meters are fresh.
        busy_s: While any other request ramps, holds or is released.
        watching_s: While its rebound is watched.
        idle_s: Otherwise; devices report once a minute.
    """

    regulating_s: float = 4.0
    busy_s: float = 15.0
    watching_s: float = 30.0
    idle_s: float = 60.0

    def at(self, now_s: float, timetables: Sequence[tuple[Product, PhaseTimes]]) -> float:
        """Return the length of the cycle that begins at ``now_s``; cycles end on whole multiples of their length."""
        length_s = self.idle_s
        for product, timetable in timetables:
            if timetable.ramp_s - _LEAD_S <= now_s < timetable.released_s:
                busy_s = self.regulating_s if product is Product.REGULATION else self.busy_s
                length_s = min(length_s, busy_s)
            elif timetable.released_s <= now_s < timetable.watched_s:
                length_s = min(length_s, self.watching_s)
        return (now_s // length_s + 1.0) * length_s - now_s


@dataclass(kw_only=True)
class Call:
    """What became of one request.

    Attributes:
        ask: What was asked, and when.
        first: The request as asked; ``None`` if the service refused to take it.
        accepted: The request that was committed to: the first, or one for what could be had.
        refusal: Why there is none.
    """

    ask: Ask
    first: DispatchRequest | None = None
    accepted: DispatchRequest | None = None
    refusal: str = ""


@dataclass(kw_only=True)
class Day:
    """Plays asks to a city.

    Attributes:
        city: The service and its devices.
        asks: In order of submission.
        end_s: Epoch seconds of the day's end; it goes on until every request is settled.
        share: Part of the quoted p50 that is asked for where the wanted amount cannot be had.
        seed: Of the signal that a request for regulation is sent (`vpp.lab.twin.signals.regd_like`).
        calls: What became of the asks so far.
    """

    city: VirtualCity
    asks: Sequence[Ask]
    end_s: float
    share: float
    seed: int = 0
    pace: Pace = field(default_factory=Pace)
    calls: list[Call] = field(default_factory=list)

    async def step(self) -> bool:
        """Let one cycle pass; return whether there is more to come."""
        await asyncio.sleep(0)  # a signal may be waiting
        now_s = self.city.clock.now_s()
        due = [ask for ask in self.asks[len(self.calls) :] if ask.submit_s <= now_s]
        for ask in due:
            self.calls.append(await self._call(ask))
        timetables = [(request.draft.product, self._timetable(request)) for request in self._accepted()]
        await self.city.cycle(self.pace.at(now_s, timetables))
        return self.city.clock.now_s() < self.last_s

    @property
    def last_s(self) -> float:
        """Epoch seconds at which the day is over, as far as is known."""
        open_s = [
            self._timetable(request).watched_s + _SETTLING_S
            for request in self._accepted()
            if self.city.plant.request(request.id).state is not RequestState.SETTLED
        ]
        return max([self.end_s, *open_s])

    def _accepted(self) -> list[DispatchRequest]:
        return [call.accepted for call in self.calls if call.accepted is not None]

    def _timetable(self, request: DispatchRequest) -> PhaseTimes:
        return self.city.service.core.engine.book.timetable(request.id)

    async def _call(self, ask: Ask) -> Call:
        """Ask; take what can be had where the wanted amount cannot."""
        call = Call(ask=_not_in_the_past(ask, self.city.clock))
        with self.city.costs.of("quoting"):
            try:
                await self._commit(call)
            except VppError as error:
                call.refusal = str(error)
                _log.warning("request refused", reason=str(error))
        return call

    async def _commit(self, call: Call) -> None:
        plant, draft = self.city.plant, call.ask.draft
        request, _ = await plant.submit(draft, key=None, actor=_ACTOR)
        call.first = request
        quote = request.quote
        if quote is None:
            return
        if quote.verdict is not Verdict.FEASIBLE:
            less_kw = float(int(self.share * quote.p50_kw))
            if less_kw <= 0.0:
                call.refusal = f"nothing can be had: {', '.join(limit.name for limit in quote.limits)}"
                return
            request, _ = await plant.submit(replace(draft, target_kw=less_kw), key=None, actor=_ACTOR)
        call.accepted = await plant.accept(request.id, offer=None, actor=_ACTOR)
        if draft.product is Product.REGULATION:
            await self._send_signal(request.id, draft)

    async def _send_signal(self, request_id: str, draft: RequestDraft) -> None:
        """Send the whole of a request's signal, as a file of values to come."""
        start_s, end_s = draft.start_at.timestamp(), draft.end_at.timestamp()
        signal = regd_like(seed=self.seed, duration_s=end_s - start_s, step_s=_SIGNAL_S, start_s=start_s)
        await self.city.plant.take_signal(request_id, signal.time_s, signal.value, unit=signal.unit)


def _not_in_the_past(ask: Ask, clock: Clock) -> Ask:
    return ask if ask.submit_s >= clock.now_s() else replace(ask, submit_s=clock.now_s())
