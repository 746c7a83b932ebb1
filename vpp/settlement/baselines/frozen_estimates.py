"""Baselines of rule books on the meters of a fleet: each class by one method of the registry, day by day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from vpp.domain.telemetry import CodeArray, FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import STEP_S, STEPS_PER_DAY
from vpp.fleet.calendar import DayCalendar, day_grid, local_day
from vpp.fleet.index import CLASSES
from vpp.ports import IntervalMeter
from vpp.settlement.baselines.called_hours import CalledHours
from vpp.settlement.baselines.method_choice import BEFORE, OFFERED, SAME, SCHEDULED
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence
from vpp.settlement.baselines.methods.registry import METHODS


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenEstimates:
    """Estimates of the rows of a portfolio whose method is none of the three that need no registry.

    Attributes:
        meter: Read for past days and the event's day before notice.
        rows: Rows of the portfolio, shape ``(n_rows,)``.
        class_code: Their classes, likewise.
        event: Steps that want a baseline.
        notice_s: Epoch seconds of notice; nothing metered later counts.
        event_days: Days on which the portfolio was called.
        called: Hours in which it was called.
        calendar: Workdays, weekends and holidays.
        lookback_days: How far back reference days may lie.
    """

    meter: IntervalMeter
    rows: IdArray
    class_code: CodeArray
    event: TimeGrid
    notice_s: float
    event_days: Collection[date]
    called: CalledHours
    calendar: DayCalendar
    lookback_days: int

    def of(self, wanted: CodeArray) -> tuple[dict[int, FloatArray], dict[str, Estimate]]:
        """Return the power on the event's steps by code of the method, and the estimate of every class that has one.

        Args:
            wanted: Position in ``OFFERED`` by row, shape ``(n_rows,)``; those that need no registry are left out.
        """
        offers: dict[int, FloatArray] = {}
        estimates: dict[str, Estimate] = {}
        for code in sorted(set(wanted.tolist()) - {SAME, BEFORE, SCHEDULED}):
            offer = np.full((len(self.rows), self.event.count), np.nan)
            for cls in sorted(set(self.class_code[wanted == code].tolist())):
                chosen = np.flatnonzero((wanted == code) & (self.class_code == cls))
                found = METHODS[OFFERED[code].value].of(self._evidence(self.rows[chosen]))
                offer[chosen] = found.power_kw
                estimates[CLASSES[cls].value] = found
            offers[code] = offer
        return offers, estimates

    def _evidence(self, rows: IdArray) -> Evidence:
        today = local_day(self.event.start_s)
        begin_s = day_grid(today).start_s
        complete = int(np.clip((self.notice_s - begin_s) // STEP_S, 0, STEPS_PER_DAY))
        first = min(local_day(self.notice_s), today)
        return Evidence(
            days=tuple(first - timedelta(days=back) for back in range(1, self.lookback_days + 1)),
            read=lambda day: self._uncalled_kw(day_grid(day), rows),
            today=today,
            today_kw=self._today_kw(today, rows),
            event=(np.arange(self.event.count) + round((self.event.start_s - begin_s) / STEP_S)) % STEPS_PER_DAY,
            notice=complete,
            event_days=self.event_days,
            calendar=self.calendar,
        )

    def _today_kw(self, today: date, rows: IdArray) -> FloatArray:
        """Return the event's day as far as it was metered at notice and not called, shape ``(n_rows, 96)``."""
        grid = day_grid(today)
        return np.where(grid.starts_s() + grid.step_s <= self.notice_s, self._uncalled_kw(grid, rows), np.nan)

    def _uncalled_kw(self, grid: TimeGrid, rows: IdArray) -> FloatArray:
        """Return what was metered, NaN where the portfolio was called, shape ``(n_rows, grid.count)``."""
        return np.where(self.called.free(grid), self.meter.read(grid)[rows], np.nan)
