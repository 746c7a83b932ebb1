"""Expected score of rows that follow a regulation signal, and what a fleet can be qualified for.

The score is PJM's (`vpp.settlement.regulation_score.PjmScore`): a third each for correlation, delay and precision. How
much of it a row loses follows from what has been observed of it, and from how fast the signal turns:

- an answer that is late by ``d`` is wrong by how far the signal has gone meanwhile. The power of a signal behind two
  lags of first order, T1 and T2, changes by ``d / sqrt(T1 * T2)`` of its own spread;
- between two readings the response is known as a straight line only, which cuts the signal's corners; the loss was
  computed for samples of seeded signals;
- a command that is not followed is wrong until a reading shows it and others make up for it.
"""

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.nameplate import NameplateColumns

TURN_S = 95.0
"""``sqrt(T1 * T2)`` of a fast signal, 150 s and 60 s (`vpp.lab.twin.signals.regd_like`)."""
_CORNERS_RATIO, _CORNERS_S, _CORNERS_POWER = 0.09, 60.0, 1.5
"""Precision lost to straight lines: 1 % with a reading in 15 s, 3 % in 30 s, 9 % in 60 s, 14-16 % in 90 s."""
_NOTICED_S = 4.0
"""Time from a reading that shows a command not followed until others have made up for it."""
_WHOLE_WAY = 2.0
"""A row is moved over its whole range, which is this many times the mean distance of a signal from nothing."""
_DELAY_S = 300.0
"""Delay at which PJM's score of it is 0."""
_LEAST_RAMP_KW_PER_MIN = 1.0
"""As in the estimate of power (`vpp.dispatch.regulation.power_estimate`)."""


def behind_s(answer_s: FloatArray, nameplate: NameplateColumns) -> FloatArray:
    """Return the time by which rows are behind a signal, seconds, shape ``(n,)``.

    The merit order moves a row over its whole way. While it ramps, every part of the way comes later than the one
    before, in the mean by half the time of the whole.

    Args:
        answer_s: Time from a value of the signal until the row begins to move, seconds.
        nameplate: Of the rows; where no ramp is stated they jump.
    """
    way_kw = np.maximum(nameplate.p_max_kw - nameplate.floor_kw, -nameplate.p_min_kw)
    ramp_kw_per_s = np.maximum(nameplate.ramp_kw_per_min, _LEAST_RAMP_KW_PER_MIN) / SECONDS_PER_MINUTE
    return np.asarray(answer_s + 0.5 * way_kw / ramp_kw_per_s)


def expected_score(period_s: FloatArray, answer_s: FloatArray, followed_ratio: FloatArray) -> FloatArray:
    """Return the score that each row alone would have, 0 to 1, shape ``(n,)``.

    Args:
        period_s: Time between two readings of its meter, seconds, NaN where unknown, which is taken for the worst.
        answer_s: Time by which the row is behind the signal, in the mean over its way to where it is sent, seconds.
        followed_ratio: Share of its commands that it follows.
    """
    known_s = np.where(np.isnan(period_s), np.inf, period_s)
    late = answer_s / TURN_S
    corners = _CORNERS_RATIO * (known_s / _CORNERS_S) ** _CORNERS_POWER
    unnoticed = np.minimum((0.5 * known_s + _NOTICED_S) / TURN_S, 1.0)
    wrong = np.minimum(late + corners + _WHOLE_WAY * (1.0 - followed_ratio) * unnoticed, 1.0)
    correlation = np.sqrt(1.0 - wrong**2)
    delay = np.maximum(1.0 - answer_s / _DELAY_S, 0.0)
    return np.asarray((correlation + delay + 1.0 - wrong) / 3.0)


def best_first(score: FloatArray, power_kw: FloatArray, *, least_score: float) -> BoolArray:
    """Return which rows or groups can be taken, best first, with the mean score by power at least ``least_score``.

    Args:
        score: Of each, shape ``(n,)``.
        power_kw: Power each would give, at least 0, likewise.
        least_score: See above.
    """
    order = np.argsort(-score, kind="stable")
    power = power_kw[order]
    # What is left over once each has been paid the least score; falls from where they are worse than that.
    spare = np.cumsum(power * (score[order] - least_score))
    taken = np.zeros(len(score), dtype=np.bool_)
    taken[order] = spare >= -1e-9 * max(float(power.sum()), 1.0)
    return taken


def mean_score(score: FloatArray, power_kw: FloatArray, *, need_kw: float) -> float:
    """Return the mean score of the best rows or groups that have ``need_kw`` together; NaN where there are none."""
    order = np.argsort(-score, kind="stable")
    power = power_kw[order]
    used = np.clip(need_kw - (np.cumsum(power) - power), 0.0, power)
    whole = float(used.sum())
    return float(used @ score[order]) / whole if whole > 0.0 else float("nan")
