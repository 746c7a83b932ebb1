"""Power that running requests use: held by calls of a direction, row by row, and reserved for regulation."""

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import CYCLE_S, START, Bench, Plant, fleet
from vpp.application.standing.power_in_use import PowerInUse
from vpp.domain.request import Direction


def test_a_call_holds_what_its_rows_give_by_their_meters_and_at_most_as_ordered() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    request = bench.commit(600.0)
    before = PowerInUse.of(bench.engine, bench.plant.state())
    np.testing.assert_array_equal(before.free.power_kw, bench.plant.state().power_kw)
    assert np.isnan(before.held_kw[Direction.UP]).all(), "nothing is held between acceptance and ramp"
    bench.run(START + timedelta(minutes=10))
    state = bench.plant.state()
    in_use = PowerInUse.of(bench.engine, state)
    held_kw = in_use.held_kw[Direction.UP]
    assert np.nansum(held_kw) == pytest.approx(600.0, rel=0.1)
    assert in_use.free.power_kw.sum() - state.power_kw.sum() == pytest.approx(600.0, rel=0.1)
    assert np.isnan(held_kw).any(), "rows that serve nobody"
    assert np.isnan(in_use.held_kw[Direction.DOWN]).all()
    ordered = np.flatnonzero(held_kw > 0.0)[:3]
    state.power_kw[ordered] = [np.nan, 1e4, -1e4]
    again = PowerInUse.of(bench.engine, state).held_kw[Direction.UP][ordered]
    assert again[:2].tolist() == [0.0, 0.0], "what is not metered, or not given"
    setpoint_kw = bench.engine.setpoints_kw((request.id,))[ordered[2]]
    assert again[2] == pytest.approx(bench.engine.as_if_free(state).power_kw[ordered[2]] - setpoint_kw)


def test_a_raise_holds_power_of_its_own_direction() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    bench.commit(200.0, Direction.DOWN)
    bench.run(START + timedelta(seconds=10 * CYCLE_S))
    in_use = PowerInUse.of(bench.engine, bench.plant.state())
    assert np.nansum(in_use.held_kw[Direction.DOWN]) == pytest.approx(200.0, rel=0.1)
    assert np.isnan(in_use.held_kw[Direction.UP]).all()
    assert in_use.reserved_kw == []
