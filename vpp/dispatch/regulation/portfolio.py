"""Portfolio of all requests for regulation: their signals, their followers, and how each stands.

::

    PUT …/signal ─► take ─► AgcSignals ──────┐
    full cycle   ─► follow (reservation) ────┴─► one RegulationFollower a request ─► rows to move
    between two  ─► tick ────────────────────┘
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vpp.dispatch.allocation.situation import Portfolio
from vpp.dispatch.record import Record
from vpp.dispatch.regulation.agc_signal import AgcSignals, SignalRules, clock_words
from vpp.dispatch.regulation.follower import Followed, FollowSettings, RegulationFollower
from vpp.dispatch.regulation.metered_response import MeteredResponse
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.regulation import Estimates, MeteredLoad, RegulationStanding
from vpp.domain.request import DispatchRequest, Product, RequestState
from vpp.domain.telemetry import FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

_TAKING = (
    RequestState.ACCEPTED,
    RequestState.SCHEDULED,
    RequestState.PRECONDITIONING,
    RequestState.RAMPING,
    RequestState.HOLDING,
)
"""States in which a signal is taken."""
_FOLLOWED = (Phase.HOLDING, Phase.RELEASING)
"""While it is released, what was asked last fades away."""


@dataclass(slots=True)
class _History:
    """Change asked and change metered, cycle by cycle; positive where net load falls."""

    at_s: list[float] = field(default_factory=list)
    asked_kw: list[float] = field(default_factory=list)
    answered_kw: list[float] = field(default_factory=list)

    def add(self, at_s: float, asked_kw: float, answered_kw: float) -> None:
        known = np.isfinite(asked_kw) and np.isfinite(answered_kw)
        if known and not (self.at_s and at_s <= self.at_s[-1]):
            self.at_s.append(at_s)
            self.asked_kw.append(asked_kw)
            self.answered_kw.append(answered_kw)

    def amend(self, at_s: float, answered_kw: float) -> None:
        """Replace what meters had shown until ``at_s`` by what they were found to have shown then."""
        place = bisect_left(self.at_s, at_s)
        if np.isfinite(answered_kw) and place < len(self.at_s) and self.at_s[place] == at_s:
            self.answered_kw[place] = answered_kw


class RegulationPortfolio:
    """Signals and followers of every request for regulation.

    Args:
        book: The requests.
        index: The fleet.
        record: Takes the journal entries.
        dispatch: Settings of the guard.
        follow: Of the followers.
        rules: Of the signals.
    """

    def __init__(
        self,
        book: RequestBook,
        index: FleetIndex,
        record: Record,
        *,
        dispatch: DispatchSettings,
        follow: FollowSettings | None = None,
        rules: SignalRules | None = None,
    ) -> None:
        self._book, self._dispatch, self._follow = book, dispatch, follow
        self._signals = AgcSignals(record, rules)
        self._followers: dict[str, RegulationFollower] = {}
        self._last: dict[str, Followed] = {}
        self._history: dict[str, _History] = {}
        self._responses: dict[str, MeteredResponse] = {}
        self._estimates: dict[str, array[float]] = {}
        self._index = index

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed; followers start again with the next full cycle."""
        self._index = index
        self._followers.clear()
        for response in self._responses.values():
            response.grow(len(index))

    @property
    def followed(self) -> Collection[str]:
        """Ids of the requests that were followed in the last full cycle."""
        return self._followers.keys()

    def is_due(self, request: DispatchRequest, now_s: float) -> bool:
        """Return whether a request is one for regulation and its signal is followed at ``now_s``."""
        regulating = request.draft.product is Product.REGULATION
        return regulating and self._book.timetable(request.id).phase_at(now_s) in _FOLLOWED

    def take(self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str, now_s: float) -> int:
        """Take values of a signal and return how many were new; all or nothing.

        Args:
            request_id: The request.
            at_s: Epoch seconds from which each holds, rising, shape ``(k,)``.
            signal: Values, positive where net load is to fall, shape ``(k,)``.
            unit: ``"value"`` for shares of the accepted power in [-1, 1], ``"target_kw"`` for kW.
            now_s: The present.

        Raises:
            UnknownIdError: There is no such request.
            InputError: Values that make no sense, or that fall outside the request's window.
            ConflictError: The request takes no signal now, or a value is stale or contradicts one taken before.
        """
        request = self._book.get(request_id)
        capacity_kw = _capacity_kw(request)
        if len(at_s) and float(np.max(at_s)) > request.draft.end_at.timestamp():
            end = request.draft.end_at.isoformat()
            raise InputError("at", clock_words(float(np.max(at_s))), f"a time up to the end of the request, {end}")
        target_kw = signal * capacity_kw if unit == "value" else signal
        return self._signals.take(request_id, at_s, target_kw, capacity_kw=capacity_kw, now_s=now_s)

    def asked_kw(self, request_id: str, now_s: float) -> float:
        """Return the change that is due at ``now_s``, positive where net load is to fall; after the end it fades."""
        timetable = self._book.timetable(request_id)
        if now_s < timetable.start_s:
            return 0.0
        return self._signals.due_kw(request_id, now_s) * timetable.release_share(now_s)

    def follow(self, request_id: str, state: FleetState, reservation: Reservation) -> Followed:
        """Take a full cycle's reservation of one request, and return the moves to what is asked now."""
        follower = self._followers.get(request_id)
        if follower is None:
            follower = self._followers[request_id] = self._new(self._book.get(request_id))
        follower.refresh(state, reservation)
        return self._moved(request_id, state.at_s)

    def forget(self, running: Collection[str]) -> None:
        """Drop the followers of all other requests."""
        for ended in self._followers.keys() - set(running):
            del self._followers[ended]

    def forget_requests(self, request_ids: Collection[str]) -> None:
        """Drop signals and history of requests that are over."""
        self._signals.forget(request_ids)
        for request_id in request_ids:
            self._last.pop(request_id, None)
            self._history.pop(request_id, None)
            self._responses.pop(request_id, None)
            self._estimates.pop(request_id, None)

    def tick(self, now_s: float) -> Mapping[str, Followed]:
        """Return the moves of every follower to what its signal asks now, by request id."""
        return {request_id: self._moved(request_id, now_s) for request_id in self._followers}

    def follower(self, request_id: str) -> RegulationFollower:
        """Return the follower of a request that is followed; raises KeyError for any other."""
        return self._followers[request_id]

    def note(self, request_id: str, at_s: float, asked_kw: float, answered_kw: float) -> None:
        """Add a cycle to a request's history, both positive where net load falls."""
        self._history.setdefault(request_id, _History()).add(at_s, asked_kw, answered_kw)

    def estimate(self, request_id: str, at_s: float, asked_kw: float, change_kw: float, spread_kw: float) -> None:
        """Add an estimate of a request's change at ``at_s``, positive where net load fell, with its standard error."""
        if np.isfinite(change_kw):
            estimates = self._estimates.setdefault(request_id, array("d"))
            estimates.extend((at_s, asked_kw, change_kw, spread_kw))

    def meter(
        self, request_id: str, state: FleetState, portfolio: Portfolio, *, holding: bool, baseline_kw: float
    ) -> MeteredLoad | None:
        """Take a snapshot's readings, amend the history by what is final with them, and return that.

        Args:
            request_id: The request.
            state: The snapshot.
            portfolio: Its rows and their baseline.
            holding: The instant is in its hold, so that it is judged.
            baseline_kw: Baseline of the rows now.
        """
        response = self._responses.get(request_id)
        if portfolio.curve is None or (response is None and not holding):
            return None
        if response is None:
            response = self._responses[request_id] = MeteredResponse(len(state))
        if holding:
            response.open(state.at_s, baseline_kw)
        found = response.read(state, portfolio.rows, portfolio.baseline_rows_kw, portfolio.curve.steps)
        history = self._history.setdefault(request_id, _History())
        answered_kw = found.baseline_kw - found.measured_kw
        for at_s, kw in zip(found.at_s.tolist(), answered_kw.tolist(), strict=True):
            history.amend(at_s, kw)
        if response.complete and not holding:
            del self._responses[request_id]
        return found

    def standing(self, request_id: str, now_s: float) -> RegulationStanding:
        """Return the standing of a request; may be called from any thread.

        Raises:
            UnknownIdError: There is no such request.
            ConflictError: It is no accepted request for regulation.
        """
        request = self._book.get(request_id)
        if request.draft.product is not Product.REGULATION or request.accepted_kw is None:
            raise ConflictError(f"request {request_id} is no accepted request for regulation")
        last, history = self._last.get(request_id), self._history.get(request_id, _History())
        # Cycles go on meanwhile: a slice is copied in one go, and of a cycle that is being added not all is there yet.
        estimates = np.array(self._estimates.get(request_id, array("d"))[:]).reshape(-1, 4)
        count = len(history.answered_kw)
        return RegulationStanding(
            request_id=request_id,
            capacity_kw=request.accepted_kw,
            signal_at_s=self._signals.last_at_s(request_id),
            asked_kw=self.asked_kw(request_id, now_s),
            told_kw=np.nan if last is None else last.commanded_kw,
            up_kw=np.nan if last is None else last.up_kw,
            down_kw=np.nan if last is None else last.down_kw,
            time_s=np.array(history.at_s[:count]),
            signal_kw=np.array(history.asked_kw[:count]),
            response_kw=np.array(history.answered_kw[:count]),
            estimates=Estimates(*estimates.T),
        )

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Take further signals from the journal; entries of other kinds are passed over."""
        self._signals.restore(entries)

    def load(self, signals: StateTree, cycles: Mapping[str, FloatArray]) -> None:
        """Rebuild signals and history; the followers find the fleet again in the next full cycle.

        Args:
            signals: As ``AgcSignals.state`` returned them.
            cycles: As ``TrackingMemory.cycles`` returned them.
        """
        self._signals.load(signals)
        for request_id, figures in cycles.items():
            request = self._book.get(request_id)
            if request.draft.product is Product.REGULATION:
                self._remember(request, figures)

    def _remember(self, request: DispatchRequest, cycles: FloatArray) -> None:
        """Note those of a request's cycles, shape ``(n_cycles, 4)``, that lie in its hold and are known."""
        timetable = self._book.timetable(request.id)
        for at_s, target_kw, baseline_kw, measured_kw in cycles.tolist():
            if timetable.start_s <= at_s < timetable.end_s:
                self.note(request.id, at_s, sign_of(request) * target_kw, baseline_kw - measured_kw)

    def _moved(self, request_id: str, now_s: float) -> Followed:
        moved = self._followers[request_id].tick(now_s, self.asked_kw(request_id, now_s))
        self._last[request_id] = moved
        return moved

    def _new(self, request: DispatchRequest) -> RegulationFollower:
        return RegulationFollower(
            # A request that was stopped keeps its reservation until it is released.
            capacity_kw=request.accepted_kw or request.draft.target_kw,
            tree=self._index.feeders,
            index=self._index,
            dispatch=self._dispatch,
            settings=self._follow,
        )


def sign_of(request: DispatchRequest) -> float:
    """Return 1 for a request whose direction is up, so that a fall of net load is positive, else -1."""
    return request.draft.direction.sign


def _capacity_kw(request: DispatchRequest) -> float:
    """Return the reserved power; raises ConflictError where no signal is taken."""
    if request.draft.product is not Product.REGULATION:
        raise ConflictError(f"request {request.id} is for {request.draft.product.value}: it follows no signal")
    if request.state not in _TAKING or request.accepted_kw is None:
        raise ConflictError(f"request {request.id} is {request.state.value}: a signal is taken from acceptance to end")
    return request.accepted_kw
