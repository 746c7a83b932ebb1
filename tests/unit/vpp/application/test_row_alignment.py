"""Older pictures beside newer ones: the fleet has grown in between."""

from dataclasses import dataclass

import numpy as np

from vpp.application.requests.recovery import minutes_of, resumed
from vpp.application.row_alignment import FittedMeter, fitted_flags, fitted_rows
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.settlement.tracking import TrackedIntervals

BEGIN_S = 1_784_088_000.0
GRID = TimeGrid(start_at=instant(BEGIN_S), count=1)


@dataclass
class Meter:
    """A meter of three rows."""

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return the row's number as its power."""
        return np.repeat(np.arange(3.0)[:, None], grid.count, axis=1)


def test_rows_that_are_not_there_yet_are_unknown_and_rows_that_joined_since_are_left_out() -> None:
    np.testing.assert_array_equal(fitted_rows(np.ones((1, 2)), 2), [[1.0, 1.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(fitted_flags(np.array([True]), 2), [True, False])
    assert FittedMeter(meter=Meter(), count=2).read(GRID).shape == (2, 1)
    assert FittedMeter(meter=Meter(), count=4).read(GRID).shape == (4, 1)


def cycles(*rows: tuple[float, float, float, float]) -> FloatArray:
    return np.array([(BEGIN_S + at_s, *figures) for at_s, *figures in rows])


def test_minutes_come_back_from_the_cycles_each_holding_until_the_next() -> None:
    series = minutes_of(
        GRID, cycles((0.0, 5.0, 100.0, 90.0), (90.0, 5.0, 100.0, 96.0), (120.0, 0.0, 0.0, 0.0)), Direction.UP
    )
    np.testing.assert_allclose(series.delivered_kw[:2], [10.0, 7.0])
    np.testing.assert_allclose(series.covered_s[:3], [60.0, 60.0, 0.0])
    assert np.isnan(series.delivered_kw[2:]).all()


def test_the_time_a_service_was_down_stays_a_gap() -> None:
    series = minutes_of(
        GRID, cycles((0.0, 5.0, 9.0, 1.0), (300.0, 5.0, 9.0, 1.0), (360.0, 5.0, 9.0, 1.0)), Direction.DOWN
    )
    assert np.flatnonzero(series.covered_s).tolist() == [5]
    assert series.delivered_kw[5] == -8.0


def test_a_tracker_takes_up_what_the_journal_gives_back() -> None:
    known = resumed(GRID, 3, cycles((0.0, 5.0, 9.0, 1.0), (60.0, 5.0, 9.0, 1.0)), Direction.UP)
    assert isinstance(known, TrackedIntervals)
    assert np.isnan(known.good_ratio()).all()
    assert known.quality_ratio() == {}
