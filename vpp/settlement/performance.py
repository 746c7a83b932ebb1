"""Performance of a request: delivered power from meters alone, interval by interval."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from vpp.domain.performance import FEN_PER_CNY, Baseline, IntervalResult, Performance, Unmetered
from vpp.domain.request import BaselineMethod, DispatchRequest, RequestDraft, RequestState
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.index import FleetIndex
from vpp.settlement.delivery import Delivery, delivery
from vpp.settlement.money.settlement_terms import SettlementTerms, settle
from vpp.settlement.money.shares import shares_of, whole_fen, whole_quanta
from vpp.settlement.overlap import HeldParts
from vpp.settlement.tracking import MinuteSeries

_RAMPED_RATIO = 0.9
_EDGE_S = 1e-3
"""A ramp of no length is given this one: short beside a step, long beside a double's grain at epoch seconds."""

_MOST_NAMED = 200
"""Devices with missing intervals that are named; a city's broken link would name thousands."""
_FAIR_S = 300.0
"""An interval held for less than this does not count as the worst one."""

_BEFORE_RELEASE = (RequestState.RAMPING.value, RequestState.HOLDING.value)
_AFTER_HOLD = (RequestState.RELEASING.value, RequestState.REBOUND_WATCH.value)


def phases_of(grid: TimeGrid, *, start_s: float, end_s: float, release_end_s: float) -> tuple[str, ...]:
    """Return the phase of every step: ``ramping``, ``holding``, ``releasing`` or ``rebound_watch``.

    A step is held only if the hold fills it. Where the hold fills none, the step it fills most counts.
    """
    starts_s = grid.starts_s()
    held_s = np.minimum(starts_s + grid.step_s, end_s) - np.maximum(starts_s, start_s)
    least_s = min(float(grid.step_s), float(held_s.max(initial=0.0)))
    phases: list[str] = []
    for at_s, held in zip(starts_s.tolist(), held_s.tolist(), strict=True):
        if held > 0.0 and held >= least_s:
            phases.append(RequestState.HOLDING.value)
        elif at_s < start_s:
            phases.append(RequestState.RAMPING.value)
        else:
            late = at_s >= release_end_s
            phases.append(RequestState.REBOUND_WATCH.value if late else RequestState.RELEASING.value)
    return tuple(phases)


def target_profile(
    grid: TimeGrid, target_kw: float, *, ramp_s: float, start_s: float, end_s: float, release_end_s: float
) -> FloatArray:
    """Return the mean target of every step: up the ramp, held, down the release; shape ``(count,)``, positive."""
    ramp_s, release_end_s = min(ramp_s, start_s - _EDGE_S), max(release_end_s, end_s + _EDGE_S)
    edges_s = np.append(grid.starts_s(), grid.end_s)
    corners_s = np.array([ramp_s, start_s, end_s, release_end_s])
    knots_s = np.unique(np.concatenate([edges_s, corners_s]))
    rise = np.clip((knots_s - ramp_s) / (start_s - ramp_s), 0.0, 1.0)
    fall = np.clip((release_end_s - knots_s) / (release_end_s - end_s), 0.0, 1.0)
    height = target_kw * np.minimum(rise, fall)
    area = np.concatenate([[0.0], np.cumsum(np.diff(knots_s) * (height[1:] + height[:-1]) / 2.0)])
    return np.asarray(np.diff(np.interp(edges_s, knots_s, area)) / grid.step_s, dtype=np.float64)


def baseline_spread(
    draft: RequestDraft,
    compute: Callable[[RequestDraft], Baseline],
    *,
    index: FleetIndex,
    portfolio: BoolArray,
    measured_kw: FloatArray,
    metered_ratio: FloatArray,
    phases: Sequence[str],
) -> dict[str, float]:
    """Return the mean delivered over the hold's own intervals by each method that some class could get.

    Args:
        draft: What was asked; each method replaces its own.
        compute: ``compute_baseline`` with everything but the draft given.
        index: The fleet.
        portfolio: Rows that take part, shape ``(n_resources,)``.
        measured_kw: As ``delivery`` takes them.
        metered_ratio: As ``delivery`` takes it.
        phases: Phase of every step.
    """
    holding = np.array([phase == RequestState.HOLDING for phase in phases])
    spread: dict[str, float] = {}
    for method in (BaselineMethod.SAME_TYPE_DAYS, BaselineMethod.METER_BEFORE, BaselineMethod.SCHEDULE):
        baseline = compute(replace(draft, baseline_method=method))
        if method in baseline.methods.values() and holding.any():
            got = delivery(
                baseline,
                measured_kw,
                metered_ratio=metered_ratio,
                index=index,
                portfolio=portfolio,
                direction=draft.direction,
            )
            spread[method.value] = float(got.delivered_kw[holding].mean())
    return spread


def evaluate(
    request: DispatchRequest,
    *,
    index: FleetIndex,
    portfolio: BoolArray,
    baseline: Baseline,
    measured_kw: FloatArray,
    metered_ratio: FloatArray,
    target_kw: FloatArray,
    phases: Sequence[str],
    ramp_s: float,
    hold_s: tuple[float, float],
    held_kw: FloatArray | None = None,
    issued_at: datetime,
    until_s: float = float("inf"),
    good_ratio: FloatArray | None = None,
    quality_ratio: dict[str, float] | None = None,
    minutes: MinuteSeries | None = None,
    spread_kw: dict[str, float] | None = None,
    terms: SettlementTerms | None = None,
) -> Performance:
    """Return the measurement of a request, provisional if ``until_s`` lies before the baseline's end.

    The hold is settled on overlap: an interval counts by the seconds it is held. What was not metered is credited
    nothing, and named.

    Args:
        request: The request and what of it was accepted.
        index: The fleet.
        portfolio: Rows that take part, shape ``(n_resources,)``.
        baseline: Frozen baseline of the portfolio.
        measured_kw: Means over what was metered, NaN where that was too little, shape ``(n_resources, count)``.
        metered_ratio: Share of each interval that was metered, shape ``(n_resources, count)``.
        target_kw: Mean target of every step, positive in both directions, shape ``(count,)``.
        phases: Phase of every step, as ``phases_of`` gives them.
        ramp_s: Epoch seconds at which the ramp began.
        hold_s: Epoch seconds of the hold's begin and end.
        held_kw: Mean committed in the held part of every step, shape ``(count,)``, where it was changed under way; the
            accepted power where not given.
        issued_at: When this measurement is issued.
        until_s: Only intervals that ended by then are reported.
        good_ratio: Share of good samples a step; the share of metered rows where it is not given.
        quality_ratio: Share of samples by quality, for the report.
        minutes: Minute means, for a ramp time and a hit ratio finer than 15 minutes, and for holds off the grid.
        spread_kw: Delivered by each method, as ``baseline_spread`` gives it.
        terms: Contract to settle by; no settlement lines without.
    """
    grid = baseline.grid
    done = _steps_done(grid, until_s)
    got = delivery(
        baseline,
        measured_kw,
        metered_ratio=metered_ratio,
        index=index,
        portfolio=portfolio,
        direction=request.draft.direction,
    )
    full_kw = request.accepted_kw if request.accepted_kw is not None else request.draft.target_kw
    due_kw = np.full(grid.count, full_kw) if held_kw is None else held_kw
    held = HeldParts.of(got.delivered_kw, grid, hold_s, target_kw=target_kw, full_kw=due_kw, minutes=minutes)
    trust = got.known_ratio if good_ratio is None else good_ratio
    intervals = tuple(
        _interval(grid, got, held, step, phase=phases[step], target_kw=float(target_kw[step]), good=float(trust[step]))
        for step in range(done)
    )
    hold, first_kw = _HoldSteps.of(held, due_kw, done), _first_held_kw(held, due_kw, full_kw)
    after = np.array([-i.delivered_kw for i in intervals if i.phase in _AFTER_HOLD])
    active = [interval for interval in intervals if interval.phase in _BEFORE_RELEASE]
    energy_kwh, settled_fen = float(whole_quanta(hold.energy_kwh)), whole_fen(hold.settled(terms) if terms else {})
    unmetered = _unmetered(index, got, grid, [s for s in range(done) if phases[s] in _BEFORE_RELEASE])
    return Performance(
        request_id=request.id,
        issued_at=issued_at,
        intervals=intervals,
        accuracy_ratio=_mean(hold.accuracy, hold.seconds),
        worst_interval_accuracy_ratio=hold.worst_accuracy,
        delivered_mean_kw=_mean(hold.delivered_kw, hold.seconds),
        energy_kwh=energy_kwh,
        ramp_minutes=_ramp_minutes(ramp_s, _RAMPED_RATIO * first_kw, minutes, active, grid),
        rebound_peak_kw=float(np.maximum(after, 0.0).max(initial=0.0)),
        rebound_energy_kwh=float(np.maximum(after, 0.0).sum()) * grid.step_h,
        good_ratio=_mean(np.array([interval.good_ratio for interval in active])),
        baseline=baseline,
        spread_kw=dict(spread_kw or {}),
        settlement_cny={name: amount / FEN_PER_CNY for name, amount in settled_fen.items()},
        settlement_rule=f"{terms.rule.name}/{terms.rule.version}" if terms and len(hold.seconds) else "",
        overshoot_kw=float(np.array([i.delivered_kw - i.target_kw for i in active]).max(initial=0.0)),
        hit_ratio=_hit_ratio(intervals, minutes, hold_s, request.draft.tolerance_ratio),
        class_delivered_kw=_class_means(got, phases, done),
        quality_ratio=dict(quality_ratio or {}),
        unmetered=unmetered[:_MOST_NAMED],
        unmetered_count=len(unmetered),
        shares=shares_of(got.owned, held_s=held.seconds[:done], energy_kwh=energy_kwh, fen=settled_fen),
    )


class _HoldSteps(NamedTuple):
    """Reported steps of which a part is held; shape ``(h,)`` each."""

    accuracy: FloatArray
    delivered_kw: FloatArray
    owed_kw: FloatArray
    seconds: FloatArray

    @classmethod
    def of(cls, held: HeldParts, due_kw: FloatArray, done: int) -> "_HoldSteps":
        """Return those among the first ``done`` steps; ``due_kw`` is committed in the held part of every step."""
        steps = np.flatnonzero(held.seconds[:done] > 0.0)
        return cls(held.accuracy[steps], held.power_kw[steps], due_kw[steps], held.seconds[steps])

    @property
    def worst_accuracy(self) -> float:
        """Least accuracy of the steps that are held for long enough to count; NaN without any."""
        fair = self.accuracy[self.seconds >= min(_FAIR_S, float(self.seconds.max(initial=0.0)))]
        return float(fair.min()) if len(fair) else float("nan")

    @property
    def energy_kwh(self) -> float:
        """Energy delivered in the hold, NaN before it began."""
        return float(self.delivered_kw @ self.seconds) / SECONDS_PER_HOUR if len(self.seconds) else float("nan")

    def settled(self, terms: SettlementTerms) -> dict[str, Decimal]:
        """Return the amounts of the hold by ``terms``; none before it began."""
        if not len(self.seconds):
            return {}
        return settle(self.delivered_kw, self.owed_kw, self.seconds / SECONDS_PER_HOUR, terms)


def _first_held_kw(held: HeldParts, due_kw: FloatArray, otherwise_kw: float) -> float:
    """Return the power that the ramp led to."""
    steps = np.flatnonzero(held.seconds > 0.0)
    return float(due_kw[steps[0]]) if len(steps) else otherwise_kw


def _unmetered(index: FleetIndex, got: Delivery, grid: TimeGrid, steps: Sequence[int]) -> tuple[Unmetered, ...]:
    """Return the rows with missing intervals among ``steps``, those that miss most first."""
    missing = got.missing[:, list(steps)]
    count = missing.sum(axis=1)
    starts = [instant(grid.start_s + step * grid.step_s) for step in steps]
    return tuple(
        Unmetered(
            resource_id=index.resources[int(got.rows[place])].id,
            starts_at=tuple(start for start, gone in zip(starts, missing[place].tolist(), strict=True) if gone),
        )
        for place in sorted(np.flatnonzero(count).tolist(), key=lambda place: -int(count[place]))
    )


def _steps_done(grid: TimeGrid, until_s: float) -> int:
    if until_s >= grid.end_s:
        return grid.count
    return max(grid.index_at(until_s), 0)


def _interval(
    grid: TimeGrid, got: Delivery, held: HeldParts, step: int, *, phase: str, target_kw: float, good: float
) -> IntervalResult:
    return IntervalResult(
        start_at=instant(grid.start_s + step * grid.step_s),
        phase=phase,
        target_kw=target_kw,
        baseline_kw=float(got.baseline_kw[step]),
        measured_kw=float(got.measured_kw[step]),
        delivered_kw=float(got.delivered_kw[step]),
        accuracy_ratio=float(held.accuracy[step]),
        good_ratio=good,
        held_ratio=float(held.seconds[step]) / grid.step_s,
        held_kw=float(held.power_kw[step]),
        metered_ratio=float(got.known_ratio[step]),
    )


def _ramp_minutes(
    ramp_s: float,
    enough_kw: float,
    minutes: MinuteSeries | None,
    active: Sequence[IntervalResult],
    grid: TimeGrid,
) -> float:
    """Return the time to the end of the first minute, or interval, that reached ``enough_kw``; NaN if none did."""
    if minutes is not None:
        reached = minutes.at_s[(minutes.delivered_kw >= enough_kw) & (minutes.at_s + SECONDS_PER_MINUTE > ramp_s)]
        ends_s = (reached + SECONDS_PER_MINUTE).tolist()
    else:
        ends_s = [i.start_at.timestamp() + grid.step_s for i in active if i.delivered_kw >= enough_kw]
    return (ends_s[0] - ramp_s) / SECONDS_PER_MINUTE if ends_s else float("nan")


def _hit_ratio(
    intervals: Sequence[IntervalResult],
    minutes: MinuteSeries | None,
    hold_s: tuple[float, float],
    tolerance_ratio: float,
) -> float:
    """Return the share of the hold's minutes, or intervals, within the tolerance; what was not seen is no hit."""
    held = [interval for interval in intervals if interval.held_ratio > 0.0]
    if not held:
        return float("nan")
    target = np.array([interval.target_kw for interval in held])
    delivered = np.array([interval.held_kw for interval in held])
    if minutes is not None:
        middle_s, (start_s, end_s) = minutes.at_s + SECONDS_PER_MINUTE / 2.0, hold_s
        reported_s = intervals[-1].start_at.timestamp() + STEP_S
        inside = (middle_s >= start_s) & (middle_s < min(end_s, reported_s))
        target, delivered = minutes.target_kw[inside], minutes.delivered_kw[inside]
    return float(np.mean(np.abs(delivered - target) <= tolerance_ratio * target)) if len(target) else float("nan")


def _class_means(got: Delivery, phases: Sequence[str], done: int) -> dict[str, float]:
    held = [step for step in range(done) if phases[step] == RequestState.HOLDING]
    return {name: _mean(values[held]) for name, values in got.class_kw.items()} if held else {}


def _mean(values: FloatArray, weights: FloatArray | None = None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else float("nan")
