"""Requests, quotes, revisions, and the history of each request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue

from vpp.api.schemas.base import Instant, Known, Ratio, Schema, Size
from vpp.domain.errors import InputError
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Purpose,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
    Verdict,
)

REQUEST_EXAMPLE: dict[str, JsonValue] = {
    "product": "peak_shaving",
    "direction": "up",
    "target_kw": 2500.0,
    "area": "city",
    "start_at": "2026-07-15T12:30:00+08:00",
    "end_at": "2026-07-15T13:30:00+08:00",
    "notice_class": "intraday",
}


class RequestBody(Schema):
    """A request for flexibility."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [REQUEST_EXAMPLE]})

    product: Product
    direction: Direction = Field(description="up cuts net load, down raises it")
    target_kw: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1e8)]
    area: str = Field(min_length=1, max_length=200, description="city, or the id of an area")
    start_at: Instant = Field(description="Full power is due from here.")
    end_at: Instant = Field(description="Full power is due until here; the release follows.")
    notice_class: NoticeClass
    ramp_minutes: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=1440.0)] | None = Field(
        default=None, description="Length of the ramp that ends at start_at; null lets the service choose."
    )
    tolerance_ratio: Ratio = 0.05
    rebound_cap_kw: Size | None = Field(default=None, description="Greatest net load above baseline after the release.")
    min_delivered_ratio: Ratio = Field(default=0.0, description="Share of the target below which nothing is wanted.")
    baseline_method: BaselineMethod = BaselineMethod.AUTOMATIC
    purpose: Purpose = Field(
        default=Purpose.CALL,
        description="drill for the operator's own test: measured as a call is, paid nothing, ended by any call.",
    )
    drawn_ratio: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1.0)] = Field(
        default=1.0, description="Share of the area's devices that take part in a drill, drawn at random; 1 for a call."
    )

    def draft(self) -> RequestDraft:
        """Return the request in domain terms.

        Raises:
            InputError: It ends before it begins.
        """
        if self.end_at <= self.start_at:
            raise InputError("end_at", self.end_at.isoformat(), f"a time after start_at = {self.start_at.isoformat()}")
        return RequestDraft(**{name: getattr(self, name) for name in type(self).model_fields})


class AcceptBody(Schema):
    """Choice between the quote and its counter-offers."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{}, {"offer": 0}]})

    offer: Annotated[int, Field(strict=True, ge=0, le=1000)] | None = Field(
        default=None, description="Number of a counter-offer, from 0; null for the quote itself."
    )


class CancelBody(Schema):
    """Reason a request is ended."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"reason": "the grid recovered"}]}
    )

    reason: str = Field(default="no reason given", min_length=1, max_length=500)


class RevisionBody(Schema):
    """A change of a committed or running request; a field left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"target_kw": 1800.0}, {"end_at": "2026-07-15T14:00:00+08:00"}]},
    )

    target_kw: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1e8)] | None = Field(
        default=None, description="Power from now on; reached by the request's own ramp."
    )
    end_at: Instant | None = Field(default=None, description="Full power is due until here, after now.")


class RevisionAcceptBody(Schema):
    """Empty: a change is accepted as it was quoted."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{}]})


class Deliverable(Schema):
    """Power per 15-minute interval with nine, five and one chances in ten."""

    p10: list[Known]
    p50: list[Known]
    p90: list[Known]


class LimitView(Schema):
    """A constraint that keeps the answer from being larger."""

    name: str
    kw: Known
    from_at: datetime
    until_at: datetime


class CounterOfferView(Schema):
    """A request that could be met instead."""

    kind: str
    target_kw: Known
    start_at: datetime
    end_at: datetime


class QuoteView(Schema):
    """The answer to a request before commitment."""

    verdict: Verdict
    interval_starts_at: list[datetime]
    deliverable_kw: Deliverable
    p50_kw: Known = Field(description="The even-chance power that can be held through the whole window.")
    max_hold_minutes: Known
    ramp_kw_per_min: Known
    rebound_kw: list[Known] = Field(description="Net load above baseline, per 15 minutes from end_at on.")
    cost_cny: Known
    limits: list[LimitView]
    counter_offers: list[CounterOfferView]
    promises_broken: int
    expires_at: datetime
    energy_kwh: Known = Field(default=None, description="Energy budget over the whole window, even chances.")
    recovery_minutes: Known = Field(
        default=None, description="Time until 95 % of the rebound within the watch is over."
    )
    recovery_kwh: Known = Field(default=None, description="Energy that has to be given back in the end.")
    confidence_ratio: Known = Field(default=None, description="Chance that every interval reaches the target.")
    delivery_ratio: Known = Field(default=None, description="Measured share of commanded power that is delivered.")
    certain_ratio: Known = Field(
        default=None,
        description="Share of the target that the least p10 had to reach for the verdict feasible, beside the least p50"
        " that had to reach all of it.",
    )
    kept_ratio: Known = Field(
        default=None,
        description="Kept so far: share of the windows quoted at such a notice for such hours whose p10 was deliverable"
        " by the meters; null before any. See /quotes/calibration.",
    )
    kept_windows: int = Field(default=0, description="Number of these windows.")
    whole_kw: Known = Field(
        default=None, description="For a drill of a drawn part, the p50 of the whole area; null otherwise."
    )
    regulation_score: Known = Field(
        default=None,
        description="Regulation: score expected with the power asked, or what there is of it, from the observed cadence"
        " of meters, time to answer and share of commands followed.",
    )
    waiting_cny_per_mw_h: Known = Field(
        default=None,
        description="What keeping the quoted power ready until start_at costs an hour and MW: trades that storage"
        " leaves out meanwhile.",
    )
    answer_by_at: datetime | None = Field(
        default=None, description="Waiting costs nothing until here; the begin of the ramp at the latest."
    )
    notices: list[str] = Field(default=[], description="Uncertain assumptions behind the figures, a sentence each.")

    @classmethod
    def of(cls, quote: Quote) -> Self:
        """Return the quote as it is shown."""
        return cls(
            verdict=quote.verdict,
            interval_starts_at=list(quote.interval_starts_at),
            deliverable_kw=Deliverable(
                p10=list(quote.deliverable_p10_kw),
                p50=list(quote.deliverable_p50_kw),
                p90=list(quote.deliverable_p90_kw),
            ),
            p50_kw=quote.p50_kw,
            max_hold_minutes=quote.max_hold_minutes,
            ramp_kw_per_min=quote.ramp_kw_per_min,
            rebound_kw=list(quote.rebound_kw),
            cost_cny=quote.cost_cny,
            limits=[
                LimitView(name=limit.name, kw=limit.kw, from_at=limit.from_at, until_at=limit.until_at)
                for limit in quote.limits
            ],
            counter_offers=[
                CounterOfferView(kind=o.kind, target_kw=o.target_kw, start_at=o.start_at, end_at=o.end_at)
                for o in quote.counter_offers
            ],
            promises_broken=quote.promises_broken,
            expires_at=quote.expires_at,
            energy_kwh=quote.energy_kwh,
            recovery_minutes=quote.recovery_minutes,
            recovery_kwh=quote.recovery_kwh,
            confidence_ratio=quote.confidence_ratio,
            delivery_ratio=quote.delivery_ratio,
            certain_ratio=quote.certain_ratio,
            kept_ratio=quote.kept_ratio,
            kept_windows=quote.kept_windows,
            whole_kw=quote.whole_kw,
            regulation_score=quote.regulation_score,
            waiting_cny_per_mw_h=quote.waiting_cny_per_mw_h,
            answer_by_at=quote.answer_by_at,
            notices=list(quote.notices),
        )


class RevisionView(Schema):
    """A change of a committed request, with its own quote."""

    number: int
    asked_at: datetime
    actor: str
    target_kw: float
    end_at: datetime
    quote: QuoteView
    accepted_at: datetime | None = Field(description="Time it came into force; null before.")
    accepted_kw: Known
    before_kw: Known = Field(description="Power committed until then.")
    before_end_at: datetime | None

    @classmethod
    def of(cls, revision: Revision) -> Self:
        """Return the revision as it is shown."""
        same = [name for name in cls.model_fields if name != "quote"]
        return cls(**{name: getattr(revision, name) for name in same}, quote=QuoteView.of(revision.quote))


class TransitionView(Schema):
    """One transition of a request."""

    at: datetime
    actor: str
    version: int
    from_state: RequestState | None
    to_state: RequestState
    reason: str


class ShortfallView(Schema):
    """Missing power, its cause and expected end."""

    missing_kw: Known
    cause: str
    expected_end_at: datetime | None


class ProgressView(Schema):
    """Delivery of a running request as metered now."""

    target_kw: Known
    delivered_kw: Known
    baseline_kw: Known = None
    measured_kw: Known = None
    metered_ratio: Known = Field(
        None, description="share of the devices at work that is freshly metered; the others count as delivering nothing"
    )


_MOST_NAMED = 200


class LossView(Schema):
    """Enlisted devices that cannot be called now, for one reason."""

    reason: str
    count: int
    resource_ids: list[str] = Field(description="The first two hundred of them.")


class SettlementFailedView(Schema):
    """Cause of a settlement that failed; it is tried again."""

    cause: str
    since_at: datetime
    tried_at: datetime


class RequestView(Schema):
    """A request with its whole history."""

    id: str
    state: RequestState
    version: int
    created_at: datetime
    product: Product
    direction: Direction
    target_kw: float
    area: str
    start_at: datetime
    end_at: datetime
    notice_class: NoticeClass
    ramp_minutes: float | None
    tolerance_ratio: float
    rebound_cap_kw: float | None
    min_delivered_ratio: float
    baseline_method: BaselineMethod
    purpose: Purpose
    drawn_ratio: float
    accepted_kw: float | None
    quote: QuoteView | None
    shortfall: ShortfallView | None
    losses: list[LossView] = Field(
        description="Enlisted devices that cannot be called now, by reason; they may come back."
    )
    settlement_failed: SettlementFailedView | None = Field(description="null unless a settlement failed")
    progress: ProgressView | None = Field(description="null while the request does not run")
    history: list[TransitionView]
    revisions: list[RevisionView] = Field(description="Changes asked since the acceptance, oldest first.")

    @classmethod
    def of(
        cls,
        request: DispatchRequest,
        progress: Mapping[str, float] | None,
        unsettled: Mapping[str, object] | None = None,
        losses: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Return the request as it is shown."""
        draft = {name: getattr(request.draft, name) for name in RequestBody.model_fields}
        return cls(
            **draft,
            id=request.id,
            state=request.state,
            version=request.version,
            created_at=request.created_at,
            accepted_kw=request.accepted_kw,
            quote=None if request.quote is None else QuoteView.of(request.quote),
            shortfall=_shortfall(request),
            losses=[
                LossView(reason=why, count=len(ids), resource_ids=list(ids[:_MOST_NAMED]))
                for why, ids in (losses or {}).items()
            ],
            settlement_failed=None if unsettled is None else SettlementFailedView.model_validate(dict(unsettled)),
            progress=_progress(progress),
            history=[
                TransitionView(
                    at=t.at,
                    actor=t.actor,
                    version=t.version,
                    from_state=t.from_state,
                    to_state=t.to_state,
                    reason=t.reason,
                )
                for t in request.history
            ],
            revisions=[RevisionView.of(revision) for revision in request.revisions],
        )


def _progress(progress: Mapping[str, float] | None) -> ProgressView | None:
    if progress is None:
        return None
    return ProgressView(**{name: progress.get(name) for name in ProgressView.model_fields})


def _shortfall(request: DispatchRequest) -> ShortfallView | None:
    flag = request.shortfall
    if flag is None:
        return None
    return ShortfallView(missing_kw=flag.missing_kw, cause=flag.cause, expected_end_at=flag.expected_end_at)
