"""Same-day level: the clipped ratio of today's last hours to the same hours of earlier days of today's type.

The adjustment of demand-response baselines, applied to a forecast and faded out over its horizon.
"""

import numpy as np

from forecasts.series import History
from numerics.arrays import BoolArray, FloatArray, IntArray

_LIMITS = (0.6, 1.6)
_HALF_LIFE_STEPS = 24.0
_LEAST_KW = 1e-3


def level_of(history: History, same_type: BoolArray, *, group: IntArray | None, recent_steps: int) -> FloatArray:
    """Return the ratio of today's last steps to their usual power, clipped, shape ``(n,)``.

    Args:
        history: Whole days that end now.
        same_type: Which of the days are of the type of each horizon step's day, shape ``(days, count)``.
        group: Rows of equal number share one ratio, shape ``(n,)``; ``None`` puts every row on its own.
        recent_steps: Number of last steps that are compared; 0 for a ratio of 1.
    """
    n = history.power_kw.shape[0]
    if recent_steps <= 0 or history.days < 2 or not same_type.shape[1]:  # noqa: PLR2004 - today and one before
        return np.ones(n)
    recent = history.power_kw[:, -recent_steps:]
    usual = _usual_recent(history, same_type, recent_steps)
    known = ~(np.isnan(recent) | np.isnan(usual))
    code = np.arange(n) if group is None else group
    counted = [np.where(known, values, 0.0).sum(axis=1) for values in (recent, usual, np.abs(usual))]
    now, then, size = (np.bincount(code, values).astype(np.float64) for values in counted)
    return np.asarray(np.clip(_ratio(now, then, size, _LEAST_KW * recent_steps), *_LIMITS)[code])


def fading(count: int) -> FloatArray:
    """Return the share of the level's deviation from 1 that is left at each horizon step, shape ``(count,)``."""
    return np.asarray(0.5 ** (np.arange(count) / _HALF_LIFE_STEPS))


def _ratio(now: FloatArray, then: FloatArray, size: FloatArray, least: float) -> FloatArray:
    """Return ``now / then``, faded to 1 where ``then`` is small against its magnitude ``size`` by cancellation.

    Where consumption and production cancel, a ratio of their small difference is noise: it fades from half of the
    magnitude down, and is 1 from a quarter down.
    """
    net = np.abs(then) / np.maximum(size, least)
    trust = np.clip(4.0 * net - 1.0, 0.0, 1.0)
    off = np.divide(now, then, out=np.ones_like(now), where=(np.abs(then) > least) & (trust > 0.0)) - 1.0
    return np.asarray(1.0 + trust * off)


def _usual_recent(history: History, same_type: BoolArray, recent_steps: int) -> FloatArray:
    """Return the mean of the same clock times on earlier days of today's type, shape ``(n, recent_steps)``.

    The last steps of a day-long block lie on the same calendar day as the first of the block after it.
    """
    n, per_day = history.power_kw.shape[0], history.steps_per_day
    earlier = history.power_kw.reshape(n, history.days, per_day)[:, :-1, -recent_steps:]
    like_today = same_type[1:, 0] if same_type[1:, 0].any() else np.ones(history.days - 1, dtype=np.bool_)
    known = ~np.isnan(earlier) & like_today[None, :, None]
    number = known.sum(axis=1)
    return np.asarray(np.where(known, earlier, 0.0).sum(axis=1) / np.where(number > 0, number, np.nan))
