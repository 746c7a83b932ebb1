"""Exact price decomposition: sweep, move the prices, prove the gap, and stop when it is small or time is up."""

from collections.abc import Sequence

import numpy as np

from optimizer.decomposition.check import check, mix
from optimizer.decomposition.outcome import power_kw
from optimizer.decomposition.search import Report, Search
from optimizer.decomposition.warm import warm_of
from optimizer.problem.problem import Problem
from optimizer.problem.solution import GAP_RATIO, Solution, Status, Warm

_SWEEPS = 90
_FIRST_CHECK, _FIRST_LOYAL_CHECK, _FIRST_WARM_CHECK = 13, 12, 2
_FIRST_RESERVE_CHECK, _FIRST_WARM_RESERVE_CHECK = 6, 4
_CHECK_EVERY, _REPORT_EVERY = 2, 3
_STALLED_CHECKS, _STALLED_RATIO = 8, 0.95
"""So many checks in a row that leave more than this share of the gap mean that more sweeps hardly help."""
_LEAST_MASTER_S = 1.0
"""Wall seconds the master needs."""
_UNCLEAN_CHECKS = 3
"""Checks that are added in the hope of a schedule that breaks no limit once the gap is small enough."""


def decompose(
    problem: Problem,
    *,
    deadline_s: float,
    warm: Warm | None = None,
    gap_ratio: float = GAP_RATIO,
    progress: Report | None = None,
) -> Solution:
    """Return a schedule that keeps every device's limits, and how far from the best it can be at most.

    Args:
        problem: What to plan.
        deadline_s: Wall seconds; the last check of the gap may end a little later. There is always an answer.
        warm: An earlier answer to start from.
        gap_ratio: Certified gap at which to stop.
        progress: Receives progress every few sweeps and after every check of the gap.
    """
    search = Search.begun(problem, deadline_s, warm, progress)
    gaps: list[float] = []
    due, every = _checks(problem, warm)
    enough = 0
    while search.sweeps < _SWEEPS and search.timing.left_s > 2.0 * search.timing.check_s + search.timing.sweep_s:
        search.advance(checked=search.sweeps + 1 >= due)
        if search.sweeps >= due:
            check(search, gap_ratio)
            if search.gap <= gap_ratio and (search.incumbent.clean or enough >= _UNCLEAN_CHECKS):
                break
            enough += search.gap <= gap_ratio
            gaps.append(search.gap)
            if _stalled(gaps):
                break
            due = search.sweeps + every
        elif search.sweeps % _REPORT_EVERY == 0:
            search.report_progress()
    if search.incumbent.outcome is None:
        check(search, gap_ratio)
    if search.gap > gap_ratio and len(search.samples) > 1 and search.timing.left_s > _LEAST_MASTER_S:
        mix(search, gap_ratio)
    return _answer(search, gap_ratio)


def _checks(problem: Problem, warm: Warm | None) -> tuple[int, int]:
    """Return the sweep of the first check of the gap, and the sweeps from one check to the next."""
    first = _FIRST_WARM_CHECK if warm is not None else _FIRST_CHECK if problem.churn is None else _FIRST_LOYAL_CHECK
    if problem.reserve is None:
        return first, _CHECK_EVERY
    # What held reserve is worth takes as long to prove as a sweep, and is not proven before the prices stand.
    least = _FIRST_RESERVE_CHECK if warm is None else _FIRST_WARM_RESERVE_CHECK
    return max(first, least), 2 * _CHECK_EVERY


def _stalled(gaps: Sequence[float]) -> bool:
    return len(gaps) > _STALLED_CHECKS and gaps[-1] > _STALLED_RATIO * gaps[-1 - _STALLED_CHECKS]


def _answer(search: Search, target: float) -> Solution:
    problem, fleet, certificate = search.instance.problem, search.instance.fleet, search.certificate
    best, outcome, proof = search.incumbent.plan, search.incumbent.outcome, certificate.prices
    assert best is not None and outcome is not None and proof is not None  # noqa: S101, PT018 - set by every check
    power = power_kw(problem, fleet, best)
    unserved = np.zeros(problem.devices)
    charging, storing, _, _ = problem.parts
    unserved[charging][fleet.rows.cars] = outcome.car_missing
    unserved[storing][fleet.rows.stores] = outcome.store_missing
    reached = search.gap <= target
    reason = "" if reached else f"gap {search.gap:.2e} after {search.sweeps} sweeps, {target:.2e} was asked"
    return Solution(
        status=Status.OPTIMAL if reached else Status.FEASIBLE,
        reason=reason,
        power_kw=power,
        objective_cny=outcome.objective_cny,
        lower_bound_cny=certificate.bound_cny,
        gross_cny=outcome.gross_cny,
        gap_ratio=search.gap,
        overload_kw=outcome.overload_kw,
        unserved_kwh=unserved,
        excess_kw=outcome.excess_kw,
        regulation_kw=outcome.regulation_kw,
        reserve_kw=outcome.reserve_kw,
        contracts=best.contract > 0.5,  # noqa: PLR2004 - taken or left
        solve_s=search.timing.spent_s,
        method="decomposition",
        warm=warm_of(proof, power),
    )
