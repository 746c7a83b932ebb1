"""Shapes of the bodies of requests, as `vpp.dispatch.requests.journal_codec` reads them."""

from vpp.domain.request import BaselineMethod, Direction, NoticeClass, Product, Purpose, RequestState, Verdict
from vpp.record.bodies.fields import Fields
from vpp.record.bodies.shapes import (
    Shape,
    fields,
    list_of,
    moment,
    one_of,
    optional,
    text,
    whole,
    worded_number,
)

_OPTIONAL_NUMBER = optional(worded_number)
DRAFT: Shape = fields(
    {
        "product": one_of(Product),
        "direction": one_of(Direction),
        "target_kw": worded_number,
        "area": text,
        "start_at": moment,
        "end_at": moment,
        "notice_class": one_of(NoticeClass),
        "ramp_minutes": _OPTIONAL_NUMBER,
        "tolerance_ratio": worded_number,
        "rebound_cap_kw": _OPTIONAL_NUMBER,
        "min_delivered_ratio": worded_number,
        "baseline_method": one_of(BaselineMethod),
    },
    {"purpose": one_of(Purpose), "drawn_ratio": worded_number},
)
_LIMIT = fields({"name": text, "kw": worded_number, "from_at": moment, "until_at": moment})
_OFFER = fields({"kind": text, "target_kw": worded_number, "start_at": moment, "end_at": moment})
QUOTE: Shape = fields(
    {
        "verdict": one_of(Verdict),
        "interval_starts_at": list_of(moment),
        "deliverable_p10_kw": list_of(worded_number),
        "deliverable_p50_kw": list_of(worded_number),
        "deliverable_p90_kw": list_of(worded_number),
        "max_hold_minutes": worded_number,
        "ramp_kw_per_min": worded_number,
        "rebound_kw": list_of(worded_number),
        "cost_cny": worded_number,
        "limits": list_of(_LIMIT),
        "counter_offers": list_of(_OFFER),
        "promises_broken": whole,
        "expires_at": moment,
    },
    {
        "notices": list_of(text),
        "certain_ratio": _OPTIONAL_NUMBER,
        "kept_ratio": _OPTIONAL_NUMBER,
        "kept_windows": whole,
        "energy_kwh": worded_number,
        "recovery_minutes": worded_number,
        "recovery_kwh": worded_number,
        "confidence_ratio": worded_number,
        "delivery_ratio": worded_number,
        "whole_kw": _OPTIONAL_NUMBER,
        "regulation_score": _OPTIONAL_NUMBER,
        "waiting_cny_per_mw_h": _OPTIONAL_NUMBER,
        "answer_by_at": optional(moment),
    },
)
REVISION: Shape = fields(
    {
        "number": whole,
        "asked_at": moment,
        "actor": text,
        "target_kw": worded_number,
        "end_at": moment,
        "quote": QUOTE,
        "key": optional(text),
        "accepted_at": optional(moment),
        "accepted_kw": _OPTIONAL_NUMBER,
        "before_kw": _OPTIONAL_NUMBER,
        "before_end_at": optional(moment),
    }
)
_STEP = fields(
    {
        "id": text,
        "at": moment,
        "actor": text,
        "version": whole,
        "from_state": optional(one_of(RequestState)),
        "to_state": one_of(RequestState),
        "reason": text,
    },
    {
        "draft": DRAFT,
        "quote": QUOTE,
        "accepted_kw": worded_number,
        "revisions": list_of(REVISION),
        "key": optional(text),
        "idempotency_key": optional(text),
    },
)
_FIRST = fields({"draft": DRAFT, "idempotency_key": optional(text)})
_SHORTFALL = fields({"missing_kw": worded_number, "cause": text, "expected_end_at": optional(moment)})
REVISION_ASKED: Shape = fields({"id": text, "revision": REVISION})
SHORTFALL_FLAGGED: Shape = fields({"id": text, "shortfall": optional(_SHORTFALL)})


def transition(value: object, where: str) -> None:
    """Accept a transition; the first of a request states what was asked."""
    _STEP(value, where)
    if Fields(value, where).any("from_state") is None:
        _FIRST(value, where)
