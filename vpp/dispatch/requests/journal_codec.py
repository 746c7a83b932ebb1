"""Requests as JSON-like journal bodies, and back again without loss."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from math import isfinite
from typing import Any

from vpp.domain.request import (
    BaselineMethod,
    BindingLimit,
    CounterOffer,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Purpose,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
    Shortfall,
    Transition,
    Verdict,
    stated,
)

Body = Mapping[str, Any]
_LATER_FIELDS = ("energy_kwh", "recovery_minutes", "recovery_kwh", "confidence_ratio", "delivery_ratio")


def plain(value: object) -> object:
    """Return ``value`` as JSON-like content; floats that JSON lacks become the words ``float`` reads."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in stated(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def draft_from(body: Body) -> RequestDraft:
    """Return the draft that ``plain`` wrote."""
    return RequestDraft(
        product=Product(body["product"]),
        direction=Direction(body["direction"]),
        target_kw=float(body["target_kw"]),
        area=str(body["area"]),
        start_at=_instant(body["start_at"]),
        end_at=_instant(body["end_at"]),
        notice_class=NoticeClass(body["notice_class"]),
        ramp_minutes=_optional_float(body["ramp_minutes"]),
        tolerance_ratio=float(body["tolerance_ratio"]),
        rebound_cap_kw=_optional_float(body["rebound_cap_kw"]),
        min_delivered_ratio=float(body["min_delivered_ratio"]),
        baseline_method=BaselineMethod(body["baseline_method"]),
        # What follows is stated by drills alone.
        purpose=Purpose(body.get("purpose", Purpose.CALL)),
        drawn_ratio=float(body.get("drawn_ratio", 1.0)),
    )


def quote_from(body: Body) -> Quote:
    """Return the quote that ``plain`` wrote."""
    return Quote(
        verdict=Verdict(body["verdict"]),
        interval_starts_at=tuple(_instant(at) for at in body["interval_starts_at"]),
        deliverable_p10_kw=_floats(body["deliverable_p10_kw"]),
        deliverable_p50_kw=_floats(body["deliverable_p50_kw"]),
        deliverable_p90_kw=_floats(body["deliverable_p90_kw"]),
        max_hold_minutes=float(body["max_hold_minutes"]),
        ramp_kw_per_min=float(body["ramp_kw_per_min"]),
        rebound_kw=_floats(body["rebound_kw"]),
        cost_cny=float(body["cost_cny"]),
        limits=tuple(_limit_from(limit) for limit in body["limits"]),
        counter_offers=tuple(_offer_from(offer) for offer in body["counter_offers"]),
        promises_broken=int(body["promises_broken"]),
        expires_at=_instant(body["expires_at"]),
        # Journals of earlier versions lack what follows.
        notices=tuple(str(notice) for notice in body.get("notices", ())),
        certain_ratio=_optional_float(body.get("certain_ratio")),
        kept_ratio=_optional_float(body.get("kept_ratio")),
        kept_windows=int(body.get("kept_windows", 0)),
        whole_kw=_optional_float(body.get("whole_kw")),
        regulation_score=_optional_float(body.get("regulation_score")),
        waiting_cny_per_mw_h=_optional_float(body.get("waiting_cny_per_mw_h")),
        answer_by_at=_optional_instant(body.get("answer_by_at")),
        **{name: float(body.get(name, "nan")) for name in _LATER_FIELDS},
    )


def revision_from(body: Body) -> Revision:
    """Return the revision that ``plain`` wrote."""
    return Revision(
        number=int(body["number"]),
        asked_at=_instant(body["asked_at"]),
        actor=str(body["actor"]),
        target_kw=float(body["target_kw"]),
        end_at=_instant(body["end_at"]),
        quote=quote_from(body["quote"]),
        key=body["key"],
        accepted_at=_optional_instant(body["accepted_at"]),
        accepted_kw=_optional_float(body["accepted_kw"]),
        before_kw=_optional_float(body["before_kw"]),
        before_end_at=_optional_instant(body["before_end_at"]),
    )


def transition_from(body: Body) -> Transition:
    """Return the transition that ``plain`` wrote."""
    before = body["from_state"]
    return Transition(
        at=_instant(body["at"]),
        actor=str(body["actor"]),
        version=int(body["version"]),
        from_state=None if before is None else RequestState(before),
        to_state=RequestState(body["to_state"]),
        reason=str(body["reason"]),
    )


def request_from(body: Body) -> DispatchRequest:
    """Return the request that ``plain`` wrote, with its whole history."""
    quote, flag = body["quote"], body["shortfall"]
    return DispatchRequest(
        id=str(body["id"]),
        draft=draft_from(body["draft"]),
        state=RequestState(body["state"]),
        created_at=_instant(body["created_at"]),
        idempotency_key=body["idempotency_key"],
        quote=None if quote is None else quote_from(quote),
        accepted_kw=_optional_float(body["accepted_kw"]),
        history=tuple(transition_from(step) for step in body["history"]),
        shortfall=None if flag is None else shortfall_from(flag),
        revisions=tuple(revision_from(revision) for revision in body["revisions"]),
    )


def shortfall_from(body: Body) -> Shortfall:
    """Return the shortfall that ``plain`` wrote."""
    expected = body["expected_end_at"]
    return Shortfall(
        missing_kw=float(body["missing_kw"]),
        cause=str(body["cause"]),
        expected_end_at=None if expected is None else _instant(expected),
    )


def _limit_from(body: Body) -> BindingLimit:
    return BindingLimit(
        name=str(body["name"]),
        kw=float(body["kw"]),
        from_at=_instant(body["from_at"]),
        until_at=_instant(body["until_at"]),
    )


def _offer_from(body: Body) -> CounterOffer:
    return CounterOffer(
        kind=str(body["kind"]),
        target_kw=float(body["target_kw"]),
        start_at=_instant(body["start_at"]),
        end_at=_instant(body["end_at"]),
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _optional_instant(text: str | None) -> datetime | None:
    return None if text is None else _instant(text)


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _optional_float(value: object) -> float | None:
    return None if value is None else float(str(value))
