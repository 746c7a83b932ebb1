"""A bound for programs with whole numbers, proven by our own arithmetic.

HiGHS finds the schedule; its bound is not taken on trust. Here the whole numbers are split into cases,
as branch and bound does, and each case is bounded by ``optimizer.exact.certificate`` from whatever dual values its
relaxation came with. The cases cover everything, so the least of their bounds is a bound. Stopped early it is weaker,
never false.
"""

import heapq
import time
from dataclasses import dataclass, field, replace

import highspy
import numpy as np

from numerics.arrays import FloatArray, IntArray
from optimizer.exact.certificate import lower_bound_cny
from optimizer.exact.highs import optimal, row_dual
from optimizer.exact.matrix import LinearProgram

MOST_CASES = 400
"""After so many relaxations what is open stays open."""
_GAP_RATIO = 1e-7
_WHOLE = 1e-6
"""A value this close to a whole number is one."""
_FARTHEST = 12
"""Powers of ten tried along a ray that proves a case impossible."""


@dataclass(order=True, slots=True)
class _Case:
    """Bounds of the whole numbers, and what is proven of the program within them."""

    bound: float
    turn: int
    low: FloatArray = field(compare=False)
    high: FloatArray = field(compare=False)


def proven_bound_cny(program: LinearProgram, relaxation: highspy.Highs, *, goal_cny: float, give_up_at: float) -> float:
    """Return a cost below which no point of ``program`` lies.

    Args:
        program: With its whole numbers.
        relaxation: A solver that holds it without them.
        goal_cny: Cost of the best point known; cases that cannot beat it are not split further.
        give_up_at: Reading of ``time.perf_counter`` to stop at.
    """
    whole = np.flatnonzero(program.integral)
    closed, turn = np.inf, 0
    reached = goal_cny - _GAP_RATIO * max(1.0, abs(goal_cny))
    cases = [_Case(-np.inf, 0, program.low[whole], program.high[whole])]
    while cases and cases[0].bound < reached and turn < MOST_CASES:
        if turn and time.perf_counter() >= give_up_at:
            break
        turn += 1
        case = heapq.heappop(cases)
        bound, values = _bounded(program, relaxation, whole, case, reached)
        split = None if values is None or bound >= reached else _between(values)
        if split is None:
            closed = min(closed, bound)
            continue
        for low, high in _halves(case, split, values[split] if values is not None else 0.0):
            heapq.heappush(cases, _Case(bound, turn, low, high))
    return min([closed, *(case.bound for case in cases)])


def _bounded(
    program: LinearProgram, relaxation: highspy.Highs, whole: IntArray, case: _Case, reached: float
) -> tuple[float, FloatArray | None]:
    """Return what is proven of a case, and its whole numbers as the relaxation has them if it has a point."""
    relaxation.changeColsBounds(len(whole), whole.astype(np.int32), case.low, case.high)
    relaxation.run()
    low, high = program.low.copy(), program.high.copy()
    low[whole], high[whole] = case.low, case.high
    narrowed = replace(program, low=low, high=high)
    duals = row_dual(relaxation, program)
    bound = max(case.bound, lower_bound_cny(narrowed, duals))
    if optimal(relaxation):
        return bound, np.asarray(relaxation.getSolution().col_value)[whole]
    return max(bound, _impossible(narrowed, relaxation, reached)), None


def _impossible(program: LinearProgram, relaxation: highspy.Highs, reached: float) -> float:
    """Return the bound along the ray by which the solver proves that a case has no point."""
    _, there, ray = relaxation.getDualRay()  # type: ignore[attr-defined]  # the stubs lack it
    if not there:
        return -np.inf
    best = -np.inf
    for power in range(_FARTHEST):
        for sign in (1.0, -1.0):
            best = max(best, lower_bound_cny(program, sign * 10.0**power * np.asarray(ray)))
        if best >= reached:
            break
    return best


def _between(values: FloatArray) -> int | None:
    """Return the value farthest from a whole number, or None if all are whole."""
    distance = np.abs(values - np.round(values))
    worst = int(np.argmax(distance)) if len(distance) else 0
    return worst if len(distance) and distance[worst] > _WHOLE else None


def _halves(case: _Case, column: int, value: float) -> list[tuple[FloatArray, FloatArray]]:
    low, high = case.low.copy(), case.high.copy()
    high[column], low[column] = np.floor(value), np.ceil(value)
    return [(case.low, high), (low, case.high)]
