"""Measurable rows: those that a baseline can be given to, known before one is computed, from meters and plans."""

import numpy as np

from vpp.domain.request import RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, IdArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.index import FleetIndex
from vpp.ports import IntervalMeter
from vpp.settlement.baselines.called_hours import meter_before_kw
from vpp.settlement.baselines.method_choice import SCHEDULED, SHIPPED, MethodChoice
from vpp.settlement.baselines.reference_days import BaselineRules


def measurable_rows(
    draft: RequestDraft,
    *,
    index: FleetIndex,
    meter: IntervalMeter,
    schedule: Schedule | None,
    event: TimeGrid,
    known_s: float,
    rules: BaselineRules,
    choice: MethodChoice = SHIPPED,
) -> BoolArray:
    """Return the rows for which ``compute_baseline`` would find a method on ``event``, shape ``(n_resources,)``.

    Chargers measured by their sessions always have one; stores whose plan covers the event; any row metered in the
    last hour before ``known_s``, since that stands in for every other method.
    """
    found = np.isfinite(meter_before_kw(meter, known_s, rules.before_steps)[: len(index)])
    found |= choice.measured_by_session(draft, index)
    rows = np.flatnonzero(~found & (choice.wanted(draft, index) == SCHEDULED))
    found[rows] = _planned(schedule, event, rows)
    return np.asarray(found)


def _planned(schedule: Schedule | None, event: TimeGrid, rows: IdArray) -> BoolArray:
    """Return which of ``rows`` have a plan on every step of ``event``, shape ``(len(rows),)``."""
    if schedule is None:
        return np.zeros(len(rows), dtype=np.bool_)
    steps = np.array([schedule.grid.index_at(at_s) for at_s in event.starts_s().tolist()], dtype=np.int64)
    if (steps < 0).any() or (steps >= schedule.grid.count).any():
        return np.zeros(len(rows), dtype=np.bool_)
    known = rows < len(schedule.power_kw)
    planned = np.zeros(len(rows), dtype=np.bool_)
    planned[known] = np.isfinite(schedule.power_kw[np.ix_(rows[known], steps)]).all(axis=1)
    return planned
