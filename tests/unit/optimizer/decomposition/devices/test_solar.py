"""Curtailable solar power: used while it saves more than it costs."""

import pytest

from optimizer.decomposition.devices.solar import _used


def used(saved: float, *, slope: float = 0.0, up: float = -100.0, down: float = -100.0, most: float = 10.0) -> float:
    return _used(saved, slope, up, down, 1.0, 50.0, most)


def test_all_of_it_is_used_where_it_saves_and_none_where_it_costs() -> None:
    assert used(0.5) == 10.0
    assert used(-0.5) == pytest.approx(0.0, abs=1e-9)


def test_a_rising_cost_is_met_where_it_equals_what_is_saved() -> None:
    assert used(3.0, slope=0.5) == pytest.approx(6.0)


def test_an_export_limit_ends_its_use() -> None:
    # Each further kW adds 1 to the price of the lower limit, from -4 on.
    assert used(2.0, down=-4.0) == pytest.approx(6.0)
