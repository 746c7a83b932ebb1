"""Quality of a measured power: good, stale or bad by age and nameplate."""

from dataclasses import dataclass

import numpy as np

from numerics.jit import njit
from vpp.domain.plausible import MARGIN_KW, MARGIN_RATIO
from vpp.domain.telemetry import CodeArray, FloatArray, Quality

_GOOD, _STALE, _BAD = int(Quality.GOOD), int(Quality.STALE), int(Quality.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRules:
    """When a value is too old to be called live.

    Attributes:
        stale_s: Age above which a value is stale: three missed reports (domain rule: a device is stale after three).
        bad_margin_ratio: How far outside the nameplate a metered power may lie before it is bad.
    """

    stale_s: float = 180.0
    bad_margin_ratio: float = MARGIN_RATIO


def grade(
    *, age_s: FloatArray, power_kw: FloatArray, p_min_kw: FloatArray, p_max_kw: FloatArray, rules: QualityRules
) -> CodeArray:
    """Return the ``Quality`` code of every power, shape ``(n,)``; unknown or impossible values are bad."""
    return _graded(age_s, power_kw, p_min_kw, p_max_kw, rules.stale_s, rules.bad_margin_ratio)


@njit()
def _graded(  # noqa: PLR0917 - a kernel takes arguments by position
    age_s: FloatArray,
    power_kw: FloatArray,
    p_min_kw: FloatArray,
    p_max_kw: FloatArray,
    stale_s: float,
    margin_ratio: float,
) -> CodeArray:
    quality = np.empty(len(power_kw), dtype=np.uint8)
    for row in range(len(power_kw)):
        margin_kw = margin_ratio * max(abs(p_min_kw[row]), abs(p_max_kw[row])) + MARGIN_KW
        kw = power_kw[row]
        if not p_min_kw[row] - margin_kw <= kw <= p_max_kw[row] + margin_kw:
            quality[row] = _BAD
        elif age_s[row] > stale_s:
            quality[row] = _STALE
        else:
            quality[row] = _GOOD
    return quality
