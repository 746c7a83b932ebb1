"""Demand for reserve, cut into blocks for the optimizer."""

from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.domain.timegrid import TimeGrid
from vpp.planning.reserve.demand import ReserveDemand, blocks_of

GRID = TimeGrid(start_at=datetime(2026, 7, 15, tzinfo=UTC), count=16)


def demand(power: list[float], price: float = 0.5, sustain: float = 1.0) -> ReserveDemand:
    power_kw = np.repeat(np.array(power), 16 // len(power))
    wanted = power_kw > 0.0
    return ReserveDemand(
        power_kw=power_kw,
        missing_cny_per_kw_h=np.where(wanted, price, 0.0),
        sustain_h=np.where(wanted, sustain, 0.0),
        again=wanted,
    )


def test_blocks_are_cut_where_the_demand_changes_and_are_two_hours_at_most() -> None:
    found = blocks_of(demand([0.0, 100.0, 200.0, 200.0]), GRID)
    assert [(block.first, block.last, block.power_kw) for block in found] == [(4, 8, 100.0), (8, 16, 200.0)]
    assert [block.price_cny_per_kw for block in found] == [0.5, 1.0], "half a yuan a kW and hour"
    assert [block.sustain_steps for block in found] == [4, 4]
    assert [(one.first, one.last) for one in blocks_of(demand([100.0]), GRID)] == [(0, 8), (8, 16)]


def test_nothing_wanted_is_no_block() -> None:
    assert blocks_of(ReserveDemand.nothing(16), GRID) == []


def test_a_demand_goes_before_another_where_it_wants_anything() -> None:
    both = demand([0.0, 100.0], price=0.5).otherwise(demand([300.0, 300.0], price=0.1, sustain=2.0))
    assert both.power_kw.tolist() == [300.0] * 8 + [100.0] * 8
    assert both.missing_cny_per_kw_h[[0, -1]] == pytest.approx([0.1, 0.5])
    assert both.sustain_h[[0, -1]].tolist() == [2.0, 1.0]
