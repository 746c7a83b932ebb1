"""An hour and a half of a regulation signal in closed loop, with delays, lags, noise and cars that come and go."""

import numpy as np
import pytest

from vpp.lab.bench.regulation.city import planned_city
from vpp.lab.bench.regulation.day import DayRecord, RegulationLoop
from vpp.settlement.regulation_score import PjmScore

ROWS, TICKS = 800, 1350


@pytest.fixture(name="loop", scope="module")
def _loop() -> RegulationLoop:
    loop = RegulationLoop(planned_city(ROWS, seed=0), seed=0)
    loop.run(TICKS, lambda _: None)
    return loop


@pytest.fixture(name="record")
def _record(loop: RegulationLoop) -> DayRecord:
    return loop.record


def test_the_signal_is_followed(loop: RegulationLoop, record: DayRecord) -> None:
    assert PjmScore().score(record.trace(loop.city)).total > 0.95
    assert min(record.held_kw) > 0.5 * record.asked_most_kw


def test_no_car_leaves_short_and_no_limit_is_passed(record: DayRecord) -> None:
    assert record.departures_missed == 0
    assert record.over_kw <= 0.0


def test_few_rows_change_in_a_tick(record: DayRecord) -> None:
    assert np.mean(record.changed) < 0.01 * ROWS


def test_what_is_metered_adds_up_over_the_tree(loop: RegulationLoop) -> None:
    city = loop.city
    load = city.summed_kw(np.ones(len(city.parent)))
    assert load[-1] == len(city.parent) - 1
    assert load.sum() > len(city.parent)
