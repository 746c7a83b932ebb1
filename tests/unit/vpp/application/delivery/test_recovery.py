"""Minutes and trackers rebuilt from the cycles in the journal."""

import numpy as np

from vpp.application.delivery.recovery import minutes_of, resumed
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.settlement.tracking import TrackedIntervals

BEGIN_S = 1_784_088_000.0
GRID = TimeGrid(start_at=instant(BEGIN_S), count=1)


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
    known = resumed(GRID, 3, minutes_of(GRID, cycles((0.0, 5.0, 9.0, 1.0), (60.0, 5.0, 9.0, 1.0)), Direction.UP))
    assert isinstance(known, TrackedIntervals)
    assert np.isnan(known.good_ratio()).all()
    assert known.quality_ratio() == {}
    assert known.mean_kw.strides == known.covered_s.strides == (0, 0), "a city's zeros take no memory"
