"""Quote: deliverable power before commitment, its quantiles, binding limits, rebound, cost and counter-offers."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.request import BindingLimit, CounterOffer, Direction, Quote, RequestDraft, Verdict
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.planning.flexibility.error_law import ErrorLaws, NormalLaws
from vpp.planning.flexibility.flexibility_basis import PV, FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy, Window
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.assessment import NAMED_LIMIT_KW, Assessment, Assessor, Envelopes, confidence
from vpp.planning.quote.counter_offers import counter_offers, longest_hold, reaches
from vpp.planning.quote.rebound import ClassPrices, cost_cny, merit_key, rebound_of, recovery_minutes
from vpp.planning.quote.waiting import waiting_of
from vpp.planning.tariff import Tariff

_MOST_LIMITS = 40
"""A city has hundreds of transformers that bind a little; the greatest are named."""
VALID_S = 300.0


def quote(
    draft: RequestDraft,
    *,
    state: FleetState,
    forecast: Forecast,
    schedule: Schedule | None,
    delivery_ratio: FloatArray,
    committed_kw: FloatArray,
    now: datetime,
    valid_s: float = VALID_S,
    policy: FlexibilityPolicy | None = None,
    prices: ClassPrices | None = None,
) -> Quote:
    """Return the quote of ``draft``; a request that cannot be met gets offers that can.

    Args:
        draft: What is asked.
        state: Snapshot, taken at the forecast's beginning or later within its first step.
        forecast: Mean and spread of every row; must reach beyond the hold, should reach two hours beyond.
        schedule: The plan in force, the reference of storage and V2G.
        delivery_ratio: Measured chance of each row to follow a command, shape ``(n_resources,)``.
        committed_kw: Already promised in the overlapping area and the same direction by forecast step, shape
            ``(forecast.grid.count,)``.
        now: Moment of the quote.
        valid_s: How long it holds.
        policy: What may be promised.
        prices: What it costs.

    Raises:
        InputError: A field of the draft makes no sense, or the forecast does not reach so far.
        UnknownIdError: No such area.
    """
    if delivery_ratio.shape != (len(state),):
        raise InputError("delivery_ratio", delivery_ratio.shape, f"shape ({len(state)},)")
    inputs = FlexibilityInputs.of(state, forecast=forecast, schedule=schedule, policy=policy)
    check_draft(draft, inputs, committed_kw)
    basis = FlexibilityBasis.of(inputs, delivery_ratio)
    return quote_on(basis, draft, committed_kw=committed_kw, now=now, valid_s=valid_s, prices=prices)


def quote_on(
    basis: FlexibilityBasis,
    draft: RequestDraft,
    *,
    committed_kw: FloatArray,
    now: datetime,
    called_kw: FloatArray | None = None,
    valid_s: float = VALID_S,
    prices: ClassPrices | None = None,
    envelopes: Envelopes | None = None,
    laws: ErrorLaws | None = None,
    tariff: Tariff | None = None,
) -> Quote:
    """Return the quote of ``draft`` on a basis that is known already; see ``quote``.

    Args:
        basis: Basis of the fleet.
        draft: What is asked.
        committed_kw: See ``quote``.
        now: Moment of the quote.
        called_kw: The part of it that takes energy, so that stores have less at other hours; none if not given.
        valid_s: How long it holds.
        prices: What it costs.
        envelopes: Envelopes of this basis that were computed before; new ones are added.
        laws: What is known of the errors of quotes; the normal law if not given.
        tariff: Prices at which stores could trade until the start; Shanghai's if not given.
    """
    check_draft(draft, basis.inputs, committed_kw)
    index = basis.inputs.state.index
    price = (prices or ClassPrices()).by_class()
    assessor = Assessor(
        basis=basis,
        chosen=basis.groups.inside(index.in_area(draft.area)),
        committed_kw=committed_kw,
        called_kw=np.zeros_like(committed_kw) if called_kw is None else called_kw,
        price=price,
        merit=merit_key(price, index, capped=draft.rebound_cap_kw is not None),
        now=now,
        envelopes={} if envelopes is None else envelopes,
        laws=laws or NormalLaws(),
    )
    assessment = assessor.assess(draft)
    longest = longest_hold(draft, assessor)
    offers = (
        () if assessment.verdict is Verdict.FEASIBLE else tuple(counter_offers(draft, assessor, assessment, longest))
    )
    answer = _written(
        draft, assessor, assessment, longest=longest, offers=offers, expires_at=now + timedelta(seconds=valid_s)
    )
    return _with_waiting(answer, draft, assessor, assessment, tariff or Tariff())


def _with_waiting(
    answer: Quote, draft: RequestDraft, assessor: Assessor, assessment: Assessment, tariff: Tariff
) -> Quote:
    """Return a quote that says what waiting for it costs."""
    found = assessment.found
    given = assessor.class_shares(found, min(draft.target_kw, float(assessment.p50_kw.min())))
    waiting = waiting_of(
        assessor.basis,
        draft,
        assessment.window,
        class_kw=given * np.maximum(found.class_kw, 0.0),
        tariff=tariff,
        now_s=assessor.now.timestamp(),
    )
    return replace(
        answer,
        waiting_cny_per_mw_h=waiting.cny_per_mw_h,
        answer_by_at=instant(min(waiting.free_until_s, draft.start_at.timestamp())),
    )


def _written(
    draft: RequestDraft,
    assessor: Assessor,
    assessment: Assessment,
    *,
    longest: int,
    offers: tuple[CounterOffer, ...],
    expires_at: datetime,
) -> Quote:
    inputs, found = assessor.inputs, assessment.found
    given = assessor.class_shares(found, min(draft.target_kw, float(assessment.p50_kw.min())))
    staged = draft.rebound_cap_kw is not None
    rebound = rebound_of(assessor.basis, draft.direction, assessment.window, found, staged=staged)
    curve = given @ rebound.kw
    return Quote(
        verdict=assessment.verdict,
        interval_starts_at=_starts(assessment),
        deliverable_p10_kw=_values(assessment.p10_kw),
        deliverable_p50_kw=_values(assessment.p50_kw),
        deliverable_p90_kw=_values(assessment.p90_kw),
        max_hold_minutes=longest * inputs.grid.step_s / SECONDS_PER_MINUTE,
        ramp_kw_per_min=found.ramp_kw_per_min,
        rebound_kw=_values(curve),
        cost_cny=cost_cny(assessor.basis, assessment.window, given * np.maximum(found.class_kw, 0.0), assessor.price),
        limits=_limits(draft, assessor, assessment),
        counter_offers=offers,
        promises_broken=0,
        expires_at=expires_at,
        energy_kwh=float(assessment.p50_kw.sum() * inputs.grid.step_h),
        recovery_minutes=recovery_minutes(curve, inputs.grid.step_h),
        recovery_kwh=float(given @ rebound.recovery_kwh),
        confidence_ratio=_confidence(draft, assessment),
        delivery_ratio=found.delivery_ratio,
        certain_ratio=assessor.certain_ratio(draft),
    )


def _confidence(draft: RequestDraft, assessment: Assessment) -> float:
    """Return the chance that the worst interval reaches the target; none where the rebound cap forbids it."""
    if assessment.rebound_limited_kw < draft.target_kw:
        return 0.0
    return confidence(assessment.found.p50_kw, assessment.found.sigma_kw, draft.target_kw)


def check_draft(draft: RequestDraft, inputs: FlexibilityInputs, committed_kw: FloatArray) -> None:
    """Raise InputError for a draft that makes no sense on these inputs."""
    if not (math.isfinite(draft.target_kw) and draft.target_kw > 0.0):
        raise InputError("target_kw", draft.target_kw, "a number above 0")
    if draft.end_at <= draft.start_at:
        raise InputError("end_at", draft.end_at, f"an instant after start_at = {draft.start_at}")
    if not reaches(draft, inputs):
        first, last = inputs.grid.start_at, inputs.grid.end_at
        raise InputError("start_at, end_at", (draft.start_at, draft.end_at), f"a window between {first} and {last}")
    if committed_kw.shape != (inputs.grid.count,):
        raise InputError("committed_kw", committed_kw.shape, f"shape ({inputs.grid.count},)")


def _limits(draft: RequestDraft, assessor: Assessor, assessment: Assessment) -> tuple[BindingLimit, ...]:
    """Return what keeps the assessment from being larger, greatest first."""
    lost = dict(assessment.found.lost_kw)
    if math.isfinite(assessment.rebound_limited_kw):
        lost["rebound cap"] = np.maximum(assessment.found.p50_kw - assessment.p50_kw, 0.0)
    if draft.direction is Direction.DOWN:
        lost["photovoltaic curtailment kept as last resort"] = _curtailable_kw(assessor, assessment.window)
    missing = draft.target_kw - assessment.p50_kw
    if missing.max() > NAMED_LIMIT_KW:
        lost["fleet in the area, all that can be moved"] = np.maximum(missing, 0.0)
    limits = [_limit(name, values, assessment) for name, values in lost.items() if values.max() > NAMED_LIMIT_KW]
    return tuple(sorted(limits, key=lambda limit: -limit.kw)[:_MOST_LIMITS])


def _limit(name: str, lost_kw: FloatArray, assessment: Assessment) -> BindingLimit:
    binding = np.flatnonzero(lost_kw > NAMED_LIMIT_KW)
    starts = _starts(assessment)
    step = timedelta(seconds=assessment.grid.step_s)
    return BindingLimit(
        name=name,
        kw=float(lost_kw[binding].mean()),
        from_at=starts[int(binding[0])],
        until_at=starts[int(binding[-1])] + step,
    )


def _curtailable_kw(assessor: Assessor, window: Window) -> FloatArray:
    basis = assessor.basis
    groups = assessor.chosen & (basis.groups.class_code == PV)
    fed_in = -basis.power.net_kw[groups, window.steps] - basis.power.unusable_kw[groups, window.steps]
    return np.asarray(np.maximum(fed_in, 0.0).sum(axis=0))


def _starts(assessment: Assessment) -> tuple[datetime, ...]:
    step = timedelta(seconds=assessment.grid.step_s)
    return tuple(assessment.grid.start_at + i * step for i in range(assessment.grid.count))


def _values(values: FloatArray) -> tuple[float, ...]:
    return tuple(values.tolist())
