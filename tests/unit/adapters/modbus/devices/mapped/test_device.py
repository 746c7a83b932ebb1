"""Devices read and commanded through a declared register map."""

import asyncio
import math
from pathlib import Path

import pytest

import adapters.modbus
from adapters.modbus.devices.device import Instruction
from adapters.modbus.devices.mapped.device import MappedDevice
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.orders import Order, UnsupportedError
from adapters.modbus.transport.connection import Table
from adapters.modbus.transport.reading import Read
from adapters.modbus.transport.registers import Registers
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

EXAMPLE = Path(adapters.modbus.__file__).parent / "devices" / "maps" / "example_meter.toml"


def _order(layer: Layer, power_kw: float, *, held: bool = False) -> Order:
    return Order(layer=layer, power_kw=power_kw, lease_s=899.2, held=held)


def _writes(instruction: Instruction) -> list[tuple[int, Registers]]:
    return [(change.address, change.values) for group in instruction.groups for change in group.each()]


class Connection:
    """One that notes what is read, of a device that shows some registers and has 0 in the others."""

    def __init__(self, shown: dict[int, list[int]]) -> None:
        self.reads: list[tuple[Table, int, int]] = []
        self._shown = shown

    async def read(self, _: int, address: int, count: int, table: Table) -> Registers:
        """Read registers."""
        self.reads.append((table, address, count))
        return self._shown.get(address, [0] * count)


def test_the_shipped_example_reads_power_energy_and_state_of_charge() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    connection = Connection({52: [0xFFFF, 0xFFFF - 11_999], 72: [1, 0], 100: [1001]})
    assert asyncio.run(device.poll(connection, 1)) == 0  # type: ignore[arg-type]  # the one method that is called
    assert connection.reads == [
        (Table.INPUT, 52, 2),
        (Table.INPUT, 72, 2),
        (Table.HOLDING, 100, 1),
        (Table.HOLDING, 200, 3),
    ]
    shown = {Quantity.POWER_KW: -12.0, Quantity.ENERGY_KWH: 655.36, Quantity.LIMIT_KW: 0.0}
    assert dict(device.samples()) == shown, "100.1 % is dropped"


def test_a_dispatch_writes_setpoint_and_timer_with_sign_and_scale() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    assert _writes(device.instruction(_order(Layer.DISPATCH, 20.0))) == [
        (200, (0xFFFF - 199,)),
        (202, (900,)),
    ]


def test_a_default_under_a_running_setpoint_leaves_it_alone() -> None:
    device = MappedDevice(register_map=RegisterMap.from_toml(EXAMPLE))
    assert [at for at, _ in _writes(device.instruction(_order(Layer.DEFAULT, 5.0, held=True)))] == [201]
    assert [at for at, _ in _writes(device.instruction(_order(Layer.DEFAULT, 5.0)))] == [201, 200, 202]


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
    assert [at for at, _ in _writes(device.instruction(_order(Layer.DEFAULT, 1.0)))] == [3]


def test_a_map_with_the_low_word_first_reads_and_writes_so() -> None:
    points = [
        {"quantity": "ENERGY_KWH", "address": 0, "type": "uint32"},
        {"role": "setpoint", "address": 2, "type": "int32", "min": -1e6, "max": 1e6, "write": True},
    ]
    table = {"name": "m", "word_order": "low_first", "points": points}
    device = MappedDevice(register_map=RegisterMap.from_table(table, where="m"))
    device.store(Read(address=0, count=2), [7, 1])
    assert dict(device.samples()) == {Quantity.ENERGY_KWH: 65543.0}
    assert _writes(device.instruction(_order(Layer.DEFAULT, 65536.0))) == [(2, (0, 1))]
