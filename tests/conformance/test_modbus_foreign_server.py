"""Servers of `pyModbusTCP`, unchanged, with maps where a device's maker put them: a foreign end for our link."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from adapters.modbus import RegisterMap
from tests.conformance.modbus_parts import OddDevice, battery, dialled, free_port, inverter, pv
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)


@contextmanager
def _served(device: OddDevice) -> Iterator[tuple[DataBank, int]]:
    """Serve a device's registers from a thread of the foreign server; everything else reads 0."""
    bank, port = DataBank(), free_port()
    for address, value in device.registers.items():
        bank.set_holding_registers(address, [value])
    server = ModbusServer(host="127.0.0.1", port=port, no_block=True, data_bank=bank)
    server.start()
    try:
        yield bank, port
    finally:
        server.stop()


def _holding(bank: DataBank, address: int) -> int:
    found = bank.get_holding_registers(address, 1)
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("base", [0, 40000, 50000])
@pytest.mark.parametrize("chain", [(1, 103, 120, 121, 122, 123), (1, 64001, 701, 702, 704)])
async def test_an_inverter_is_found_held_and_given_back_as_it_was(base: int, chain: tuple[int, ...]) -> None:
    device = inverter(*chain, base=base)
    number = chain[-1]
    device.put(number, "WMaxLimPct", 8000)
    device.put(number, "WMaxLim_Ena" if number == 123 else "WMaxLimPctEna", 1)
    with _served(device) as (bank, port):
        async with dialled(pv(f"127.0.0.1:{port}/1")) as line:
            await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == -30.0)
            assert line.card()["base_address"] == base
            assert line.ear.last(0, Quantity.LIMIT_KW) == -40.0
            assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
            assert _holding(bank, device.place(number, "WMaxLimPct")) == 4000
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert _holding(bank, device.place(number, "WMaxLimPct")) == 8000


async def test_a_declared_map_is_read_and_written() -> None:
    points: list[dict[str, object]] = [
        {"quantity": "POWER_KW", "address": 3, "type": "int32", "scale": 0.001},
        {"role": "setpoint", "address": 900, "type": "int16", "min": -50.0, "max": 50.0, "write": True},
        {"role": "timer", "address": 950, "type": "uint16", "min": 0.0, "max": 7200.0, "write": True},
    ]
    maps = {"m": RegisterMap.from_table({"name": "m", "points": points}, where="m")}
    device = OddDevice()
    device.registers = {3: 0xFFFF, 4: 0xFFFF - 4999, 900: 7}
    with _served(device) as (bank, port):
        async with dialled(battery(f"127.0.0.1:{port}/9#m"), maps=maps) as line:
            await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == -5.0)
            assert await line.tell(Layer.DISPATCH, 12.0, 600.0) == ACCEPTED
            assert (_holding(bank, 900), _holding(bank, 950)) == (12, 600)
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert (_holding(bank, 900), _holding(bank, 950)) == (7, 0)


async def test_a_server_without_a_map_is_not_taken_for_a_device() -> None:
    device = OddDevice()
    with _served(device) as (_, port):
        async with dialled(pv(f"127.0.0.1:{port}/1")) as line:
            await line.ear.until(lambda: line.ear.last(0, Quantity.CONNECTED) == 0.0)
            assert "no SunSpec map" in str(line.card()["last_words"])
