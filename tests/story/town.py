"""A small city under a service whose plan is no solver's: storage rests."""

import numpy as np

from vpp.domain.schedule import Rung, Schedule
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.lab.twin.population.presets import demo_fleet

BEGIN_S = 1_784_088_600.0
"""2026-07-15 12:10 in Shanghai."""


def resting(rows: int, at_s: float) -> Schedule:
    return Schedule(
        grid=TimeGrid(start_at=instant(floor_s(at_s, 900))),
        power_kw=np.zeros((rows, 96)),
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.001,
        solve_s=0.2,
        overload_kw={},
    )


INDEX = demo_fleet(stations=10, inverters=2, batteries=2, v2g=2, sites=2)
