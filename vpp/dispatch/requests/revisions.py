"""Revisions of committed requests: what may change, and when it comes into force."""

from dataclasses import replace
from datetime import datetime

from vpp.dispatch.requests.progress import RequestProgress, window_of
from vpp.dispatch.requests.register import Changes, RequestRegister, S, accepted_at
from vpp.dispatch.requests.validation import check_revised
from vpp.dispatch.settings import DraftLimits
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import DispatchRequest, Product, Quote, RequestDraft, Revision, Verdict

_REVISABLE = (S.SCHEDULED, S.PRECONDITIONING, S.RAMPING, S.HOLDING)


class RequestRevisions:
    """Revisions of the requests of a register.

    Args:
        register: The requests.
        progress: Their phases.
        limits: Of what may be asked.
    """

    def __init__(self, register: RequestRegister, progress: RequestProgress, limits: DraftLimits) -> None:
        self._register, self._progress, self._limits = register, progress, limits

    def draft(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, now: datetime
    ) -> RequestDraft:
        """Return a committed request's draft as a change would make it.

        Raises:
            InputError: The change makes no sense, or there is none.
            ConflictError: The request is not committed, is over, or is one for regulation.
        """
        self._progress.follow(self._register.get(request_id), now.timestamp())
        request = self._register.get(request_id)
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
        check_revised(draft, now=now, limits=self._limits)
        rival = self._newly_beside(request, replace(request, draft=draft))
        if rival is not None:
            raise ConflictError(
                f"request {request_id} would overlap {window_of(rival)}, to which the power is promised"
            )
        return draft

    def _newly_beside(self, request: DispatchRequest, changed: DispatchRequest) -> DispatchRequest | None:
        """Return a request that a change would overlap and that may hold the same rows."""
        if request.draft.is_drill:
            return self._progress.rival(changed)
        # One that it overlaps already has rows of its own.
        beside = {other.id for other in self._progress.overlapping(request)}
        return next((other for other in self._progress.overlapping(changed) if other.id not in beside), None)

    def _check_rows(self, request: DispatchRequest, revision: Revision) -> None:
        """Refuse a change to more whose quote counts rows that another request may have been handed since."""
        if not asks_more(request, revision.target_kw, revision.end_at):
            return
        others = self._progress.overlapping(request)
        later = next((other for other in others if accepted_at(other) > revision.asked_at), None)
        if later is not None:
            raise ConflictError(
                f"the quote of revision {revision.number} of {request.id} does not count {window_of(later)}; ask for"
                " another one"
            )

    def add(self, request_id: str, revision: Revision) -> DispatchRequest:
        """Attach a change that was asked and its quote; nothing is in force before it is accepted."""
        return self._register.revise(self._register.get(request_id), revision)

    def accept(
        self, request_id: str, number: int, *, actor: str, now: datetime, key: str | None = None
    ) -> DispatchRequest:
        """Put a change in force; accepting the same twice changes nothing.

        Raises:
            UnknownIdError: There is no such revision.
            ConflictError: Its quote expired or cannot be met, a later one is in force, another request has taken rows
                since it was asked, or the request is over.
        """
        request = self._register.get(request_id)
        if not 1 <= number <= len(request.revisions):
            raise UnknownIdError("revision", f"{request_id}/{number}")
        revision, act = request.revisions[number - 1], f"revision {number} accepted"
        self._register.check_key(key, request_id, act)
        if revision.accepted_at is not None:
            return request
        if any(later.accepted_at is not None for later in request.revisions[number:]):
            raise ConflictError(f"a later revision of request {request_id} is in force; ask for another one")
        if now >= revision.quote.expires_at:
            raise ConflictError(
                f"the quote of revision {number} of {request_id} expired at {revision.quote.expires_at.isoformat()}"
            )
        draft = self.draft(request_id, target_kw=revision.target_kw, end_at=revision.end_at, now=now)
        request = self._register.get(request_id)
        self._check_rows(request, revision)
        accepted_kw = commitment(replace(request, draft=draft), revision.quote, None)["accepted_kw"]
        done = replace(
            revision,
            accepted_at=now,
            accepted_kw=accepted_kw,
            before_kw=request.accepted_kw,
            before_end_at=request.draft.end_at,
        )
        revisions = (*request.revisions[: number - 1], done, *request.revisions[number:])
        changes: Changes = {"draft": draft, "accepted_kw": accepted_kw, "revisions": revisions}
        return self._register.move(request, request.state, actor=actor, at=now, reason=act, key=key, **changes)


def asks_more(request: DispatchRequest, target_kw: float, end_at: datetime) -> bool:
    """Return whether power or end of a change go beyond the present commitment of a request."""
    return target_kw > (request.accepted_kw or 0.0) or end_at > request.draft.end_at


def grown_since(request: DispatchRequest, at: datetime) -> bool:
    """Return whether a change to more power or a later end has come into force after ``at``."""
    changes = (one for one in request.revisions if one.accepted_at is not None and one.accepted_at > at)
    return any(
        (one.accepted_kw or 0.0) > (one.before_kw or 0.0) or one.end_at > (one.before_end_at or one.end_at)
        for one in changes
    )


def commitment(request: DispatchRequest, quote: Quote, offer: int | None) -> Changes:
    """Return the commitment: the least of asked and even-chance (p50) power, or the counter-offer as it stands."""
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
