"""Dispatch requests: draft, quote, states, revisions and history."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CITY = "city"
"""Id of the area that holds every other."""


class Product(StrEnum):
    """Product of a request."""

    PEAK_SHAVING = "peak_shaving"
    VALLEY_FILLING = "valley_filling"
    REGULATION = "regulation"


class Purpose(StrEnum):
    """Purpose of a request."""

    CALL = "call"
    DRILL = "drill"
    """The operator's own test of what is delivered: measured as a call is, paid nothing, and yielding to every call."""


class Direction(StrEnum):
    """Direction of a request: up-regulation cuts net load, down-regulation raises it; powers are positive in both."""

    UP = "up"
    DOWN = "down"

    @property
    def sign(self) -> float:
        """Sign of a fall of net load, 1 where it serves the request, else -1."""
        return 1.0 if self is Direction.UP else -1.0


class NoticeClass(StrEnum):
    """Notice a request gives; the thresholds are settings."""

    DAY_AHEAD = "day_ahead"
    INTRADAY = "intraday"
    FAST = "fast"
    REALTIME = "realtime"
    SECOND = "second"


class BaselineMethod(StrEnum):
    """Method by which the net load without the request is estimated (OpenADR BASELINE)."""

    SAME_TYPE_DAYS = "same_type_days"
    METER_BEFORE = "meter_before"
    SCHEDULE = "schedule"
    SESSION = "session"
    """Each charging session from its own meter before it was curtailed (docs/adr/0002)."""
    SESSION_COURSE = "session_course"
    """The same, going on as sessions do that nobody curtails (docs/adr/0045)."""
    OWN_METER = "own_meter"
    """Each building or plant from its own meter before it was ordered, with the shape of same-type days
    (docs/adr/0045)."""
    ROOF_YIELD = "roof_yield"
    """Each roof as the roofs around it that have no command, in its own ratio to them (docs/adr/0050)."""
    STORED_SCHEDULE = "stored_schedule"
    """The schedule of each store, as far as its stored energy would have carried it (docs/adr/0051)."""
    AUTOMATIC = "automatic"
    """The programme's; as shipped stored schedule for storage and V2G, sessions with their course for chargers, own
    meter for buildings and plants, the yield of free roofs for roofs."""
    SAME_TYPE_DAYS_SHIFT = "same_type_days_shift"
    MEAN_10_OF_10 = "mean_10_of_10"
    HIGH_4_OF_5 = "high_4_of_5"
    HIGH_5_OF_10 = "high_5_of_10"
    MID_8_OF_10 = "mid_8_of_10"
    SMOOTHED_90_10 = "smoothed_90_10"
    MATCH_DAY = "match_day"


class RequestState(StrEnum):
    """State in a request's life; docs/architecture.md names the standard that each maps to."""

    SUBMITTED = "submitted"
    QUOTED = "quoted"
    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    PRECONDITIONING = "preconditioning"
    RAMPING = "ramping"
    HOLDING = "holding"
    RELEASING = "releasing"
    REBOUND_WATCH = "rebound_watch"
    COMPLETED = "completed"
    VERIFIED = "verified"
    SETTLED = "settled"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    FAILED = "failed"


OVER = frozenset(
    {
        RequestState.DECLINED,
        RequestState.EXPIRED,
        RequestState.CANCELLED,
        RequestState.FAILED,
        RequestState.SUPERSEDED,
        RequestState.SETTLED,
    }
)
"""States after which nothing more becomes of a request; one that ramped and was superseded is settled first."""


class Verdict(StrEnum):
    """Verdict of a quote."""

    FEASIBLE = "feasible"
    PARTIAL = "partial"
    INFEASIBLE = "infeasible"


_SPARSE = MappingProxyType({"sparse": True})
"""Marks fields that are not stated where they have their default: journals and hashes of before know nothing of them.
"""


def stated(value: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass by name, without those younger than the oldest journals that say nothing."""
    return {
        f.name: getattr(value, f.name)
        for f in fields(value)
        if not f.metadata.get("sparse") or getattr(value, f.name) != f.default
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDraft:
    """A request as a dispatcher states it (OpenADR event, UFTP FlexRequest).

    Attributes:
        target_kw: Change of net load, above zero in both directions; for regulation the band in each.
        area: ``"city"`` or an area id.
        start_at: Full power is due from here.
        end_at: Full power is due until here; the release follows.
        ramp_minutes: Length of the ramp that ends at ``start_at``; ``None`` lets the service choose.
        tolerance_ratio: Deviation from the target that counts as on target.
        rebound_cap_kw: Greatest net load above baseline after release; ``None`` for no cap.
        min_delivered_ratio: Least share of the target that is of use to the dispatcher, 0-1.
        purpose: A drill is paid nothing and yields to calls.
        drawn_ratio: Share of the area's devices that take part in a drill, drawn at random, above 0 to 1. A drawn part
            is asked for everything it can give: of a whole area asked for little, others would make up for whoever
            does not follow, and nothing would be learnt.
    """

    product: Product
    direction: Direction
    target_kw: float
    area: str
    start_at: datetime
    end_at: datetime
    notice_class: NoticeClass
    ramp_minutes: float | None = None
    tolerance_ratio: float = 0.05
    rebound_cap_kw: float | None = None
    min_delivered_ratio: float = 0.0
    baseline_method: BaselineMethod = BaselineMethod.AUTOMATIC
    purpose: Purpose = field(default=Purpose.CALL, metadata=_SPARSE)
    drawn_ratio: float = field(default=1.0, metadata=_SPARSE)

    @property
    def is_drill(self) -> bool:
        """Whether it is a drill."""
        return self.purpose is Purpose.DRILL


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingLimit:
    """A constraint that keeps a quote from being larger, and the power it leaves, kW."""

    name: str
    kw: float
    from_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterOffer:
    """A request that could be met instead; power in kW, positive in both directions."""

    kind: str
    target_kw: float
    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Answer to a request before commitment (UFTP FlexOffer); powers in kW, positive in both directions.

    Attributes:
        interval_starts_at: Start of every 15-minute interval of the request.
        deliverable_p10_kw: With nine chances in ten at least this much, one value an interval.
        deliverable_p50_kw: With even chances at least this much, one value an interval.
        deliverable_p90_kw: With one chance in ten at least this much, one value an interval.
        max_hold_minutes: Longest hold of the p50 power.
        ramp_kw_per_min: Rate at which the full power is reached.
        rebound_kw: Net load above baseline, one value per 15 minutes from ``end_at`` on.
        energy_kwh: Energy budget: what the even-chance power adds up to over the window.
        recovery_minutes: From the end of the hold until 95 % of the released power is back.
        recovery_kwh: Energy that has to be given back in the end: deferred charging, heat, discharged storage.
        confidence_ratio: Chance that every interval reaches the target, from measured delivery ratios, 0-1.
        delivery_ratio: Share of commanded power that devices of these cohorts have delivered so far, 0-1.
        notices: Further remarks on the basis of the quote, a sentence each.
        certain_ratio: Share of the target that the least p10 had to reach for a feasible verdict, beside the least p50
            that had to reach all of it; ``None`` in quotes older than this field.
        kept_ratio: Share of the windows quoted at such a notice for such hours whose p10 was deliverable, by what the
            meters showed afterwards; ``None`` before any.
        kept_windows: Number of these windows.
        whole_kw: For a drill of a drawn part, the even-chance power of the whole area through the window, kW; ``None``
            otherwise.
        regulation_score: Score expected of following a signal with the power asked, or what there is of it, 0 to 1, by
            the cadence, answer and obedience observed of the devices; ``None`` for other products.
        waiting_cny_per_mw_h: What keeping the power ready costs until the start, for each MW of the least p50, or of
            the target where that is less, and hour: trades that stores leave out; ``None`` where it is not known.
        answer_by_at: Instant until which waiting costs nothing, at the latest the begin of the ramp; ``None`` where it
            is not known.
    """

    verdict: Verdict
    interval_starts_at: tuple[datetime, ...]
    deliverable_p10_kw: tuple[float, ...]
    deliverable_p50_kw: tuple[float, ...]
    deliverable_p90_kw: tuple[float, ...]
    max_hold_minutes: float
    ramp_kw_per_min: float
    rebound_kw: tuple[float, ...]
    cost_cny: float
    limits: tuple[BindingLimit, ...]
    counter_offers: tuple[CounterOffer, ...]
    promises_broken: int
    expires_at: datetime
    energy_kwh: float = float("nan")
    recovery_minutes: float = float("nan")
    recovery_kwh: float = float("nan")
    confidence_ratio: float = float("nan")
    delivery_ratio: float = float("nan")
    notices: tuple[str, ...] = ()
    certain_ratio: float | None = None
    kept_ratio: float | None = None
    kept_windows: int = 0
    whole_kw: float | None = field(default=None, metadata=_SPARSE)
    regulation_score: float | None = field(default=None, metadata=_SPARSE)
    waiting_cny_per_mw_h: float | None = field(default=None, metadata=_SPARSE)
    answer_by_at: datetime | None = field(default=None, metadata=_SPARSE)

    @property
    def p50_kw(self) -> float:
        """Even-chance power that can be held through the whole window, kW."""
        return min(self.deliverable_p50_kw, default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRecord:
    """Standard windows and requests of one area that were quoted, and what became of the promise.

    Attributes:
        notice: Class of their notice.
        block: Hours of the day in Asia/Shanghai in which they begin.
        windows: Number judged so far.
        kept_ratio: Share of them whose p10, p50 and p90 were deliverable; those of twenty days ago count half.
        since_at: End of the first.
        learnt: Quotes of this direction rest on what was learnt of them, not on the normal law.
    """

    area: str
    direction: Direction
    notice: str
    block: str
    windows: int
    kept_ratio: tuple[float, float, float]
    since_at: datetime
    learnt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteCalibration:
    """How quotes were kept so far.

    Attributes:
        records: By area, direction, notice and block, the city's first.
        left_out: Number of windows that could not be judged, by reason.
    """

    records: tuple[QuoteRecord, ...]
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a request's state, as the journal has it."""

    at: datetime
    actor: str
    version: int
    from_state: RequestState | None
    to_state: RequestState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Flag on a ramping or holding request: power that is missing (kW), its cause and its expected end."""

    missing_kw: float
    cause: str
    expected_end_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A change of a committed request's power or end, with a quote of its own (OpenADR modifies events the same way).

    Attributes:
        number: From 1, in the order of asking.
        target_kw: Power asked for from then on, positive in both directions.
        end_at: End asked for.
        quote: Answer for the rest of the window.
        key: Idempotency key of the question.
        accepted_at: Instant from which it is in force, ``None`` before.
        accepted_kw: Power committed with it.
        before_kw: Power committed until then.
        before_end_at: End that was committed until then.
    """

    number: int
    asked_at: datetime
    actor: str
    target_kw: float
    end_at: datetime
    quote: Quote
    key: str | None = None
    accepted_at: datetime | None = None
    accepted_kw: float | None = None
    before_kw: float | None = None
    before_end_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRequest:
    """A request with its whole history; every change is a new value.

    ``draft`` and ``accepted_kw`` are in force now; earlier ones are in ``revisions``.
    """

    id: str
    draft: RequestDraft
    state: RequestState
    created_at: datetime
    idempotency_key: str | None = None
    quote: Quote | None = None
    accepted_kw: float | None = None
    history: tuple[Transition, ...] = field(default=())
    shortfall: Shortfall | None = None
    revisions: tuple[Revision, ...] = ()

    @property
    def version(self) -> int:
        """Number of transitions so far."""
        return len(self.history)
