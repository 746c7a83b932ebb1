"""How far a measured power may be trusted."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRules:
    """When a value is too old to be called live.

    Attributes:
        stale_s: Age above which a value is stale: three missed reports (domain rule: a device is stale after three).
        bad_margin_ratio: How far outside the nameplate a metered power may lie before it is bad.
    """

    stale_s: float = 180.0
    bad_margin_ratio: float = 0.25


def grade(
    *, age_s: FloatArray, power_kw: FloatArray, p_min_kw: FloatArray, p_max_kw: FloatArray, rules: QualityRules
) -> CodeArray:
    """Return the ``Quality`` code of every power, shape ``(n,)``; unknown or impossible values are bad."""
    margin = rules.bad_margin_ratio * np.maximum(np.abs(p_min_kw), np.abs(p_max_kw)) + 0.5
    quality = np.where(age_s > rules.stale_s, Quality.STALE, Quality.GOOD).astype(np.uint8)
    quality[is_impossible(power_kw, p_min_kw, p_max_kw, margin)] = Quality.BAD
    return quality


def is_impossible(power_kw: FloatArray, p_min_kw: FloatArray, p_max_kw: FloatArray, margin: FloatArray) -> BoolArray:
    """Return which powers are unknown or further than ``margin`` outside their nameplate, shape ``(n,)``."""
    return np.asarray(np.isnan(power_kw) | (power_kw < p_min_kw - margin) | (power_kw > p_max_kw + margin))
