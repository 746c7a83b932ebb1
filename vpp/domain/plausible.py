"""Plausible power of a device by its nameplate: the one rule of quality, sums and the plausibility gate."""

from typing import Final

import numpy as np

from vpp.domain.telemetry import FloatArray

MARGIN_RATIO: Final = 0.25
"""Tolerance beyond the nameplate, as a share of it, within which a metered power is believed."""
MARGIN_KW: Final = 0.5
"""Least tolerance, kW."""


def believable_kw(p_min_kw: FloatArray, p_max_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest plausible power of every device, load positive, shape ``(n,)`` each."""
    margin_kw = MARGIN_RATIO * np.maximum(np.abs(p_min_kw), np.abs(p_max_kw)) + MARGIN_KW
    return p_min_kw - margin_kw, p_max_kw + margin_kw
