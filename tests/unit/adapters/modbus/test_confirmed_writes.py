"""A write counts once it reads back, and leaves nothing behind where it does not."""

import math
from collections.abc import Sequence

import pytest

from adapters.modbus.command import ACCEPTED, READBACK, Command
from adapters.modbus.confirmed_writes import ConfirmedWrites
from adapters.modbus.contact import Contact
from adapters.modbus.devices.mapped.device import MappedDevice
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.orders import Order
from adapters.modbus.lease import Lease
from adapters.modbus.transport.connection import Code, NoAnswerError, RefusedError, Table
from adapters.modbus.transport.reading import Read
from vpp.domain.setpoint import Layer

SETPOINT, TIMER = 0, 5
POINTS = [
    {"role": "setpoint", "address": SETPOINT, "type": "int16", "min": -50.0, "max": 50.0, "write": True},
    {"role": "timer", "address": TIMER, "type": "uint16", "min": 0.0, "max": 900.0, "write": True},
]
UNTIL_S = 1_000.0


class Registers:
    """A connection to registers, some of which keep their value, refuse, or fall silent."""

    def __init__(self) -> None:
        self.held = {SETPOINT: 7, TIMER: 0}
        self.kept: set[int] = set()
        self.refused: set[int] = set()
        self.silent = False

    async def read(self, _unit: int, address: int, count: int, _table: Table = Table.HOLDING) -> list[int]:
        """Answer."""
        return [self.held[address + i] for i in range(count)]

    async def write(self, _unit: int, address: int, values: Sequence[int]) -> None:
        """Take values, or not."""
        if address in self.refused:
            raise RefusedError(Code.BUSY)
        if self.silent:
            raise NoAnswerError("silent")
        if address not in self.kept:
            self.held[address] = values[0]

    write_one = write


class Bench:
    """Writes to a device with a setpoint of 7 kW and a timer at rest."""

    def __init__(self) -> None:
        register_map = RegisterMap.from_table({"name": "m", "points": POINTS}, where="m")
        self.registers, self.lease, self.contact = Registers(), Lease(), Contact(due_s=0.0)
        self.device = MappedDevice(register_map=register_map)
        for address, value in self.registers.held.items():
            self.device.store(Read(address=address, count=1), [value])
        self.device.owners_values = self.device.snapshot()
        self.writes = ConfirmedWrites(self.device, 1, self.contact, self.lease)

    async def order(self, power_kw: float, layer: Layer = Layer.DISPATCH) -> object:
        """Have an order written; return its verdict."""
        asked = Order(layer=layer, power_kw=power_kw, lease_s=600.0, held=False)
        command = Command(id=1, row=0, layer=layer, power_kw=power_kw, until_s=UNTIL_S, sent_s=0.0)
        return await self.writes.write(self.registers, self.device.instruction(asked), command)  # type: ignore[arg-type]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_reads_back_as_written_is_accepted(bench: Bench) -> None:
    assert await bench.order(20.0) == ACCEPTED
    assert bench.registers.held == {SETPOINT: 20, TIMER: 600}
    assert bench.device.limit_kw() == 20.0


async def test_a_value_the_device_does_not_show_is_taken_back(bench: Bench) -> None:
    bench.registers.kept = {SETPOINT}
    assert await bench.order(20.0) == READBACK
    assert bench.registers.held == {SETPOINT: 7, TIMER: 0}
    assert bench.contact.why == "reads back something else"
    assert not bench.device.timerless


async def test_a_timer_that_is_not_kept_is_noted_and_the_value_taken_back(bench: Bench) -> None:
    bench.registers.kept = {TIMER}
    assert await bench.order(20.0) == READBACK
    assert bench.registers.held[SETPOINT] == 7
    assert bench.device.timerless
    assert "reversion timer" in bench.contact.why


async def test_a_refusal_half_way_undoes_the_first_half(bench: Bench) -> None:
    bench.registers.refused = {TIMER}
    with pytest.raises(RefusedError):
        await bench.order(20.0)
    assert bench.registers.held == {SETPOINT: 7, TIMER: 0}
    assert not bench.lease.dispatched


async def test_silence_may_mean_that_it_was_taken_so_its_lease_begins(bench: Bench) -> None:
    bench.registers.silent = True
    with pytest.raises(NoAnswerError):
        await bench.order(20.0)
    assert (bench.lease.dispatched, bench.lease.until_s) == (True, UNTIL_S)


async def test_a_release_puts_back_what_was_found(bench: Bench) -> None:
    assert await bench.order(20.0) == ACCEPTED
    await bench.writes.release(bench.registers)  # type: ignore[arg-type]
    assert bench.registers.held == {SETPOINT: 7, TIMER: 0}
    assert math.isclose(bench.device.limit_kw(), 7.0)
    assert bench.device.released()
