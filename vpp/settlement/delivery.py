"""Delivery of a request: net load of its portfolio against the baseline, by interval, class and owner."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.settlement.money.shares import OwnedPower, owned_power, whole_quanta


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Net load of the counted portfolio and its change in the direction asked.

    Attributes:
        baseline_kw: Shape ``(count,)``.
        measured_kw: Shape ``(count,)``; NaN where no row was metered.
        delivered_kw: Shape ``(count,)``, whole quanta; 0 where no row was metered.
        class_kw: Delivered by resource class, shape ``(count,)`` each.
        owned: Delivered by site and operator.
        known_ratio: Share of the counted rows' time that was metered, shape ``(count,)``.
        rows: Counted rows, shape ``(k,)``.
        missing: Which of them count as not metered, shape ``(k, count)``.
    """

    baseline_kw: FloatArray
    measured_kw: FloatArray
    delivered_kw: FloatArray
    class_kw: dict[str, FloatArray]
    owned: OwnedPower
    known_ratio: FloatArray
    rows: IdArray
    missing: BoolArray


def delivery(
    baseline: Baseline,
    measured_kw: FloatArray,
    *,
    metered_ratio: FloatArray,
    index: FleetIndex,
    portfolio: BoolArray,
    direction: Direction,
) -> Delivery:
    """Return what was delivered on every step of the baseline.

    A row counts at its baseline for as long as it was not metered: nothing metered, nothing claimed. An interval of
    which too little was metered is missing altogether. Resources the baseline excluded do not count at all.

    Args:
        baseline: What would have been.
        measured_kw: Means over what was metered, NaN where that was too little, shape ``(n_resources, count)``.
        metered_ratio: Share of each interval that was metered, shape ``(n_resources, count)``.
        index: The fleet.
        portfolio: Rows that take part, shape ``(n_resources,)``.
        direction: What was asked.

    Raises:
        InputError: The meters' shape is not the baseline's.
    """
    if measured_kw.shape != baseline.power_kw.shape:
        raise InputError("measured_kw", measured_kw.shape, f"shape {baseline.power_kw.shape}, as the baseline")
    rows = _counted(index, portfolio, baseline)
    reference, metered = baseline.power_kw[rows], measured_kw[rows]
    known = np.isfinite(metered)
    share = np.where(known, metered_ratio[rows], 0.0)
    known_ratio = share.mean(axis=0) if len(rows) else np.zeros(baseline.grid.count)
    sign = direction.sign
    row_kw = whole_quanta(sign * share * np.where(known, reference - metered, 0.0))
    delivered_kw = row_kw.sum(axis=0)
    total_kw = reference.sum(axis=0)
    code = index.class_code[rows]
    return Delivery(
        baseline_kw=total_kw,
        measured_kw=np.where(known_ratio > 0.0, total_kw - sign * delivered_kw, np.nan),
        delivered_kw=delivered_kw,
        class_kw={CLASSES[c].value: row_kw[code == c].sum(axis=0) for c in np.unique(code).tolist()},
        owned=owned_power(index, rows, row_kw, baseline.grid),
        known_ratio=known_ratio,
        rows=rows,
        missing=~known,
    )


def _counted(index: FleetIndex, portfolio: BoolArray, baseline: Baseline) -> IdArray:
    """Return the rows that count: in the portfolio, with a baseline."""
    counted = portfolio.copy()
    counted[[index.row_of[identity] for identity in baseline.excluded_ids]] = False
    return np.flatnonzero(counted)
