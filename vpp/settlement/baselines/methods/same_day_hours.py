"""Baselines of the event's own day: the hours before, around or beside it."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import IdArray
from vpp.settlement.baselines.called_hours import last_known
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.reference_days import mean_known


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMeter:
    """Last metered mean before the event, held.

    Attributes:
        lookback_h: How far before the event it may lie.
    """

    name: str = "meter_before"
    source: str = "NAESB WEQ-015, Meter Before / Meter After"
    lookback_h: float = 1.0
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return each row's last known mean before the event on all of its steps."""
        before_kw = last_known(evidence.today_kw[:, evidence.hours_before(self.lookback_h, 0.0)])
        return Estimate(power_kw=np.repeat(before_kw[:, None], len(evidence.event), axis=1), days=(evidence.today,))


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgedMeter:
    """Straight line from the last mean before the event to the first after it.

    Attributes:
        lookback_h: How far from the event either may lie.
        rest_h: Hours after the event that are left out: the rebound.
    """

    name: str = "meter_before_after"
    source: str = "NAESB WEQ-015, Meter Before / Meter After, both sides joined by a line"
    lookback_h: float = 1.0
    rest_h: float = 1.0
    needs: frozenset[Need] = frozenset({Need.AFTER})

    def of(self, evidence: Evidence) -> Estimate:
        """Return the line; the held meter where nothing is known after the event."""
        step = evidence.steps_per_hour
        before = evidence.hours_before(self.lookback_h, 0.0)
        begin = int(evidence.event[-1]) + 1 + round(self.rest_h * step)
        after = np.arange(begin, min(begin + round(self.lookback_h * step), evidence.today_kw.shape[1]))
        before_kw = last_known(evidence.today_kw[:, before])
        after_kw = last_known(evidence.today_kw[:, after[::-1]])
        share = (evidence.event - evidence.first + 1.0) / (begin - evidence.first + 1.0)
        line_kw = (
            before_kw[:, None] + share * (np.where(np.isfinite(after_kw), after_kw, before_kw) - before_kw)[:, None]
        )
        return Estimate(power_kw=line_kw, days=(evidence.today,))


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursBeside:
    """Mean of some hours before and some after the event, a gap left on either side.

    Attributes:
        before_h: Hours before.
        after_h: Hours after.
        gap_h: Hours next to the event that are left out on either side.
    """

    name: str = "same_day_3_plus_2"
    source: str = "PJM Manual 11, Same Day (3 + 2): three hours before and two after, one skipped on either side"
    before_h: float = 3.0
    after_h: float = 2.0
    gap_h: float = 1.0
    needs: frozenset[Need] = frozenset({Need.AFTER})

    def steps(self, evidence: Evidence) -> IdArray:
        """Return the steps that are averaged."""
        step = evidence.steps_per_hour
        begin = int(evidence.event[-1]) + 1 + round(self.gap_h * step)
        after = np.arange(begin, min(begin + round(self.after_h * step), evidence.today_kw.shape[1]))
        return np.concatenate((evidence.hours_before(self.gap_h + self.before_h, self.gap_h), after))

    def of(self, evidence: Evidence) -> Estimate:
        """Return each row's mean over those hours on all steps of the event."""
        mean_kw = mean_known(evidence.today_kw[:, self.steps(evidence)].T)
        return Estimate(power_kw=np.repeat(mean_kw[:, None], len(evidence.event), axis=1), days=(evidence.today,))
