"""Seeded regulation signal with the statistics of a fast grid signal.

White noise through two first-order lags (150 s and 60 s), which gives it the smoothness of PJM's RegD, then through a
high pass of 15 minutes, which makes it about energy-neutral over half an hour. It is scaled to reach the bounds now and
then, clipped to [-1, 1], and its mean over the whole is removed. Its mileage, the sum of all changes, is about 15 an
hour at steps of 2 s.
"""

import math

import numpy as np

from vpp.dispatch.regulation.signal_table import Signal
from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray

_SLOW_S, _FAST_S, _NEUTRAL_S = 150.0, 60.0, 900.0
_SPREAD = 0.45
"""Standard deviation it is scaled to before it is clipped."""
_WARM_UP_S = 3600.0


def regd_like(*, seed: int, duration_s: float, step_s: float = 2.0, start_s: float = 0.0) -> Signal:
    """Return the seeded signal; the same arguments always give the same values.

    Args:
        seed: Of the noise.
        duration_s: Length, at least one step.
        step_s: Time between values.
        start_s: Time of the first.

    Raises:
        InputError: The length is shorter than a step.
    """
    if not 0.0 < step_s <= duration_s:
        raise InputError("duration_s", duration_s, f"at least one step of {step_s} s")
    count, before = round(duration_s / step_s), round(_WARM_UP_S / step_s)
    noise = np.random.default_rng(seed).standard_normal(count + before)
    smooth = _lagged(_lagged(noise, step_s / _SLOW_S), step_s / _FAST_S)
    neutral = (smooth - _lagged(smooth, step_s / _NEUTRAL_S))[before:]
    value = np.clip(_SPREAD * neutral / max(float(neutral.std()), 1e-12), -1.0, 1.0)
    return Signal(
        time_s=start_s + step_s * np.arange(count, dtype=np.float64), value=np.clip(value - value.mean(), -1.0, 1.0)
    )


def _lagged(values: FloatArray, share: float) -> FloatArray:
    """Return ``values`` behind a first-order lag that takes over ``share`` of the difference in a step."""
    keep = math.exp(-share)
    out, state = np.empty(len(values)), 0.0
    for position, value in enumerate(values.tolist()):
        state = keep * state + (1.0 - keep) * value
        out[position] = state
    return out
