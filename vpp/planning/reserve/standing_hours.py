"""Hours of standing commitments on the steps of a plan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import CITY, Direction
from vpp.domain.standing import StandingCommitment, StandingHours, StandingTerms
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
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


def step_of(at_s: float) -> TimeGrid:
    """Return the quarter of an hour that holds an instant, as a grid of one step."""
    return TimeGrid(start_at=instant(floor_s(at_s, STEP_S)), count=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCall:
    """A call as a standing commitment sees it.

    Attributes:
        area: ``"city"`` or an area id.
        direction: Cut or raise of net load.
        start_s: Begin of its hold, epoch seconds.
        corners: Instants in order, epoch seconds, and the power that is due at each, kW, linear in between: from the
            ramp's begin to the release's end.
    """

    area: str
    direction: Direction
    start_s: float
    corners: Sequence[tuple[float, float]]


def calls_spent(
    commitment: StandingCommitment, calls: Iterable[StandingCall], grid: TimeGrid, calendar: DayCalendar
) -> IntArray:
    """Return how many calls of its day a commitment has behind it at each step, shape ``(grid.count,)``.

    They are those of its own area and direction that begin in its hours, and are behind it once they are released.
    """
    terms, starts_s = commitment.terms, grid.starts_s()
    spent, days = np.zeros(grid.count, dtype=np.int64), day_number(starts_s)
    for call in calls:
        own = call.area == terms.area and call.direction is terms.direction
        if own and due_steps(commitment, step_of(call.start_s), calendar).any():
            spent += (days == day_number(call.start_s)) & (starts_s >= call.corners[-1][0])
    return spent


def standing_demand(
    commitments: Iterable[StandingCommitment],
    grid: TimeGrid,
    calendar: DayCalendar,
    *,
    calls: Sequence[StandingCall] = (),
) -> ReserveDemand:
    """Return what commitments to cuts want of a plan; raises take no charge of stores and want nothing.

    Hours after the last call of a day want nothing any more. What calls of the same direction hold inside a
    commitment's area is in use and needs not be kept ready; of a call of the whole city nobody knows beforehand how
    much of it an area will hold, so there it counts for nothing.

    Args:
        commitments: Those that are known.
        grid: Steps of the plan.
        calendar: Types of days.
        calls: Calls from yesterday on, drills aside.
    """
    wanted = ReserveDemand.nothing(grid.count)
    for commitment in commitments:
        terms = commitment.terms
        if terms.direction is not Direction.UP:
            continue
        left = terms.calls_a_day - calls_spent(commitment, calls, grid, calendar)
        power_kw = np.maximum(terms.power_kw - _held_kw(terms, calls, grid), 0.0)
        due = due_steps(commitment, grid, calendar) & (left > 0) & (power_kw > 0.0)
        wanted = wanted.plus(
            ReserveDemand(
                power_kw=np.where(due, power_kw, 0.0),
                missing_cny_per_kw_h=np.where(due, terms.missing_cny_per_kw_h, 0.0),
                sustain_h=np.where(due, terms.call_h, 0.0),
                again=due & (left > 1),
            )
        )
    return wanted


def _held_kw(terms: StandingTerms, calls: Iterable[StandingCall], grid: TimeGrid) -> FloatArray:
    """Return what calls hold inside a commitment's area at the begin of each step, shape ``(grid.count,)``."""
    held_kw = np.zeros(grid.count)
    for call in calls:
        if call.direction is terms.direction and terms.area in (CITY, call.area):
            at_s, due_kw = zip(*call.corners, strict=True)
            held_kw += np.interp(grid.starts_s(), at_s, due_kw, left=0.0, right=0.0)
    return held_kw


def _is_due(hours: StandingHours, number: int, calendar: DayCalendar) -> bool:
    day = numbered_day(number)
    return (not hours.months or day.month in hours.months) and (
        not hours.day_types or calendar.day_type(day).value in hours.day_types
    )
