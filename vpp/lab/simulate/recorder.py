"""Minutes of the day as the service sees them, by area: metered load, settlement baseline, target, delivery."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vpp.application.delivery.measurement import Measurement
from vpp.dispatch.allocation.portfolios import class_rows
from vpp.dispatch.engine import CycleResult, DispatchEngine, Progress
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.performance import Baseline
from vpp.domain.request import CITY, Direction, DispatchRequest
from vpp.domain.telemetry import BoolArray, FloatArray, Quality
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_MEASURED, _TARGET, _DELIVERED, _DUE = range(4)
_FIGURES = 4
_MAX_GAP_S = 120.0
"""Longest time a cycle may stand for, as in `vpp.settlement.tracking.Tracker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaMinutes:
    """One-minute means by area, the city first; NaN where nothing was metered or due. Shapes ``(n_minutes, n_areas)``.

    Attributes:
        start_s: Epoch seconds of every minute's begin, shape ``(n_minutes,)``.
        areas: ``"city"`` and the ids of the areas.
        measured_kw: Net load by the devices' meters, as the service has it.
        baseline_kw: What it would have been by the settlement's baseline; NaN while no request is measured.
        target_kw: Change due to requests for this very area, positive up; 0 while none is due.
        delivered_kw: Baseline less measured, positive up; NaN while no request is measured.
    """

    start_s: FloatArray
    areas: tuple[str, ...]
    measured_kw: FloatArray
    baseline_kw: FloatArray
    target_kw: FloatArray
    delivered_kw: FloatArray


class AreaRecorder:
    """Follows the service cycle by cycle; each snapshot holds until the next.

    Args:
        index: The fleet.
        start_s: Epoch seconds at which the record begins, a whole minute.
        minutes: Length of the record.
    """

    def __init__(self, index: FleetIndex, *, start_s: float, minutes: int) -> None:
        self._index = index
        self._names = (CITY, *(area.id for area in index.areas))
        self._start_s = start_s
        self._sums = np.zeros((_FIGURES, minutes, len(self._names)))
        self._seen_s = np.zeros(minutes)
        self._held: tuple[float, FloatArray] | None = None
        self._curves: dict[str, tuple[Baseline, _AreaCurves]] = {}
        self._class_rows = class_rows(index)
        self._measurement: Measurement | None = None
        self._engine: DispatchEngine | None = None

    def follow(self, measurement: Measurement, engine: DispatchEngine) -> None:
        """Take baselines and requests from the service from now on."""
        self._measurement, self._engine = measurement, engine

    def observe(self, state: FleetState, result: CycleResult) -> None:
        """Take a cycle."""
        self._close(state.at_s)
        figures = np.zeros((_FIGURES, len(self._names)))
        figures[_MEASURED] = self._by_area(np.nan_to_num(state.power_kw))
        for progress in result.progress:
            self._add(figures, state, result.session_kw, progress)
        self._held = (state.at_s, figures)

    def minutes(self) -> AreaMinutes:
        """Return the record up to the last cycle."""
        with np.errstate(invalid="ignore"):
            means = self._sums / self._seen_s[None, :, None]
        measured = means[_MEASURED] > -np.inf
        due = measured & (means[_DUE] > 0.0)
        delivered_kw = np.where(due, means[_DELIVERED], np.nan)
        return AreaMinutes(
            start_s=self._start_s + SECONDS_PER_MINUTE * np.arange(len(self._seen_s), dtype=np.float64),
            areas=self._names,
            measured_kw=means[_MEASURED],
            baseline_kw=means[_MEASURED] + delivered_kw,
            target_kw=means[_TARGET],
            delivered_kw=delivered_kw,
        )

    def _by_area(self, values: FloatArray) -> FloatArray:
        """Return sums of the city and of every area, shape ``(n_areas + 1,)``."""
        sums = np.bincount(self._index.area_code, weights=values, minlength=len(self._index.areas))
        return np.concatenate(([sums.sum()], sums))

    def _add(self, figures: FloatArray, state: FleetState, session_kw: FloatArray, progress: Progress) -> None:
        """Add one running request."""
        measurement, engine = self._measurement, self._engine
        if measurement is None or engine is None or progress.request_id not in measurement.baselines:
            return
        request = engine.book.get(progress.request_id)
        sign = 1.0 if request.draft.direction is Direction.UP else -1.0
        curves = self._curves_of(request, measurement.baselines, measurement.portfolios)
        delivered_kw = curves.baseline_kw(state.at_s, session_kw) - curves.measured_kw(state, session_kw)
        figures[_TARGET, self._names.index(request.draft.area)] += sign * progress.target_kw
        figures[_DELIVERED] += np.concatenate(([delivered_kw.sum()], delivered_kw))
        figures[_DUE] = 1.0

    def _curves_of(
        self, request: DispatchRequest, baselines: Mapping[str, Baseline], portfolios: Mapping[str, BoolArray]
    ) -> "_AreaCurves":
        baseline = baselines[request.id]
        known = self._curves.get(request.id)
        if known is None or known[0] is not baseline:
            curves = _AreaCurves(self._index, baseline, portfolios[request.id], self._class_rows)
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


class _AreaCurves:
    """One request's baseline, area by area, with the settlement's own curve."""

    def __init__(
        self, index: FleetIndex, baseline: Baseline, portfolio: BoolArray, rows_by_class: Mapping[str, BoolArray]
    ) -> None:
        self._areas = len(index.areas)
        self._rows = np.flatnonzero(portfolio)
        self._code = index.area_code[self._rows]
        self._whole = BaselineCurve(baseline, portfolio, rows_by_class)
        self._curves = [
            BaselineCurve(baseline, portfolio & (index.area_code == area), rows_by_class) for area in range(self._areas)
        ]

    def baseline_kw(self, at_s: float, session_kw: FloatArray) -> FloatArray:
        """Return the portfolio's baseline in every area now, shape ``(n_areas,)``."""
        frozen = np.array([curve.total_kw(at_s) for curve in self._curves])
        if not self._whole.by_session:
            return frozen
        return frozen + self._sums(np.nan_to_num(session_kw[self._rows]))

    def measured_kw(self, state: FleetState, session_kw: FloatArray) -> FloatArray:
        """Return the portfolio's metered load, rows without a valid meter at their baseline, shape ``(n_areas,)``."""
        rows = self._rows
        metered = state.power_kw[rows]
        known = state.connected[rows] & np.isfinite(metered) & (state.quality[rows] != Quality.BAD)
        if known.all():
            return self._sums(metered)
        by_row = self._whole.rows_kw(state.at_s, len(state))[rows]
        if self._whole.by_session:
            by_row = np.where(np.isnan(session_kw[rows]), by_row, session_kw[rows])
        return self._sums(np.where(known, metered, np.nan_to_num(by_row)))

    def _sums(self, values: FloatArray) -> FloatArray:
        return np.bincount(self._code, weights=values, minlength=self._areas).astype(np.float64)
