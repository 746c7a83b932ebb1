"""Regression of load on time of day and outdoor temperature, by class, over the last like days."""

from dataclasses import dataclass
from datetime import date
from itertools import islice

import numpy as np

from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.methods.same_day_adjustment import SameDayAdjustment
from vpp.settlement.baselines.reference_days import mean_known

_KNOTS = (1.0 / 3.0, 2.0 / 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherRegression:
    """A time-of-week-and-temperature rule.

    The day type is fixed by taking like days; each step of the day has its own level, and temperature acts by a broken
    line of three parts, apart for busy and for idle steps.

    Attributes:
        name: Name in programmes and results.
        days: Like days it is fitted to.
        least: Fewer than this and there is no baseline.
        adjustment: Same-day adjustment; ``None`` for none.
    """

    name: str = "weather_regression"
    source: str = "time of week and temperature: Mathieu, Price, Kiliccote and Piette 2011 (IEEE Trans. Smart Grid 2)"
    days: int = 20
    least: int = 8
    adjustment: SameDayAdjustment | None = None
    needs: frozenset[Need] = frozenset({Need.WEATHER})

    def of(self, evidence: Evidence) -> Estimate:
        """Return each row's usual load, plus its part of what today's weather adds to the class."""
        today_c = evidence.temperature_c.get(evidence.today)
        known = (day for day in evidence.like_days() if day in evidence.temperature_c)
        days = tuple(islice(known, self.days))
        if today_c is None or len(days) < self.least:
            why = "no temperature today" if today_c is None else f"{len(days)} like days of at least {self.least}"
            return Estimate(power_kw=evidence.no_kw(), note=why)
        total_kw, usual_kw = _history(evidence, days)
        warmth_c = np.array([evidence.temperature_c[day] for day in days])
        predicted_kw = fitted(total_kw, warmth_c, today_c)
        level_kw = predicted_kw - mean_known(total_kw)
        size_kw = np.abs(np.where(np.isfinite(usual_kw), usual_kw, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            today_kw = usual_kw + level_kw * size_kw / size_kw.sum(axis=0)
        event_kw, adjustment = today_kw[:, evidence.event], 0.0
        if self.adjustment is not None:
            window_kw = today_kw[:, self.adjustment.window(evidence)]
            event_kw, adjustment = self.adjustment.applied(evidence, event_kw, window_kw)
        return Estimate(power_kw=event_kw, days=days, adjustment=adjustment)


def fitted(total_kw: FloatArray, warmth_c: FloatArray, today_c: FloatArray) -> FloatArray:
    """Return what the fitted line predicts for today, NaN on steps that were never known, shape ``(n_steps,)``.

    Args:
        total_kw: Load of the days, NaN where unknown, shape ``(n_days, n_steps)``.
        warmth_c: Their temperature, likewise.
        today_c: Today's, shape ``(n_steps,)``.
    """
    step_kw = mean_known(total_kw)
    busy = step_kw > float(np.nanmean(step_kw))
    knots_c = np.quantile(warmth_c, _KNOTS)
    parts = _parts(warmth_c, knots_c, busy)
    usual_parts = parts.mean(axis=1)
    known = np.isfinite(total_kw)
    moved = (parts - usual_parts[:, None, :])[:, known].T
    slopes, *_ = np.linalg.lstsq(moved, (total_kw - step_kw)[known], rcond=None)
    return np.asarray(step_kw + slopes @ (_parts(today_c[None, :], knots_c, busy)[:, 0, :] - usual_parts))


def _parts(warmth_c: FloatArray, knots_c: FloatArray, busy: BoolArray) -> FloatArray:
    """Return the parts of the broken line, busy steps first, shape ``(6, n_days, n_steps)``."""
    low = np.minimum(warmth_c, knots_c[0])
    middle = np.clip(warmth_c - knots_c[0], 0.0, knots_c[1] - knots_c[0])
    high = np.maximum(warmth_c - knots_c[1], 0.0)
    line = np.array([low, middle, high])
    return np.concatenate((line * busy, line * ~busy))


def _history(evidence: Evidence, days: tuple[date, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the class's load by day and step, NaN where nobody was known, and each row's mean over the days."""
    total, energy, count = [], np.zeros_like(evidence.today_kw), np.zeros(evidence.today_kw.shape)
    for day in days:
        power_kw = evidence.read(day)
        known = np.isfinite(power_kw)
        total.append(np.where(known.any(axis=0), np.nansum(power_kw, axis=0), np.nan))
        energy += np.where(known, power_kw, 0.0)
        count += known
    with np.errstate(invalid="ignore"):
        return np.array(total), energy / count
