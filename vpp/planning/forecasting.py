"""What every row is expected to take: its usual days, and what plugged-in cars have promised."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from forecasts.seasonal import seasonal
from forecasts.series import History, Quantiles
from vpp.domain.fleet import FleetState
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S, STEPS_PER_DAY
from vpp.planning.tariff import SHANGHAI_OFFSET_S
from vpp.ports import IntervalMeter

_WORKDAY, _WEEKEND, _HOLIDAY = 0, 1, 2
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday."""
_FIRST_WEEKEND_DAY = 5
_LIMITING_RATIO = 0.98
"""A limit below this share of what a car could take holds it back."""
_IDLE_KW = 0.2
"""Below this a charger is taken to be idle."""
_UNKNOWN_SPREAD_RATIO = 0.3
"""Relative spread of a row that has no history."""
HISTORY_DAYS = 14
HORIZON_STEPS = 2 * STEPS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Expected net power of every row when nobody intervenes.

    Attributes:
        grid: Steps from the one that holds the moment of forecasting.
        expected_kw: Mean, load positive, shape ``(n_resources, count)``; may be summed over rows.
        spread_kw: Standard deviation, shape ``(n_resources, count)``.
        available_at_s: Epoch seconds from which it may be used.
    """

    grid: TimeGrid
    expected_kw: FloatArray
    spread_kw: FloatArray
    available_at_s: float


def forecast(
    state: FleetState,
    meter: IntervalMeter,
    *,
    count: int = HORIZON_STEPS,
    history_days: int = HISTORY_DAYS,
    holidays: Collection[date] = (),
) -> Forecast:
    """Return the forecast of all rows from the step that holds ``state.at_s`` on.

    Rows without history keep their present power. Storage is expected to rest: its plan is made, not forecast.
    """
    start_s = floor_s(state.at_s, STEP_S)
    grid = TimeGrid(start_at=instant(start_s), count=count)
    past = TimeGrid(start_at=instant(start_s - history_days * SECONDS_PER_DAY), count=history_days * STEPS_PER_DAY)
    usual = _usual(state, meter.read(past), past, grid, holidays)
    present = np.nan_to_num(state.power_kw)[:, None]
    expected = np.where(np.isnan(usual.mean_kw), present, usual.mean_kw)
    spread = np.where(np.isnan(usual.spread_kw), np.abs(present) * _UNKNOWN_SPREAD_RATIO, usual.spread_kw)
    expected, spread = _with_sessions(state, grid, expected, spread)
    storage = state.index.is_class(ResourceClass.STORAGE)
    expected[storage], spread[storage] = 0.0, 0.0
    return Forecast(grid=grid, expected_kw=expected, spread_kw=spread, available_at_s=state.at_s)


def _usual(
    state: FleetState, power_kw: FloatArray, past: TimeGrid, grid: TimeGrid, holidays: Collection[date]
) -> Quantiles:
    history = History(
        power_kw=power_kw,
        steps_per_day=STEPS_PER_DAY,
        step_s=STEP_S,
        end_s=past.end_s,
        available_at_s=max(past.end_s, state.at_s),
    )
    return seasonal(
        history,
        same_type_days(past, grid, holidays),
        group=state.index.class_code.astype(np.int64),
        usable=_resembling_days(state, power_kw),
    )


def same_type_days(past: TimeGrid, grid: TimeGrid, holidays: Collection[date] = ()) -> BoolArray:
    """Return which past day-long blocks hold a day of the type of each future step, shape ``(days, grid.count)``."""
    types = _day_types(past.starts_s(), holidays).reshape(-1, STEPS_PER_DAY)
    steps = np.arange(grid.count) % STEPS_PER_DAY
    return np.asarray(types[:, steps] == _day_types(grid.starts_s(), holidays))


def _day_types(at_s: FloatArray, holidays: Collection[date]) -> npt.NDArray[np.int64]:
    """Return the type of each instant's day in Asia/Shanghai, shape ``(count,)``."""
    day = ((at_s + SHANGHAI_OFFSET_S) // SECONDS_PER_DAY).astype(np.int64)
    weekend = (day + _EPOCH_WEEKDAY) % 7 >= _FIRST_WEEKEND_DAY
    holiday = np.isin(day, [(d - date(1970, 1, 1)).days for d in holidays])
    return np.where(holiday, _HOLIDAY, np.where(weekend, _WEEKEND, _WORKDAY))


def _resembling_days(state: FleetState, power_kw: FloatArray) -> BoolArray:
    """Return the days that began as now is: for an empty charger those on which it was idle, shape ``(n, days)``.

    Without this a charger that is empty now would be credited with sessions that would have begun before now.
    """
    days = power_kw.shape[1] // STEPS_PER_DAY
    before = np.full((len(state), days), np.nan)
    before[:, 1:] = power_kw[:, STEPS_PER_DAY - 1 : -1 : STEPS_PER_DAY]
    empty = state.index.is_class(*CHARGING) & ~state.plugged
    return np.asarray(~empty[:, None] | (np.abs(before) < _IDLE_KW))


def _with_sessions(
    state: FleetState, grid: TimeGrid, expected_kw: FloatArray, spread_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return expectation and spread with plugged-in cars on their promise until they depart."""
    promised = promised_cars(state)
    inside = promised[:, None] & (grid.starts_s()[None, :] < state.departure_s[:, None])
    return (
        np.where(inside, session_profile_kw(state, grid), expected_kw),
        np.where(inside, 0.0, spread_kw),
    )


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
    metered = np.where(unlimited & (state.power_kw > _IDLE_KW), state.power_kw, most)
    return np.asarray(np.maximum(np.fmin(metered, most), 0.0))
