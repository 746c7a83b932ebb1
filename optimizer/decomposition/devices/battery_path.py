"""Battery path: the exact cheapest path of one battery through its energy bounds, by the value of stored energy.

``min sum_t (a_t y_t + s_t y_t^2 / 2 + wear * y_t^- + kink_t |y_t - back_t|) + price * short`` over net powers
``y_t = charge - discharge`` with ``e_t = e_(t-1) + eta * y_t^+ - y_t^- / eta``, ``low_t <= e_t <= high`` and
``short >= due - e_end``.

With the value ``lam_t`` of energy stored at the end of step ``t`` every power follows in closed form, and is
increasing in ``lam_t``. ``lam`` is constant while the energy is strictly inside its bounds; it may fall only where
the energy is at ``low`` and rise only where it is at ``high``. So a path is a list of segments, each with one root.
The segments of the last sweep are tried first and mended (split at the worst violation, joined where ``lam`` jumps
the wrong way); whatever passes all conditions is optimal, the problem being convex. Should that not settle, the taut
string through the bounds, drawn forward as a funnel of values, gives the answer without a guess.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import BACK, DOWN, FLOOR, GAIN, INERTIA, KINK, PRICE, UP, VALUE, Floats, Ints
from optimizer.decomposition.devices.battery import EPS, Battery, flat, gained, root, unburnt
from optimizer.decomposition.devices.battery_power import realise
from optimizer.decomposition.devices.charging import drawn

AT_LOW, AT_HIGH, AT_END = 0, 1, 2
END, SIDE = 0, 1
"""Rows of ``marks``, shape ``(2, T + 2)``: the last step of each segment, and what ends it."""
_TRIES = 14
_U = np.uint64
"""Type of the indices of hot loops, see ``battery``."""


@njit(fastmath=True)
def _terminal(
    case: Floats, battery: Battery, first: int, energy: float, guess: float, low: float, high: float
) -> tuple[float, float, float]:
    """Return value, its slope and the energy reached where the window ends with the due energy priced."""
    last = battery.length - 1
    span = EPS * (battery.charge + 1.0)
    floor = case[FLOOR, last]
    low0, high0 = min(max(0.0, low), high), max(min(battery.price, high), low)
    value, slope = root(case, battery, first, last, battery.due - energy, guess, low0, high0)
    amount, _ = gained(case, battery, first, last, value)
    reached = energy + amount
    if reached > battery.high + span:
        value, slope = root(case, battery, first, last, battery.high - energy, value, low, high)
        reached = battery.high
    elif reached < floor - span:
        value, slope = root(case, battery, first, last, floor - energy, value, low, high)
        reached = floor
    return value, slope, reached


@njit(fastmath=True)
def _segments(case: Floats, marks: Ints, battery: Battery) -> int:
    """Read the segments of the last path from ``case[VALUE]``; return how many."""
    count = 0
    for j in range(battery.length - 1):
        if case[VALUE, j] != case[VALUE, j + 1]:
            marks[END, count] = j
            marks[SIDE, count] = AT_LOW if case[VALUE, j] > case[VALUE, j + 1] else AT_HIGH
            count += 1
    marks[END, count] = battery.length - 1
    marks[SIDE, count] = AT_END
    return count + 1


@njit(fastmath=True)
def _gains(case: Floats, battery: Battery, first: int, last: int, value: float) -> None:
    """Fill ``case[GAIN]`` over steps ``first..last - 1``."""
    eta, inverse = battery.eta, 1.0 / battery.eta
    up, down = value * eta, value * inverse + battery.wear
    if battery.churns:
        for j in range(_U(first), _U(last)):
            z = drawn(up, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            w = -drawn(down, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
            case[GAIN, j] = eta * min(max(z, floor), case[UP, j]) - inverse * min(max(w, 0.0), ceiling)
        return
    for j in range(_U(first), _U(last)):
        z = (up - case[PRICE, j]) * case[INERTIA, j]
        w = (case[PRICE, j] - down) * case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        case[GAIN, j] = eta * min(max(z, floor), case[UP, j]) - inverse * min(max(w, 0.0), ceiling)


@njit(fastmath=True)
def _worst(case: Floats, battery: Battery, first: int, last: int, energy: float, value: float) -> tuple[int, int]:
    """Return the step of ``first..last - 1`` where the energy leaves its bounds most, and the side; -1 if nowhere."""
    _gains(case, battery, first, last, value)
    worst, at, side = 4.0 * EPS * (battery.charge + 1.0) * (last - first + 1), -1, AT_LOW
    high = battery.high
    for j in range(first, last):
        energy += case[GAIN, j]
        over, under = energy - high, case[FLOOR, j] - energy
        if max(over, under) > worst:
            worst, at, side = max(over, under), j, (AT_HIGH if over > under else AT_LOW)
    return at, side


@njit(fastmath=True)
def _insert(marks: Ints, count: int, place: int, end: int, side: int) -> None:
    for n in range(count, place, -1):
        marks[END, n], marks[SIDE, n] = marks[END, n - 1], marks[SIDE, n - 1]
    marks[END, place], marks[SIDE, place] = end, side


@njit(fastmath=True)
def _drop(marks: Ints, count: int, place: int) -> None:
    """Remove the segment at ``place``; ``count`` are left."""
    for n in range(place, count):
        marks[END, n], marks[SIDE, n] = marks[END, n + 1], marks[SIDE, n + 1]


@njit(fastmath=True)
def _hold(case: Floats, first: int, last: int, value: float) -> None:
    """Give the steps ``first..last`` one value of energy."""
    for j in range(first, last + 1):
        case[VALUE, j] = value


@njit(fastmath=True)
def _settled(
    case: Floats,
    battery: Battery,
    first: int,
    last: int,
    value: float,
    side: int,
    reached: float,
    before: float,
    before_side: int,
) -> float:
    """Return the value of a segment where nothing reacts to it, moved to where its neighbours allow it.

    Args:
        case: Working rows of the battery.
        battery: Its numbers.
        first: First step of the segment.
        last: Its last step.
        value: A value that gains what is due.
        side: What ends the segment.
        reached: Energy at its end.
        before: Value of the segment before.
        before_side: What ended that one.
    """
    low, high = flat(case, battery, first, last, value)
    if before_side == AT_LOW:
        high = max(min(high, before), low)
    elif before_side == AT_HIGH:
        low = min(max(low, before), high)
    moved = value
    if side == AT_LOW:
        moved = high
    elif side == AT_HIGH:
        moved = max(low, min(unburnt(battery), high))
    elif (before_side != AT_END) & (abs(reached - battery.due) <= 4.0 * EPS * (battery.charge + 1.0)):
        # exactly what is due, and nothing reacts: the value is free to follow its past
        moved = min(max(value, low, 0.0), high, battery.price)
    if moved == value:
        return value
    change = gained(case, battery, first, last, moved)[0] - gained(case, battery, first, last, value)[0]
    return moved if abs(change) <= 4.0 * EPS * (battery.charge + 1.0) else value


@njit(fastmath=True)
def mended(case: Floats, marks: Ints, battery: Battery) -> bool:
    """Solve by mending the segments of the last path; fill ``case[VALUE]``, return whether every condition holds."""
    count = _segments(case, marks, battery)
    for _ in range(_TRIES):
        energy, first, place, clean = battery.begin, 0, 0, True
        before, before_side = 0.0, AT_END
        while place < count:
            last, side = marks[END, place], marks[SIDE, place]
            guess = case[VALUE, last]
            if side == AT_END:
                value, slope, reached = _terminal(case, battery, first, energy, guess, battery.least, battery.most)
            else:
                reached = battery.high if side == AT_HIGH else case[FLOOR, last]
                value, slope = root(case, battery, first, last, reached - energy, guess, battery.least, battery.most)
                if slope < 0.0:
                    # The bound cannot be reached by then: there is no such segment.
                    clean = False
                    count -= 1
                    _drop(marks, count, place)
                    continue
            if slope == 0.0:
                value = _settled(case, battery, first, last, value, side, reached, before, before_side)
            at, which = _worst(case, battery, first, last, energy, value)
            _hold(case, first, last, value)
            if at >= 0:
                # What comes before the split is looked at again in the next try.
                _insert(marks, count, place, at, which)
                count += 1
                clean = False
                if count >= marks.shape[1] - 1:
                    return False
                before_side = AT_END
                energy, first, place = reached, last + 1, place + 2
                continue
            slack = 1e-9 * (abs(before) + abs(value))
            wrong = ((before_side == AT_LOW) & (before < value - slack)) | (
                (before_side == AT_HIGH) & (before > value + slack)
            )
            if wrong:
                clean = False
                count -= 1
                place -= 1
                _drop(marks, count, place)
            before, before_side = value, side
            energy, first, place = reached, last + 1, place + 1
        if clean:
            return True
    return False


@njit(fastmath=True)
def funnel(  # noqa: C901 - one walk forward with the two sides of the funnel
    case: Floats, battery: Battery
) -> None:
    """Solve from nothing: narrow the values that stay inside the bounds until one must be left, and go on there."""
    length, start, energy = battery.length, 0, battery.begin
    span = EPS * (battery.charge + 1.0)
    while start < length:
        low, high, at_low, at_high = battery.least, battery.most, -1, -1
        path_low, path_high = energy, energy
        last, value, reached = length - 1, 0.0, energy
        found = False
        for t in range(start, length):
            path_low += gained(case, battery, t, t, low)[0]
            path_high += gained(case, battery, t, t, high)[0]
            if path_high > battery.high + span:
                if path_low > battery.high + span:
                    last = at_low if at_low >= 0 else t
                    value, reached = low, (case[FLOOR, last] if at_low >= 0 else battery.high)
                    found = True
                    break
                high = root(case, battery, start, t, battery.high - energy, high, low, high)[0]
                path_high, at_high = battery.high, t
            if path_low < case[FLOOR, t] - span:
                if path_high < case[FLOOR, t] - span:
                    last = at_high if at_high >= 0 else t
                    value, reached = high, (battery.high if at_high >= 0 else case[FLOOR, t])
                    found = True
                    break
                low = root(case, battery, start, t, case[FLOOR, t] - energy, low, low, high)[0]
                path_low, at_low = case[FLOOR, t], t
        if not found:
            value, _, reached = _terminal(
                case, battery, start, energy, case[VALUE, length - 1], battery.least, battery.most
            )
            if (value < low) & (at_low >= 0) & (at_low < length - 1):
                last, value, reached = at_low, low, case[FLOOR, at_low]
            elif (value > high) & (at_high >= 0) & (at_high < length - 1):
                last, value, reached = at_high, high, battery.high
            else:
                value = min(max(value, low), high)
        for j in range(start, last + 1):
            case[VALUE, j] = value
        start, energy = last + 1, reached


@njit(fastmath=True)
def best_path(case: Floats, marks: Ints, battery: Battery) -> float:
    """Fill ``case[VALUE]`` and ``case[POWER]``; return the energy missing at the end, kW-steps."""
    if not mended(case, marks, battery):
        funnel(case, battery)
    return realise(case, battery)
