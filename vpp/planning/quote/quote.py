"""The answer before commitment: what can be had, its chances, limits, rebound and cost, and what instead."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.fleet_state import FleetState
from vpp.domain.request import BindingLimit, CounterOffer, Direction, Quote, RequestDraft, Verdict
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.planning.flexibility.deliverable import Deliverable, deliverable
from vpp.planning.flexibility.flexibility_basis import PV, FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import FlexibilityEnvelope, flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy, Window
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.rebound import (
    WATCH_STEPS,
    ClassPrices,
    Rebound,
    cost_cny,
    fractions,
    merit_key,
    rebound_of,
    recovery_minutes,
)

_LEAST_PARTIAL_RATIO = 0.1
_NAMED_LIMIT_KW = 0.5
_OFFER_RATIO = 0.95
_LATEST_SHIFT_STEPS = 8
_LONGEST_HOLD_STEPS = 32
_REBOUND_TRIALS = 20
_LEAST_SIGMA_KW = 1e-9
_MOST_LIMITS = 40
"""A city has hundreds of transformers that bind a little; the greatest are named."""
VALID_S = 300.0


Envelopes = dict[tuple[Direction, Window, int, str], FlexibilityEnvelope]
"""What cells could be moved, by window and area; good for every target and cap asked of the same ground."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What stays the same for every question about one draft; windows already looked at are remembered."""

    basis: FlexibilityBasis
    chosen: BoolArray
    committed_kw: FloatArray
    price: FloatArray
    key: FloatArray
    now: datetime
    envelopes: Envelopes
    seen: dict[Window, "_Found"] = field(default_factory=dict)

    @property
    def inputs(self) -> FlexibilityInputs:
        return self.basis.inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One window of a case; the return is looked for only where it is asked for."""

    deliverable: Deliverable
    most_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One draft assessed."""

    grid: TimeGrid
    window: Window
    found: Deliverable
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    rebound_limited_kw: float
    verdict: Verdict


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
        state: The picture, taken at the forecast's beginning or later within its first step.
        forecast: Mean and spread of every row; must reach beyond the hold, should reach two hours beyond.
        schedule: The plan in force, the reference of storage and V2G.
        delivery_ratio: Measured chance of each row to do what it is told, shape ``(n_resources,)``.
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
    valid_s: float = VALID_S,
    prices: ClassPrices | None = None,
    envelopes: Envelopes | None = None,
) -> Quote:
    """Return the quote of ``draft`` on ground that is known already; see ``quote``.

    Args:
        basis: The picture.
        draft: What is asked.
        committed_kw: See ``quote``.
        now: Moment of the quote.
        valid_s: How long it holds.
        prices: What it costs.
        envelopes: Windows of this ground that were looked at before; new ones are added.
    """
    check_draft(draft, basis.inputs, committed_kw)
    index = basis.inputs.state.index
    price = (prices or ClassPrices()).by_class()
    case = _Case(
        basis=basis,
        chosen=basis.groups.inside(index.in_area(draft.area)),
        committed_kw=committed_kw,
        price=price,
        key=merit_key(price, index, capped=draft.rebound_cap_kw is not None),
        now=now,
        envelopes={} if envelopes is None else envelopes,
    )
    answer = _assess(draft, case)
    longest = _longest_hold(draft, case)
    offers = () if answer.verdict is Verdict.FEASIBLE else tuple(_offers(draft, case, answer, longest))
    return _written(draft, case, answer, longest=longest, offers=offers, expires_at=now + timedelta(seconds=valid_s))


def _written(
    draft: RequestDraft,
    case: _Case,
    answer: _Answer,
    *,
    longest: int,
    offers: tuple[CounterOffer, ...],
    expires_at: datetime,
) -> Quote:
    inputs, found = case.inputs, answer.found
    given = _given(case, found, min(draft.target_kw, float(answer.p50_kw.min())))
    staged = draft.rebound_cap_kw is not None
    back = rebound_of(case.basis, draft.direction, answer.window, found, staged=staged)
    curve = given @ back.kw
    return Quote(
        verdict=answer.verdict,
        interval_starts_at=_starts(answer),
        deliverable_p10_kw=_values(answer.p10_kw),
        deliverable_p50_kw=_values(answer.p50_kw),
        deliverable_p90_kw=_values(answer.p90_kw),
        max_hold_minutes=longest * inputs.grid.step_s / SECONDS_PER_MINUTE,
        ramp_kw_per_min=found.ramp_kw_per_min,
        rebound_kw=_values(curve),
        cost_cny=cost_cny(case.basis, answer.window, given * np.maximum(found.class_kw, 0.0), case.price),
        limits=_limits(draft, case, answer),
        counter_offers=offers,
        promises_broken=0,
        expires_at=expires_at,
        energy_kwh=float(answer.p50_kw.sum() * inputs.grid.step_h),
        recovery_minutes=recovery_minutes(curve, inputs.grid.step_h),
        recovery_kwh=float(given @ back.recovery_kwh),
        confidence_ratio=_confidence(draft, answer),
        delivery_ratio=found.delivery_ratio,
    )


def _confidence(draft: RequestDraft, answer: _Answer) -> float:
    """Return the chance that the worst interval reaches the target."""
    if answer.rebound_limited_kw < draft.target_kw:
        return 0.0
    over = answer.found.p50_kw - draft.target_kw
    sigma = np.maximum(answer.found.sigma_kw, _LEAST_SIGMA_KW)
    return 0.5 * math.erfc(-float((over / sigma).min()) / math.sqrt(2.0))


def _given(case: _Case, found: Deliverable, amount_kw: float) -> FloatArray:
    """Return which share of each class gives ``amount_kw``."""
    return fractions(amount_kw, found.class_kw, case.key)


def check_draft(draft: RequestDraft, inputs: FlexibilityInputs, committed_kw: FloatArray) -> None:
    """Raise InputError for a draft that makes no sense on this outlook."""
    if not (math.isfinite(draft.target_kw) and draft.target_kw > 0.0):
        raise InputError("target_kw", draft.target_kw, "a number above 0")
    if draft.end_at <= draft.start_at:
        raise InputError("end_at", draft.end_at, f"an instant after start_at = {draft.start_at}")
    if not _reaches(draft, inputs):
        first, last = inputs.grid.start_at, inputs.grid.end_at
        raise InputError("start_at, end_at", (draft.start_at, draft.end_at), f"a window between {first} and {last}")
    if committed_kw.shape != (inputs.grid.count,):
        raise InputError("committed_kw", committed_kw.shape, f"shape ({inputs.grid.count},)")


def _reaches(draft: RequestDraft, inputs: FlexibilityInputs) -> bool:
    """Return whether the whole hold lies on the outlook's grid."""
    return inputs.grid.start_at <= draft.start_at and draft.end_at <= inputs.grid.end_at


def _assess(draft: RequestDraft, case: _Case) -> _Answer:
    grid = TimeGrid.covering(draft.start_at, draft.end_at, step_s=case.inputs.grid.step_s)
    first = case.inputs.grid.index_at(grid.start_s)
    window = Window(first=first, last=first + grid.count)
    looked = case.seen.get(window) or _looked_at(draft, case, window)
    found, most = looked.deliverable, looked.most_kw
    p10, p50, p90 = (np.minimum(values, most) for values in (found.p10_kw, found.p50_kw, found.p90_kw))
    return _Answer(
        grid=grid,
        window=window,
        found=found,
        p10_kw=p10,
        p50_kw=p50,
        p90_kw=p90,
        rebound_limited_kw=most,
        verdict=_verdict(draft, float(p10.min()), float(p50.min())),
    )


def _looked_at(draft: RequestDraft, case: _Case, window: Window) -> _Found:
    # Under a rebound cap batteries keep what their schedule needs after the hold: missing it would be rebound.
    ahead = 0 if draft.rebound_cap_kw is None else WATCH_STEPS
    place = draft.direction, window, ahead, draft.area
    if place not in case.envelopes:
        first, length = np.array([window.first]), np.array([len(window)])
        case.envelopes[place] = flexibility_envelope(
            case.basis, draft.direction, first, length, ahead=ahead, level=case.chosen
        )
    found = deliverable(
        case.basis,
        direction=draft.direction,
        window=window,
        chosen=case.chosen,
        committed_kw=case.committed_kw,
        now_s=case.now.timestamp(),
        found=case.envelopes[place],
    )
    most = math.inf
    if draft.rebound_cap_kw is not None:
        back = rebound_of(case.basis, draft.direction, window, found, staged=True)
        most = _most_under(draft.rebound_cap_kw, case, found, back)
    case.seen[window] = _Found(deliverable=found, most_kw=most)
    return case.seen[window]


def _verdict(draft: RequestDraft, p10_kw: float, p50_kw: float) -> Verdict:
    if p50_kw >= draft.target_kw and p10_kw >= draft.min_delivered_ratio * draft.target_kw:
        return Verdict.FEASIBLE
    if p50_kw >= max(draft.min_delivered_ratio, _LEAST_PARTIAL_RATIO) * draft.target_kw:
        return Verdict.PARTIAL
    return Verdict.INFEASIBLE


def _most_under(cap_kw: float, case: _Case, found: Deliverable, back: Rebound) -> float:
    """Return the greatest amount whose rebound stays under the draft's cap; infinite where all of it does."""

    def peak(amount_kw: float) -> float:
        return float((_given(case, found, amount_kw) @ back.kw).max())

    low, high = 0.0, float(found.p90_kw.max())
    if peak(high) <= cap_kw:
        return math.inf
    for _ in range(_REBOUND_TRIALS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if peak(middle) <= cap_kw else (low, middle)
    return low


def _longest_hold(draft: RequestDraft, case: _Case) -> int:
    """Return for how many intervals from its start the target can be held."""
    most = min(case.inputs.grid.count - case.inputs.grid.index_at(draft.start_at.timestamp()), _LONGEST_HOLD_STEPS)
    return _last_true(most, lambda steps: _feasible(_held(draft, case, steps), case))


def _held(draft: RequestDraft, case: _Case, steps: int) -> RequestDraft:
    return replace(draft, end_at=draft.start_at + timedelta(seconds=steps * case.inputs.grid.step_s))


def _feasible(draft: RequestDraft, case: _Case) -> bool:
    return _reaches(draft, case.inputs) and _assess(draft, case).verdict is Verdict.FEASIBLE


def _last_true(most: int, holds: Callable[[int], bool]) -> int:
    """Return the greatest number up to ``most`` that holds, if holding only ends as numbers grow; else a lesser."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _offers(draft: RequestDraft, case: _Case, answer: _Answer, longest: int) -> Iterator[CounterOffer]:
    """Yield drafts that this same assessment finds feasible."""
    less = replace(draft, target_kw=_less_kw(draft, answer))
    if less.target_kw > 0.0 and _feasible(less, case):
        yield _offer("less_power", less)
    shorter = _held(draft, case, longest)
    if longest > 0 and shorter.end_at < draft.end_at:
        yield _offer("shorter_hold", shorter)
    for steps in range(1, _LATEST_SHIFT_STEPS + 1):
        shift = timedelta(seconds=steps * case.inputs.grid.step_s)
        later = replace(draft, start_at=draft.start_at + shift, end_at=draft.end_at + shift)
        if _feasible(later, case):
            yield _offer("later_start", later)
            return


def _less_kw(draft: RequestDraft, answer: _Answer) -> float:
    """Return a round amount a little below what can be had."""
    least = _OFFER_RATIO * float(answer.p50_kw.min())
    if draft.min_delivered_ratio > 0.0:
        least = min(least, float(answer.p10_kw.min()) / draft.min_delivered_ratio)
    return _round_down(least)


def _round_down(amount_kw: float) -> float:
    """Return the amount cut to two significant figures in steps of 1, 5, 10, 50, ... kW."""
    if amount_kw < 1.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(amount_kw)) - 1)
    return math.floor(amount_kw / step) * step if step >= 1.0 else float(math.floor(amount_kw))


def _offer(kind: str, draft: RequestDraft) -> CounterOffer:
    return CounterOffer(kind=kind, target_kw=draft.target_kw, start_at=draft.start_at, end_at=draft.end_at)


def _limits(draft: RequestDraft, case: _Case, answer: _Answer) -> tuple[BindingLimit, ...]:
    """Return what keeps the answer from being larger, greatest first."""
    lost = dict(answer.found.lost_kw)
    if math.isfinite(answer.rebound_limited_kw):
        lost["rebound cap"] = np.maximum(answer.found.p50_kw - answer.p50_kw, 0.0)
    if draft.direction is Direction.DOWN:
        lost["photovoltaic curtailment kept as last resort"] = _curtailable_kw(case, answer.window)
    missing = draft.target_kw - answer.p50_kw
    if missing.max() > _NAMED_LIMIT_KW:
        lost["fleet in the area, all that can be moved"] = np.maximum(missing, 0.0)
    limits = [_limit(name, values, answer) for name, values in lost.items() if values.max() > _NAMED_LIMIT_KW]
    return tuple(sorted(limits, key=lambda limit: -limit.kw)[:_MOST_LIMITS])


def _limit(name: str, lost_kw: FloatArray, answer: _Answer) -> BindingLimit:
    binding = np.flatnonzero(lost_kw > _NAMED_LIMIT_KW)
    starts = _starts(answer)
    step = timedelta(seconds=answer.grid.step_s)
    return BindingLimit(
        name=name,
        kw=float(lost_kw[binding].mean()),
        from_at=starts[int(binding[0])],
        until_at=starts[int(binding[-1])] + step,
    )


def _curtailable_kw(case: _Case, window: Window) -> FloatArray:
    basis = case.basis
    groups = case.chosen & (basis.groups.class_code == PV)
    fed_in = -basis.power_kw[groups, window.steps] - basis.unusable_kw[groups, window.steps]
    return np.asarray(np.maximum(fed_in, 0.0).sum(axis=0))


def _starts(answer: _Answer) -> tuple[datetime, ...]:
    step = timedelta(seconds=answer.grid.step_s)
    return tuple(answer.grid.start_at + i * step for i in range(answer.grid.count))


def _values(values: FloatArray) -> tuple[float, ...]:
    return tuple(values.tolist())
