"""Which powers a device can show by its nameplate: the one rule of quality, of sums and of the plausibility gate."""

from typing import Final

import numpy as np

from vpp.domain.telemetry import FloatArray

MARGIN_RATIO: Final = 0.25
"""How far beyond its nameplate, as a share of it, a metered power may lie and still be believed."""
MARGIN_KW: Final = 0.5
"""And this much in any case."""


def believable_kw(p_min_kw: FloatArray, p_max_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest power that can be believed of every device, shape ``(n,)`` each."""
    margin_kw = MARGIN_RATIO * np.maximum(np.abs(p_min_kw), np.abs(p_max_kw)) + MARGIN_KW
    return p_min_kw - margin_kw, p_max_kw + margin_kw
