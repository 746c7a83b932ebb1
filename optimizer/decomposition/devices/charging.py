"""Charging of one charge-only car: the cheapest way to fill its energy into its window.

``min sum_t (a_t x_t + x_t^2 / (2 b_t) + kink_t |x_t - back_t|) + unserved_price * u`` subject to ``0 <= x_t <= p`` and
``sum_t x_t + u = need``. The marginal cost of every used step equals one water level ``nu``, the root of an increasing
piecewise linear function; the shortfall ``u`` is a further step that opens when ``nu`` reaches its price.
"""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import BACK, INERTIA, KINK, POWER, PRICE, Floats

_NEWTON_STEPS = 60
_TOLERANCE = 1e-6
_U = np.uint64


@njit(fastmath=True, inline=True)
def drawn(value: float, a: float, b: float, kink: float, back: float) -> float:
    """Return the unbounded power of marginal cost ``value``: ``back`` for ``2 * kink`` of values."""
    return max((value - kink - a) * b, min((value + kink - a) * b, back))


@njit(fastmath=True)
def water_level(  # noqa: C901 - one loop with its bracket
    case: Floats,
    churns: bool,  # noqa: FBT001 - a kernel's argument
    length: int,
    p: float,
    need: float,
    price: float,
    guess: float,
) -> tuple[float, float]:
    """Fill ``case[POWER]`` and return the level and the shortfall.

    Args:
        case: Working rows of the car; ``POWER`` is filled.
        churns: Whether any ``kink`` is above 0.
        length: Steps of the window.
        p: Greatest power, kW.
        need: Energy, kW-steps.
        price: Price of a missing kW-step.
        guess: Level to start from.
    """
    low, high, tried = -1e30, price, False
    level = min(guess, price)
    slack = _TOLERANCE * p
    for _ in range(_NEWTON_STEPS):
        amount, slope = _filled(case, churns, length, p, level)
        error = amount - need
        if (abs(error) < slack) | ((error < 0.0) & (level >= price)):
            break
        if error > 0.0:
            high, tried = level, True
        else:
            low = level
        following = level - error / slope if slope > 0.0 else _edge(case, length, p, level, error < 0.0)
        if following >= high:
            following = 0.5 * (low + high) if tried else price
        elif following <= low:
            following = 0.5 * (low + high)
        if following == level:
            break
        level = following
    total = 0.0
    if churns:
        for j in range(_U(length)):
            case[POWER, j] = min(
                max(drawn(level, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j]), 0.0), p
            )
    else:
        for j in range(_U(length)):
            case[POWER, j] = min(max((level - case[PRICE, j]) * case[INERTIA, j], 0.0), p)
    for j in range(_U(length)):
        total += case[POWER, j]
    return level, _settled(case, length, p, need - total, level >= price)


@njit(fastmath=True)
def _filled(
    case: Floats,
    churns: bool,  # noqa: FBT001 - a kernel's argument
    length: int,
    p: float,
    level: float,
) -> tuple[float, float]:
    """Return the energy taken at ``level``, and its slope."""
    amount, slope = 0.0, 0.0
    if churns:
        for j in range(_U(length)):
            z = drawn(level, case[PRICE, j], case[INERTIA, j], case[KINK, j], case[BACK, j])
            held = (case[KINK, j] > 0.0) & (z == case[BACK, j])
            amount += min(max(z, 0.0), p)
            slope += case[INERTIA, j] if (z > 0.0) & (z < p) & ~held else 0.0
        return amount, slope
    for j in range(_U(length)):
        z = (level - case[PRICE, j]) * case[INERTIA, j]
        amount += min(max(z, 0.0), p)
        slope += case[INERTIA, j] if (z > 0.0) & (z < p) else 0.0
    return amount, slope


@njit(fastmath=True)
def _edge(
    case: Floats,
    length: int,
    p: float,
    level: float,
    upwards: bool,  # noqa: FBT001 - a kernel's argument
) -> float:
    """Return a level past the flat stretch around ``level``, inside the step that reacts next."""
    best = 1e30 if upwards else -1e30
    for j in range(_U(length)):
        span = p / case[INERTIA, j]
        opens, fills = case[PRICE, j] - case[KINK, j], case[PRICE, j] + span + case[KINK, j]
        if upwards:
            best = min(best, opens + 0.5 * span) if opens >= level else best
            best = min(best, fills - 0.5 * span) if (opens < level) & (fills - 0.5 * span > level) else best
        else:
            best = max(best, fills - 0.5 * span) if fills <= level else best
            best = max(best, opens + 0.5 * span) if (fills > level) & (opens + 0.5 * span < level) else best
    return best


@njit(fastmath=True)
def _settled(
    case: Floats,
    length: int,
    p: float,
    rest: float,
    dear: bool,  # noqa: FBT001 - a kernel's argument
) -> float:
    """Put what the root search left over, or took too much, onto the first steps that can; return what is missing."""
    if dear and rest > 0.0:
        return rest
    for j in range(_U(length)):
        if rest == 0.0:
            return 0.0
        move = min(p - case[POWER, j], rest) if rest > 0.0 else max(-case[POWER, j], rest)
        case[POWER, j] += move
        rest -= move
    return max(rest, 0.0)
