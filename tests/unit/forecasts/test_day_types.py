"""Days of the same type, and days that began idle."""

import numpy as np

from forecasts.day_types import HOLIDAY, WEEKEND, WORKDAY, begun_idle, same_type

PER_DAY = 2


def steps_of(*days: int) -> np.ndarray:
    return np.repeat(np.array(days, dtype=np.int64), PER_DAY)


def test_each_step_takes_the_days_of_its_own_type() -> None:
    past = steps_of(WORKDAY, WEEKEND, WORKDAY)
    found = same_type(past, steps_of(WEEKEND, WORKDAY), steps_per_day=PER_DAY)
    np.testing.assert_array_equal(found[:, 0], [False, True, False])
    np.testing.assert_array_equal(found[:, 2], [True, False, True])


def test_a_block_that_crosses_midnight_is_judged_step_by_step() -> None:
    past = np.array([WORKDAY, WEEKEND, WEEKEND, WEEKEND])
    found = same_type(past, np.array([WEEKEND, WEEKEND]), steps_per_day=PER_DAY)
    np.testing.assert_array_equal(found, [[False, True], [True, True]])


def test_too_few_holidays_borrow_weekends_and_enough_do_not() -> None:
    few = same_type(steps_of(HOLIDAY, HOLIDAY, WEEKEND, WORKDAY), steps_of(HOLIDAY), steps_per_day=PER_DAY)
    np.testing.assert_array_equal(few[:, 0], [True, True, True, False])
    enough = same_type(steps_of(HOLIDAY, HOLIDAY, HOLIDAY, WEEKEND), steps_of(HOLIDAY), steps_per_day=PER_DAY)
    np.testing.assert_array_equal(enough[:, 0], [True, True, True, False])


def test_a_day_began_idle_where_the_step_before_it_showed_nothing() -> None:
    power = np.array([[0.0, 0.1, 5.0, 7.0, 0.0, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(begun_idle(power, steps_per_day=PER_DAY, idle_kw=0.2), [[False, True, False]])
