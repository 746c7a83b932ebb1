"""Mean of the days whose load outside the event was most like that of the event's day."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from vpp.domain.telemetry import FloatArray, IdArray
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.reference_days import mean_known


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedDays:
    """A match-day rule.

    Attributes:
        taken: Most similar days that are averaged.
        gap_h: Hours next to the event that are not compared.
    """

    name: str = "match_day"
    source: str = "PJM Manual 11, Match Day (3 day average): hour before and after left out of the comparison"
    taken: int = 3
    gap_h: float = 1.0
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return the mean of the most similar like days, by the root mean square of the portfolio's differences."""
        compared = self._compared(evidence)
        today_kw = _sum(evidence.today_kw, compared)
        found: list[tuple[float, int, date, FloatArray]] = []
        for place, day in enumerate(evidence.like_days()):
            power_kw = evidence.read(day)
            off_kw = _sum(power_kw, compared) - today_kw
            if len(compared) and np.isfinite(off_kw).all() and np.isfinite(power_kw[:, evidence.event]).any():
                found.append((float(np.sqrt(np.mean(off_kw**2))), place, day, power_kw[:, evidence.event]))
        if len(found) < self.taken:
            return Estimate(power_kw=evidence.no_kw(), note=f"{len(found)} comparable days of at least {self.taken}")
        nearest = sorted(sorted(found, key=lambda one: one[:2])[: self.taken], key=lambda one: one[1])
        return Estimate(
            power_kw=mean_known(np.array([one[3] for one in nearest])), days=tuple(one[2] for one in nearest)
        )

    def _compared(self, evidence: Evidence) -> IdArray:
        """Return the steps of the day that are known and neither the event's nor next to it."""
        step = round(self.gap_h * evidence.steps_per_hour)
        steps = np.arange(evidence.today_kw.shape[1])
        outside = (steps < evidence.first - step) | (steps > int(evidence.event[-1]) + step)
        return steps[outside & np.isfinite(evidence.today_kw).any(axis=0)]


def _sum(power_kw: FloatArray, steps: IdArray) -> FloatArray:
    """Return the portfolio's power on some steps, rows that are unknown there left out."""
    return np.asarray(np.nansum(power_kw[:, steps], axis=0), dtype=np.float64)
