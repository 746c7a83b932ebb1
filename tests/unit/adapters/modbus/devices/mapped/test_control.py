"""Writes of an order to a mapped device, within what its owner had set."""

import math

import pytest

from adapters.modbus.devices.mapped.control import MapControl
from adapters.modbus.devices.mapped.image import MapImage
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from adapters.modbus.transport.reading import Read
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.trouble import Trouble


def point(role: str, address: int, most: float) -> dict[str, object]:
    return {"role": role, "address": address, "type": "int16", "min": -most, "max": most, "write": True}


POINTS = [point("setpoint", 0, 50.0), point("default", 1, 50.0), point("timer", 2, 900.0)]


def control(resource_class: ResourceClass, *registers: int, points: list[dict[str, object]] = POINTS) -> MapControl:
    image = MapImage(RegisterMap.from_table({"name": "m", "points": points}, where="m"))
    image.store(Read(address=0, count=len(registers)), [register % 2**16 for register in registers])
    return MapControl(image, resource_class)


def order(layer: Layer, power_kw: float = math.nan, *, lease_s: float = 0.0) -> Order:
    return Order(layer=layer, power_kw=power_kw, lease_s=lease_s, held=False)


def written(made: MapControl, asked: Order) -> dict[str, float]:
    return {str(point.role): value for point, value in made.settings(asked)}


def test_an_inverters_own_limit_bounds_an_order_and_lies_underneath_it() -> None:
    made = control(ResourceClass.PV, -20, 0, 0)
    assert made.troubles() == {Trouble.OWNERS_LIMIT}
    assert written(made, order(Layer.DISPATCH, -35.0, lease_s=5000.0)) == {
        "default": -20.0,
        "setpoint": -20.0,
        "timer": 900.0,
    }


def test_a_release_goes_to_the_default_and_without_one_to_what_was_found() -> None:
    assert written(control(ResourceClass.STORAGE, 7, 4, 60), order(Layer.RELEASE)) == {"setpoint": 4.0, "timer": 0.0}
    made = control(ResourceClass.STORAGE, 7, points=POINTS[:1])
    made.owners_values = {"setpoint": 3.0, "default_given": 0.0}
    assert not made.released()
    assert written(made, order(Layer.RELEASE)) == {"setpoint": 3.0}


def test_a_timer_that_reads_zero_is_not_kept_and_no_dispatch_follows() -> None:
    made = control(ResourceClass.STORAGE, 7, 4, 0)
    settings = made.settings(order(Layer.DISPATCH, 7.0, lease_s=60.0))
    assert made.compared(settings) is Check.NO_TIMER
    made.timerless = True
    with pytest.raises(UnsupportedError, match="not kept"):
        made.settings(order(Layer.DISPATCH, 7.0, lease_s=60.0))
    assert Trouble.NO_REVERSION_TIMER in made.troubles()
