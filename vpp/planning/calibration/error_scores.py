"""Error scores: distance of what was deliverable from what was expected, in standard deviations of the normal law.

The score is the normalised nonconformity of conformal prediction (Papadopoulos and others 2002; Lei and others 2018):
a wide law and a narrow one are judged by one measure, so that areas of any size are learnt from together.
"""

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.planning.flexibility.error_law import Z10

LEAST_SIGMA_RATIO = 1e-3
"""Least standard deviation that is believed, as a share of the expected power."""


def scores(deliverable_kw: FloatArray, law_kw: FloatArray) -> FloatArray:
    """Return the score of what was deliverable, 0 where it was as expected, below 0 where it was less.

    Args:
        deliverable_kw: What was deliverable, shape ``(...)``.
        law_kw: p10, p50 and p90 of the normal law, shape ``(..., 3)``.
    """
    low, even, high = law_kw[..., 0], law_kw[..., 1], law_kw[..., 2]
    apart = deliverable_kw - even
    sigma = np.where(apart < 0.0, even - low, high - even) / Z10
    return np.asarray(apart / np.maximum(sigma, LEAST_SIGMA_RATIO * np.abs(even)))
