"""Minutes of the day as the service sees them, by area and by class: load, settlement baseline, target, delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vpp.application.delivery.measurement import Measurement
from vpp.dispatch.allocation.portfolios import class_rows
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.performance import Baseline
from vpp.domain.request import CITY, DispatchRequest
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import CLASSES, FleetIndex

_MEASURED, _TARGET, _DELIVERED, _DUE = range(4)
_FIGURES = 4
_ALL = slice(None)
_MAX_GAP_S = 120.0
"""Longest time a cycle may stand for, as in `vpp.settlement.tracking.Tracker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMinutes:
    """One-minute means by group of devices; NaN where nothing was metered or due. Shapes ``(n_minutes, n_groups)``.

    Attributes:
        start_s: Epoch seconds of every minute's begin, shape ``(n_minutes,)``.
        groups: ``"city"`` and the ids of the areas, or the resource classes of the city.
        measured_kw: Net load by the devices' meters, as the service has it.
        baseline_kw: What it would have been by the settlement's baseline; NaN while no request is measured.
        target_kw: Change due to requests for this very area, positive up; 0 while none is due, and for a class.
        delivered_kw: Baseline less measured, positive up; NaN while no request is measured.
    """

    start_s: FloatArray
    groups: tuple[str, ...]
    measured_kw: FloatArray
    baseline_kw: FloatArray
    target_kw: FloatArray
    delivered_kw: FloatArray


class _Grouping(NamedTuple):
    """A division of all devices: the number of groups, and the group of every row, shape ``(n_resources,)``."""

    size: int
    code: CodeArray | RowArray

    def sums(self, values: FloatArray, rows: IdArray | slice = _ALL) -> FloatArray:
        """Return the sum of every group, shape ``(size,)``, of values of some rows."""
        return np.bincount(self.code[rows], weights=values, minlength=self.size).astype(np.float64)


class MinuteRecorder:
    """Follows the service cycle by cycle; each snapshot holds until the next.

    Args:
        index: The fleet.
        start_s: Epoch seconds at which the record begins, a whole minute.
        minutes: Length of the record.
    """

    def __init__(self, index: FleetIndex, *, start_s: float, minutes: int) -> None:
        self._index = index
        self._areas = (CITY, *(area.id for area in index.areas))
        self._groupings = (_Grouping(len(index.areas), index.area_code), _Grouping(len(CLASSES), index.class_code))
        self._start_s = start_s
        self._sums = np.zeros((_FIGURES, minutes, self._columns))
        self._seen_s = np.zeros(minutes)
        self._held: tuple[float, FloatArray] | None = None
        self._curves: dict[str, tuple[Baseline, tuple[_GroupCurves, ...]]] = {}
        self._class_rows = class_rows(index)
        self._measurement: Measurement | None = None
        self._engine: DispatchEngine | None = None

    def follow(self, measurement: Measurement, engine: DispatchEngine) -> None:
        """Take baselines and requests from the service from now on."""
        self._measurement, self._engine = measurement, engine

    def observe(self, state: FleetState, result: CycleResult) -> None:
        """Take a cycle."""
        self._close(state.at_s)
        figures = np.zeros((_FIGURES, self._columns))
        power_kw = np.nan_to_num(state.power_kw)
        figures[_MEASURED] = _with_city([grouping.sums(power_kw) for grouping in self._groupings])
        for progress in result.progress:
            self._add(figures, state, result.own_kw, progress)
        self._held = (state.at_s, figures)

    def areas(self) -> GroupMinutes:
        """Return the record of the city and every area up to the last cycle."""
        return self._minutes(self._areas, slice(0, len(self._areas)))

    def classes(self) -> GroupMinutes:
        """Return the record of every resource class of the city up to the last cycle."""
        return self._minutes(tuple(kind.value for kind in CLASSES), slice(len(self._areas), None))

    @property
    def _columns(self) -> int:
        return 1 + sum(grouping.size for grouping in self._groupings)

    def _minutes(self, groups: tuple[str, ...], columns: slice) -> GroupMinutes:
        with np.errstate(invalid="ignore"):
            means = self._sums[:, :, columns] / self._seen_s[None, :, None]
        measured = means[_MEASURED] > -np.inf
        due = measured & (means[_DUE] > 0.0)
        delivered_kw = np.where(due, means[_DELIVERED], np.nan)
        return GroupMinutes(
            start_s=self._start_s + SECONDS_PER_MINUTE * np.arange(len(self._seen_s), dtype=np.float64),
            groups=groups,
            measured_kw=means[_MEASURED],
            baseline_kw=means[_MEASURED] + delivered_kw,
            target_kw=means[_TARGET],
            delivered_kw=delivered_kw,
        )

    def _add(self, figures: FloatArray, state: FleetState, own_kw: FloatArray, progress: Progress) -> None:
        """Add one running request."""
        measurement, engine = self._measurement, self._engine
        if measurement is None or engine is None or progress.request_id not in measurement.baselines:
            return
        request = engine.book.get(progress.request_id)
        sign = request.draft.direction.sign
        every = self._curves_of(request, measurement.baselines, measurement.portfolios)
        delivered_kw = [curves.baseline_kw(state.at_s, own_kw) - curves.measured_kw(state, own_kw) for curves in every]
        figures[_TARGET, self._areas.index(request.draft.area)] += sign * progress.target_kw
        figures[_DELIVERED] += _with_city(delivered_kw)
        figures[_DUE] = 1.0

    def _curves_of(
        self, request: DispatchRequest, baselines: Mapping[str, Baseline], portfolios: Mapping[str, BoolArray]
    ) -> "tuple[_GroupCurves, ...]":
        baseline = baselines[request.id]
        known = self._curves.get(request.id)
        if known is None or known[0] is not baseline:
            portfolio = portfolios[request.id]
            curves = tuple(_GroupCurves(of, baseline, portfolio, self._class_rows) for of in self._groupings)
            self._curves[request.id] = known = (baseline, curves)
        return known[1]

    def _close(self, at_s: float) -> None:
        """Let the last snapshot hold until ``at_s``."""
        if self._held is None:
            return
        from_s, figures = self._held
        until_s = min(at_s, from_s + _MAX_GAP_S)
        while from_s < until_s:
            minute = int((from_s - self._start_s) // SECONDS_PER_MINUTE)
            end_s = min(until_s, self._start_s + (minute + 1) * SECONDS_PER_MINUTE)
            if 0 <= minute < len(self._seen_s):
                self._sums[:, minute] += figures * (end_s - from_s)
                self._seen_s[minute] += end_s - from_s
            from_s = end_s


class _GroupCurves:
    """One request's baseline, group by group, with the settlement's own curve."""

    def __init__(
        self, grouping: _Grouping, baseline: Baseline, portfolio: BoolArray, rows_by_class: Mapping[str, BoolArray]
    ) -> None:
        self._grouping = grouping
        self._rows = np.flatnonzero(portfolio)
        self._whole = BaselineCurve(baseline, portfolio, rows_by_class)
        self._curves = [
            BaselineCurve(baseline, portfolio & (grouping.code == group), rows_by_class)
            for group in range(grouping.size)
        ]

    def baseline_kw(self, at_s: float, own_kw: FloatArray) -> FloatArray:
        """Return the portfolio's baseline in every group now, shape ``(n_groups,)``."""
        frozen = np.array([curve.total_kw(at_s) for curve in self._curves])
        return frozen + self._sums(np.nan_to_num(self._own_kw(own_kw)))

    def measured_kw(self, state: FleetState, own_kw: FloatArray) -> FloatArray:
        """Return the portfolio's metered load, rows without a valid meter at their baseline, shape ``(n_groups,)``."""
        rows = self._rows
        metered = state.power_kw[rows]
        known = state.connected[rows] & np.isfinite(metered) & (state.quality[rows] != Quality.BAD)
        if known.all():
            return self._sums(metered)
        by_row = self._whole.rows_kw(state.at_s, len(state))[rows]
        own_kw = self._own_kw(own_kw)
        by_row = np.where(np.isnan(own_kw), by_row, own_kw)
        return self._sums(np.where(known, metered, np.nan_to_num(by_row)))

    def _own_kw(self, own_kw: FloatArray) -> FloatArray:
        """Return what the portfolio's rows would take by their own meters, NaN where none is followed."""
        return np.where(self._whole.own, own_kw, np.nan)[self._rows]

    def _sums(self, values: FloatArray) -> FloatArray:
        return self._grouping.sums(values, self._rows)


def _with_city(sums: Sequence[FloatArray]) -> FloatArray:
    """Return the city's sum and those of every grouping, one after the other."""
    return np.concatenate(([sums[0].sum()], *sums))
