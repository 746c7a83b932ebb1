"""What a solve returns; a late or failed one is a value too."""

from dataclasses import dataclass
from enum import StrEnum

from optimizer.validation import FloatArray


class Status(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    """Solved to the solver's tolerance; the gap says how well, by a proof of its own."""
    FEASIBLE = "feasible"
    """Out of time with a schedule that keeps every device's limits; the gap says how far it may be from the best."""
    NONE = "none"
    """Out of time, or failed, without a schedule: all arrays are NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A plan and the proof of its quality.

    Attributes:
        status: How it ended.
        reason: The solver's own word; empty when optimal.
        power_kw: Net power in device order, load positive, shape ``(n, T)``.
        objective_cny: Cost recomputed from ``power_kw`` alone.
        lower_bound_cny: No schedule costs less; from the dual values, see ``optimizer.certificate``.
        gap_ratio: ``(objective - bound) / max(1, |objective|)``.
        overload_kw: Beyond either limit, at least 0, shape ``(m, T)``.
        unserved_kwh: Missing at departure, shape ``(n,)``.
        shortfall_kw: Missing of the requested cut, shape ``(T,)``.
        solve_s: Wall seconds from problem to solution.
    """

    status: Status
    reason: str
    power_kw: FloatArray
    objective_cny: float
    lower_bound_cny: float
    gap_ratio: float
    overload_kw: FloatArray
    unserved_kwh: FloatArray
    shortfall_kw: FloatArray
    solve_s: float
