"""The load history: read once, then only what is new."""

import numpy as np

from tests.unit.vpp.planning.city_parts import made
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.lab.bench.synthetic_city import NOW_S, CityMeter
from vpp.planning.forecast.load_history import LoadHistory


def test_the_past_reads_only_what_is_new() -> None:
    asked: list[int] = []

    class Noted:
        def read(self, grid: TimeGrid) -> FloatArray:
            asked.append(grid.count)
            return CityMeter(made=made()).read(grid)

    past, index = LoadHistory(days=2), made().index
    first = past.read(index, Noted(), NOW_S).copy()
    assert sum(asked) == 2 * 96
    asked.clear()
    later = past.read(index, Noted(), NOW_S + 900.0)
    assert sum(asked) <= 16
    np.testing.assert_array_equal(later[:, :-16], first[:, 1:-15])
    past.forget()
    asked.clear()
    past.read(index, Noted(), NOW_S + 900.0)
    assert sum(asked) == 2 * 96
