"""Metered history of every series, kept up to date a quarter of an hour at a time."""

import numpy as np

from forecasts.cohorts import ChargingCounts, series_means
from numerics.arrays import FloatTable
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import SECONDS_PER_DAY, STEP_S, STEPS_PER_DAY
from vpp.fleet.index import FleetIndex
from vpp.planning.forecast.load_series import LoadSeries
from vpp.ports import IntervalMeter

_AGAIN = 8
"""Steps that are read again: meters may be late."""


class LoadHistory:
    """The last days of every series; read block by block of a day at first, later only what is new.

    Args:
        days: Whole days that are kept.
    """

    def __init__(self, *, days: int = 14) -> None:
        self.days = days
        self._index: FleetIndex | None = None
        self._series: LoadSeries | None = None
        self._end_s = float("-inf")
        self._means: FloatTable = np.zeros((0, 0), dtype=np.float32)
        self._charging = ChargingCounts.empty(0)

    def forget(self) -> None:
        """Read everything again next time: meters were imported."""
        self._end_s = float("-inf")

    def series(self, index: FleetIndex) -> LoadSeries:
        """Return the series of a fleet; another fleet's history is forgotten."""
        if self._series is None or self._index is not index:
            self._index, self._series = index, LoadSeries.of(index)
            self.forget()
        return self._series

    def read(self, index: FleetIndex, meter: IntervalMeter, end_s: float) -> FloatTable:
        """Return the means of every series until ``end_s``, NaN where unknown, shape ``(k, days * 96)``.

        Args:
            index: The fleet.
            meter: Its meter.
            end_s: Epoch seconds, a multiple of a quarter of an hour.
        """
        series, width = self.series(index), self.days * STEPS_PER_DAY
        new = round((end_s - self._end_s) / STEP_S) if np.isfinite(self._end_s) else width
        if not 0 <= new <= width // 2:
            new = width
            self._means = np.full((len(series), width), np.nan, dtype=np.float32)
            self._charging = ChargingCounts.empty(len(series))
        elif new:
            self._means[:, :-new] = self._means[:, new:]
        self._fill(series, meter, end_s, first=max(width - new - _AGAIN, 0))
        self._end_s = end_s
        return self._means

    def session_steps(self) -> FloatArray:
        """Return the mean length of a charging session in each series in steps, shape ``(k,)``."""
        return self._charging.session_steps()

    def _fill(self, series: LoadSeries, meter: IntervalMeter, end_s: float, *, first: int) -> None:
        width, single = self._means.shape[1], len(series.single)
        begin_s = end_s - self.days * SECONDS_PER_DAY
        for step in range(first, width, STEPS_PER_DAY):
            count = min(STEPS_PER_DAY, width - step)
            values = meter.read(TimeGrid(start_at=instant(begin_s + step * STEP_S), count=count))
            self._means[:single, step : step + count] = values[series.single]
            if len(series) > single:
                means = series_means(values, *series.membership, self._charging)
                self._means[single:, step : step + count] = means[single:]
