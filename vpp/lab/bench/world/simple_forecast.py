"""Errors of the simplest forecasts, the same for series of the twin and of the field.

Within a day the last value is carried on along the usual day, ``y(t) + m(t + h) - m(t)``; a day ahead it is the usual
day itself. The usual day ``m`` is the mean of the last days of the same kind, ten of workdays, four of days of rest.
"""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray

_KEPT = {False: 10, True: 4}
_FEWEST = 2
_DAY_H = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A regular series that begins at a midnight.

    Attributes:
        values: Shape ``(n_days, steps_per_day)``, never below 0, NaN where unknown.
        rest: Days of rest, shape ``(n_days,)``.
        scale: Value that errors are a share of; the mean unless it is the rating.
        least: Usual values at or below this share of ``scale`` are left out: nights of photovoltaics.
    """

    values: FloatArray
    rest: BoolArray
    scale: float
    least: float = -np.inf

    @classmethod
    def of(cls, values: FloatArray, rest: BoolArray, *, per_day: int, scale: float | None = None) -> "Series":
        """Return a series of whole days, its scale being the mean unless given."""
        days = min(len(values) // per_day, len(rest))
        table = values[: days * per_day].reshape(days, per_day)
        return cls(values=table, rest=rest[:days], scale=float(np.nanmean(table)) if scale is None else scale)


def usual_days(series: Series) -> FloatArray:
    """Return the mean of the last days of the same kind before each day, NaN before there are two; as ``values``."""
    usual = np.full_like(series.values, np.nan)
    for day in range(len(series.values)):
        alike = np.flatnonzero(series.rest[:day] == series.rest[day])[-_KEPT[bool(series.rest[day])] :]
        if len(alike) >= _FEWEST:
            with np.errstate(invalid="ignore"):
                usual[day] = np.nanmean(series.values[alike], axis=0)
    return usual


def rmse_ratio(series: Series, horizon_h: float) -> float:
    """Return the root mean square error at a horizon as a share of the series' scale, NaN where nothing is known."""
    per_day = series.values.shape[1]
    steps = max(round(horizon_h * per_day / _DAY_H), 1)
    actual, usual = series.values.ravel(), usual_days(series).ravel()
    target, expected = actual[steps:], usual[steps:]
    if horizon_h < _DAY_H:
        expected = np.maximum(actual[:-steps] + expected - usual[:-steps], 0.0)
    known = np.isfinite(target) & np.isfinite(expected) & (usual[steps:] > series.least * series.scale)
    if not known.any():
        return float("nan")
    return float(np.sqrt(np.mean((target[known] - expected[known]) ** 2)) / series.scale)
