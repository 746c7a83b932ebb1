"""Counter-offers: less power, a shorter hold or a later start that the same assessment finds feasible."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from vpp.domain.request import CounterOffer, RequestDraft, Verdict
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.quote.assessment import Assessment, Assessor

OFFER_RATIO = 0.95
"""Share of the deliverable power that is offered."""
_LATEST_SHIFT_STEPS = 8
_LONGEST_HOLD_STEPS = 32


def longest_hold(draft: RequestDraft, assessor: Assessor) -> int:
    """Return for how many intervals from its start the target can be held."""
    grid = assessor.inputs.grid
    most = min(grid.count - grid.index_at(draft.start_at.timestamp()), _LONGEST_HOLD_STEPS)
    return _last_true(most, lambda steps: _feasible(_held(draft, assessor, steps), assessor))


def counter_offers(
    draft: RequestDraft, assessor: Assessor, assessment: Assessment, longest: int
) -> Iterator[CounterOffer]:
    """Yield drafts that the same assessment finds feasible.

    Args:
        draft: What is asked.
        assessor: Of this draft.
        assessment: Of this draft.
        longest: Intervals from its start for which the target can be held, see ``longest_hold``.
    """
    less = replace(draft, target_kw=_less_kw(assessment, assessor.certain_ratio(draft)))
    if less.target_kw > 0.0 and _feasible(less, assessor):
        yield _offer("less_power", less)
    shorter = _held(draft, assessor, longest)
    if longest > 0 and shorter.end_at < draft.end_at:
        yield _offer("shorter_hold", shorter)
    for steps in range(1, _LATEST_SHIFT_STEPS + 1):
        shift = timedelta(seconds=steps * assessor.inputs.grid.step_s)
        later = replace(draft, start_at=draft.start_at + shift, end_at=draft.end_at + shift)
        if _feasible(later, assessor):
            yield _offer("later_start", later)
            return


def reaches(draft: RequestDraft, inputs: FlexibilityInputs) -> bool:
    """Return whether the whole hold lies on the inputs' grid."""
    return inputs.grid.start_at <= draft.start_at and draft.end_at <= inputs.grid.end_at


def _held(draft: RequestDraft, assessor: Assessor, steps: int) -> RequestDraft:
    return replace(draft, end_at=draft.start_at + timedelta(seconds=steps * assessor.inputs.grid.step_s))


def _feasible(draft: RequestDraft, assessor: Assessor) -> bool:
    return reaches(draft, assessor.inputs) and assessor.assess(draft).verdict is Verdict.FEASIBLE


def _last_true(most: int, holds: Callable[[int], bool]) -> int:
    """Return the greatest number up to ``most`` that holds, if holding only ends as numbers grow; else a lesser."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _less_kw(assessment: Assessment, certain_ratio: float) -> float:
    """Return a round amount a little below what can be had."""
    least = OFFER_RATIO * float(assessment.p50_kw.min())
    if certain_ratio > 0.0:
        least = min(least, float(assessment.p10_kw.min()) / certain_ratio)
    return _round_down(least)


def _round_down(amount_kw: float) -> float:
    """Return the amount cut to two significant figures in steps of 1, 5, 10, 50, ... kW."""
    if amount_kw < 1.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(amount_kw)) - 1)
    return math.floor(amount_kw / step) * step if step >= 1.0 else float(math.floor(amount_kw))


def _offer(kind: str, draft: RequestDraft) -> CounterOffer:
    return CounterOffer(kind=kind, target_kw=draft.target_kw, start_at=draft.start_at, end_at=draft.end_at)
