"""Expected calls: how probable one is in each hour of a day, learnt from the calls of the past or set.

The number of days on which a call holds in an hour is binomial; its chance has a Beta prior, so that a few days say
little and many say nearly all (conjugate updating, Gelman et al., Bayesian Data Analysis, 3rd edition, 2.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.calendar import DayCalendar, DayType, day_number, local_hour, numbered_day
from vpp.planning.reserve.demand import ReserveDemand

HOURS = 24
_QUARTERS = int(SECONDS_PER_HOUR // STEP_S)
_PRIOR_CALLS, _PRIOR_DAYS = 0.2, 10.0
"""The prior: a call in one of fifty days, worth ten days of experience."""
LEAST_DAYS = 14
"""Days of experience before which nothing is expected."""
_LEAST_CNY_PER_KW_H = 0.02
"""Worth of a kW below which an hour is left alone: about what a battery's wear costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """A call to cut.

    Attributes:
        start_s: Begin of its hold, epoch seconds.
        end_s: End of it.
        power_kw: Power that was committed.
    """

    start_s: float
    end_s: float
    power_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallExpectation:
    """Chance of a call, its power and length, by type of day and hour of Asia/Shanghai.

    Attributes:
        chance: By type of day: chance that a call holds in each hour, shape ``(24,)``.
        power_kw: Power that is called, of calls at the same time together, shape ``(24,)``.
        length_h: Usual length of a call, h.
    """

    chance: Mapping[DayType, FloatArray]
    power_kw: FloatArray
    length_h: float

    def demand(self, grid: TimeGrid, calendar: DayCalendar, price_cny_per_kwh: float) -> ReserveDemand:
        """Return what these calls are worth to a plan.

        A kW that is held through an hour earns the price of a called kWh with the chance of a call.

        Args:
            grid: Steps of the plan.
            calendar: Types of days.
            price_cny_per_kwh: Paid for a called kWh.
        """
        starts_s = grid.starts_s()
        hour = local_hour(starts_s).astype(np.int64)
        types = {number: calendar.day_type(numbered_day(int(number))) for number in set(day_number(starts_s).tolist())}
        none = np.zeros(HOURS)
        chance = np.array(
            [
                self.chance.get(types[number], none)[place]
                for number, place in zip(day_number(starts_s).tolist(), hour.tolist(), strict=True)
            ]
        )
        worth = chance * price_cny_per_kwh
        held = (worth >= _LEAST_CNY_PER_KW_H) & (self.power_kw[hour] > 0.0)
        return ReserveDemand(
            power_kw=np.where(held, self.power_kw[hour], 0.0),
            missing_cny_per_kw_h=np.where(held, worth, 0.0),
            sustain_h=np.where(held, self.length_h, 0.0),
            again=np.zeros(grid.count, dtype=np.bool_),
        )


def learnt(calls: Sequence[PastCall], calendar: DayCalendar, *, since_s: float, now_s: float) -> CallExpectation | None:
    """Return what past calls let expect, ``None`` while there is too little experience or nobody called.

    Args:
        calls: Calls that held between the two instants, in any order.
        calendar: Types of days.
        since_s: Begin of the experience, epoch seconds.
        now_s: End of it; the day that is not over counts for neither.
    """
    first, today = int(day_number(since_s)) + 1, int(day_number(now_s))
    types = [calendar.day_type(numbered_day(number)) for number in range(first, today)]
    known = [call for call in calls if first <= int(day_number(call.start_s)) < today and call.end_s > call.start_s]
    if len(types) < LEAST_DAYS or not known:
        return None
    quarters = np.zeros((len(types), HOURS, _QUARTERS))
    for call in known:
        for day, hour, quarter in _quarters(call):
            if 0 <= day - first < len(types):
                quarters[day - first, hour, quarter] += call.power_kw
    called = quarters.max(axis=2)
    chance = {kind: _chance(called[[one is kind for one in types]]) for kind in DayType if kind in types}
    days = (called > 0.0).sum(axis=0)
    power_kw = np.divide(called.sum(axis=0), days, out=np.zeros(HOURS), where=days > 0)
    length_h = float(np.mean([call.end_s - call.start_s for call in known])) / SECONDS_PER_HOUR
    return CallExpectation(chance=chance, power_kw=power_kw, length_h=length_h)


def stated(hours: Sequence[tuple[float, float, float, float]]) -> CallExpectation:
    """Return an expectation that is set: first hour, end, kW and chance of each stretch of every day."""
    chance, power_kw, length_h = np.zeros(HOURS), np.zeros(HOURS), 0.0
    for from_hour, until_hour, kw, probability in hours:
        span_h = (until_hour - from_hour) % 24.0 or 24.0
        inside = (np.arange(HOURS) - from_hour) % 24.0 < span_h
        chance[inside], power_kw[inside] = probability, kw
        length_h = max(length_h, span_h)
    return CallExpectation(chance=dict.fromkeys(DayType, chance), power_kw=power_kw, length_h=length_h)


def _chance(called: FloatArray) -> FloatArray:
    """Return the posterior mean of each hour's chance; called kW by day and hour, shape ``(n, 24)``."""
    return np.asarray(((called > 0.0).sum(axis=0) + _PRIOR_CALLS) / (len(called) + _PRIOR_DAYS))


def _quarters(call: PastCall) -> Sequence[tuple[int, int, int]]:
    """Return day number, hour and quarter of every quarter of an hour that a call holds in."""
    first, last = int(call.start_s // STEP_S), int(-(-call.end_s // STEP_S))
    begins = [quarter * STEP_S for quarter in range(first, last)]
    return [(int(day_number(at_s)), int(local_hour(at_s)), int(at_s % SECONDS_PER_HOUR // STEP_S)) for at_s in begins]
