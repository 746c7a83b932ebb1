"""The book of requests: who asked what, what was promised, and where each stands.

A request changes only through a transition that the table below allows; each is journalled with everything that changed
with it, so that the journal alone rebuilds the book.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

from vpp.dispatch.admission import check_draft, check_revised
from vpp.dispatch.records import draft_from, plain, quote_from, revision_from, shortfall_from, transition_from
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.timetable import (
    COMMITTED,
    STOPPED,
    Phase,
    Timetable,
    areas_overlap,
    holds_power,
    was_given,
    windows_overlap,
)
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.journal import JournalEntry
from vpp.domain.request import (
    DispatchRequest,
    Product,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
    Shortfall,
    Transition,
    Verdict,
)
from vpp.domain.timegrid import instant

Record = Callable[[str, float, Mapping[str, object]], None]
"""Appends one journal entry: kind, epoch seconds, body."""

TRANSITION = "request.transition"
REVISION = "request.revision"
SHORTFALL = "request.shortfall"
SERVICE = "service"
"""The actor of everything the timetable does by itself."""

S = RequestState
ALLOWED: Mapping[RequestState | None, frozenset[RequestState]] = MappingProxyType(
    {
        None: frozenset({S.SUBMITTED}),
        S.SUBMITTED: frozenset({S.QUOTED, S.CANCELLED, S.EXPIRED, S.FAILED}),
        S.QUOTED: frozenset({S.QUOTED, S.ACCEPTED, S.DECLINED, S.EXPIRED, S.CANCELLED, S.FAILED}),
        S.ACCEPTED: frozenset({S.SCHEDULED, S.CANCELLED, S.SUPERSEDED, S.FAILED}),
        # A revision that comes into force is a step to the same state.
        S.SCHEDULED: frozenset({S.SCHEDULED, S.PRECONDITIONING, S.CANCELLED, S.SUPERSEDED, S.FAILED}),
        S.PRECONDITIONING: frozenset({S.PRECONDITIONING, S.RAMPING, S.CANCELLED, S.SUPERSEDED, S.FAILED}),
        S.RAMPING: frozenset({S.RAMPING, S.HOLDING, S.ABORTED, S.SUPERSEDED, S.FAILED}),
        S.HOLDING: frozenset({S.HOLDING, S.RELEASING, S.ABORTED, S.SUPERSEDED, S.FAILED}),
        S.RELEASING: frozenset({S.REBOUND_WATCH, S.FAILED}),
        S.REBOUND_WATCH: frozenset({S.COMPLETED, S.FAILED}),
        S.COMPLETED: frozenset({S.VERIFIED}),
        S.ABORTED: frozenset({S.VERIFIED}),
        S.SUPERSEDED: frozenset({S.VERIFIED}),
        S.VERIFIED: frozenset({S.SETTLED}),
    }
)
"""From where to where; states that are missing as a key are final."""

_STATE_OF = {
    Phase.PRECONDITIONING: S.PRECONDITIONING,
    Phase.RAMPING: S.RAMPING,
    Phase.HOLDING: S.HOLDING,
    Phase.RELEASING: S.RELEASING,
    Phase.REBOUND_WATCH: S.REBOUND_WATCH,
    Phase.OVER: S.COMPLETED,
}
_ORDER = (S.SCHEDULED, *_STATE_OF.values())
_ENDED_EARLY = frozenset({S.CANCELLED, S.ABORTED, S.SUPERSEDED, S.FAILED})
"""What takes a commitment back: after it no acceptance counts any more."""
_BEFORE_RAMP = (S.SUBMITTED, S.QUOTED, S.ACCEPTED, S.SCHEDULED, S.PRECONDITIONING)
_STOPPING = (S.CANCELLED, S.ABORTED, S.SUPERSEDED, S.FAILED, S.RELEASING, S.REBOUND_WATCH)
_REVISABLE = (S.SCHEDULED, S.PRECONDITIONING, S.RAMPING, S.HOLDING)
_FLAGGABLE = (S.RAMPING, S.HOLDING)


class _Changes(TypedDict, total=False):
    draft: RequestDraft
    quote: Quote | None
    accepted_kw: float | None
    revisions: tuple[Revision, ...]


class RequestBook:
    """Every request ever made, by id, and the keys they were made under.

    Args:
        record: Takes the journal entries.
        settings: Notice, ramps and watch.
    """

    def __init__(self, record: Record, settings: DispatchSettings) -> None:
        self._record = record
        self._settings = settings
        self._requests: dict[str, DispatchRequest] = {}
        self._asked: dict[str, tuple[str, RequestDraft]] = {}
        self._acts: dict[str, tuple[str, str]] = {}

    def get(self, request_id: str) -> DispatchRequest:
        """Return one request; raises UnknownIdError."""
        try:
            return self._requests[request_id]
        except KeyError:
            raise UnknownIdError("request", request_id) from None

    def all(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        return tuple(reversed(self._requests.values()))

    def timetable(self, request_id: str) -> Timetable:
        """Return when each phase of a request begins."""
        return Timetable.of(self.get(request_id), self._settings)

    def timetable_of(self, draft: RequestDraft, now: datetime) -> Timetable:
        """Return when each phase of a draft would begin if it were accepted now."""
        return Timetable.of(DispatchRequest(id="", draft=draft, state=S.SUBMITTED, created_at=now), self._settings)

    def running(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the committed or stopped requests whose rebound watch is not over, oldest first."""
        return tuple(r for r, timetable in self._holding() if now_s < timetable.watched_s)

    def given(self, now_s: float) -> Sequence[DispatchRequest]:
        """Return the requests for which all that was due has been given by ``now_s``, oldest first."""
        return tuple(r for r in self._requests.values() if was_given(r, self.timetable(r.id), now_s))

    def target_kw(self, request: DispatchRequest, now_s: float) -> float:
        """Return the power due from a request at ``now_s``."""
        return Timetable.of(request, self._settings).target_at(now_s)

    def check(self, draft: RequestDraft, *, now: datetime, known_areas: Collection[str]) -> None:
        """Refuse a draft that makes no sense, whatever could be quoted; raises InputError, UnknownIdError."""
        check_draft(draft, now=now, known_areas=known_areas, settings=self._settings)

    def submit(
        self, draft: RequestDraft, *, key: str | None, actor: str, now: datetime, known_areas: Collection[str]
    ) -> tuple[DispatchRequest, bool]:
        """Take a draft and return its request; the flag is false where ``key`` was seen before.

        Raises:
            InputError: A field makes no sense, or what is asked is promised to another request already.
            UnknownIdError: There is no such area.
            ConflictError: ``key`` was used for another draft.
        """
        seen = None if key is None else self._asked.get(key)
        if seen is not None:
            return self._repeated(key, seen, draft), False
        self.check(draft, now=now, known_areas=known_areas)
        number = len(self._requests) + 1
        request = DispatchRequest(
            id=f"req-{now.timestamp():.0f}-{number}",
            draft=draft,
            state=S.SUBMITTED,
            created_at=now,
            idempotency_key=key,
        )
        rival = self._rival(request)
        if rival is not None:
            raise InputError("start_at", draft.start_at.isoformat(), f"a time that does not overlap {_window(rival)}")
        return self._enter(request, S.SUBMITTED, actor=actor, at=now, reason="submitted"), True

    def quoted(self, request_id: str, quote: Quote, now: datetime) -> DispatchRequest:
        """Attach our answer; a request that is quoted already is quoted anew.

        Raises:
            ConflictError: The request is beyond quoting.
        """
        request = self.get(request_id)
        return self._move(request, S.QUOTED, actor=SERVICE, at=now, reason=quote.verdict.value, quote=quote)

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
        self._check_key(key, request_id, reason)
        if _stands(request, reason):
            return request
        quote = self._open_quote(request, now)
        changes = _commitment(request, quote, offer)
        self._check_promise(replace(request, **changes), now)
        if reserve is not None:
            reserve(replace(request, **changes))
        accepted = self._move(request, S.ACCEPTED, actor=actor, at=now, reason=reason, key=key, **changes)
        return self._move(accepted, S.SCHEDULED, actor=SERVICE, at=now, reason="reserved")

    def revised(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, now: datetime
    ) -> RequestDraft:
        """Return a committed request's draft as a change would make it.

        Raises:
            InputError: The change makes no sense, or there is none.
            ConflictError: The request is not committed, is over, or is one for regulation.
        """
        self._follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if request.state not in _REVISABLE:
            raise ConflictError(f"request {request_id} is {request.state.value}; it is changed while committed or held")
        if request.draft.product is Product.REGULATION:
            raise ConflictError(f"request {request_id} is for regulation: its capacity is fixed, ask for another one")
        draft = replace(
            request.draft,
            target_kw=request.accepted_kw or request.draft.target_kw if target_kw is None else target_kw,
            end_at=end_at or request.draft.end_at,
        )
        if (draft.target_kw, draft.end_at) == (request.accepted_kw, request.draft.end_at):
            raise InputError("target_kw", draft.target_kw, "another power or end_at than those in force")
        check_revised(draft, now=now, settings=self._settings)
        rival = self._rival(replace(request, draft=draft))
        if rival is not None:
            raise ConflictError(f"request {request_id} would overlap {_window(rival)}, to which the power is promised")
        return draft

    def add_revision(self, request_id: str, revision: Revision) -> DispatchRequest:
        """Attach a change that was asked and its quote; nothing is in force before it is accepted."""
        request = self.get(request_id)
        self._record(REVISION, revision.asked_at.timestamp(), {"id": request_id, "revision": plain(revision)})
        return self._put(replace(request, revisions=(*request.revisions, revision)))

    def accept_revision(
        self, request_id: str, number: int, *, actor: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Put a change in force; accepting the same twice changes nothing.

        Raises:
            UnknownIdError: There is no such revision.
            ConflictError: Its quote expired or cannot be met, a later one is in force, or the request is over.
        """
        request = self.get(request_id)
        if not 1 <= number <= len(request.revisions):
            raise UnknownIdError("revision", f"{request_id}/{number}")
        revision, act = request.revisions[number - 1], f"revision {number} accepted"
        self._check_key(key, request_id, act)
        if revision.accepted_at is not None:
            return request
        if any(later.accepted_at is not None for later in request.revisions[number:]):
            raise ConflictError(f"a later revision of request {request_id} is in force; ask for another one")
        if now >= revision.quote.expires_at:
            raise ConflictError(
                f"the quote of revision {number} of {request_id} expired at {revision.quote.expires_at.isoformat()}"
            )
        draft = self.revised(request_id, target_kw=revision.target_kw, end_at=revision.end_at, now=now)
        request = self.get(request_id)
        accepted_kw = _commitment(replace(request, draft=draft), revision.quote, None)["accepted_kw"]
        done = replace(
            revision,
            accepted_at=now,
            accepted_kw=accepted_kw,
            before_kw=request.accepted_kw,
            before_end_at=request.draft.end_at,
        )
        revisions = (*request.revisions[: number - 1], done, *request.revisions[number:])
        changes: _Changes = {"draft": draft, "accepted_kw": accepted_kw, "revisions": revisions}
        return self._move(request, request.state, actor=actor, at=now, reason=act, key=key, **changes)

    def decline(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Turn a quote down; repeating changes nothing."""
        self._check_key(key, request_id, S.DECLINED)
        self._follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if request.state is S.DECLINED:
            return request
        return self._move(request, S.DECLINED, actor=actor, at=now, reason=reason, key=key)

    def fail(self, request_id: str, *, reason: str, now: datetime) -> DispatchRequest:
        """Give a request up; what is in force goes back through the release."""
        return self._move(self.get(request_id), S.FAILED, actor=SERVICE, at=now, reason=reason)

    def supersede(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release; repeating changes nothing."""
        self._check_key(key, request_id, S.SUPERSEDED)
        self._follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if _was(request, S.SUPERSEDED):
            return request
        return self._move(request, S.SUPERSEDED, actor=actor, at=now, reason=reason, key=key)

    def cancel(
        self, request_id: str, *, actor: str, reason: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Stop safely: before the ramp cancelled, after it aborted through the release; repeating changes nothing.

        Raises:
            ConflictError: The request is over.
        """
        self._check_key(key, request_id, S.CANCELLED)
        self._follow(self.get(request_id), now.timestamp())
        request = self.get(request_id)
        if request.state in _STOPPING or _was(request, S.ABORTED):
            return request
        to = S.CANCELLED if request.state in _BEFORE_RAMP else S.ABORTED
        return self._move(request, to, actor=actor, at=now, reason=reason, key=key)

    def verified(self, request_id: str, *, now: datetime, reason: str = "provisional") -> DispatchRequest:
        """Note that delivery was measured; repeating changes nothing."""
        return self._once(request_id, S.VERIFIED, now, reason)

    def settled(self, request_id: str, *, now: datetime, reason: str = "final") -> DispatchRequest:
        """Note that the money is settled; repeating changes nothing."""
        return self._once(request_id, S.SETTLED, now, reason)

    def flag(self, request_id: str, shortfall: Shortfall | None, now_s: float) -> DispatchRequest:
        """Set, change or clear the shortfall flag of a ramping or holding request."""
        request = self.get(request_id)
        if shortfall == request.shortfall or (shortfall is not None and request.state not in _FLAGGABLE):
            return request
        self._record(SHORTFALL, now_s, {"id": request_id, "shortfall": plain(shortfall)})
        return self._put(replace(request, shortfall=shortfall))

    def advance(self, now_s: float) -> list[Transition]:
        """Make every transition the timetable asks for by ``now_s``; calling again changes nothing."""
        return [t for request in tuple(self._requests.values()) for t in self._follow(request, now_s)]

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Rebuild the book from the journal; entries of other kinds are passed over."""
        for entry in entries:
            if entry.kind == TRANSITION:
                self._replay(entry.body)
            elif entry.kind == REVISION:
                asked: Any = entry.body["revision"]
                request = self.get(str(entry.body["id"]))
                self._put(replace(request, revisions=(*request.revisions, revision_from(asked))))
            elif entry.kind == SHORTFALL:
                flag: Any = entry.body["shortfall"]
                request = self.get(str(entry.body["id"]))
                self._put(replace(request, shortfall=None if flag is None else shortfall_from(flag)))

    def _follow(self, request: DispatchRequest, now_s: float) -> list[Transition]:
        before = request.version
        if request.state is S.QUOTED and request.quote is not None and now_s >= request.quote.expires_at.timestamp():
            request = self._expire(request, request.quote.expires_at)
        elif request.state is S.SUBMITTED and now_s >= request.draft.start_at.timestamp():
            # The service ended while it was quoting, and nobody asked again.
            request = self._move(
                request, S.EXPIRED, actor=SERVICE, at=request.draft.start_at, reason="it was never quoted"
            )
        elif request.state in _ORDER:
            request = self._follow_phases(request, now_s)
        if request.shortfall is not None and request.state not in _FLAGGABLE:
            request = self.flag(request.id, None, now_s)
        return list(request.history[before:])

    def _follow_phases(self, request: DispatchRequest, now_s: float) -> DispatchRequest:
        for begins_s, phase in Timetable.of(request, self._settings).begins():
            state = _STATE_OF[phase]
            if begins_s <= now_s and _ORDER.index(state) > _ORDER.index(request.state):
                request = self._move(request, state, actor=SERVICE, at=instant(now_s), reason="timetable")
        return request

    def _open_quote(self, request: DispatchRequest, now: datetime) -> Quote:
        if request.quote is None or request.state is not S.QUOTED:
            raise ConflictError(f"request {request.id} is {request.state.value}; only a quoted one can be accepted")
        if now >= request.quote.expires_at:
            self._expire(request, now)
            raise ConflictError(f"the quote of request {request.id} expired at {request.quote.expires_at.isoformat()}")
        return request.quote

    def _check_promise(self, request: DispatchRequest, now: datetime) -> None:
        if request.draft.start_at < now:
            raise ConflictError(f"request {request.id} should have started at {request.draft.start_at.isoformat()}")
        rival = self._rival(request)
        if rival is not None:
            raise ConflictError(f"request {request.id} overlaps {_window(rival)}, to which the power is promised")

    def _rival(self, request: DispatchRequest) -> DispatchRequest | None:
        """Return a committed request that holds power of the same area at the same time: a kW is promised once."""
        mine = Timetable.of(request, self._settings)
        for other, timetable in self._holding():
            shared = other.id != request.id and areas_overlap(other.draft.area, request.draft.area)
            if shared and windows_overlap(mine, timetable):
                return other
        return None

    def _holding(self) -> Iterator[tuple[DispatchRequest, Timetable]]:
        for request in self._requests.values():
            if request.state in COMMITTED or request.state in STOPPED:
                timetable = Timetable.of(request, self._settings)
                if holds_power(request, timetable):
                    yield request, timetable

    def _repeated(self, key: str | None, seen: tuple[str, RequestDraft], draft: RequestDraft) -> DispatchRequest:
        request_id, asked = seen
        if asked != draft:
            raise ConflictError(f"idempotency key {key!r} was used for request {request_id} with another draft")
        return self.get(request_id)

    def _once(self, request_id: str, to: RequestState, now: datetime, reason: str) -> DispatchRequest:
        request = self.get(request_id)
        if _was(request, to):
            return request
        return self._move(request, to, actor=SERVICE, at=now, reason=reason)

    def _expire(self, request: DispatchRequest, at: datetime) -> DispatchRequest:
        return self._move(request, S.EXPIRED, actor=SERVICE, at=at, reason="the quote was not accepted in time")

    def _move(
        self,
        request: DispatchRequest,
        to: RequestState,
        *,
        actor: str,
        at: datetime,
        reason: str,
        key: str | None = None,
        **changes: Unpack[_Changes],
    ) -> DispatchRequest:
        if to not in ALLOWED.get(request.state, ()):
            raise ConflictError(f"request {request.id} is {request.state.value} and cannot become {to.value}")
        return self._enter(request, to, actor=actor, at=at, reason=reason, key=key, **changes)

    def _enter(
        self,
        request: DispatchRequest,
        to: RequestState,
        *,
        actor: str,
        at: datetime,
        reason: str,
        key: str | None = None,
        **changes: Unpack[_Changes],
    ) -> DispatchRequest:
        step = Transition(
            at=at,
            actor=actor,
            version=request.version + 1,
            from_state=request.state if request.history else None,
            to_state=to,
            reason=reason,
        )
        created = {} if request.history else {"draft": request.draft, "idempotency_key": request.idempotency_key}
        keyed = {} if key is None else {"key": key}
        body = {"id": request.id, **_plain(step), **_plain({**created, **changes}), **keyed}
        self._record(TRANSITION, at.timestamp(), body)
        self._note_key(key, request.id, step)
        return self._put(replace(request, state=to, history=(*request.history, step), **changes))

    def _replay(self, body: Mapping[str, Any]) -> None:
        step = transition_from(body)
        request = self._requests.get(body["id"]) or DispatchRequest(
            id=body["id"],
            draft=draft_from(body["draft"]),
            state=step.to_state,
            created_at=step.at,
            idempotency_key=body["idempotency_key"],
        )
        changes: _Changes = {}
        if "draft" in body:
            changes["draft"] = draft_from(body["draft"])
        if "quote" in body:
            changes["quote"] = quote_from(body["quote"])
        if "accepted_kw" in body:
            changes["accepted_kw"] = float(body["accepted_kw"])
        if "revisions" in body:
            changes["revisions"] = tuple(revision_from(one) for one in body["revisions"])
        self._note_key(body.get("key"), request.id, step)
        self._put(replace(request, state=step.to_state, history=(*request.history, step), **changes))

    def _check_key(self, key: str | None, request_id: str, act: str) -> None:
        """Refuse a key that stands for another act than this one; raises ConflictError."""
        known = None if key is None else self._acts.get(key)
        if known not in {None, (request_id, act)}:
            raise ConflictError(f"idempotency key {key!r} was used for another act: {' '.join(reversed(known))}")

    def _note_key(self, key: str | None, request_id: str, step: Transition) -> None:
        """Remember what an act's key stands for; cancelling is one act whatever came of it."""
        if key is not None:
            act = {S.ACCEPTED: step.reason, S.ABORTED: S.CANCELLED}.get(step.to_state, step.to_state)
            act = step.reason if step.from_state is step.to_state else act
            self._acts[key] = (request_id, act)

    def _put(self, request: DispatchRequest) -> DispatchRequest:
        if request.idempotency_key is not None:
            self._asked.setdefault(request.idempotency_key, (request.id, request.draft))
        self._requests[request.id] = request
        return request


def _was(request: DispatchRequest, state: RequestState) -> bool:
    return any(t.to_state is state for t in request.history)


def _stands(request: DispatchRequest, reason: str) -> bool:
    """Return whether exactly this was accepted, and nothing has taken it back."""
    accepted = any(t.to_state is S.ACCEPTED and t.reason == reason for t in request.history)
    return accepted and not any(t.to_state in _ENDED_EARLY for t in request.history)


def _commitment(request: DispatchRequest, quote: Quote, offer: int | None) -> _Changes:
    """Return what is promised: the least of asked and even-chance power, or the counter-offer as it stands."""
    if offer is not None:
        if not 0 <= offer < len(quote.counter_offers):
            raise InputError("offer", offer, f"a number from 0 to {len(quote.counter_offers) - 1}, or nothing")
        chosen = quote.counter_offers[offer]
        draft = replace(request.draft, target_kw=chosen.target_kw, start_at=chosen.start_at, end_at=chosen.end_at)
        return {"draft": draft, "accepted_kw": chosen.target_kw}
    if quote.verdict is Verdict.INFEASIBLE:
        raise ConflictError(f"request {request.id} cannot be met; accept one of its counter-offers instead")
    target_kw = request.draft.target_kw
    accepted_kw = target_kw if quote.verdict is Verdict.FEASIBLE else min(target_kw, quote.p50_kw)
    least_kw = request.draft.min_delivered_ratio * target_kw
    if accepted_kw <= 0.0 or accepted_kw < least_kw:
        raise ConflictError(f"request {request.id} wants at least {least_kw:g} kW, {accepted_kw:g} kW can be had")
    return {"accepted_kw": accepted_kw}


def _plain(value: object) -> Mapping[str, Any]:
    body = plain(value)
    assert isinstance(body, dict)  # noqa: S101 - plain() turns dataclasses and mappings into dictionaries
    return body


def _window(request: DispatchRequest) -> str:
    draft = request.draft
    return f"request {request.id} in {draft.area} from {draft.start_at.isoformat()} to {draft.end_at.isoformat()}"
