"""Registers as values of a map's points, and values as registers."""

import math

import pytest

from adapters.modbus.devices.mapped.image import MapImage
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.orders import UnsupportedError
from adapters.modbus.transport.reading import Read

TABLE = {
    "name": "m",
    "word_order": "low_first",
    "points": [
        {"quantity": "POWER_KW", "address": 1, "type": "int32", "scale": 0.1, "sign": -1, "min": -9.0, "max": 9.0},
        {"role": "setpoint", "address": 5, "type": "int16", "scale": 0.5, "min": -9.0, "max": 9.0, "write": True},
    ],
}


def image() -> MapImage:
    return MapImage(RegisterMap.from_table(TABLE, where="m"))


def test_a_value_outside_its_bounds_is_unknown_and_can_still_be_looked_at() -> None:
    shown = image()
    power, _ = shown.register_map.points
    assert math.isnan(shown.value(power)), "not read yet"
    shown.store(Read(address=1, count=2), [50, 0])
    assert shown.value(power) == -5.0
    shown.store(Read(address=1, count=2), [100, 0])
    assert math.isnan(shown.value(power))
    assert shown.unbounded(power) == -10.0
    shown.forget(Read(address=2, count=1))
    assert math.isnan(shown.unbounded(power)), "half of it is not known"


def test_a_change_knows_what_stood_there_and_keeps_within_the_map() -> None:
    shown = image()
    power, setpoint = shown.register_map.points
    assert shown.change(setpoint, 3.0).before is None
    shown.store(Read(address=5, count=1), [4])
    change = shown.change(setpoint, 3.0)
    assert (change.address, tuple(change.values), tuple(change.before or ())) == (5, (6,), (4,))
    for point, value in ((setpoint, 9.5), (setpoint, math.nan), (power, 1.0)):
        with pytest.raises(UnsupportedError):
            shown.change(point, value)


def test_a_read_back_agrees_to_the_resolution_of_its_scale() -> None:
    shown = image()
    _, setpoint = shown.register_map.points
    shown.store(Read(address=5, count=1), [4])
    assert shown.agrees(setpoint, 2.4)
    assert not shown.agrees(setpoint, 2.6)
