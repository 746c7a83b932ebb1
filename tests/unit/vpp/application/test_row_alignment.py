"""Older pictures beside newer ones: the fleet has grown in between."""

from dataclasses import dataclass

import numpy as np

from vpp.application.row_alignment import FittedMeter, fitted_flags, fitted_rows
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant

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
