"""What every row is expected to take: its usual days, and what plugged-in cars have promised."""

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from forecasts.series import History
from numerics.jit import njit
from numerics.sums import Powers
from vpp.domain.daytype import DayCalendar, DayType
from vpp.domain.fleet import FleetState
from vpp.domain.holidays import CHINA
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S, STEPS_PER_DAY
from vpp.planning.forecast.load_history import IDLE_KW, FloatTable, LoadHistory, Series
from vpp.planning.forecast.seasonal_profile import usual
from vpp.planning.tariff import SHANGHAI_OFFSET_S
from vpp.ports import IntervalMeter

_WORKDAY, _WEEKEND, _HOLIDAY = 0, 1, 2
_TYPES = {DayType.WORKDAY: _WORKDAY, DayType.WEEKEND: _WEEKEND, DayType.HOLIDAY: _HOLIDAY}
_EPOCH = date(1970, 1, 1)
_LEAST_HOLIDAYS = 3
"""With fewer of them in the past, weekends count as well: as a baseline has it."""
_LIMITING_RATIO = 0.98
"""A limit below this share of what a car could take holds it back."""
_UNKNOWN_SPREAD_RATIO = 0.3
"""Relative spread of a row that has no history."""
_MOST_OCCUPIED = 0.8
"""Beyond this share of occupied chargers a cohort's newcomers are not pressed into the free ones."""
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
    past: LoadHistory | None = None,
    calendar: DayCalendar = CHINA,
) -> Forecast:
    """Return the forecast of all rows from the step that holds ``state.at_s`` on.

    Rows without history keep their present power. Storage is expected to rest: its plan is made, not forecast.

    Args:
        state: The picture.
        meter: Metered past of the same rows.
        count: Number of steps.
        past: What was read before; makes a city's forecast a matter of its newest quarter of an hour.
        calendar: Tells workdays, weekends and holidays.
    """
    start_s = floor_s(state.at_s, STEP_S)
    grid = TimeGrid(start_at=instant(start_s), count=count)
    past = past or LoadHistory(days=HISTORY_DAYS)
    series = past.series(state.index)
    mean, spread = _usual(state, past, grid, meter, calendar)
    spread *= series.widening[:, None].astype(np.float32)
    if len(series) > len(series.single):
        _keep_newcomers(state, grid, series, past.session_steps(), mean)
    expected_kw = np.empty((len(state), count), dtype=np.float32)
    spread_kw = np.empty((len(state), count), dtype=np.float32)
    _expand(
        (mean, spread),
        (series.of_row, series.weight),
        np.nan_to_num(state.power_kw) * ~state.index.is_class(ResourceClass.STORAGE),
        _sessions(state, grid),
        (grid.start_s, float(grid.step_s)),
        expected_kw,
        spread_kw,
    )
    return Forecast(grid=grid, expected_kw=expected_kw, spread_kw=spread_kw, available_at_s=state.at_s)


def _usual(
    state: FleetState, past: LoadHistory, grid: TimeGrid, meter: IntervalMeter, calendar: DayCalendar
) -> tuple[FloatTable, FloatTable]:
    """Return mean and spread of every series on ``grid``, shape ``(k, grid.count)`` each."""
    series = past.series(state.index)
    means = past.read(state.index, meter, grid.start_s)
    begin_s = grid.start_s - past.days * SECONDS_PER_DAY
    behind = TimeGrid(start_at=instant(begin_s), count=past.days * STEPS_PER_DAY)
    history = History(
        power_kw=means,
        steps_per_day=STEPS_PER_DAY,
        step_s=STEP_S,
        end_s=behind.end_s,
        available_at_s=max(behind.end_s, state.at_s),
    )
    return usual(
        history,
        same_type_days(behind, grid, calendar),
        group=series.group,
        usable=_resembling_days(state, series, means),
    )


def same_type_days(past: TimeGrid, grid: TimeGrid, calendar: DayCalendar = CHINA) -> BoolArray:
    """Return which past day-long blocks hold a day of the type of each future step, shape ``(days, grid.count)``.

    A holiday may borrow weekends where too few holidays lie in the past.
    """
    types = _day_types(past.starts_s(), calendar).reshape(-1, STEPS_PER_DAY)[:, np.arange(grid.count) % STEPS_PER_DAY]
    wanted = _day_types(grid.starts_s(), calendar)
    same = types == wanted
    few = (wanted == _HOLIDAY) & (same.sum(axis=0) < _LEAST_HOLIDAYS)
    return np.asarray(same | (few & (types == _WEEKEND)))


def _day_types(at_s: FloatArray, calendar: DayCalendar) -> npt.NDArray[np.int64]:
    """Return the type of each instant's day in Asia/Shanghai, shape ``(count,)``."""
    days, place = np.unique((at_s + SHANGHAI_OFFSET_S) // SECONDS_PER_DAY, return_inverse=True)
    kinds = [_TYPES[calendar.day_type(_EPOCH + timedelta(days=int(day)))] for day in days.tolist()]
    return np.array(kinds, dtype=np.int64)[place]


def _resembling_days(state: FleetState, series: Series, means: FloatTable) -> BoolArray:
    """Return the days that began as now is: for an empty charger those on which it was idle, shape ``(k, days)``.

    Without this a charger that is empty now would be credited with sessions that would have begun before now. Cohorts
    use every day, see ``_keep_newcomers``.
    """
    days = means.shape[1] // STEPS_PER_DAY
    before = np.full((len(series), days), np.nan)
    before[:, 1:] = means[:, STEPS_PER_DAY - 1 : -1 : STEPS_PER_DAY]
    empty = np.zeros(len(series), dtype=np.bool_)
    empty[: len(series.single)] = (state.index.is_class(*CHARGING) & ~state.plugged)[series.single]
    return np.asarray(~empty[:, None] | (np.abs(before) < IDLE_KW))


def _keep_newcomers(
    state: FleetState, grid: TimeGrid, series: Series, session_steps: FloatArray, mean: FloatTable
) -> None:
    """Take from each cohort of chargers what sessions of now would still add: those cars are known one by one.

    A cohort's load at a later step is that of sessions running now, which fade with their length, and of newcomers;
    newcomers take the chargers that are free by then.
    """
    rows = np.flatnonzero(series.chargers)
    fading = np.exp(-np.arange(grid.count) / np.maximum(session_steps[rows, None], 1.0))
    running = np.clip(mean[rows, :1], 0.0, None) * fading
    free = 1.0 - np.minimum(_occupied(state, grid, series)[rows], _MOST_OCCUPIED)
    mean[rows] = np.maximum(mean[rows] - running, 0.0) / free


def _occupied(state: FleetState, grid: TimeGrid, series: Series) -> FloatArray:
    """Return the share of each series' rows whose promised car is still there, shape ``(k, grid.count)``."""
    promised = np.flatnonzero(promised_cars(state) & (series.of_row >= 0))
    stays = np.ceil((state.departure_s[promised] - grid.start_s) / grid.step_s)
    last = np.clip(stays, 0, grid.count).astype(np.int64)
    width = grid.count + 1
    leaving = np.bincount(series.of_row[promised] * np.int64(width) + last, minlength=len(series) * width)
    there = leaving.reshape(len(series), width)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    size = np.bincount(series.of_row[series.of_row >= 0], minlength=len(series))
    return np.asarray(there / np.maximum(size, 1)[:, None])


def _sessions(state: FleetState, grid: TimeGrid) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray]:
    """Return who has a promised car, its power, and when it is full and when it leaves, in epoch seconds."""
    promised = promised_cars(state)
    power = charging_power_kw(state)
    need = np.where(promised, state.need_kwh, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        hours = np.where(need > 0.0, need / power, 0.0)
    leaves_s = np.nan_to_num(state.departure_s)
    full_s = np.fmin(grid.start_s + SECONDS_PER_HOUR * np.nan_to_num(hours), leaves_s)
    return promised, power, full_s, leaves_s


@njit()
def _expand(  # noqa: PLR0917 - a kernel takes arguments by position
    usual_days: tuple[FloatTable, FloatTable],
    members: tuple[npt.NDArray[np.int32], FloatTable],
    present_kw: FloatArray,
    sessions: tuple[BoolArray, FloatArray, FloatArray, FloatArray],
    clock: tuple[float, float],
    expected_kw: FloatTable,
    spread_kw: FloatTable,
) -> None:
    """Write every row's expectation: its series, else its present power; until a promised car leaves, the car."""
    mean, spread = usual_days
    of_row, weight = members
    promised, power, full_s, leaves_s = sessions
    start_s, step_s = clock
    steps = expected_kw.shape[1]
    whole = np.empty(mean.shape[0], dtype=np.bool_)
    for k in range(mean.shape[0]):
        whole[k] = not (np.isnan(mean[k]).any() or np.isnan(spread[k]).any())
    for row in range(expected_kw.shape[0]):
        k, first = of_row[row], 0
        if promised[row]:
            first = int(min(max(math.ceil((leaves_s[row] - start_s) / step_s), 0.0), float(steps)))
        for t in range(first):
            rest_s = full_s[row] - start_s - t * step_s
            expected_kw[row, t] = power[row] * min(max(rest_s, 0.0), step_s) / step_s
            spread_kw[row, t] = 0.0
        if k >= 0 and whole[k]:
            for t in range(first, steps):
                expected_kw[row, t] = mean[k, t] * weight[row]
                spread_kw[row, t] = spread[k, t] * weight[row]
            continue
        now = np.float32(present_kw[row])
        wide = np.float32(abs(present_kw[row]) * _UNKNOWN_SPREAD_RATIO)
        for t in range(first, steps):
            known = k >= 0 and not np.isnan(mean[k, t])
            expected_kw[row, t] = mean[k, t] * weight[row] if known else now
            known = k >= 0 and not np.isnan(spread[k, t])
            spread_kw[row, t] = spread[k, t] * weight[row] if known else wide


def promised_cars(state: FleetState) -> BoolArray:
    """Return rows with a plugged-in car that has a promise, shape ``(n_resources,)``."""
    known = np.isfinite(state.need_kwh) & np.isfinite(state.departure_s)
    return np.asarray(state.index.is_class(*CHARGING) & state.plugged & known)


def session_profile_kw(state: FleetState, grid: TimeGrid) -> FloatArray:
    """Return what plugged-in cars take when left alone: full power until their need is met, ``(n_resources, count)``.

    Zero in rows without a promise.
    """
    power = charging_power_kw(state)
    need = np.where(promised_cars(state), state.need_kwh, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        hours = np.where(need > 0.0, need / power, 0.0)
    ends_s = np.fmin(grid.start_s + SECONDS_PER_HOUR * np.nan_to_num(hours), np.nan_to_num(state.departure_s))
    overlap_s = np.clip(ends_s[:, None] - grid.starts_s()[None, :], 0.0, grid.step_s)
    return np.asarray(power[:, None] * overlap_s / grid.step_s)


def charging_power_kw(state: FleetState) -> FloatArray:
    """Return the power a car takes when nobody limits it, shape ``(n_resources,)``.

    The car's own limit shows in its meter; the meter tells nothing while a limit of ours is in force.
    """
    most = np.fmin(state.available_max_kw, state.index.p_max_kw)
    unlimited = ~(state.limit_kw < _LIMITING_RATIO * most)
    metered = np.where(unlimited & (state.power_kw > IDLE_KW), state.power_kw, most)
    return np.asarray(np.maximum(np.fmin(metered, most), 0.0))
