"""Reserve held back by stores: its amount, against its cost to them.

A store that holds ``h`` over a window ``[first, last)`` has a higher floor (``low + h (last - 1 - t) / eta`` at the
end of step ``t``, from the step before the window on; ``low + h sustain / eta`` where what is held has to last for
``sustain`` steps whenever it is called) and less discharge (``discharge - h``). For a given ``h`` this is the same
problem with other bounds, and its multipliers give the cost of one more kW held: the falls of the energy value at the
floor times the floor's slope, and the price of the power bound. That cost grows with ``h``, so ``h`` is a root.

In the bound every pair of energy values and power prices proves something; where the cost jumps over the reserve's
price at some ``h`` the proof lies between the two answers next to it, so their mixtures are tried.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    BACK,
    DOWN,
    FLOOR,
    INERTIA,
    KINK,
    POWER,
    PRICE,
    UP,
    VALUE,
    Flags,
    Floats,
    Holds,
    Ints,
    Prices,
    Schedule,
    Singles,
    Stiffness,
    Stores,
)
from optimizer.decomposition.devices.battery import Battery, corner
from optimizer.decomposition.devices.battery_path import best_path

_TRIES = 4
_PROOF_TRIES = 14
_MIXTURES = 10


@njit()
def backed_steps(holds: Holds, w: int, t: int) -> int:
    """Return the steps that the energy at the end of step ``t`` has to last for."""
    return int(holds.sustain[w]) if holds.sustain[w] > 0 else int(holds.last[w] - 1 - t)


@njit()
def bounded_until(stores: Stores, i: int, holds: Holds, w: int) -> int:
    """Return the first step whose end is not bounded by window ``w``; a store may leave as empty as it likes."""
    last = holds.last[w]
    return int(last) if (holds.sustain[w] > 0) & (last < stores.depart[i]) else int(last - 1)


@njit()
def priced_until(stores: Stores, i: int, holds: Holds, w: int) -> int:
    """Return the first step whose floor window ``w`` does not pay for: where the next begins at once, that one does."""
    follows = (w + 1 < len(holds.first)) and (holds.first[w + 1] == holds.last[w])
    return int(holds.last[w] - 1) if follows else bounded_until(stores, i, holds, w)


@njit()
def most_held(stores: Stores, i: int, holds: Holds, w: int) -> float:
    """Return the most that store ``i`` can hold in window ``w``, 0 if it is not plugged for all of it, kW."""
    first, last = holds.first[w], holds.last[w]
    begin, depart, eta = stores.arrive[i], stores.depart[i], stores.efficiency[i]
    if (begin > first) | (depart < last) | (not stores.reserving[i]):
        return 0.0
    length, discharge, backed = last - first, stores.discharge[i], backed_steps(holds, w, first - 1)
    span = stores.high[i] - stores.low[i]
    charge, reach = stores.charge[i], stores.begin[i] + eta * stores.charge[i] * (first - begin)
    if len(stores.limit):
        charge, reach = stores.limit[i, first:last].min(), stores.begin[i] + eta * stores.limit[i, begin:first].sum()
    reach = min(reach, stores.high[i]) - stores.low[i]
    most = min(charge + discharge, reach * eta / backed)
    if most > discharge:
        # Held beyond the greatest discharge it must charge all the time, and its energy must have room for that.
        forced = (span + eta * discharge * length) / (backed / eta + eta * length)
        most = min(most, max(forced, discharge))
    return float(max(most, 0.0))


@njit()
def set_bounds(stores: Stores, i: int, holds: Holds, held: Floats, case: Floats) -> None:
    """Fill floor and discharge of store ``i`` that holds ``held``, shape ``(w,)``."""
    begin = stores.arrive[i]
    length = stores.depart[i] - begin
    for j in range(length):
        case[FLOOR, j] = stores.low[i]
        case[DOWN, j] = stores.discharge[i]
    for w in range(len(held)):
        if held[w] <= 0.0:
            continue
        for t in range(max(holds.first[w] - 1, begin), bounded_until(stores, i, holds, w)):
            extra = held[w] * backed_steps(holds, w, t) / stores.efficiency[i]
            case[FLOOR, t - begin] = max(case[FLOOR, t - begin], stores.low[i] + extra)
        for t in range(holds.first[w], holds.last[w]):
            case[DOWN, t - begin] = stores.discharge[i] - held[w]


@njit()
def power_price(case: Floats, battery: Battery, j: int) -> float:
    """Return what one more kW of discharge at step ``j`` would save, 0 where its bound does not bind."""
    y, down = case[POWER, j], case[DOWN, j]
    if y > -down + 1e-6 * (1.0 + abs(down)):
        return 0.0
    value = case[VALUE, j]
    at = case[PRICE, j] + y / case[INERTIA, j]
    gain = at - battery.wear - value / battery.eta if y < 0.0 else at - value * battery.eta
    return float(max(gain, 0.0))


@njit()
def holding_cost(stores: Stores, i: int, holds: Holds, w: int, case: Floats, battery: Battery) -> float:
    """Return what one more kW held in window ``w`` costs at the present answer."""
    begin, cost = stores.arrive[i], 0.0
    for t in range(max(holds.first[w] - 1, begin), priced_until(stores, i, holds, w)):
        fall = case[VALUE, t - begin] - case[VALUE, t - begin + 1]
        cost += max(fall, 0.0) * backed_steps(holds, w, t) / battery.eta
    for t in range(holds.first[w], holds.last[w]):
        cost += power_price(case, battery, t - begin)
    return float(cost)


@njit()
def held_back(
    i: int,
    stores: Stores,
    holds: Holds,
    stiff: Stiffness,
    prices: Prices,
    reserve: Floats,
    plan: Schedule,
    case: Floats,
    marks: Ints,
    battery: Battery,
) -> float:
    """Choose what store ``i`` holds and its powers with it; return the energy missing at the end.

    Args:
        i: The store.
        stores: All of them.
        holds: The windows.
        stiff: Slopes of the augmented terms.
        prices: Multipliers.
        reserve: What all hold in each window, this store included, shape ``(w,)``.
        plan: Its ``hold`` is the guess.
        case: Working rows of the store with prices set.
        marks: Scratch of the segments.
        battery: The store's numbers.
    """
    held = plan.hold[i].copy()
    for w in range(len(held)):
        # Where even the first kW is not paid for, what is held is what the plan leaves anyway.
        wanted = prices.hold[w] + stiff.hold[w] * (holds.need[w] - reserve[w] + held[w]) > 0.0
        held[w] = min(held[w], most_held(stores, i, holds, w)) if wanted else 0.0
    set_bounds(stores, i, holds, held, case)
    short = best_path(case, marks, battery)
    for w in range(len(held)):
        most = most_held(stores, i, holds, w)
        first_kw = prices.hold[w] + stiff.hold[w] * (holds.need[w] - reserve[w] + plan.hold[i, w])
        if (most <= 0.0) | (first_kw <= 0.0):
            continue
        others, before = reserve[w] - plan.hold[i, w], held[w]
        near = stiff.hold[w] + 0.05 * holds.price[w] / (1.0 + most)
        low, high, step = 0.0, most, 0.1 * most
        for _ in range(_TRIES):
            pay = prices.hold[w] + stiff.hold[w] * (holds.need[w] - others - held[w])
            pay = min(max(pay, 0.0), holds.price[w]) - near * (held[w] - before)
            dear = holding_cost(stores, i, holds, w, case, battery) > pay
            low, high = (low, held[w]) if dear else (held[w], high)
            following = _next(held[w], dear, low, high, most, step)
            step *= 3.0
            if (high - low <= 1e-3 * most) | (following == held[w]):
                break
            held[w] = following
            set_bounds(stores, i, holds, held, case)
            short = best_path(case, marks, battery)
    return short


@njit()
def _next(
    held: float,
    dear: bool,  # noqa: FBT001 - a kernel's argument
    low: float,
    high: float,
    most: float,
    step: float,
) -> float:
    """Return where to look next: by growing steps until both sides are known, then in the middle."""
    if dear & (low == 0.0):
        return max(held - step, 0.0)
    if (not dear) & (high == most):
        return min(held + step, most)
    return 0.5 * (low + high)


@njit()
def holding_proof(
    i: int,
    stores: Stores,
    holds: Holds,
    pay: Floats,
    case: Floats,
    marks: Ints,
    battery: Battery,
    guess: Floats,
    enough: float,
) -> float:
    """Return a bound for store ``i`` at prices ``case[PRICE]`` of power and ``pay`` of reserve, shape ``(w,)``.

    A better one is not looked for within ``enough`` of what an answer costs.
    """
    windows = len(pay)
    held, points = guess.copy(), np.zeros((2 * windows + 1, 2, case.shape[1]))
    used = np.zeros(len(points), np.bool_)
    for w in range(windows):
        most = most_held(stores, i, holds, w)
        held[w] = min(held[w], most) if pay[w] > 0.0 else 0.0
    set_bounds(stores, i, holds, held, case)
    short = best_path(case, marks, battery)
    _note(i, stores, holds, case, battery, points[0])
    proven = _proven(i, stores, holds, pay, case, battery, points[0])
    if _cost(pay, held, case, battery, short) - proven <= enough:
        return proven
    for w in range(windows):
        most = most_held(stores, i, holds, w)
        if (most <= 0.0) | (pay[w] <= 0.0):
            continue
        low, high, step = 0.0, most, 0.02 * most
        for _ in range(_PROOF_TRIES):
            dear = holding_cost(stores, i, holds, w, case, battery) > pay[w]
            low, high = (low, held[w]) if dear else (held[w], high)
            place = 2 * w + (2 if dear else 1)
            _note(i, stores, holds, case, battery, points[place])
            used[place] = True
            following = _next(held[w], dear, low, high, most, step)
            step *= 4.0
            if (high - low <= 1e-4 * most) | (following == held[w]):
                break
            held[w] = following
            set_bounds(stores, i, holds, held, case)
            best_path(case, marks, battery)
    return _best_mixture(i, stores, holds, pay, case, battery, points, used)


@njit()
def _cost(pay: Floats, held: Floats, case: Floats, battery: Battery, short: float) -> float:
    """Return the cost of the present answer: no proof exceeds it."""
    cost = battery.price * short
    for w in range(len(pay)):
        cost -= pay[w] * held[w]
    for j in range(battery.length):
        y = case[POWER, j]
        cost += case[PRICE, j] * y + battery.wear * max(-y, 0.0)
        if battery.churns:
            cost += case[KINK, j] * abs(y - case[BACK, j])
    return float(cost)


@njit()
def _note(i: int, stores: Stores, holds: Holds, case: Floats, battery: Battery, point: Floats) -> None:
    """Write the present answer's energy values, and its power prices inside the windows, into ``point``."""
    begin = stores.arrive[i]
    for j in range(battery.length):
        point[0, j] = case[VALUE, j]
        point[1, j] = 0.0
    for w in range(len(holds.need)):
        if most_held(stores, i, holds, w) > 0.0:
            for j in range(holds.first[w] - begin, holds.last[w] - begin):
                point[1, j] = power_price(case, battery, j)


@njit()
def _best_mixture(
    i: int,
    stores: Stores,
    holds: Holds,
    pay: Floats,
    case: Floats,
    battery: Battery,
    points: Floats,
    used: Flags,
) -> float:
    """Return the best bound that mixtures of ``points`` prove: what they prove is concave, so each line has one top."""
    mixture, trial = points[0].copy(), points[0].copy()
    best = _proven(i, stores, holds, pay, case, battery, mixture)
    for n in range(1, len(points)):
        if not used[n]:
            continue
        low, high = 0.0, 1.0
        for turn in range(_MIXTURES):
            share = 1.0 if turn == 0 else 0.5 * (low + high)
            _mix(mixture, points[n], share, battery.length, trial)
            value = _proven(i, stores, holds, pay, case, battery, trial)
            _mix(mixture, points[n], share - 1e-4, battery.length, trial)
            rising = value >= _proven(i, stores, holds, pay, case, battery, trial)
            best = max(best, value)
            low, high = (share, high) if rising else (low, share)
            if rising & (turn == 0):
                break
        _mix(mixture, points[n], low, battery.length, trial)
        value = _proven(i, stores, holds, pay, case, battery, trial)
        if value >= best:
            best = value
            mixture[...] = trial
    return best


@njit(fastmath=True)
def _mix(one: Floats, two: Floats, share: float, length: int, mixed: Floats) -> None:
    for j in range(length):
        mixed[0, j] = (1.0 - share) * one[0, j] + share * two[0, j]
        mixed[1, j] = (1.0 - share) * one[1, j] + share * two[1, j]


@njit()
def _proven(i: int, stores: Stores, holds: Holds, pay: Floats, case: Floats, battery: Battery, point: Floats) -> float:
    """Return the bound that energy values ``point[0]`` and power prices ``point[1]`` prove."""
    eta, last, begin = battery.eta, battery.length - 1, stores.arrive[i]
    low, high, discharge = stores.low[i], battery.high, stores.discharge[i]
    value = -point[0, 0] * battery.begin
    for j in range(battery.length):
        worth = point[0, j]
        price = max(point[1, j], 0.0)
        rise = case[PRICE, j] - worth * eta - price
        sink = battery.wear - case[PRICE, j] + worth / eta + price
        if battery.churns:
            value += corner(rise, sink, 0.0, case[UP, j], discharge, case[KINK, j], case[BACK, j])
        else:
            value += min(rise, 0.0) * case[UP, j] + min(sink, 0.0) * discharge
        value -= price * discharge
        if j < last:
            fall = worth - point[0, j + 1]
            value += fall * (low if fall > 0.0 else high)
    for w in range(len(pay)):
        most = most_held(stores, i, holds, w)
        if most <= 0.0:
            continue
        cost = -pay[w]
        for t in range(max(holds.first[w] - 1, begin), priced_until(stores, i, holds, w)):
            fall = point[0, t - begin] - point[0, t - begin + 1]
            cost += max(fall, 0.0) * backed_steps(holds, w, t) / eta
        for t in range(holds.first[w], holds.last[w]):
            cost += max(point[1, t - begin], 0.0)
        value += min(cost, 0.0) * most
    end = point[0, last]
    best = min(
        end * low + battery.price * max(battery.due - low, 0.0),
        end * high + battery.price * max(battery.due - high, 0.0),
    )
    if (battery.due > low) & (battery.due < high):
        best = min(best, end * battery.due)
    return float(value + best)


@njit()
def note_held(stores: Stores, holds: Holds, power: Singles, hold: Floats) -> None:
    """Write what every store backs in each window by its powers into ``hold``, shape ``(n, w)``."""
    for i in range(hold.shape[0]):
        for w in range(hold.shape[1]):
            hold[i, w] = held_kw(stores, i, holds, w, power) if stores.reserving[i] else 0.0


@njit()
def held_kw(stores: Stores, i: int, holds: Holds, w: int, power: Singles) -> float:
    """Return the reserve that store ``i`` backs with energy and power in window ``w``, kW."""
    first, last, bounded = holds.first[w], holds.last[w], bounded_until(stores, i, holds, w)
    begin, depart, eta = stores.arrive[i], stores.depart[i], stores.efficiency[i]
    if (begin > first) | (depart < last):
        return 0.0
    energy, held = stores.begin[i], 1e300
    for t in range(begin, last):
        if t == first:
            held = min(held, (energy - stores.low[i]) * eta / backed_steps(holds, w, first - 1))
        y = float(power[stores.cell[i] + t - begin])
        energy += eta * max(y, 0.0) - max(-y, 0.0) / eta
        if t >= first:
            held = min(held, y + stores.discharge[i])
            if t < bounded:
                held = min(held, (energy - stores.low[i]) * eta / backed_steps(holds, w, t))
    return float(max(held, 0.0))
