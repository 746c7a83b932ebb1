"""Battery at one value of stored energy: the energy gained over a segment, and the value that gains a target.

With the value ``lam`` of energy stored at the end of a step its power follows in closed form, and is increasing in
``lam``. So the energy gained over a segment of equal value is increasing too, and a target has one root.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import BACK, DOWN, INERTIA, KINK, PRICE, UP, Floats
from optimizer.decomposition.devices.charging import drawn

EPS = 1e-7
"""Tolerance of energies, as a share of the power of charging and discharging together."""
_ROOT_STEPS = 80
_U = np.uint64
"""Type of the indices of hot loops: signed ones are checked for counting from the end, which no vector code can do."""
_OUT_OF_REACH = 1e-4


class Battery(NamedTuple):
    """The numbers of one battery; energies in kW-steps. ``charge`` is a measure for tolerances, ``UP`` the bound."""

    length: int
    charge: float
    high: float
    begin: float
    due: float
    eta: float
    wear: float
    price: float
    churns: bool
    least: float
    most: float


@njit(fastmath=True)
def gained(case: Floats, battery: Battery, first: int, last: int, value: float) -> tuple[float, float]:
    """Return the energy gained over steps ``first..last`` at one ``value``, and its slope."""
    eta, inverse = battery.eta, 1.0 / battery.eta
    up, down = value * eta, value * inverse + battery.wear
    total, up_slope, down_slope = 0.0, 0.0, 0.0
    if battery.churns:
        for j in range(_U(first), _U(last + 1)):
            b = case[INERTIA, j]
            z = drawn(up, case[PRICE, j], b, case[KINK, j], case[BACK, j])
            w = -drawn(down, case[PRICE, j], b, case[KINK, j], case[BACK, j])
            floor, ceiling, most = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0), case[UP, j]
            total += eta * min(max(z, floor), most) - inverse * min(max(w, 0.0), ceiling)
            bound_back = (case[KINK, j] > 0.0) & (z == case[BACK, j])
            up_slope += b if (z > floor) & (z < most) & ~bound_back else 0.0
            bound_back = (case[KINK, j] > 0.0) & (w == -case[BACK, j])
            down_slope += b if (w > 0.0) & (w < ceiling) & ~bound_back else 0.0
        return total, eta * eta * up_slope + inverse * inverse * down_slope
    for j in range(_U(first), _U(last + 1)):
        b = case[INERTIA, j]
        z = (up - case[PRICE, j]) * b
        w = (case[PRICE, j] - down) * b
        floor, ceiling, most = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0), case[UP, j]
        total += eta * min(max(z, floor), most) - inverse * min(max(w, 0.0), ceiling)
        up_slope += b if (z > floor) & (z < most) else 0.0
        down_slope += b if (w > 0.0) & (w < ceiling) else 0.0
    return total, eta * eta * up_slope + inverse * inverse * down_slope


@njit(fastmath=True)
def root(
    case: Floats, battery: Battery, first: int, last: int, target: float, guess: float, low: float, high: float
) -> tuple[float, float]:
    """Return the value in ``[low, high]`` at which ``target`` is gained, and the slope there.

    Slope 0 is a flat stretch; -1 means that the target is out of reach, and the value is the end nearest to it.

    Newton's method from ``guess``, kept inside a bracket; the bracket's ends are only tried when growing steps get
    there.
    """
    value = min(max(guess, low), high)
    tolerance = EPS * (battery.charge + 1.0)
    step = 0.02 * (abs(guess) + 0.01)
    low_open, high_open, slope, error = True, True, 0.0, 0.0
    for _ in range(_ROOT_STEPS):
        amount, slope = gained(case, battery, first, last, value)
        error = amount - target
        if (abs(error) <= tolerance) | (high <= low):
            break
        if error > 0.0:
            high, high_open = value, False
        else:
            low, low_open = value, False
        following = value - error / slope if slope > 0.0 else 1e300
        if not ((following > low) & (following < high)):
            if (error > 0.0) & low_open:
                following = max(value - step, low)
                step *= 4.0
            elif (error < 0.0) & high_open:
                following = min(value + step, high)
                step *= 4.0
            else:
                following = 0.5 * (low + high)
        if following == value:
            break
        value = following
    return value, slope if abs(error) <= _OUT_OF_REACH * (battery.charge + 1.0) else -1.0


@njit(fastmath=True)
def flat(case: Floats, battery: Battery, first: int, last: int, value: float) -> tuple[float, float]:
    """Return the corners of the segment's answers next below and above ``value``; between one and it nothing reacts.

    Where ``value`` itself is a corner only one side is flat, which is for the caller to see.
    """
    low, high, tiny = battery.least, battery.most, 1e-9 * (1.0 + abs(value))
    inverse = 1.0 / battery.eta
    for j in range(first, last + 1):
        a, s = case[PRICE, j], 1.0 / case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        kink, back = (case[KINK, j], case[BACK, j]) if battery.churns else (0.0, 0.0)
        for n in range(8):
            charging = n < 4  # noqa: PLR2004 - four corners of charging, four of discharging
            y = (floor if n % 4 == 0 else case[UP, j]) if charging else (-ceiling if n % 4 == 0 else 0.0)
            at = a + s * y + (kink if y >= back else -kink)
            if n % 4 > 1:
                if (
                    (kink == 0.0)
                    | (back <= (floor if charging else -ceiling))
                    | (back >= (case[UP, j] if charging else 0.0))
                ):
                    continue
                at = a + s * back + (kink if n % 4 == 2 else -kink)  # noqa: PLR2004 - either end of the rest at the past
            elif (n % 4 == 0) & (y == back):
                at = a + s * y + kink
            elif (n % 4 == 1) & (y == back):
                at = a + s * y - kink
            at = at * inverse if charging else (at - battery.wear) * battery.eta
            if at < value - tiny:
                low = max(low, at)
            if at > value + tiny:
                high = min(high, at)
    return low, high


@njit(fastmath=True)
def unburnt(battery: Battery) -> float:
    """Return the least value of energy at which charging and discharging at once does not pay by what it loses.

    A battery never does both, but a bound must allow for it; where the value is free to be higher it is.
    """
    lost = 1.0 / battery.eta - battery.eta
    return -battery.wear / lost if lost > EPS else -1e300


@njit(fastmath=True)
def limits(case: Floats, length: int, eta: float, wear: float, kink: float, price: float) -> tuple[float, float]:
    """Return values below and above which no step reacts any more."""
    low, high = 0.0, price
    inverse = 1.0 / eta
    for j in range(length):
        bottom = case[PRICE, j] - kink - wear - max(case[DOWN, j], 0.0) / case[INERTIA, j]
        top = case[PRICE, j] + kink + case[UP, j] / case[INERTIA, j]
        low = min(low, bottom * eta, bottom * inverse)
        high = max(high, top * eta, top * inverse)
    return low - 1e-6, high + 1e-6


@njit(fastmath=True)
def corner(rise: float, sink: float, floor: float, charge: float, ceiling: float, kink: float, back: float) -> float:
    """Return the least of ``rise * c + sink * d + kink * |c - d - back|`` over the box: it is at one of its corners."""
    best = 1e300
    for n in range(6):
        c = floor if n < 2 else charge  # noqa: PLR2004 - two corners at each end of charging
        d = 0.0 if n % 2 == 0 else ceiling
        if n == 4:  # noqa: PLR2004 - where the line of no difference enters the box
            c = min(max(back, floor), charge)
            d = min(max(c - back, 0.0), ceiling)
        elif n == 5:  # noqa: PLR2004 - and where it leaves it
            c = min(max(ceiling + back, floor), charge)
            d = min(max(c - back, 0.0), ceiling)
        best = min(best, rise * c + sink * d + kink * abs(c - d - back))
    return best
