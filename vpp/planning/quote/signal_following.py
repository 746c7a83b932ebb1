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


def expected_score(period_s: FloatArray, answer_s: FloatArray, followed_ratio: FloatArray) -> FloatArray:
    """Return the score that each row alone would have, 0 to 1, shape ``(n,)``.

    Args:
        period_s: Time between two readings of its meter, seconds, NaN where unknown, which is taken for the worst.
        answer_s: Time from a value of the signal until the row is where it was sent, seconds.
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
