"""Net powers of a battery's path: the answers to its values of energy, clipped so that every bound is kept exactly."""

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import BACK, DOWN, FLOOR, GAIN, INERTIA, KINK, POWER, PRICE, UP, VALUE, Floats
from optimizer.decomposition.devices.battery import Battery
from optimizer.decomposition.devices.charging import drawn

_U = np.uint64
"""Type of the indices of hot loops, see ``battery``."""


@njit(fastmath=True)
def _answers(case: Floats, battery: Battery) -> None:
    """Fill ``case[POWER]`` with what each step does at its value, bounds of energy aside."""
    eta, inverse, wear = battery.eta, 1.0 / battery.eta, battery.wear
    if battery.churns:
        for j in range(_U(battery.length)):
            z = drawn(case[VALUE, j] * eta, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            w = -drawn(case[VALUE, j] * inverse + wear, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
            case[POWER, j] = min(max(z, floor), case[UP, j]) - min(max(w, 0.0), ceiling)
        return
    for j in range(_U(battery.length)):
        z = (case[VALUE, j] * eta - case[PRICE, j]) * case[INERTIA, j]
        w = (case[PRICE, j] - wear - case[VALUE, j] * inverse) * case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        case[POWER, j] = min(max(z, floor), case[UP, j]) - min(max(w, 0.0), ceiling)


@njit(fastmath=True)
def realise(case: Floats, battery: Battery) -> float:
    """Turn ``case[VALUE]`` into net powers that keep every bound exactly; return the energy missing at the end."""
    _answers(case, battery)
    eta, inverse = battery.eta, 1.0 / battery.eta
    energy = battery.begin
    for j in range(battery.length):
        y = case[POWER, j]
        room, stock = max(battery.high - energy, 0.0), max(energy - min(case[FLOOR, j], energy), 0.0)
        lift = max(case[FLOOR, j] - energy, 0.0)
        y = max(min(y, room * inverse), -stock * eta)
        if lift > 0.0:
            y = max(y, min(lift * inverse, case[UP, j]))
        case[POWER, j] = y
        energy += eta * max(y, 0.0) - inverse * max(-y, 0.0)
        case[GAIN, j] = energy
    return _topped_up(case, battery, battery.due - energy)


@njit(fastmath=True)
def _topped_up(case: Floats, battery: Battery, missing: float) -> float:
    """Make up what clipping cost at the end, latest steps first, but not what was left missing for its price."""
    span = 1e-3 * (battery.charge + 1.0)
    if missing <= 0.0:
        return 0.0
    if (missing > span) & (case[VALUE, battery.length - 1] >= battery.price * (1.0 - 1e-9)):
        return missing
    head = 1e300
    for j in range(battery.length - 1, -1, -1):
        head = min(head, battery.high - case[GAIN, j])
        want = min(missing, head)
        if want <= 0.0:
            break
        less = min(want, max(-case[POWER, j], 0.0) / battery.eta)
        case[POWER, j] += less * battery.eta
        more = 0.0
        if case[POWER, j] >= 0.0:
            more = min(want - less, max(case[UP, j] - case[POWER, j], 0.0) * battery.eta)
            case[POWER, j] += more / battery.eta
        missing -= less + more
        head -= less + more
        if missing <= 0.0:
            return 0.0
    return missing
