"""Averages of the highest, the middle or all of the last like days: the X-of-Y rules of system operators."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import islice

import numpy as np

from vpp.domain.telemetry import FloatArray, IdArray
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.methods.same_day_adjustment import SameDayAdjustment
from vpp.settlement.baselines.reference_days import mean_known

_NO_STEPS = np.zeros(0, dtype=np.int64)


class Pick(StrEnum):
    """Which of the candidate days are averaged, by their energy in the event's hours."""

    HIGHEST = "highest"
    MIDDLE = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Days wanted for one kind of day.

    Attributes:
        taken: Days averaged.
        of: Candidates they are picked from.
        least: Fewer candidates than this and there is no baseline.
    """

    taken: int
    of: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedDays:
    """An X-of-Y rule.

    Attributes:
        name: Name in programmes and results.
        source: Rule book.
        workdays: Days wanted for a workday.
        days_off: Days wanted for weekends and holidays.
        pick: Which candidates are averaged.
        low_usage_ratio: Candidates whose energy in the event's hours is below this share of the candidates' mean are
            replaced by earlier days.
        adjustment: Same-day adjustment; ``None`` for none.
        needs: Meters alone.
    """

    name: str
    source: str
    workdays: Count
    days_off: Count
    pick: Pick = Pick.HIGHEST
    low_usage_ratio: float = 0.0
    adjustment: SameDayAdjustment | None = None
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return the mean of the picked days, adjusted."""
        window = _NO_STEPS if self.adjustment is None else self.adjustment.window(evidence)
        count = self.workdays if evidence.works else self.days_off
        candidates, excluded = self._candidates(evidence, count, window)
        if len(candidates) < count.least:
            note = f"{len(candidates)} like days of at least {count.least}"
            return Estimate(power_kw=evidence.no_kw(), excluded=excluded, note=note)
        kept = self._picked(candidates, count)
        event_kw = mean_known(np.array([day.event_kw for day in kept]))
        adjustment = 0.0
        if self.adjustment is not None:
            window_kw = mean_known(np.array([day.window_kw for day in kept]))
            event_kw, adjustment = self.adjustment.applied(evidence, event_kw, window_kw)
        dropped = tuple(
            (day.day.isoformat(), f"not among the {self.pick} days") for day in candidates if day not in kept
        )
        return Estimate(
            power_kw=event_kw,
            days=tuple(day.day for day in kept),
            excluded=tuple(sorted(excluded + dropped, reverse=True)),
            adjustment=adjustment,
        )

    def _candidates(
        self, evidence: Evidence, count: Count, window: IdArray
    ) -> tuple[list["_Day"], tuple[tuple[str, str], ...]]:
        """Return the newest like days with enough use; those replaced are named."""
        excluded = [(day.isoformat(), "event day") for day in evidence.days if day in evidence.event_days]
        metered = (found for day in evidence.like_days() if (found := _read(evidence, day, window)) is not None)
        days = list(islice(metered, count.of))
        while self.low_usage_ratio > 0.0 and days:
            low = self.low_usage_ratio * float(np.mean([abs(day.level_kw) for day in days]))
            idle = [day for day in days if abs(day.level_kw) < low]
            if not idle:
                break
            excluded += [(day.day.isoformat(), "little use in the event's hours") for day in idle]
            days = [day for day in days if day not in idle] + list(islice(metered, len(idle)))
        return days, tuple(excluded)

    def _picked(self, candidates: list["_Day"], count: Count) -> list["_Day"]:
        """Return the days that are averaged, newest first; among equals the newer ones."""
        surplus = max(len(candidates) - count.taken, 0)
        order = sorted(range(len(candidates)), key=lambda place: (-candidates[place].level_kw, place))
        first = surplus // 2 if self.pick is Pick.MIDDLE else 0
        chosen = sorted(order[first : first + count.taken])
        return [candidates[place] for place in chosen]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Day:
    """A candidate: its rows on the event's and the window's steps, and their mean sum in the event's hours."""

    day: date
    event_kw: FloatArray
    window_kw: FloatArray
    level_kw: float


def _read(evidence: Evidence, day: date, window: IdArray) -> _Day | None:
    """Return a day's rows, ``None`` where nothing was metered in the event's hours."""
    power_kw = evidence.read(day)
    event_kw = power_kw[:, evidence.event]
    if not np.isfinite(event_kw).any():
        return None
    level_kw = float(np.nansum(mean_known(event_kw.T)))
    return _Day(day=day, event_kw=event_kw, window_kw=power_kw[:, window], level_kw=level_kw)
