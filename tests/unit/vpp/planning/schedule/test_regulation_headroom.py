"""The headroom that plans leave for regulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.problem.problem import Storing
from vpp.planning.schedule.regulation_headroom import narrowed

QUARTER_H = 0.25


def block(hours: float = 2.0) -> Storing:
    """Two stationary stores and a car."""
    count = 3
    power = np.array([100.0, 40.0, 15.0])
    return Storing(
        transformer=np.zeros(count, dtype=np.int64),
        arrive=np.zeros(count, dtype=np.int64),
        depart=np.full(count, 96),
        p_min_kw=-power,
        p_max_kw=power,
        capacity_kwh=hours * power,
        soc_start=np.full(count, 0.5),
        soc_min=np.full(count, 0.1),
        soc_max=np.full(count, 0.95),
        soc_end=np.array([0.5, 0.12, 0.8]),
        efficiency=np.full(count, 0.9),
        wear_price_cny_per_kwh=np.full(count, 0.1),
        reserving=np.array([True, True, False]),
    )


@settings(deadline=None)
@given(regulation_kw=st.floats(1.0, 140.0), hours=st.floats(1.0, 8.0))
def test_whatever_a_plan_does_the_power_is_there_both_ways_and_backed(regulation_kw: float, hours: float) -> None:
    whole, left = block(hours), narrowed(block(hours), regulation_kw)
    free_up, free_down = left.p_min_kw - whole.p_min_kw, whole.p_max_kw - left.p_max_kw
    assert free_up.sum() == pytest.approx(regulation_kw)
    assert free_down.sum() == pytest.approx(regulation_kw)
    give_kwh = (left.soc_min - whole.soc_min) * whole.capacity_kwh * whole.efficiency
    take_kwh = (whole.soc_max - left.soc_max) * whole.capacity_kwh / whole.efficiency
    assert (give_kwh >= QUARTER_H * free_up - 1e-9).all()
    assert (take_kwh >= QUARTER_H * free_down - 1e-9).all()
    assert (left.soc_min <= left.soc_max).all()
    left.check(steps=96, nodes=1)


def test_cars_are_left_as_they_are_and_so_is_everybody_where_nothing_is_kept() -> None:
    whole, left = block(), narrowed(block(), 70.0)
    for name in ("p_min_kw", "p_max_kw", "soc_min", "soc_max", "soc_end"):
        assert getattr(left, name)[2] == getattr(whole, name)[2]
    assert narrowed(whole, 0.0) is whole


def test_more_than_there_is_leaves_the_plan_nothing() -> None:
    left = narrowed(block(hours=0.1), 1e6)
    assert not left.p_max_kw[:2].any()
    assert (left.soc_min <= left.soc_max).all()
    assert (left.soc_end[:2] >= left.soc_min[:2]).all()
