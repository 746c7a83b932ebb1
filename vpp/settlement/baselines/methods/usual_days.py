"""Same-type days, the shipped rule: the last five whole days of the kind, odd ones left out, moved by today's level."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S, STEPS_PER_DAY
from vpp.fleet.calendar import day_grid, local_day
from vpp.settlement.baselines.called_hours import window_before
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.methods.same_day_adjustment import SameDayAdjustment
from vpp.settlement.baselines.reference_days import (
    Adjustment,
    BaselineRules,
    DaySearch,
    adjusted,
    adjustment_ratio,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualDays:
    """Same-type days on the evidence of one class; steps are quarters of an hour.

    Attributes:
        rules: What a programme may set.
        shift: Own shift in place of the rules' adjustment, for load that crosses zero; ``None`` for none.
    """

    name: str = "same_type_days"
    source: str = "GB/T 32672 practice: mean of five like days, times today's level within 0.8 to 1.2"
    rules: BaselineRules = field(default_factory=BaselineRules)
    shift: SameDayAdjustment | None = None
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return the adjusted mean of the days that ``DaySearch`` finds."""
        grid = day_grid(evidence.today)
        event = TimeGrid(start_at=instant(grid.start_s + evidence.first * STEP_S), count=len(evidence.event))
        notice_s = grid.start_s + evidence.notice * STEP_S
        window = window_before(notice_s, self.rules.window_s)
        found = DaySearch(
            meter=_DayMeter(evidence=evidence),
            rows=np.arange(evidence.rows, dtype=np.int64),
            class_code=np.zeros(evidence.rows, dtype=np.uint8),
            event=event,
            window=window,
            notice_s=notice_s,
            event_days=evidence.event_days,
            calendar=evidence.calendar,
            rules=self.rules,
        ).find()
        if len(found.days) < self.rules.min_days:
            note = f"{len(found.days)} reference days of at least {self.rules.min_days}"
            return Estimate(power_kw=evidence.no_kw(), excluded=found.excluded, note=note)
        power_kw, adjustment = self._moved(evidence, found.event_kw, found.window_kw, window)
        return Estimate(power_kw=power_kw, days=found.days, excluded=found.excluded, adjustment=adjustment)

    def _moved(
        self, evidence: Evidence, event_kw: FloatArray, window_kw: FloatArray, window: TimeGrid
    ) -> tuple[FloatArray, float]:
        if self.shift is not None:
            return self.shift.applied(evidence, event_kw, window_kw)
        if self.rules.adjustment is Adjustment.NONE:
            return event_kw, 0.0
        ratio = adjustment_ratio(_DayMeter(evidence=evidence).read(window), window_kw, self.rules.clip)
        ratio = ratio if np.isfinite(ratio) else 1.0
        return adjusted(event_kw, window_kw, ratio, self.rules.adjustment), ratio - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _DayMeter:
    """Evidence read on any grid of quarters of an hour (`vpp.ports.IntervalMeter`)."""

    evidence: Evidence

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return the rows' means, NaN on days that are not in the evidence."""
        starts_s = grid.starts_s()
        power_kw = np.full((self.evidence.rows, grid.count), np.nan)
        for day in sorted({local_day(at_s) for at_s in starts_s.tolist()}):
            step = ((starts_s - day_grid(day).start_s) // STEP_S).astype(np.int64)
            inside = np.flatnonzero((step >= 0) & (step < STEPS_PER_DAY))
            power_kw[:, inside] = self._day(day)[:, step[inside]]
        return power_kw

    def _day(self, day: date) -> FloatArray:
        if day == self.evidence.today:
            return self.evidence.today_kw
        if day in self.evidence.days:
            return self.evidence.read(day)
        return np.full((self.evidence.rows, STEPS_PER_DAY), np.nan)
