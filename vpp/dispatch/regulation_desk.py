"""All requests for regulation at once: their signals, their followers, and what the loop asks of them.

::

    PUT …/signal ─► take ─► SignalBook ───────────────┐
    full cycle   ─► refresh (who holds, base, kept) ──┴─► one RegulationFollower a request ─► tick ─► rows to send
                    voices: what each says in the full cycle's merge, with the authority of regulation
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.regulation import Followed, FollowSettings, RegulationFollower
from vpp.dispatch.requests import Record, RequestBook
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.signalbook import SignalBook, SignalRules
from vpp.dispatch.timetable import Phase
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import DispatchRequest, Product, RequestState
from vpp.domain.telemetry import BoolArray, FloatArray

_TAKING = (
    RequestState.ACCEPTED,
    RequestState.SCHEDULED,
    RequestState.PRECONDITIONING,
    RequestState.RAMPING,
    RequestState.HOLDING,
)
"""States in which a signal is taken."""


class Reservation(NamedTuple):
    """Who holds a request's reservation, and what each would take without the signal; shape ``(n_resources,)``."""

    holding: BoolArray
    base_kw: FloatArray


class RegulationDesk:
    """Signals and followers of every request for regulation.

    Args:
        book: Where the requests are.
        index: The fleet.
        record: Takes the journal entries.
        dispatch: What the guard goes by.
        follow: How the followers work.
        rules: What signals are taken.
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
        self._signals = SignalBook(record, rules)
        self._followers: dict[str, RegulationFollower] = {}
        self._last: dict[str, Followed] = {}
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; followers begin anew with the next full cycle."""
        self._index, self._tree = index, FeederTree(index)
        self._followers.clear()

    def active(self, now_s: float) -> tuple[DispatchRequest, ...]:
        """Return the requests for regulation that hold now, oldest first."""
        return tuple(
            request
            for request in self._book.running(now_s)
            if request.draft.product is Product.REGULATION
            and self._book.timetable(request.id).phase_at(now_s) is Phase.HOLDING
        )

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
            raise InputError("at", float(np.max(at_s)), f"a time up to the end of the request, {end}")
        target_kw = signal * capacity_kw if unit == "value" else signal
        return self._signals.take(request_id, at_s, target_kw, capacity_kw=capacity_kw, now_s=now_s)

    def refresh(
        self,
        state: FleetState,
        reservations: Mapping[str, Reservation],
        *,
        kept: BoolArray,
        burden: FloatArray,
    ) -> None:
        """Take a full cycle's picture, after the survey and before the voices are merged.

        Args:
            state: The snapshot.
            reservations: Of every active request by its id.
            kept: Sessions that must not be reduced, shape ``(n_resources,)``.
            burden: Who was shed lately, 0 for nobody, shape ``(n_resources,)``.
        """
        for ended in self._followers.keys() - reservations.keys():
            del self._followers[ended]
        for request_id, (holding, base_kw) in reservations.items():
            follower = self._followers.get(request_id)
            if follower is None:
                follower = self._followers[request_id] = self._new(self._book.get(request_id))
            follower.refresh(state, holding=holding, base_kw=base_kw, kept=kept, burden=burden)

    def tick(self, now_s: float) -> Mapping[str, Followed]:
        """Move every follower to what its signal asks now; return what changed by request id."""
        for request_id, follower in self._followers.items():
            self._last[request_id] = follower.tick(now_s, self._signals.due_kw(request_id, now_s))
        return {request_id: self._last[request_id] for request_id in self._followers}

    def voices(self) -> Mapping[str, FloatArray]:
        """Return what every row was told by request id, NaN for rows it does not use, shape ``(n_resources,)``."""
        return {request_id: follower.power_kw for request_id, follower in self._followers.items()}

    def refused(self, rows: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> None:
        """Note rows whose commands were refused or did not arrive."""
        for follower in self._followers.values():
            follower.refused(rows)

    def standing(self, request_id: str, now_s: float) -> RegulationStanding:
        """Return how a request stands.

        Raises:
            UnknownIdError: There is no such request.
            ConflictError: It is no accepted request for regulation.
        """
        request = self._book.get(request_id)
        if request.draft.product is not Product.REGULATION or request.accepted_kw is None:
            raise ConflictError(f"request {request_id} is no accepted request for regulation")
        follower, last = self._followers.get(request_id), self._last.get(request_id)
        none = np.zeros(0)
        time_s, signal_kw, response_kw = (none, none, none) if follower is None else follower.history()
        return RegulationStanding(
            request_id=request_id,
            capacity_kw=request.accepted_kw,
            signal_at_s=self._signals.last_at_s(request_id),
            asked_kw=self._signals.due_kw(request_id, now_s),
            told_kw=np.nan if last is None else last.told_kw,
            up_kw=np.nan if last is None else last.up_kw,
            down_kw=np.nan if last is None else last.down_kw,
            time_s=time_s,
            signal_kw=signal_kw,
            response_kw=response_kw,
        )

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Rebuild the signals from the journal; the followers find the fleet again in the next full cycle."""
        self._signals.restore(entries)

    def _new(self, request: DispatchRequest) -> RegulationFollower:
        return RegulationFollower(
            capacity_kw=_capacity_kw(request),
            tree=self._tree,
            index=self._index,
            dispatch=self._dispatch,
            settings=self._follow,
        )


def _capacity_kw(request: DispatchRequest) -> float:
    """Return what is reserved; raises ConflictError where no signal is taken."""
    if request.draft.product is not Product.REGULATION:
        raise ConflictError(f"request {request.id} is for {request.draft.product.value}: it follows no signal")
    if request.state not in _TAKING or request.accepted_kw is None:
        raise ConflictError(f"request {request.id} is {request.state.value}: a signal is taken from acceptance to end")
    return request.accepted_kw
