"""An hour and a half of a regulation signal in closed loop, with delays, lags, noise and cars that come and go."""

import numpy as np
import pytest

from vpp.lab.bench.regulation.city import planned_city
from vpp.lab.bench.regulation.day import Log, Loop
from vpp.settlement.regulation_score import PjmScore

ROWS, TICKS = 800, 1350


@pytest.fixture(name="loop", scope="module")
def _loop() -> Loop:
    loop = Loop(planned_city(ROWS, seed=0), seed=0)
    loop.run(TICKS, lambda _: None)
    return loop


@pytest.fixture(name="log")
def _log(loop: Loop) -> Log:
    return loop.log


def test_the_signal_is_followed(loop: Loop, log: Log) -> None:
    assert PjmScore().score(log.trace(loop.city)).total > 0.95
    assert min(log.held_kw) > 0.5 * log.asked_most_kw


def test_no_car_leaves_short_and_no_limit_is_passed(log: Log) -> None:
    assert log.missed == 0
    assert log.over_kw <= 0.0


def test_few_rows_change_in_a_tick(log: Log) -> None:
    assert np.mean(log.changed) < 0.01 * ROWS


def test_what_is_metered_adds_up_over_the_tree(loop: Loop) -> None:
    city = loop.city
    load = city.summed_kw(np.ones(len(city.parent)))
    assert load[-1] == len(city.parent) - 1
    assert load.sum() > len(city.parent)
