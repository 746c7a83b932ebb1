"""Register of requests by id, the keys they came under, and each transition in the journal.

A request changes only through a transition that the table below allows; each is journalled with everything that changed
with it, so that the journal alone rebuilds the register.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar, Unpack

from vpp.dispatch.record import Record
from vpp.dispatch.requests.forgotten import Batch, ForgottenRequests
from vpp.dispatch.requests.journal_codec import (
    draft_from,
    plain,
    quote_from,
    request_from,
    revision_from,
    shortfall_from,
    transition_from,
)
from vpp.domain.errors import ConflictError, UnknownIdError
from vpp.domain.request import DispatchRequest, Quote, RequestDraft, RequestState, Revision, Shortfall, Transition
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

TRANSITION = "request.transition"
REVISION = "request.revision"
SHORTFALL = "request.shortfall"
SERVICE = "service"
"""Actor of transitions by the clock."""
_DRILLS = 2
"""Version of the entry that makes a drill."""

Said = TypeVar("Said")
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
"""Transitions from each state; states that are missing as a key are final."""


class Changes(TypedDict, total=False):
    """Changes of a request beside its state."""

    draft: RequestDraft
    quote: Quote | None
    accepted_kw: float | None
    revisions: tuple[Revision, ...]


class RequestRegister:
    """Every request that was not forgotten, by id, and the keys they were made under.

    Args:
        record: Takes the journal entries.

    Attributes:
        made: Number of the requests ever made, the forgotten ones included.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._requests: dict[str, DispatchRequest] = {}
        self._asked: dict[str, tuple[str, RequestDraft]] = {}
        self._acts: dict[str, tuple[str, str]] = {}
        self._forgotten = ForgottenRequests()
        self.made = 0

    def get(self, request_id: str) -> DispatchRequest:
        """Return one request; raises UnknownIdError, ForgottenError for one that was forgotten."""
        request = self._requests.get(request_id)
        if request is None:
            self.check_kept(request_id)
            raise UnknownIdError("request", request_id)
        return request

    def check_kept(self, request_id: str) -> None:
        """Raise ForgottenError for a request that was forgotten."""
        self._forgotten.check(request_id)

    def all(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        return tuple(reversed(self._requests.values()))

    def __iter__(self) -> Iterator[DispatchRequest]:
        """Iterate every request, oldest first; requests may change meanwhile."""
        return iter(tuple(self._requests.values()))

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Rebuild the register from the journal; entries of other kinds are passed over."""
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

    def forget(self, batch: Batch) -> None:
        """Drop requests with their keys; that they were there, and when they were forgotten, stays known."""
        gone = frozenset(batch.ids)
        self._requests = {name: request for name, request in self._requests.items() if name not in gone}
        self._asked = _without(self._asked, gone)
        self._acts = _without(self._acts, gone)
        self._forgotten.add(batch)

    def state(self) -> StateTree:
        """Return the register as a state tree."""
        return {
            "made": self.made,
            "forgotten": self._forgotten.state(),
            "requests": [plain(request) for request in self._requests.values()],
            "asked": {key: [request_id, plain(draft)] for key, (request_id, draft) in self._asked.items()},
            "acts": {key: [request_id, str(act)] for key, (request_id, act) in self._acts.items()},
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        requests = (request_from(body) for body in state["requests"])
        self._requests = {request.id: request for request in requests}
        # States of earlier versions lack what follows: nothing was forgotten then.
        self.made = int(state.get("made", len(self._requests)))
        self._forgotten.load(state.get("forgotten", ()))
        self._asked = {key: (request_id, draft_from(draft)) for key, (request_id, draft) in state["asked"].items()}
        self._acts = {key: (request_id, act) for key, (request_id, act) in state["acts"].items()}

    def move(
        self,
        request: DispatchRequest,
        to: RequestState,
        *,
        actor: str,
        at: datetime,
        reason: str,
        key: str | None = None,
        **changes: Unpack[Changes],
    ) -> DispatchRequest:
        """Return a request after a journalled transition to another state.

        Args:
            request: As it stands.
            to: The state.
            actor: Its author, for the journal.
            at: Its time.
            reason: Its reason, in words.
            key: Idempotency key of the act.
            changes: What changes beside the state.

        Raises:
            ConflictError: The state cannot follow its present one.
        """
        if to not in ALLOWED.get(request.state, ()):
            raise ConflictError(f"request {request.id} is {request.state.value} and cannot become {to.value}")
        return self.enter(request, to, actor=actor, at=at, reason=reason, key=key, **changes)

    def enter(
        self,
        request: DispatchRequest,
        to: RequestState,
        *,
        actor: str,
        at: datetime,
        reason: str,
        key: str | None = None,
        **changes: Unpack[Changes],
    ) -> DispatchRequest:
        """Return a request after a journalled transition, whatever its present state; arguments as of ``move``."""
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
        # Whoever takes a drill for a call would pay it: services of before drills refuse the entry that makes one.
        version = {"v": _DRILLS} if created and request.draft.is_drill else {}
        body = {**version, "id": request.id, **_plain(step), **_plain({**created, **changes}), **keyed}
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
        changes: Changes = {}
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

    def check_key(self, key: str | None, request_id: str, act: str) -> None:
        """Refuse a key that stands for another act than this one; raises ConflictError."""
        known = None if key is None else self._acts.get(key)
        if known not in {None, (request_id, act)}:
            raise ConflictError(f"idempotency key {key!r} was used for another act: {' '.join(reversed(known))}")

    def repeated(self, key: str | None, draft: RequestDraft) -> DispatchRequest | None:
        """Return the request that was made under ``key``, ``None`` for none.

        Raises:
            ConflictError: ``key`` was used for another draft.
        """
        seen = None if key is None else self._asked.get(key)
        if seen is None:
            return None
        request_id, asked = seen
        if asked != draft:
            raise ConflictError(f"idempotency key {key!r} was used for request {request_id} with another draft")
        return self.get(request_id)

    def flag(self, request: DispatchRequest, shortfall: Shortfall | None, now_s: float) -> DispatchRequest:
        """Return a request with its shortfall flag set, changed or cleared, journalled."""
        self._record(SHORTFALL, now_s, {"id": request.id, "shortfall": plain(shortfall)})
        return self._put(replace(request, shortfall=shortfall))

    def revise(self, request: DispatchRequest, revision: Revision) -> DispatchRequest:
        """Return a request with a revision attached that is not in force yet, journalled."""
        body = {"id": request.id, "revision": plain(revision)}
        self._record(REVISION, revision.asked_at.timestamp(), body)
        return self._put(replace(request, revisions=(*request.revisions, revision)))

    def __len__(self) -> int:
        return len(self._requests)

    def _note_key(self, key: str | None, request_id: str, step: Transition) -> None:
        """Remember what an act's key stands for; cancelling is one act whatever came of it."""
        if key is not None:
            act = {S.ACCEPTED: step.reason, S.ABORTED: S.CANCELLED}.get(step.to_state, step.to_state)
            act = step.reason if step.from_state is step.to_state else act
            self._acts[key] = (request_id, act)

    def _put(self, request: DispatchRequest) -> DispatchRequest:
        if request.idempotency_key is not None:
            self._asked.setdefault(request.idempotency_key, (request.id, request.draft))
        self.made += request.id not in self._requests
        self._requests[request.id] = request
        return request


def was(request: DispatchRequest, state: RequestState) -> bool:
    """Return whether a request was ever in a state."""
    return any(t.to_state is state for t in request.history)


def accepted_at(request: DispatchRequest) -> datetime:
    """Return when a committed request was accepted."""
    return next(t.at for t in request.history if t.to_state is S.ACCEPTED)


def _without(keys: Mapping[str, tuple[str, Said]], gone: Collection[str]) -> dict[str, tuple[str, Said]]:
    return {key: said for key, said in keys.items() if said[0] not in gone}


def _plain(value: object) -> Mapping[str, Any]:
    body = plain(value)
    assert isinstance(body, dict)  # noqa: S101 - plain() turns dataclasses and mappings into dictionaries
    return body
