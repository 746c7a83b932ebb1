"""One device in columns."""

import numpy as np

from optimizer.decomposition.arrays import (
    CASE_ROWS,
    INERTIA,
    PRICE,
    UP,
    Floats,
)

STEPS = 16
SMOOTH = 1e-5


def case_of(price: Floats, *, smooth: float = SMOOTH, power: float = 10.0) -> Floats:
    """Return the case of one device at ``price``, hardly smoothed."""
    case = np.zeros((CASE_ROWS, STEPS + 1))
    case[PRICE, : len(price)] = price
    case[INERTIA] = power / smooth
    case[UP] = power
    return case
