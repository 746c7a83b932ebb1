"""Baseline carried on from day to day: nine tenths of yesterday's, one tenth of the new day."""

from dataclasses import dataclass

import numpy as np

from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.methods.same_day_adjustment import SameDayAdjustment
from vpp.settlement.baselines.reference_days import mean_known


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedDays:
    """An exponentially weighted rule.

    Attributes:
        keep_ratio: Weight of the baseline so far.
        first_days: Days whose plain mean begins it.
        adjustment: Same-day adjustment; ``None`` for none.
    """

    name: str = "smoothed_90_10"
    source: str = "ISO New England, M-MVDR: 0.9 of the baseline before and 0.1 of the day, begun by a mean of days"
    keep_ratio: float = 0.9
    first_days: int = 5
    adjustment: SameDayAdjustment | None = None
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return the baseline after the newest like day, adjusted."""
        read = ((day, evidence.read(day)) for day in evidence.like_days())
        oldest_first = [(day, power_kw) for day, power_kw in read if np.isfinite(power_kw[:, evidence.event]).any()][
            ::-1
        ]
        if len(oldest_first) < self.first_days:
            note = f"{len(oldest_first)} like days of at least {self.first_days}"
            return Estimate(power_kw=evidence.no_kw(), note=note)
        carried_kw = mean_known(np.array([power_kw for _, power_kw in oldest_first[: self.first_days]]))
        for _, power_kw in oldest_first[self.first_days :]:
            carried_kw = np.where(
                np.isfinite(power_kw), self.keep_ratio * carried_kw + (1.0 - self.keep_ratio) * power_kw, carried_kw
            )
        event_kw, adjustment = carried_kw[:, evidence.event], 0.0
        if self.adjustment is not None:
            window_kw = carried_kw[:, self.adjustment.window(evidence)]
            event_kw, adjustment = self.adjustment.applied(evidence, event_kw, window_kw)
        return Estimate(power_kw=event_kw, days=tuple(day for day, _ in oldest_first[::-1]), adjustment=adjustment)
