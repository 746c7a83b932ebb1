"""Solution of a problem: a schedule, its consequences, and its certified gap."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from numerics.arrays import BoolArray, FloatArray
from optimizer.problem.validation import PowerArray

Method = Literal["monolith", "decomposition"]
GAP_RATIO = 5e-4
"""Certified gap that is good enough where nothing else is asked for."""


class Status(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """What a next solve may start from; arrays of another shape than it needs are ignored.

    Attributes:
        total_price: Multipliers of the peak and the band, CNY per kW and step, shape ``(T,)``.
        node_import_price: Multipliers of the import limits, CNY per kW and step, shape ``(m, T)``.
        node_export_price: Of the export limits, shape ``(m, T)``.
        regulation_price: Of the room upwards and downwards, CNY per kW and step, shape ``(2, T)``.
        hold_price: Multipliers of the reserve windows, CNY per kW, shape ``(w,)``.
        power_kw: The schedule, in device order, shape ``(n, T)``.
    """

    total_price: FloatArray
    node_import_price: FloatArray
    node_export_price: FloatArray
    regulation_price: FloatArray
    hold_price: FloatArray | None = None
    power_kw: PowerArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A schedule with its certificate; all numbers NaN if there is none.

    Attributes:
        status: Whether there is a schedule and whether it is the best.
        reason: Why it is not optimal, empty if it is.
        power_kw: Net power in device order, load positive, shape ``(n, T)``.
        objective_cny: Cost recomputed from ``power_kw`` and ``contracts`` alone.
        lower_bound_cny: No schedule costs less; see ``optimizer.exact.certificate``.
        gross_cny: The objective without the income from regulation.
        gap_ratio: ``(objective - bound) / max(1, |gross|)``.
        overload_kw: Beyond either limit, at least 0, shape ``(m, T)``.
        unserved_kwh: Missing at departure, shape ``(n,)``.
        excess_kw: Beyond the band, shape ``(T,)``.
        regulation_kw: Capacity sold, shape ``(T,)``.
        reserve_kw: What the schedule leaves room and energy for in each window, shape ``(w,)``.
        contracts: Those bought, shape ``(c,)``.
        warm: What the next solve may start from.
        solve_s: Wall seconds from problem to solution.
        method: Solver that found it.
    """

    status: Status
    reason: str
    power_kw: PowerArray
    objective_cny: float
    lower_bound_cny: float
    gross_cny: float
    gap_ratio: float
    overload_kw: FloatArray
    unserved_kwh: FloatArray
    excess_kw: FloatArray
    regulation_kw: FloatArray
    reserve_kw: FloatArray
    contracts: BoolArray
    solve_s: float
    method: Method
    warm: Warm | None = None


def gap_ratio(*, objective_cny: float, lower_bound_cny: float, gross_cny: float) -> float:
    """Return the certified gap: what could be saved at most, over the gross cost.

    The gross cost leaves the income from regulation out, which may bring the objective close to 0.
    """
    return float((objective_cny - lower_bound_cny) / np.maximum(1.0, np.abs(gross_cny)))
