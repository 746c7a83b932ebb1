"""Solution of a problem: as a whole where that is quick, decomposed where it is large; proven in both cases."""

from collections.abc import Mapping
from importlib import import_module
from typing import Literal

from optimizer.exact.highs import OPTIONS, Option, configured
from optimizer.exact.monolith import estimated_columns, solve_monolith
from optimizer.problem.problem import Problem
from optimizer.problem.solution import GAP_RATIO, Method, Solution, Warm
from optimizer.problem.validation import ProblemError

__all__ = ["MONOLITH_COLUMNS", "OPTIONS", "Option", "configured", "solve"]

MONOLITH_COLUMNS = 20_000
"""Up to so many columns the exact model is built and solved as one."""
_MONOLITH_S_PER_COLUMN = 1e-4
"""Twice what a column takes to build, solve and prove on one core; with less time than that the fleet is decomposed."""

_FEW = 2_000
"""So few columns are never worth decomposing."""


def solve(
    problem: Problem,
    *,
    deadline_s: float,
    warm: Warm | None = None,
    method: Literal["auto"] | Method = "auto",
    options: Mapping[str, Option] | None = None,
    gap_ratio: float = GAP_RATIO,
) -> Solution:
    """Return the cheapest plan that can be found within ``deadline_s`` wall seconds, with its certificate.

    Args:
        problem: What is asked.
        deadline_s: Wall seconds.
        warm: Where to start; the monolith begins afresh.
        method: ``"monolith"`` is exact, ``"decomposition"`` fast at any size, ``"auto"`` chooses by size.
        options: Of HiGHS, for the monolith; checked in any case.
        gap_ratio: Certified gap at which the decomposition stops.

    Raises:
        ProblemError: An option that HiGHS does not know or does not take, or a method that there is not.
    """
    if method not in {"auto", "monolith", "decomposition"}:
        raise ProblemError("method", method, '"auto", "monolith" or "decomposition"')
    configured({**OPTIONS, **(options or {})})
    columns = estimated_columns(problem)
    few = columns <= MONOLITH_COLUMNS and (columns <= _FEW or columns * _MONOLITH_S_PER_COLUMN <= deadline_s)
    if method == "monolith" or (method == "auto" and few):
        return solve_monolith(problem, deadline_s=deadline_s, options=options)
    # Compiled kernels take a second to load; a plan of a few devices need not wait for them.
    return import_module("optimizer.decomposition.solve").decompose(  # type: ignore[no-any-return]
        problem, deadline_s=deadline_s, warm=warm, gap_ratio=gap_ratio
    )
