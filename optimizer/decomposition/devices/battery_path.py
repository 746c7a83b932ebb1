"""One battery: the exact cheapest path through its energy bounds, by the value of stored energy.

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

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    BACK,
    DOWN,
    FLOOR,
    GAIN,
    INERTIA,
    KINK,
    POWER,
    PRICE,
    UP,
    VALUE,
    Floats,
    Ints,
)

AT_LOW, AT_HIGH, AT_END = 0, 1, 2
END, SIDE = 0, 1
"""Rows of ``marks``, shape ``(2, T + 2)``: the last step of each segment, and what ends it."""
_ROOT_STEPS = 80
_TRIES = 14
_U = np.uint64
"""Type of the indices of hot loops: signed ones are checked for counting from the end, which no vector code can do."""
_OUT_OF_REACH = 1e-4
_EPS = 1e-7
"""Tolerance of energies, as a share of the power of charging and discharging together."""


class Cell(NamedTuple):
    """The numbers of one battery; energies in kW-steps. ``charge`` is a measure for tolerances, ``UP`` the bound."""

    length: int
    charge: float
    high: float
    begin: float
    due: float
    eta: float
    wear: float
    price: float
    remembers: bool
    least: float
    most: float


@njit(fastmath=True, inline=True)
def _pull(value: float, a: float, b: float, kink: float, back: float) -> float:
    return max((value - kink - a) * b, min((value + kink - a) * b, back))


@njit(fastmath=True)
def gained(case: Floats, cell: Cell, first: int, last: int, value: float) -> tuple[float, float]:
    """Return the energy gained over steps ``first..last`` at one ``value``, and its slope."""
    eta, inverse = cell.eta, 1.0 / cell.eta
    up, down = value * eta, value * inverse + cell.wear
    total, up_slope, down_slope = 0.0, 0.0, 0.0
    if cell.remembers:
        for j in range(_U(first), _U(last + 1)):
            b = case[INERTIA, j]
            z = _pull(up, case[PRICE, j], b, case[KINK, j], case[BACK, j])
            w = -_pull(down, case[PRICE, j], b, case[KINK, j], case[BACK, j])
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
    case: Floats, cell: Cell, first: int, last: int, target: float, guess: float, low: float, high: float
) -> tuple[float, float]:
    """Return the value in ``[low, high]`` at which ``target`` is gained, and the slope there.

    Slope 0 is a flat stretch; -1 says that the target is out of reach, and the value is the end nearest to it.

    Newton's method from ``guess``, kept inside a bracket; the bracket's ends are only tried when growing steps get
    there.
    """
    value = min(max(guess, low), high)
    tolerance = _EPS * (cell.charge + 1.0)
    step = 0.02 * (abs(guess) + 0.01)
    low_open, high_open, slope, error = True, True, 0.0, 0.0
    for _ in range(_ROOT_STEPS):
        amount, slope = gained(case, cell, first, last, value)
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
    return value, slope if abs(error) <= _OUT_OF_REACH * (cell.charge + 1.0) else -1.0


@njit(fastmath=True)
def _flat(case: Floats, cell: Cell, first: int, last: int, value: float) -> tuple[float, float]:
    """Return the corners of the segment's answers next below and above ``value``; between one and it nothing reacts.

    Where ``value`` itself is a corner only one side is flat, which is for the caller to see.
    """
    low, high, tiny = cell.least, cell.most, 1e-9 * (1.0 + abs(value))
    inverse = 1.0 / cell.eta
    for j in range(first, last + 1):
        a, s = case[PRICE, j], 1.0 / case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        kink, back = (case[KINK, j], case[BACK, j]) if cell.remembers else (0.0, 0.0)
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
            at = at * inverse if charging else (at - cell.wear) * cell.eta
            if at < value - tiny:
                low = max(low, at)
            if at > value + tiny:
                high = min(high, at)
    return low, high


@njit(fastmath=True)
def unburnt(cell: Cell) -> float:
    """Return the least value of energy at which charging and discharging at once does not pay by what it loses.

    A battery never does both, but a bound must allow for it; where the value is free to be higher it is.
    """
    lost = 1.0 / cell.eta - cell.eta
    return -cell.wear / lost if lost > _EPS else -1e300


@njit(fastmath=True)
def _terminal(
    case: Floats, cell: Cell, first: int, energy: float, guess: float, low: float, high: float
) -> tuple[float, float, float]:
    """Return value, its slope and the energy reached where the window ends with the due energy priced."""
    last = cell.length - 1
    span = _EPS * (cell.charge + 1.0)
    floor = case[FLOOR, last]
    low0, high0 = min(max(0.0, low), high), max(min(cell.price, high), low)
    value, slope = root(case, cell, first, last, cell.due - energy, guess, low0, high0)
    amount, _ = gained(case, cell, first, last, value)
    reached = energy + amount
    if reached > cell.high + span:
        value, slope = root(case, cell, first, last, cell.high - energy, value, low, high)
        reached = cell.high
    elif reached < floor - span:
        value, slope = root(case, cell, first, last, floor - energy, value, low, high)
        reached = floor
    return value, slope, reached


@njit(fastmath=True)
def _segments(case: Floats, marks: Ints, cell: Cell) -> int:
    """Read the segments of the remembered path from ``case[VALUE]``; return how many."""
    count = 0
    for j in range(cell.length - 1):
        if case[VALUE, j] != case[VALUE, j + 1]:
            marks[END, count] = j
            marks[SIDE, count] = AT_LOW if case[VALUE, j] > case[VALUE, j + 1] else AT_HIGH
            count += 1
    marks[END, count] = cell.length - 1
    marks[SIDE, count] = AT_END
    return count + 1


@njit(fastmath=True)
def _gains(case: Floats, cell: Cell, first: int, last: int, value: float) -> None:
    """Fill ``case[GAIN]`` over steps ``first..last - 1``."""
    eta, inverse = cell.eta, 1.0 / cell.eta
    up, down = value * eta, value * inverse + cell.wear
    if cell.remembers:
        for j in range(_U(first), _U(last)):
            z = _pull(up, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            w = -_pull(down, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
            case[GAIN, j] = eta * min(max(z, floor), case[UP, j]) - inverse * min(max(w, 0.0), ceiling)
        return
    for j in range(_U(first), _U(last)):
        z = (up - case[PRICE, j]) * case[INERTIA, j]
        w = (case[PRICE, j] - down) * case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        case[GAIN, j] = eta * min(max(z, floor), case[UP, j]) - inverse * min(max(w, 0.0), ceiling)


@njit(fastmath=True)
def _worst(case: Floats, cell: Cell, first: int, last: int, energy: float, value: float) -> tuple[int, int]:
    """Return the step of ``first..last - 1`` where the energy leaves its bounds most, and the side; -1 if nowhere."""
    _gains(case, cell, first, last, value)
    worst, at, side = 4.0 * _EPS * (cell.charge + 1.0) * (last - first + 1), -1, AT_LOW
    high = cell.high
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
def mended(  # noqa: C901, PLR0912, PLR0915 - one pass over the segments, with what can be wrong with each
    case: Floats, marks: Ints, cell: Cell
) -> bool:
    """Solve by mending the remembered segments; fill ``case[VALUE]`` and say whether every condition holds."""
    count = _segments(case, marks, cell)
    for _ in range(_TRIES):
        energy, first, place, clean = cell.begin, 0, 0, True
        before, before_side = 0.0, AT_END
        while place < count:
            last, side = marks[END, place], marks[SIDE, place]
            guess = case[VALUE, last]
            if side == AT_END:
                value, slope, reached = _terminal(case, cell, first, energy, guess, cell.least, cell.most)
            else:
                reached = cell.high if side == AT_HIGH else case[FLOOR, last]
                value, slope = root(case, cell, first, last, reached - energy, guess, cell.least, cell.most)
                if slope < 0.0:
                    # The bound cannot be reached by then: there is no such segment.
                    clean = False
                    count -= 1
                    for n in range(place, count):
                        marks[END, n], marks[SIDE, n] = marks[END, n + 1], marks[SIDE, n + 1]
                    continue
            if slope == 0.0:
                low, high = _flat(case, cell, first, last, value)
                if before_side == AT_LOW:
                    high = max(min(high, before), low)
                elif before_side == AT_HIGH:
                    low = min(max(low, before), high)
                moved = value
                if side == AT_LOW:
                    moved = high
                elif side == AT_HIGH:
                    moved = max(low, min(unburnt(cell), high))
                elif (before_side != AT_END) & (abs(reached - cell.due) <= 4.0 * _EPS * (cell.charge + 1.0)):
                    # exactly what is due, and nothing reacts: the value is free to follow its past
                    moved = min(max(value, low, 0.0), high, cell.price)
                if moved != value:
                    change = gained(case, cell, first, last, moved)[0] - gained(case, cell, first, last, value)[0]
                    value = moved if abs(change) <= 4.0 * _EPS * (cell.charge + 1.0) else value
            at, which = _worst(case, cell, first, last, energy, value)
            if at >= 0:
                _insert(marks, count, place, at, which)
                count += 1
                clean = False
                for j in range(first, at + 1):
                    case[VALUE, j] = value
                before_side = AT_END
                # what comes before the split is looked at again in the next try
                energy = cell.high if which == AT_HIGH else case[FLOOR, at]
                first = at + 1
                place += 1
                for j in range(first, last + 1):
                    case[VALUE, j] = value
                if count >= marks.shape[1] - 1:
                    return False
                energy, first, place = reached, last + 1, place + 1
                continue
            for j in range(first, last + 1):
                case[VALUE, j] = value
            slack = 1e-9 * (abs(before) + abs(value))
            wrong = ((before_side == AT_LOW) & (before < value - slack)) | (
                (before_side == AT_HIGH) & (before > value + slack)
            )
            if wrong:
                clean = False
                for n in range(place - 1, count - 1):
                    marks[END, n], marks[SIDE, n] = marks[END, n + 1], marks[SIDE, n + 1]
                count -= 1
                place -= 1
            before, before_side = value, side
            energy, first, place = reached, last + 1, place + 1
        if clean:
            return True
    return False


@njit(fastmath=True)
def funnel(  # noqa: C901 - one walk forward with the two sides of the funnel
    case: Floats, cell: Cell
) -> None:
    """Solve from nothing: narrow the values that stay inside the bounds until one must be left, and go on there."""
    length, start, energy = cell.length, 0, cell.begin
    span = _EPS * (cell.charge + 1.0)
    while start < length:
        low, high, at_low, at_high = cell.least, cell.most, -1, -1
        path_low, path_high = energy, energy
        last, value, reached = length - 1, 0.0, energy
        found = False
        for t in range(start, length):
            path_low += gained(case, cell, t, t, low)[0]
            path_high += gained(case, cell, t, t, high)[0]
            if path_high > cell.high + span:
                if path_low > cell.high + span:
                    last = at_low if at_low >= 0 else t
                    value, reached = low, (case[FLOOR, last] if at_low >= 0 else cell.high)
                    found = True
                    break
                high = root(case, cell, start, t, cell.high - energy, high, low, high)[0]
                path_high, at_high = cell.high, t
            if path_low < case[FLOOR, t] - span:
                if path_high < case[FLOOR, t] - span:
                    last = at_high if at_high >= 0 else t
                    value, reached = high, (cell.high if at_high >= 0 else case[FLOOR, t])
                    found = True
                    break
                low = root(case, cell, start, t, case[FLOOR, t] - energy, low, low, high)[0]
                path_low, at_low = case[FLOOR, t], t
        if not found:
            value, _, reached = _terminal(case, cell, start, energy, case[VALUE, length - 1], cell.least, cell.most)
            if (value < low) & (at_low >= 0) & (at_low < length - 1):
                last, value, reached = at_low, low, case[FLOOR, at_low]
            elif (value > high) & (at_high >= 0) & (at_high < length - 1):
                last, value, reached = at_high, high, cell.high
            else:
                value = min(max(value, low), high)
        for j in range(start, last + 1):
            case[VALUE, j] = value
        start, energy = last + 1, reached


@njit(fastmath=True)
def _answers(case: Floats, cell: Cell) -> None:
    """Fill ``case[POWER]`` with what each step does at its value, bounds of energy aside."""
    eta, inverse, wear = cell.eta, 1.0 / cell.eta, cell.wear
    if cell.remembers:
        for j in range(_U(cell.length)):
            z = _pull(case[VALUE, j] * eta, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            w = -_pull(case[VALUE, j] * inverse + wear, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
            case[POWER, j] = min(max(z, floor), case[UP, j]) - min(max(w, 0.0), ceiling)
        return
    for j in range(_U(cell.length)):
        z = (case[VALUE, j] * eta - case[PRICE, j]) * case[INERTIA, j]
        w = (case[PRICE, j] - wear - case[VALUE, j] * inverse) * case[INERTIA, j]
        floor, ceiling = max(-case[DOWN, j], 0.0), max(case[DOWN, j], 0.0)
        case[POWER, j] = min(max(z, floor), case[UP, j]) - min(max(w, 0.0), ceiling)


@njit(fastmath=True)
def realise(case: Floats, cell: Cell) -> float:
    """Turn ``case[VALUE]`` into net powers that keep every bound exactly; return the energy missing at the end."""
    _answers(case, cell)
    eta, inverse = cell.eta, 1.0 / cell.eta
    energy = cell.begin
    for j in range(cell.length):
        y = case[POWER, j]
        room, stock = max(cell.high - energy, 0.0), max(energy - min(case[FLOOR, j], energy), 0.0)
        lift = max(case[FLOOR, j] - energy, 0.0)
        y = max(min(y, room * inverse), -stock * eta)
        if lift > 0.0:
            y = max(y, min(lift * inverse, case[UP, j]))
        case[POWER, j] = y
        energy += eta * max(y, 0.0) - inverse * max(-y, 0.0)
        case[GAIN, j] = energy
    return _topped_up(case, cell, cell.due - energy)


@njit(fastmath=True)
def _topped_up(case: Floats, cell: Cell, missing: float) -> float:
    """Make up what clipping cost at the end, latest steps first, but not what was left missing for its price."""
    span = 1e-3 * (cell.charge + 1.0)
    if missing <= 0.0:
        return 0.0
    if (missing > span) & (case[VALUE, cell.length - 1] >= cell.price * (1.0 - 1e-9)):
        return missing
    head = 1e300
    for j in range(cell.length - 1, -1, -1):
        head = min(head, cell.high - case[GAIN, j])
        want = min(missing, head)
        if want <= 0.0:
            break
        less = min(want, max(-case[POWER, j], 0.0) / cell.eta)
        case[POWER, j] += less * cell.eta
        more = 0.0
        if case[POWER, j] >= 0.0:
            more = min(want - less, max(case[UP, j] - case[POWER, j], 0.0) * cell.eta)
            case[POWER, j] += more / cell.eta
        missing -= less + more
        head -= less + more
        if missing <= 0.0:
            return 0.0
    return missing


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
def best_path(case: Floats, marks: Ints, cell: Cell) -> float:
    """Fill ``case[VALUE]`` and ``case[POWER]``; return the energy missing at the end, kW-steps."""
    if not mended(case, marks, cell):
        funnel(case, cell)
    return realise(case, cell)


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
