"""Performance of a request for regulation: judged by its signal, not by a constant target.

Half the time a signal asks for less than nothing, so distances are measured in units of the reserved power.
"""

from dataclasses import replace

import numpy as np

from vpp.domain.performance import IntervalResult, Performance
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import RequestState
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.settlement.agc_score import judged
from vpp.settlement.regulation_score import Trace

_LONGEST_S = 120.0
"""A gap in the past is not filled by the value before it for longer than this."""


def asked_means_kw(standing: RegulationStanding, grid: TimeGrid, sign: float) -> FloatArray:
    """Return the mean of what was asked in every step, 0 where nothing was, shape ``(grid.count,)``.

    Args:
        standing: Its past; positive where net load falls.
        grid: The steps.
        sign: 1 where a fall of net load is what is delivered, else -1.
    """
    if not len(standing.time_s):
        return np.zeros(grid.count)
    ends_s = np.minimum(np.append(standing.time_s[1:], np.inf), standing.time_s + _LONGEST_S)
    edges_s = np.append(grid.starts_s(), grid.end_s)
    seconds = np.minimum(ends_s[:, None], edges_s[1:]) - np.maximum(standing.time_s[:, None], edges_s[:-1])
    energy = standing.signal_kw @ np.maximum(seconds, 0.0)
    return np.asarray(sign * energy / grid.step_s, dtype=np.float64)


def scored(performance: Performance, standing: RegulationStanding, *, tolerance_ratio: float) -> Performance:
    """Return a measurement with the scores of all rules, and accuracies in units of the reserved power.

    Args:
        performance: As `vpp.settlement.performance.evaluate` gives it, targets from ``asked_means_kw``.
        standing: What was asked and metered, cycle by cycle.
        tolerance_ratio: Distance that counts as on target, as a share of the reserved power.
    """
    intervals = tuple(_judged(interval, standing.capacity_kw) for interval in performance.intervals)
    accuracy = np.array([i.accuracy_ratio for i in intervals if i.phase == RequestState.HOLDING])
    apart = np.abs(standing.response_kw - standing.signal_kw)
    return replace(
        performance,
        intervals=intervals,
        accuracy_ratio=float(accuracy.mean()) if len(accuracy) else float("nan"),
        worst_interval_accuracy_ratio=float(accuracy.min()) if len(accuracy) else float("nan"),
        ramp_minutes=float("nan"),
        overshoot_kw=float("nan"),
        hit_ratio=float(np.mean(apart <= tolerance_ratio * standing.capacity_kw)) if len(apart) else float("nan"),
        regulation=scores_of(standing),
    )


def scores_of(standing: RegulationStanding) -> dict[str, dict[str, float]]:
    """Return total and parts of every rule by its name; empty before there are two instants to judge."""
    return _scores(standing.time_s, standing.signal_kw, standing.response_kw, standing.capacity_kw)


def estimated_scores_of(standing: RegulationStanding) -> dict[str, dict[str, float]]:
    """Return the same by the estimates, which are never settled."""
    known = standing.estimates
    return _scores(known.time_s, known.signal_kw, known.change_kw, standing.capacity_kw)


def _scores(
    time_s: FloatArray, signal_kw: FloatArray, response_kw: FloatArray, capacity_kw: float
) -> dict[str, dict[str, float]]:
    if len(time_s) <= 1:
        return {}
    return judged(Trace(time_s=time_s, signal_kw=signal_kw, response_kw=response_kw, capacity_kw=capacity_kw))


def _judged(interval: IntervalResult, capacity_kw: float) -> IntervalResult:
    holding = interval.phase == RequestState.HOLDING
    apart_kw = abs(interval.delivered_kw - interval.target_kw)
    return replace(interval, accuracy_ratio=1.0 - apart_kw / capacity_kw if holding else float("nan"))
