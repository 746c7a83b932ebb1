"""An endpoint whose units come and go while it works."""

import asyncio
import contextlib
import random

from adapters.kit.batching import Batcher
from adapters.modbus.devices.mapped.device import MappedDevice
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.endpoint import Endpoint, Pace
from adapters.modbus.memory import VolatileMemory
from adapters.modbus.unit import Unit
from tests.conformance.bus_parts import Ears, until
from tests.conformance.modbus_parts import OddDevice
from vpp.domain.telemetry import Quantity
from vpp.runtime.clock import SYSTEM_CLOCK

METER = RegisterMap.from_table(
    {"name": "m", "points": [{"quantity": "POWER_KW", "address": 0, "type": "int16"}]}, where="m"
)


def unit(row: int, number: int, due_s: float) -> Unit:
    return Unit(row=row, number=number, device=MappedDevice(register_map=METER), memory=VolatileMemory(), due_s=due_s)


async def test_a_unit_that_leaves_while_it_is_asked_reports_nothing_of_its_row_any_more() -> None:
    served, ears, batcher = OddDevice(), Ears(), Batcher("modbus", flush_wall_s=0.001)
    served.registers[0] = 7
    batcher.open(ears)
    async with served.serving() as port:
        pace = Pace(poll_s=0.05, timeout_s=5.0, reversion_s=None)
        jitter = random.Random(0)  # noqa: S311 - no secret
        endpoint = Endpoint(("127.0.0.1", port), clock=SYSTEM_CLOCK, pace=pace, batcher=batcher, jitter=jitter)

        def leaves(_function: int, _address: int, _count: int) -> bool:
            endpoint.remove(4)
            return False

        served.silent = leaves
        endpoint.add(unit(4, 1, due_s=0.0))
        endpoint.add(unit(5, 2, due_s=1.0))
        task = asyncio.create_task(endpoint.run())
        await until(lambda: (5, Quantity.POWER_KW) in ears.values)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await until(lambda: served.closed == served.accepted)
    assert len(served.asked) >= 2
    assert {row for row, _ in ears.values} == {5}
