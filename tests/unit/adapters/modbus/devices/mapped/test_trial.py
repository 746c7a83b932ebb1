"""A map against a live device: each point by itself, and every fault in words that help."""

import math

import pytest

from adapters.modbus.address import Address
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.mapped.trial import PointTrial, try_map
from tests.conformance.bus_parts import until
from tests.conformance.modbus_parts import OddDevice
from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import DeviceUnreachableError

POINTS = [
    {"quantity": "POWER_KW", "address": 3, "type": "int16", "scale": 0.1, "sign": -1, "min": -50.0, "max": 50.0},
    {"quantity": "ENERGY_KWH", "address": 40004, "type": "uint32"},
    {"quantity": "SOC", "address": 7, "type": "uint16", "scale": 0.01, "max": 1.0},
    {"quantity": "P_MAX_KW", "address": 8, "type": "int16"},
]
METER = RegisterMap.from_table({"name": "m", "points": POINTS}, where="m")


async def tried(device: OddDevice, *, timeout_wall_s: float = PATIENCE_WALL_S) -> list[PointTrial]:
    async with device.serving() as port:
        address = Address.of(f"127.0.0.1:{port}/1")
        try:
            return list(await try_map(METER, address, timeout_wall_s=timeout_wall_s))
        finally:
            await until(lambda: device.closed == device.accepted)


async def test_every_point_is_read_by_itself_and_its_fault_named() -> None:
    device = OddDevice()
    device.registers = {3: 125, 7: 2000, 8: 0x8000}
    power, energy, soc, most = await tried(device)
    assert (power.registers, power.value, power.fault) == ((125,), -12.5, "")
    assert math.isnan(energy.value)
    assert "no such register; is address counted from 0" in energy.fault
    assert soc.value == 20.0
    assert "outside -inf to 1: look at type, word_order, scale and sign" in soc.fault
    assert most.fault == 'reads "not implemented"'
    assert device.written == []


async def test_a_unit_that_is_silent_behind_its_connection_is_named() -> None:
    device = OddDevice()
    device.hears = {7}
    with pytest.raises(DeviceUnreachableError, match="takes the connection, but unit 1 is silent"):
        await tried(device, timeout_wall_s=0.3)
