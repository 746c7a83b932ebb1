"""Load forecast of every row: usual days of its series, and the charging need of its promised car."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasts.cohorts import IDLE_KW, newcomers, occupied_share
from forecasts.day_types import HOLIDAY, WEEKEND, WORKDAY, begun_idle, same_type
from forecasts.row_powers import row_powers
from forecasts.seasonal_profile import seasonal_profile
from forecasts.series import History
from numerics.arrays import FloatTable, Powers
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, STEP_S, STEPS_PER_DAY
from vpp.fleet.calendar import DayCalendar, DayType, day_number, numbered_day
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.holidays import CHINA
from vpp.planning.forecast.charging_need import charging_needs, promised_cars
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.forecast.load_series import LoadSeries
from vpp.ports import IntervalMeter

_CODES = {DayType.WORKDAY: WORKDAY, DayType.WEEKEND: WEEKEND, DayType.HOLIDAY: HOLIDAY}
HISTORY_DAYS = 14
HORIZON_STEPS = 2 * STEPS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Expected net power of every row when nobody intervenes.

    Attributes:
        grid: Steps from the one that holds the moment of forecasting.
        expected_kw: Mean, load positive, shape ``(n_resources, count)``; may be summed over rows.
        spread_kw: Standard deviation, shape ``(n_resources, count)``; rows count as independent, so those that err
            together have as much more as their sum needs.
        available_at_s: Epoch seconds from which it may be used.
    """

    grid: TimeGrid
    expected_kw: Powers
    spread_kw: Powers
    available_at_s: float


def forecast(
    state: FleetState,
    meter: IntervalMeter,
    *,
    count: int = HORIZON_STEPS,
    load_history: LoadHistory | None = None,
    calendar: DayCalendar = CHINA,
) -> Forecast:
    """Return the forecast of all rows from the step that holds ``state.at_s`` on.

    Rows without history keep their present power, rows out of service take none.
    Storage is expected to rest: its plan is made, not forecast.

    Args:
        state: Snapshot of the fleet.
        meter: Metered history of the same rows.
        count: Number of steps.
        load_history: What was read for earlier forecasts, so that a city's reads only its newest quarter of an hour.
        calendar: Workdays, weekends and holidays.
    """
    start_s = floor_s(state.at_s, STEP_S)
    grid = TimeGrid(start_at=instant(start_s), count=count)
    load_history = load_history or LoadHistory(days=HISTORY_DAYS)
    series = load_history.series(state.index)
    mean, spread = _usual_days(state, load_history, grid, meter, calendar)
    spread *= series.widening[:, None].astype(np.float32)
    if len(series) > len(series.single):
        _keep_newcomers(state, grid, series, load_history.session_steps(), mean)
    expected_kw, spread_kw = row_powers(
        (mean, spread),
        series.membership,
        present_kw=np.nan_to_num(state.power_kw) * ~state.index.is_class(ResourceClass.STORAGE),
        needs=charging_needs(state, grid),
        start_s=grid.start_s,
        step_s=float(grid.step_s),
    )
    gone = state.index.out_of_service
    expected_kw[gone], spread_kw[gone] = 0.0, 0.0
    return Forecast(grid=grid, expected_kw=expected_kw, spread_kw=spread_kw, available_at_s=state.at_s)


def _usual_days(
    state: FleetState, load_history: LoadHistory, grid: TimeGrid, meter: IntervalMeter, calendar: DayCalendar
) -> tuple[FloatTable, FloatTable]:
    """Return mean and spread of every series on ``grid``, shape ``(k, grid.count)`` each."""
    series = load_history.series(state.index)
    means = load_history.read(state.index, meter, grid.start_s)
    begin_s = grid.start_s - load_history.days * SECONDS_PER_DAY
    past = TimeGrid(start_at=instant(begin_s), count=load_history.days * STEPS_PER_DAY)
    history = History(
        power_kw=means,
        steps_per_day=STEPS_PER_DAY,
        step_s=STEP_S,
        end_s=past.end_s,
        available_at_s=max(past.end_s, state.at_s),
    )
    return seasonal_profile(
        history,
        same_type_days(past, grid, calendar),
        group=series.class_code,
        usable=_resembling_days(state, series, means),
    )


def same_type_days(past: TimeGrid, grid: TimeGrid, calendar: DayCalendar = CHINA) -> BoolArray:
    """Return which past day-long blocks hold a day of the type of each future step, shape ``(days, grid.count)``.

    A holiday may borrow weekends where too few holidays lie in the past.
    """
    return same_type(_day_types(past, calendar), _day_types(grid, calendar), steps_per_day=STEPS_PER_DAY)


def _day_types(grid: TimeGrid, calendar: DayCalendar) -> npt.NDArray[np.int64]:
    """Return the type of each step's day in Asia/Shanghai, shape ``(grid.count,)``."""
    days, place = np.unique(day_number(grid.starts_s()), return_inverse=True)
    types = [_CODES[calendar.day_type(numbered_day(int(day)))] for day in days.tolist()]
    return np.array(types, dtype=np.int64)[place]


def _resembling_days(state: FleetState, series: LoadSeries, means: FloatTable) -> BoolArray:
    """Return the days that began as now is: for an empty charger those on which it was idle, shape ``(k, days)``.

    Without this a charger that is empty now would be credited with sessions that would have begun before now. Cohorts
    use every day, see ``_keep_newcomers``.
    """
    empty = np.zeros(len(series), dtype=np.bool_)
    empty[: len(series.single)] = (state.index.is_class(*CHARGING) & ~state.plugged)[series.single]
    return np.asarray(~empty[:, None] | begun_idle(means, steps_per_day=STEPS_PER_DAY, idle_kw=IDLE_KW))


def _keep_newcomers(
    state: FleetState, grid: TimeGrid, series: LoadSeries, session_steps: FloatArray, mean: FloatTable
) -> None:
    """Take from each cohort of chargers what sessions of now would still add: those cars are known one by one."""
    rows = np.flatnonzero(series.chargers)
    occupied = occupied_share(
        series.of_row,
        promised_cars(state),
        state.departure_s,
        clock=(grid.start_s, grid.step_s),
        shape=(len(series), grid.count),
    )
    mean[rows] = newcomers(mean[rows], session_steps[rows], occupied[rows])
