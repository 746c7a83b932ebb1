"""Hours of standing commitments on the steps of a plan."""

from collections.abc import Iterable, Mapping

import numpy as np

from vpp.domain.request import Direction
from vpp.domain.standing import StandingCommitment, StandingHours
from vpp.domain.telemetry import BoolArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.calendar import DayCalendar, day_number, local_hour, numbered_day
from vpp.planning.reserve.demand import ReserveDemand


def in_hours(hours: StandingHours, grid: TimeGrid, calendar: DayCalendar) -> BoolArray:
    """Return the steps that begin within hours of a commitment, shape ``(grid.count,)``.

    Month and type are those of the day on which the hours begin, so a night counts by its evening.
    """
    starts_s = grid.starts_s()
    since_h = (local_hour(starts_s) - hours.from_hour) % 24.0
    days = day_number(starts_s - since_h * SECONDS_PER_HOUR)
    wanted = {number: _is_due(hours, int(number), calendar) for number in np.unique(days).tolist()}
    return np.asarray((since_h < hours.length_h) & np.array([wanted[number] for number in days.tolist()]))


def due_steps(commitment: StandingCommitment, grid: TimeGrid, calendar: DayCalendar) -> BoolArray:
    """Return the steps in which a commitment's power has to be available, shape ``(grid.count,)``."""
    starts_s, over = grid.starts_s(), commitment.over_at
    holds = starts_s >= commitment.terms.from_at.timestamp()
    if over is not None:
        holds &= starts_s < over.timestamp()
    inside = [in_hours(hours, grid, calendar) for hours in commitment.terms.hours]
    return np.asarray(holds & np.logical_or.reduce(inside))


def standing_demand(
    commitments: Iterable[StandingCommitment],
    grid: TimeGrid,
    calendar: DayCalendar,
    *,
    called: Mapping[str, Mapping[int, int]],
) -> ReserveDemand:
    """Return what commitments to cuts want of a plan; raises take no charge of stores and want nothing.

    Args:
        commitments: Those that are known.
        grid: Steps of the plan.
        calendar: Types of days.
        called: Number of calls so far on each day (`vpp.fleet.calendar.day_number`), by commitment id; where a day's
            calls are used up its hours want nothing any more.
    """
    wanted = ReserveDemand.nothing(grid.count)
    days = day_number(grid.starts_s())
    for commitment in commitments:
        terms = commitment.terms
        if terms.direction is not Direction.UP:
            continue
        used = called.get(commitment.id, {})
        left = terms.calls_a_day - np.array([used.get(int(day), 0) for day in days.tolist()])
        due = due_steps(commitment, grid, calendar) & (left > 0)
        wanted = wanted.plus(
            ReserveDemand(
                power_kw=np.where(due, terms.power_kw, 0.0),
                missing_cny_per_kw_h=np.where(due, terms.missing_cny_per_kw_h, 0.0),
                sustain_h=np.where(due, terms.call_h, 0.0),
                again=due & (left > 1),
            )
        )
    return wanted


def _is_due(hours: StandingHours, number: int, calendar: DayCalendar) -> bool:
    day = numbered_day(number)
    return (not hours.months or day.month in hours.months) and (
        not hours.day_types or calendar.day_type(day).value in hours.day_types
    )
