"""Declared register maps: what is in the file is what is read, and a mistake is named."""

import math
from pathlib import Path

import pytest

import adapters.modbus
from adapters.modbus.address import Address
from adapters.modbus.devices.controls import Order, UnsupportedError
from adapters.modbus.devices.device import Read
from adapters.modbus.devices.mapped_device import MappedDevice
from adapters.modbus.devices.register_map import RegisterMap, Role
from adapters.modbus.transport.connection import Table
from vpp.domain.errors import InputError
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

EXAMPLE = Path(adapters.modbus.__file__).parent / "devices" / "maps" / "example_meter.toml"
METER = {"name": "m", "points": [{"quantity": "POWER_KW", "address": 1, "type": "int16"}]}


def _order(layer: Layer, power_kw: float, *, held: bool = False) -> Order:
    return Order(layer=layer, power_kw=power_kw, lease_s=899.2, held=held)


def test_the_shipped_example_reads_power_energy_and_state_of_charge() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    assert [(r.table, r.address, r.count) for r in device.reads()] == [
        (Table.INPUT, 52, 2),
        (Table.INPUT, 72, 2),
        (Table.HOLDING, 100, 1),
        (Table.HOLDING, 200, 3),
    ]
    device.store(Read(address=52, count=2, table=Table.INPUT), [0xFFFF, 0xFFFF - 11_999])
    device.store(Read(address=72, count=2, table=Table.INPUT), [1, 0])
    device.store(Read(address=100, count=1), [1001])
    assert dict(device.samples()) == {Quantity.POWER_KW: -12.0, Quantity.ENERGY_KWH: 655.36}, "100.1 % is dropped"


def test_a_dispatch_writes_setpoint_and_timer_with_sign_and_scale() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    assert list(device.instruction(_order(Layer.DISPATCH, 20.0)).writes) == [
        (200, (0xFFFF - 199,)),
        (202, (900,)),
    ]


def test_a_default_under_a_running_setpoint_leaves_it_alone() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    assert [at for at, _ in device.instruction(_order(Layer.DEFAULT, 5.0, held=True)).writes] == [201]
    assert [at for at, _ in device.instruction(_order(Layer.DEFAULT, 5.0)).writes] == [201, 200, 202]


@pytest.mark.parametrize("power_kw", [50.1, -51.0, math.nan])
def test_a_setpoint_outside_its_guard_is_never_written(power_kw: float) -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    with pytest.raises(UnsupportedError):
        device.instruction(_order(Layer.DISPATCH, power_kw))


def test_without_a_timer_a_map_takes_no_dispatch_value() -> None:
    point = {"role": "setpoint", "address": 3, "type": "float32", "min": -5.0, "max": 5.0, "write": True}
    device = MappedDevice(register_map=RegisterMap.from_table({"name": "m", "points": [point]}, where="m"))
    with pytest.raises(UnsupportedError):
        device.instruction(_order(Layer.DISPATCH, 1.0))
    assert [at for at, _ in device.instruction(_order(Layer.DEFAULT, 1.0)).writes] == [3]


def test_a_map_with_the_low_word_first_reads_and_writes_so() -> None:
    points = [
        {"quantity": "ENERGY_KWH", "address": 0, "type": "uint32"},
        {"role": "setpoint", "address": 2, "type": "int32", "min": -1e6, "max": 1e6, "write": True},
    ]
    table = {"name": "m", "word_order": "low_first", "points": points}
    device = MappedDevice(register_map=RegisterMap.from_table(table, where="m"))
    device.store(Read(address=0, count=2), [7, 1])
    assert dict(device.samples()) == {Quantity.ENERGY_KWH: 65543.0}
    assert list(device.instruction(_order(Layer.DEFAULT, 65536.0)).writes) == [(2, (0, 1))]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "int24"}, "points[0].type"),
        ({"address": -1}, "points[0].address"),
        ({"address": "40001"}, "points[0].address"),
        ({"quantity": "WATTS"}, "points[0].quantity"),
        ({"sign": 2}, "points[0].sign"),
        ({"scale": 0}, "points[0].scale"),
        ({"table": "coil"}, "points[0].table"),
        ({"role": "lever"}, "points[0].role"),
        ({"min": 2.0, "max": 1.0}, "points[0].min"),
        ({"unit": "kW"}, "points[0].unit"),
        ({"role": "setpoint"}, "points[0].write"),
        ({"write": True}, "points[0]"),
    ],
)
def test_a_mistake_in_a_point_is_named(change: dict[str, object], field: str) -> None:
    point = {"quantity": "POWER_KW", "address": 1, "type": "int16"} | change
    with pytest.raises(InputError) as caught:
        RegisterMap.from_table({"name": "m", "points": [point]}, where="meter.toml")
    assert caught.value.field == f"meter.toml.{field}"


def test_a_mistake_in_the_file_itself_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(InputError, match="TOML"):
        RegisterMap.from_toml(broken)
    for table in ({"points": METER["points"]}, {"name": "m"}, METER | {"word_order": "middle"}):
        with pytest.raises(InputError):
            RegisterMap.from_table(table, where="m")


def test_a_role_is_there_once() -> None:
    point = {"role": "timer", "address": 3, "type": "uint16", "min": 0, "max": 9, "write": True}
    with pytest.raises(InputError, match=Role.TIMER):
        RegisterMap.from_table({"name": "m", "points": [point, point]}, where="m")


@pytest.mark.parametrize(
    "text", ["10.0.0.1/1", "10.0.0.1:502", "h:0/1", "h:70000/1", "h:502/256", "h:502/1#", "a b:1/1"]
)
def test_an_address_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(InputError, match="address"):
        Address.of(text)


def test_an_address_may_be_a_name_or_ipv6_and_may_name_a_map() -> None:
    assert Address.of("pv.example:502/3#sdm630") == Address(host="pv.example", port=502, unit=3, map_name="sdm630")
    assert Address.of("[fe80::1]:1502/0").endpoint == ("fe80::1", 1502)
