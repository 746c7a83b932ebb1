"""Requests as dispatchers and the service act on them: submit, quote, accept, cancel, verify.

Its parts are the register (`vpp.dispatch.requests.register`), progress by the clock
(`vpp.dispatch.requests.progress`) and revisions (`vpp.dispatch.requests.revisions`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from vpp.dispatch.record import Record
from vpp.dispatch.requests.forgotten import Batch
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.dispatch.requests.progress import RequestProgress, why_alone, window_of
from vpp.dispatch.requests.register import (
    ALLOWED,
    REVISION,
    SERVICE,
    SHORTFALL,
    TRANSITION,
    RequestRegister,
    S,
    accepted_at,
    was,
)
from vpp.dispatch.requests.revisions import RequestRevisions, commitment, grown_since
from vpp.dispatch.requests.validation import check_draft
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.request import DispatchRequest, Quote, RequestDraft, RequestState, Shortfall, Transition
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

__all__ = ["ALLOWED", "REVISION", "SHORTFALL", "TRANSITION", "RequestBook"]
_ENDED_EARLY = frozenset({S.CANCELLED, S.ABORTED, S.SUPERSEDED, S.FAILED})
"""States that take a commitment back: after them no acceptance counts any more."""
_BEFORE_RAMP = (S.SUBMITTED, S.QUOTED, S.ACCEPTED, S.SCHEDULED, S.PRECONDITIONING)
_STOPPING = (S.CANCELLED, S.ABORTED, S.SUPERSEDED, S.FAILED, S.RELEASING, S.REBOUND_WATCH)


class RequestBook:
    """Acts on requests.

    Args:
        record: Takes the journal entries.
        rules: Lengths of phases, and bounds of what may be asked.

    Attributes:
        revisions: Changes of committed requests.
    """

    def __init__(self, record: Record, rules: RequestRules) -> None:
        self._limits = rules.limits
        self._register = RequestRegister(record)
        self._progress = RequestProgress(self._register, rules.phases)
        self._counted: dict[str, frozenset[str]] = {}
        self.revisions = RequestRevisions(self._register, self._progress, rules.limits)

    def get(self, request_id: str) -> DispatchRequest:
        """Return one request; raises UnknownIdError, ForgottenError for one that was forgotten."""
        return self._register.get(request_id)

    def all(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        return self._register.all()

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Rebuild the requests from the journal; entries of other kinds are passed over."""
        self._register.restore(entries)

    def forget(self, batch: Batch) -> None:
        """Drop requests that are over, with their keys."""
        self._register.forget(batch)
        for request_id in self._counted.keys() & set(batch.ids):
            del self._counted[request_id]

    def load(self, state: StateTree) -> None:
        """Take the requests as ``RequestRegister.state`` returned them."""
        self._register.load(state)

    def __len__(self) -> int:
        return len(self._register)

    def timetable(self, request_id: str) -> PhaseTimes:
        """Return when each phase of a request begins."""
        return self._progress.timetable(request_id)

    def times(self, request: DispatchRequest) -> PhaseTimes:
        """Return when each phase of a request begins, be it one of the book or not."""
        return self._progress.times(request)

    def timetable_of(self, draft: RequestDraft, now: datetime) -> PhaseTimes:
        """Return when each phase of a draft would begin if it were accepted now."""
        return self._progress.timetable_of(draft, now)

    def running(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the committed or stopped requests whose rebound watch is not over, oldest first."""
        return self._progress.running(now_s)

    def given(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the requests of which nothing more is due by ``now_s``, oldest first."""
        return self._progress.given(now_s)

    def advance(self, now_s: float) -> list[Transition]:
        """Make every transition the phases ask for by ``now_s``; calling again changes nothing."""
        return self._progress.advance(now_s)

    def flag(self, request_id: str, shortfall: Shortfall | None, now_s: float) -> DispatchRequest:
        """Set, change or clear the shortfall flag of a ramping or holding request."""
        return self._progress.flag(request_id, shortfall, now_s)

    def check(self, draft: RequestDraft, *, now: datetime, known_areas: Collection[str]) -> None:
        """Refuse an invalid draft, whatever could be quoted; raises InputError, UnknownIdError."""
        check_draft(draft, now=now, known_areas=known_areas, limits=self._limits)

    def submit(
        self, draft: RequestDraft, *, key: str | None, actor: str, now: datetime, known_areas: Collection[str]
    ) -> tuple[DispatchRequest, bool]:
        """Take a draft and return its request; the flag is false where ``key`` was seen before.

        Raises:
            InputError: A field is out of range, or a request with which it can share nothing is committed to.
            UnknownIdError: There is no such area.
            ConflictError: ``key`` was used for another draft.
        """
        known = self._register.repeated(key, draft)
        if known is not None:
            return known, False
        self.check(draft, now=now, known_areas=known_areas)
        number = self._register.made + 1
        request = DispatchRequest(
            id=f"req-{now.timestamp():.0f}-{number}",
            draft=draft,
            state=S.SUBMITTED,
            created_at=now,
            idempotency_key=key,
        )
        rival = self._progress.rival(request)
        if rival is not None:
            accepted = f"a time that does not overlap {window_of(rival)}: {why_alone(request, rival)}"
            raise InputError("start_at", draft.start_at.isoformat(), accepted)
        return self._register.enter(request, S.SUBMITTED, actor=actor, at=now, reason="submitted"), True

    def overlapping(self, request_id: str) -> Sequence[DispatchRequest]:
        """Return the committed requests that hold power of a request's area at the same time, oldest first."""
        return self._progress.overlapping(self.get(request_id))

    def quoted(
        self, request_id: str, quote: Quote, now: datetime, *, counted: Collection[str] | None = None
    ) -> DispatchRequest:
        """Attach a quote; it replaces an earlier one.

        Args:
            request_id: The request.
            quote: Its quote.
            now: The present.
            counted: Ids of the overlapping requests that the quote has left their rows; all committed now if not given.

        Raises:
            ConflictError: The request is beyond quoting.
        """
        request = self.get(request_id)
        others = (other.id for other in self._progress.overlapping(request))
        self._counted[request_id] = frozenset(others if counted is None else counted)
        return self._register.move(request, S.QUOTED, actor=SERVICE, at=now, reason=quote.verdict.value, quote=quote)

    def accept(
        self,
        request_id: str,
        *,
        offer: int | None,
        actor: str,
        now: datetime,
        reserve: Callable[[DispatchRequest], None] | None = None,
        key: str | None = None,
    ) -> DispatchRequest:
        """Commit to the quote, or to counter-offer number ``offer``; accepting the same twice changes nothing.

        What was cancelled, aborted or superseded since is not accepted again: the power may be promised elsewhere.

        Args:
            request_id: The request.
            offer: Number of the counter-offer from 0, ``None`` for the quote itself.
            actor: Who commits.
            now: The present.
            reserve: Called with the request as it would stand before anything changes; raises ConflictError to refuse.
            key: Idempotency key of this acceptance.

        Raises:
            InputError: There is no such counter-offer.
            ConflictError: The quote expired, cannot be met, comes too late, or the kW were promised to another.
        """
        request = self.get(request_id)
        reason = "quote accepted" if offer is None else f"counter-offer {offer} accepted"
        self._register.check_key(key, request_id, reason)
        if _stands(request, reason):
            return request
        quote = self._open_quote(request, now)
        changes = commitment(request, quote, offer)
        self._progress.check_promise(replace(request, **changes), self._counted_by(request), now)
        if reserve is not None:
            reserve(replace(request, **changes))
        self._counted.pop(request_id, None)
        accepted = self._register.move(request, S.ACCEPTED, actor=actor, at=now, reason=reason, key=key, **changes)
        return self._register.move(accepted, S.SCHEDULED, actor=SERVICE, at=now, reason="reserved")

    def decline(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Turn a quote down; repeating changes nothing."""
        self._register.check_key(key, request_id, S.DECLINED)
        self._progress.follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if request.state is S.DECLINED:
            return request
        return self._register.move(request, S.DECLINED, actor=actor, at=now, reason=reason, key=key)

    def yield_to(self, request_id: str, *, now: datetime) -> Sequence[DispatchRequest]:
        """End the drills that a committed call overlaps in its favour, through their releases; return them."""
        reason = f"request {request_id} is a call; a drill yields"
        self.advance(now.timestamp())  # one that is released by now gives nothing to end
        drills = self._progress.yielding(self.get(request_id))
        return [self.supersede(drill.id, actor=SERVICE, reason=reason, now=now) for drill in drills]

    def fail(self, request_id: str, *, reason: str, now: datetime) -> DispatchRequest:
        """End a request as failed; what is in force is withdrawn through the release."""
        return self._register.move(self.get(request_id), S.FAILED, actor=SERVICE, at=now, reason=reason)

    def supersede(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release; repeating changes nothing."""
        self._register.check_key(key, request_id, S.SUPERSEDED)
        self._progress.follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if was(request, S.SUPERSEDED):
            return request
        return self._register.move(request, S.SUPERSEDED, actor=actor, at=now, reason=reason, key=key)

    def cancel(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Stop safely: before the ramp cancelled, after it aborted through the release; repeating changes nothing.

        Raises:
            ConflictError: The request is over.
        """
        self._register.check_key(key, request_id, S.CANCELLED)
        self._progress.follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if request.state in _STOPPING or was(request, S.ABORTED):
            return request
        to = S.CANCELLED if request.state in _BEFORE_RAMP else S.ABORTED
        return self._register.move(request, to, actor=actor, at=now, reason=reason, key=key)

    def verified(self, request_id: str, *, now: datetime, reason: str = "provisional") -> DispatchRequest:
        """Note that delivery was measured; repeating changes nothing."""
        return self._once(request_id, S.VERIFIED, now, reason)

    def settled(self, request_id: str, *, now: datetime, reason: str = "final") -> DispatchRequest:
        """Note that the money is settled; repeating changes nothing."""
        return self._once(request_id, S.SETTLED, now, reason)

    def _open_quote(self, request: DispatchRequest, now: datetime) -> Quote:
        if request.quote is None or request.state is not S.QUOTED:
            raise ConflictError(f"request {request.id} is {request.state.value}; only a quoted one can be accepted")
        if now >= request.quote.expires_at:
            self._progress.expire(request, now)
            raise ConflictError(f"the quote of request {request.id} expired at {request.quote.expires_at.isoformat()}")
        return request.quote

    def _counted_by(self, request: DispatchRequest) -> Collection[str]:
        """Return the ids of the overlapping requests that a request's quote has left their rows.

        After a restart they are those committed before it was quoted. One that was revised to more since the request
        was asked needs more rows than the quote has left it.
        """
        quoted_at = next(t.at for t in reversed(request.history) if t.to_state is S.QUOTED)
        others = self._progress.overlapping(request)
        counted = self._counted.get(request.id, frozenset(o.id for o in others if accepted_at(o) < quoted_at))
        return counted - {other.id for other in others if grown_since(other, request.created_at)}

    def _once(self, request_id: str, to: RequestState, now: datetime, reason: str) -> DispatchRequest:
        request = self.get(request_id)
        if was(request, to):
            return request
        return self._register.move(request, to, actor=SERVICE, at=now, reason=reason)


def _stands(request: DispatchRequest, reason: str) -> bool:
    """Return whether exactly this was accepted, and no later state has taken it back."""
    accepted = any(t.to_state is S.ACCEPTED and t.reason == reason for t in request.history)
    return accepted and not any(t.to_state in _ENDED_EARLY for t in request.history)
