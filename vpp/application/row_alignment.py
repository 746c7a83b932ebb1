"""Arrays of different age aligned by rows: the fleet may grow between a forecast, a snapshot and a meter reading.

Rows are only ever added, so an older array covers the first rows of a newer one.
"""

from dataclasses import dataclass, replace

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.planning.forecast.load_forecast import Forecast
from vpp.ports import IntervalMeter

_UNKNOWN_SPREAD_RATIO = 0.3
"""Relative spread of a row without a forecast, the same as of rows without history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedMeter:
    """A meter's means of the first ``count`` rows, whatever the meter has by now (`vpp.ports.IntervalMeter`)."""

    meter: IntervalMeter
    count: int

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where unknown, shape ``(count, grid.count)``."""
        return fitted_rows(self.meter.read(grid), self.count)


def fitted_rows(values: FloatArray, count: int) -> FloatArray:
    """Return the first ``count`` rows of ``values``, missing ones as NaN; other axes unchanged."""
    if len(values) == count:
        return values
    missing = np.full((max(0, count - len(values)), *values.shape[1:]), np.nan)
    return np.concatenate((values[:count], missing))


def fitted_flags(flags: BoolArray, count: int) -> BoolArray:
    """Return the first ``count`` flags, missing ones as false."""
    return np.concatenate((flags[:count], np.zeros(max(0, count - len(flags)), dtype=np.bool_)))


def fitted_forecast(load_forecast: Forecast, state: FleetState) -> Forecast:
    """Return the forecast with one row for each resource of ``state``.

    Rows that joined since are forecast at their present power, storage at rest.
    """
    known, count = len(load_forecast.expected_kw), len(state)
    if known == count:
        return load_forecast
    present = np.where(state.index.is_class(ResourceClass.STORAGE), 0.0, np.nan_to_num(state.power_kw))[known:]
    joined = np.repeat(present[:, None], load_forecast.grid.count, axis=1).astype(load_forecast.expected_kw.dtype)
    return replace(
        load_forecast,
        expected_kw=np.concatenate((load_forecast.expected_kw[:count], joined)),
        spread_kw=np.concatenate((load_forecast.spread_kw[:count], _UNKNOWN_SPREAD_RATIO * np.abs(joined))),
    )
