"""Each quantity comes from the first source that shows a value, load positive."""

import math

from adapters.modbus.devices.sunspec.layout import Layout
from adapters.modbus.devices.sunspec.models import Block, models
from adapters.modbus.devices.sunspec.readings import UNBOUNDED_KW, SunSpecReadings
from adapters.modbus.transport.reading import Read
from tests.conformance.modbus_parts import battery, pv
from vpp.domain.telemetry import Quantity

NOT_IMPLEMENTED = 0x8000


def layout(**shown: dict[str, int]) -> Layout:
    """Return models by number, each with all points at 0 but these."""
    blocks, start = {}, 40000
    for name, points in shown.items():
        model = models()[int(name.removeprefix("m"))]
        block = blocks[model.number] = Block(model=model, start=start, length=model.length())
        words = [0] * (model.length() + 2)
        for point, word in points.items():
            words[model.points[point].offset] = word % 2**16
        block.store(start, words)
        start = block.end
    return Layout(base=40000, numbers=tuple(blocks), blocks=blocks)


def test_what_is_not_implemented_gives_way_to_the_next_source() -> None:
    readings = SunSpecReadings(layout(m701={"W": NOT_IMPLEMENTED}, m103={"W": 3000, "W_SF": 1}), pv("h:502/1"))
    assert (103, "W") in list(readings.choose(()))
    assert dict(readings.samples(UNBOUNDED_KW))[Quantity.POWER_KW] == -30.0


def test_a_source_the_device_refused_to_show_is_passed_over() -> None:
    found = layout(m701={"W": NOT_IMPLEMENTED}, m103={"W": NOT_IMPLEMENTED})
    (address, count), *_ = found.blocks[701].places("W")
    readings = SunSpecReadings(found, pv("h:502/1"))
    assert (103, "W") in list(readings.choose([Read(address=address, count=count)]))


def test_a_full_battery_cannot_charge_and_discharges_within_its_owners_bounds() -> None:
    rates = {"WChaRteMax": 50, "WDisChaRteMax": 40, "WChaDisChaMax_SF": 3}
    found = layout(m802={"SoC": 100, "SoCMax": 100, "SoCMin": 10, **rates})
    readings = SunSpecReadings(found, battery("h:502/1"))
    readings.choose(())
    free, bound = dict(readings.samples(UNBOUNDED_KW)), dict(readings.samples((-10.0, math.inf)))
    assert free[Quantity.SOC] == 1.0
    assert (free[Quantity.P_MIN_KW], free[Quantity.P_MAX_KW]) == (-40.0, 0.0)
    assert (bound[Quantity.P_MIN_KW], bound[Quantity.P_MAX_KW]) == (-10.0, 0.0)


def test_without_a_rating_of_its_own_the_registered_power_is_the_rating() -> None:
    assert SunSpecReadings(layout(m103={}), pv("h:502/1")).rated_kw() == 50.0
    assert SunSpecReadings(layout(m121={"WMax": 4200, "WMax_SF": 1}), pv("h:502/1")).rated_kw() == 42.0
