"""Working rows of one device: the bounds, prices and past powers its kernel reads, filled from the fleet's arrays."""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import BACK, DOWN, FLOOR, KINK, UP, VALUE, Floats, Singles, Stores
from optimizer.decomposition.devices.battery import Battery, limits

_U = np.uint64
"""Type of the indices of hot loops, see ``battery``."""


@njit(fastmath=False)
def fill_previous(previous: Singles, cell: int, length: int, price: float, case: Floats) -> None:
    """Fill ``case[BACK]`` and ``case[KINK]``; without fast arithmetic, which has no NaN."""
    for j in range(length):
        back = previous[cell + j]
        known = back == back  # noqa: PLR0124 - NaN differs from itself
        case[BACK, j] = back if known else 0.0
        case[KINK, j] = price if known else 0.0


@njit(fastmath=True)
def bounds(worth: Singles, cell: int, length: int, i: int, stores: Stores, case: Floats) -> None:
    """Fill the bounds of battery ``i``, and its last energy values as the guess."""
    c, low, discharge, charge = _U(cell), stores.low[i], stores.discharge[i], stores.charge[i]
    for j in range(_U(length)):
        case[FLOOR, j] = low
        case[DOWN, j] = discharge
        case[UP, j] = charge
        case[VALUE, j] = worth[c + j]
    if len(stores.limit):
        begin = stores.arrive[i]
        for j in range(length):
            case[UP, j] = stores.limit[i, begin + j]


@njit(fastmath=True)
def battery_of(stores: Stores, i: int, price: float, kink: float, case: Floats) -> Battery:
    """Return the numbers of battery ``i``, with the values beyond which nothing reacts at ``case``'s prices."""
    length = stores.depart[i] - stores.arrive[i]
    charge, eta, wear = stores.charge[i], stores.efficiency[i], stores.wear[i]
    least, most = limits(case, length, eta, wear, kink, price)
    return Battery(
        length, charge, stores.high[i], stores.begin[i], stores.due[i], eta, wear, price, kink > 0.0, least, most
    )
