"""Default and dispatch values, each for its own time."""

import numpy as np

from vpp.domain.setpoint import Layer
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.setpoints import SetpointTable

FLEET = demo_fleet(stations=4, inverters=0, batteries=1, v2g=0, sites=0)


def test_defaults_are_the_registered_ones_until_they_are_replaced() -> None:
    table = SetpointTable(FLEET)
    assert np.array_equal(table.default_kw, FLEET.nameplate.default_kw, equal_nan=True)
    table.apply(1, Layer.DEFAULT, 3.0, 0.0)
    assert table.default_kw[1] == 3.0
    assert np.isnan(table.dispatch_kw(0.0)).all()


def test_a_dispatch_value_holds_until_its_lease_ends_or_it_is_released() -> None:
    table = SetpointTable(FLEET)
    table.apply(0, Layer.DISPATCH, 2.0, 10.0)
    table.apply(1, Layer.DISPATCH, 4.0, 10.0)
    table.apply(1, Layer.RELEASE, np.nan, 0.0)
    assert table.dispatch_kw(9.9)[:2].tolist()[0] == 2.0
    assert np.isnan(table.dispatch_kw(9.9)[1])
    assert np.isnan(table.dispatch_kw(10.0)).all()


def test_many_at_once_do_what_each_would_alone() -> None:
    one, many = SetpointTable(FLEET), SetpointTable(FLEET)
    commands = [(0, Layer.DEFAULT, 3.0, 0.0), (1, Layer.DISPATCH, 4.0, 10.0), (2, Layer.RELEASE, np.nan, 0.0)]
    for table in (one, many):
        table.apply(2, Layer.DISPATCH, 5.0, 10.0)
    for row, layer, power_kw, until_s in commands:
        one.apply(row, layer, power_kw, until_s)
    rows, layers, power, until = (np.array(column) for column in zip(*commands, strict=True))
    many.apply_all(rows.astype(np.int32), layers.astype(np.uint8), power, until)
    out = np.empty(len(FLEET))
    many.write_dispatch(5.0, out)
    assert np.array_equal(out, one.dispatch_kw(5.0), equal_nan=True)
    assert np.array_equal(many.default_kw, one.default_kw, equal_nan=True)
