"""Writes that a read-back confirms, taken back where the device refuses them in whole or in part."""

import asyncio

from adapters.modbus.command import ACCEPTED, READBACK, Command, Verdict
from adapters.modbus.contact import Contact
from adapters.modbus.devices.device import Device, Instruction
from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from adapters.modbus.lease import Lease
from adapters.modbus.transport.connection import ModbusConnection, RefusedError
from adapters.modbus.transport.writing import Group, RegisterWriter, put_back
from vpp.domain.errors import DeviceUnreachableError, FrameError
from vpp.domain.setpoint import Layer

_SHOWN_AFTER_WALL_S = (0.1, 0.2, 0.2)
"""Waits before reading back again what differs from what was written: no device is faster because the clock is."""
_RELEASE = Order(layer=Layer.RELEASE, power_kw=float("nan"), lease_s=0.0, held=False)


class ConfirmedWrites:
    """Writes to one device.

    Args:
        device: What is read back of it.
        unit: Its number behind the connection.
        contact: Where it is noted why a write did not count.
        lease: Of the dispatch value in the device.
    """

    def __init__(self, device: Device, unit: int, contact: Contact, lease: Lease) -> None:
        self._device = device
        self._unit = unit
        self._contact = contact
        self._lease = lease
        self._writer = RegisterWriter()

    def reset_mode(self) -> None:
        """Begin again with the best mode of writing: the device was learnt anew."""
        self._writer = RegisterWriter()

    async def write(self, connection: ModbusConnection, instruction: Instruction, command: Command) -> Verdict:
        """Write, read back and compare; what is refused, in whole or in part, is taken back.

        Raises:
            RefusedError: The device takes it in no mode.
            FrameError: An answer made no sense.
            DeviceUnreachableError: No answer; all or some of it may be written.
        """
        layer, begun, taken = command.layer, list[Group](), self._writer.taken
        try:
            for group in instruction.groups:
                begun.append(group)
                await self._writer.write(connection, self._unit, group)
            check = await self._checked(connection, instruction)
        except DeviceUnreachableError:  # whether it was taken shows at the next contact; see `Unit.poll`
            if layer is Layer.DISPATCH:
                self._lease.begin(command.until_s)
            raise
        except (RefusedError, FrameError):
            if self._writer.taken > taken:
                await put_back(self._writer, connection, self._unit, begun)
            raise
        if check is Check.AGREES or (check is Check.NO_TIMER and layer is not Layer.DISPATCH):
            if instruction.taken is not None:
                instruction.taken()
            return ACCEPTED
        if instruction.otherwise is not None:
            return await self.write(connection, instruction.otherwise, command)
        untimed = check is Check.NO_TIMER
        self._device.timerless = self._device.timerless or untimed
        self._contact.why = "the device keeps no reversion timer" if untimed else "reads back something else"
        if layer is not Layer.RELEASE:
            await put_back(self._writer, connection, self._unit, instruction.groups)
            await self.read_back(connection, instruction)
        return READBACK

    async def release(self, connection: ModbusConnection) -> None:
        """Put back what was found, or our default; raises DeviceUnreachableError."""
        try:
            instruction = self._device.instruction(_RELEASE)
            for group in instruction.groups:
                await self._writer.write(connection, self._unit, group)
            await self.read_back(connection, instruction)
        except (RefusedError, UnsupportedError, FrameError) as error:
            self._contact.why = str(error)

    async def read_back(self, connection: ModbusConnection, instruction: Instruction) -> None:
        """Read what an instruction touches; raises as `ModbusConnection.read` does."""
        for read in instruction.reads:
            values = await connection.read(self._unit, read.address, read.count, read.table)
            self._device.store(read, values)

    async def _checked(self, connection: ModbusConnection, instruction: Instruction) -> Check:
        """Read back and compare, a few times where that differs: some devices show a value only after they took it."""
        await self.read_back(connection, instruction)
        for wait_wall_s in _SHOWN_AFTER_WALL_S:
            if instruction.check() is Check.AGREES:
                break
            await asyncio.sleep(wait_wall_s)
            await self.read_back(connection, instruction)
        return instruction.check()
