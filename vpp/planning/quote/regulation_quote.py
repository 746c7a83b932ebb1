"""Regulation quote: power that can be had in both directions at once, quarter of an hour by quarter.

A signal turns every few minutes and takes about as much as it gives, so power has to be backed by energy for one step
at a time, not for the whole window: whatever is asked in one step is what the plan has at its beginning. What counts in
each step is the lesser of cut and raise, of the classes that can follow a signal of seconds.

How well a signal is followed depends on how often devices are metered, how soon they answer and whether they do. Of
those that can follow, the best are offered as long as they are expected to reach the least score together
(`vpp.planning.quote.signal_following`): that power the fleet can be qualified for. The rest is named among the limits.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from vpp.domain.regulation import FOLLOWING
from vpp.domain.request import BindingLimit, CounterOffer, Direction, Quote, RequestDraft, Verdict
from vpp.domain.resource import STORING
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.deliverable import Deliverable, deliverable
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.quote.assessment import NAMED_LIMIT_KW, certain_ratio, confidence, verdict_of
from vpp.planning.quote.counter_offers import OFFER_RATIO
from vpp.planning.quote.rebound import ClassPrices
from vpp.planning.quote.signal_following import best_first, mean_score

UNQUALIFIED = "cadence of meters, time to answer and obedience, for the least score"
"""Name of the limit of what is left out because too low a score is expected of it."""
_MOST_LIMITS = 20
_MOVED_RATIO = 0.36
"""Mean magnitude of a fast signal, as a share of the reserved power (`vpp.lab.twin.signals.regd_like`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Both:
    """Deliverable power of every step of the window in both directions.

    Attributes:
        found: By direction and step.
        unqualified_kw: What is left out for the score, by direction, shape ``(count,)``.
        score: Score expected with the power asked, or what there is of it; ``None`` where nothing was observed.
        p10_kw: The lesser of both, shape ``(count,)``; so are the others.
    """

    grid: TimeGrid
    found: dict[Direction, tuple[Deliverable, ...]]
    unqualified_kw: dict[Direction, FloatArray]
    score: float | None
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    sigma_kw: FloatArray


def symmetric_quote(
    basis: FlexibilityBasis,
    draft: RequestDraft,
    *,
    committed_kw: FloatArray,
    now: datetime,
    valid_s: float,
    prices: ClassPrices,
    score: FloatArray | None = None,
) -> Quote:
    """Return the quote of a draft for regulation; `vpp.planning.quote.quote.check_draft` has passed it.

    Args:
        basis: Basis of the fleet.
        draft: What is asked; its direction says only which way of the answer is called delivered.
        committed_kw: Already promised to others by step of the basis' grid, shape ``(grid.count,)``.
        now: Moment of the quote.
        valid_s: How long it holds.
        prices: What it costs to move a kWh.
        score: Score each row is expected to have, shape ``(n_resources,)``; all are offered if not given.
    """
    both = _Assessor(basis, draft, committed_kw, now).both(score)
    least_kw = float(both.p50_kw.min())
    least_share = certain_ratio(draft, basis.inputs.policy)
    verdict = verdict_of(draft, float(both.p10_kw.min()), least_kw, certain_ratio=least_share)
    every = [d for found in both.found.values() for d in found]
    held = _leading(both.p50_kw >= draft.target_kw)
    hours = both.grid.count * both.grid.step_h
    return Quote(
        verdict=verdict,
        interval_starts_at=tuple(both.grid.start_at + i * timedelta(seconds=both.grid.step_s) for i in range(held[1])),
        deliverable_p10_kw=tuple(both.p10_kw.tolist()),
        deliverable_p50_kw=tuple(both.p50_kw.tolist()),
        deliverable_p90_kw=tuple(both.p90_kw.tolist()),
        max_hold_minutes=held[0] * both.grid.step_s / SECONDS_PER_MINUTE,
        ramp_kw_per_min=min(d.ramp_kw_per_min for d in every),
        rebound_kw=(),
        cost_cny=_MOVED_RATIO * min(draft.target_kw, least_kw) * hours * _price(both, prices),
        limits=_limits(draft, both),
        counter_offers=() if verdict is Verdict.FEASIBLE else _offers(draft, least_kw),
        promises_broken=0,
        expires_at=now + timedelta(seconds=valid_s),
        energy_kwh=0.0,
        recovery_minutes=0.0,
        recovery_kwh=0.0,
        confidence_ratio=confidence(both.p50_kw, both.sigma_kw, draft.target_kw),
        delivery_ratio=min(d.delivery_ratio for d in every),
        certain_ratio=least_share,
        regulation_score=both.score,
    )


@dataclass(frozen=True, slots=True)
class _Assessor:
    """Assessment of a draft in both directions, step by step; fields as for ``symmetric_quote``."""

    basis: FlexibilityBasis
    draft: RequestDraft
    committed_kw: FloatArray
    now: datetime

    @property
    def grid(self) -> TimeGrid:
        """Steps of the window."""
        return TimeGrid.covering(self.draft.start_at, self.draft.end_at, step_s=self.basis.inputs.grid.step_s)

    def both(self, score: FloatArray | None) -> _Both:
        """Return what the groups give that are expected to reach the least score together, best first.

        Args:
            score: Score of every row, shape ``(n_resources,)``; without it all groups count.
        """
        index, groups = self.basis.inputs.state.index, self.basis.groups
        found, unqualified_kw, scores = {}, {}, []
        for direction in Direction:
            chosen = groups.inside(_movable(index, self.draft.area, direction))
            steps, left_kw = self._steps(direction, chosen), np.zeros(self.grid.count)
            if score is not None:
                of_group = _group_means(groups, score)
                taken = best_first(of_group, _group_kw(steps), least_score=self.basis.inputs.policy.regulation_score)
                if (chosen & ~taken).any():
                    every, steps = steps, self._steps(direction, chosen & taken, steps)
                    left_kw = np.array(
                        [all_.p50_kw[0] - some.p50_kw[0] for all_, some in zip(every, steps, strict=True)]
                    )
                scores.append(mean_score(of_group, _group_kw(steps), need_kw=self.draft.target_kw))
            found[direction], unqualified_kw[direction] = steps, left_kw
        known = [one for one in scores if not math.isnan(one)]
        return _Both(
            grid=self.grid,
            found=found,
            unqualified_kw=unqualified_kw,
            score=min(known, default=None),
            p10_kw=_columns(found, "p10_kw").min(axis=0),
            p50_kw=_columns(found, "p50_kw").min(axis=0),
            p90_kw=_columns(found, "p90_kw").min(axis=0),
            sigma_kw=_columns(found, "sigma_kw").max(axis=0),
        )

    def _steps(
        self, direction: Direction, chosen: BoolArray, before: tuple[Deliverable, ...] = ()
    ) -> tuple[Deliverable, ...]:
        """Return what ``chosen`` groups give in every step; ``before`` is the same of others, whose envelope holds."""
        first = self.basis.inputs.grid.index_at(self.grid.start_s)
        return tuple(
            deliverable(
                self.basis,
                direction=direction,
                window=Window(first=step, last=step + 1),
                chosen=chosen,
                committed_kw=self.committed_kw,
                now_s=self.now.timestamp(),
                found=before[step - first].envelope if before else None,
            )
            for step in range(first, first + self.grid.count)
        )


def _group_means(groups: Aggregation, score: FloatArray) -> FloatArray:
    """Return the mean score of the rows of every group, shape ``(n_groups,)``."""
    rows = np.bincount(groups.of_row, minlength=len(groups))
    return np.asarray(np.bincount(groups.of_row, weights=score, minlength=len(groups)) / np.maximum(rows, 1))


def _group_kw(steps: tuple[Deliverable, ...]) -> FloatArray:
    """Return the mean power of every group over the steps, caps included, shape ``(n_groups,)``."""
    kw = np.mean([d.envelope.sums.mean_kw[:, 0, 0] * d.share for d in steps], axis=0)
    return np.asarray(np.maximum(kw, 0.0))


def _movable(index: FleetIndex, area: str, direction: Direction) -> BoolArray:
    """Return the rows a signal can move: a charger takes all it would take already, so it can only be throttled."""
    classes = FOLLOWING if direction is Direction.UP else STORING
    return index.in_area(area) & index.is_class(*classes)


def _columns(found: dict[Direction, tuple[Deliverable, ...]], name: str) -> FloatArray:
    """Return one figure of every direction and step, shape ``(2, count)``."""
    return np.array([[getattr(d, name)[0] for d in steps] for steps in found.values()], dtype=np.float64)


def _leading(holds: BoolArray) -> tuple[int, int]:
    """Return how many steps from the first on hold, and how many there are."""
    failing = np.flatnonzero(~holds)
    return (int(failing[0]) if len(failing) else len(holds)), len(holds)


def _price(both: _Both, prices: ClassPrices) -> float:
    """Return what moving a kWh costs with the mix of classes that gives in both directions."""
    class_kw = np.sum([np.maximum(d.class_kw, 0.0) for found in both.found.values() for d in found], axis=0)
    known = class_kw.sum()
    return float(class_kw @ prices.by_class() / known) if known > 0.0 and len(class_kw) == len(CLASSES) else 0.0


def _offers(draft: RequestDraft, least_kw: float) -> tuple[CounterOffer, ...]:
    """Return the same window with less power, if there is any."""
    target_kw = float(math.floor(OFFER_RATIO * least_kw))
    if target_kw < 1.0:
        return ()
    offer = CounterOffer(kind="less_power", target_kw=target_kw, start_at=draft.start_at, end_at=draft.end_at)
    return (offer,)


def _limits(draft: RequestDraft, both: _Both) -> tuple[BindingLimit, ...]:
    """Return what keeps each direction from being larger where it falls short, greatest first."""
    limits = [
        limit
        for direction, found in both.found.items()
        if any(float(d.p50_kw[0]) < draft.target_kw for d in found)
        for limit in _limits_of(direction, found, both.unqualified_kw[direction], draft, both.grid)
    ]
    return tuple(sorted(limits, key=lambda limit: -limit.kw)[:_MOST_LIMITS])


def _limits_of(
    direction: Direction,
    found: tuple[Deliverable, ...],
    unqualified_kw: FloatArray,
    draft: RequestDraft,
    grid: TimeGrid,
) -> list[BindingLimit]:
    names = {name for d in found for name in d.lost_kw}
    lost = {name: np.array([float(d.lost_kw.get(name, np.zeros(1))[0]) for d in found]) for name in names}
    missing = np.array([draft.target_kw - float(d.p50_kw[0]) for d in found])
    lost["fleet in the area, all that can follow a signal"] = np.maximum(missing, 0.0)
    lost[UNQUALIFIED] = unqualified_kw
    step = timedelta(seconds=grid.step_s)
    limits = []
    for name in sorted(lost):
        binding = np.flatnonzero(lost[name] > NAMED_LIMIT_KW)
        if len(binding):
            limits.append(
                BindingLimit(
                    name=f"{direction.value}: {name}",
                    kw=float(lost[name].max()),
                    from_at=grid.start_at + int(binding[0]) * step,
                    until_at=grid.start_at + (int(binding[-1]) + 1) * step,
                )
            )
    return limits
