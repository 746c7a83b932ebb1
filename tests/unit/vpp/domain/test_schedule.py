"""Schedules over time."""

from datetime import UTC, datetime

import numpy as np

from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import TimeGrid


def test_the_first_steps_of_a_schedule_are_followed_by_no_wish() -> None:
    grid = TimeGrid(start_at=datetime(2026, 7, 15, 4, tzinfo=UTC), count=6)
    schedule = Schedule(
        grid=grid,
        power_kw=np.arange(12.0, dtype=np.float32).reshape(2, 6),
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
    begun = schedule.first(2)
    assert begun.at(grid.start_s + 900.0).tolist() == [1.0, 7.0]
    assert np.isnan(begun.at(grid.start_s + 1800.0)).all()
    assert np.isnan(begun.at(grid.end_s)).all()
    assert schedule.first(6) is schedule
    assert schedule.at(grid.start_s + 1800.0).tolist() == [2.0, 8.0]
