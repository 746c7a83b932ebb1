"""One unit behind a connection: polled in turn, given one instruction at a time.

Before the first value of ours is written, what stands in the device is read and recorded durably; a release puts it
back. A value that a read-back calls refused is taken back at once, and one that has outlived its lease as soon as that
is seen.
"""

import structlog

from adapters.modbus.command import ACCEPTED, EXPIRED, NOT_CONNECTED, TIMED_OUT, UNSUPPORTED, Command, Verdict
from adapters.modbus.confirmed_writes import ConfirmedWrites
from adapters.modbus.contact import Contact
from adapters.modbus.devices.device import Device, Instruction
from adapters.modbus.devices.orders import Order, UnsupportedError
from adapters.modbus.lease import Lease, OwnersRecord
from adapters.modbus.transport.connection import BehindGatewayError, Code, ModbusConnection, NoAnswerError, RefusedError
from vpp.domain.errors import FrameError, RetryError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.trouble import Trouble, mask_of
from vpp.ports import DeviceMemory

_log = structlog.get_logger(__name__)
_LEARNT_FOR_S = 6 * 3600.0
"""A device is learnt again after half of this to all of it: firmware and settings change."""
_AGAIN_AFTER_S = 600.0
"""Time for which what is known stays in use where learning again failed."""
_FAULTY_POLLS = 3
"""Polls in a row with refused reads after which a device is learnt again."""
_FAULTY_ORDERS = 3
"""Orders in a row that were refused after which that is a trouble of the device."""
_RESUMED_S = 600.0
"""Time that a value of ours found after a restart has until the service renews or releases it."""
_SPREAD = 0.618034
"""Golden ratio: spreads rows evenly over an interval."""
_MOVED_CODE = Code.ADDRESS
"""Exception code of a map that is not the one learnt."""
_PROTOCOL_CODES = {0x00, Code.FUNCTION, Code.ADDRESS}


class Unit:
    """A device in one fleet row.

    Args:
        row: The fleet row.
        number: Of the unit behind its endpoint.
        device: What kind of device it is.
        memory: Where what was found in the device outlives this process.
        due_s: When it is to be polled first.
    """

    def __init__(self, *, row: int, number: int, device: Device, memory: DeviceMemory, due_s: float) -> None:
        self.row = row
        self.number = number
        self.device = device
        self.contact = Contact(due_s=due_s)
        self.owners_record = OwnersRecord(row, memory)
        self._lease = Lease()
        self._writes = ConfirmedWrites(device, number, self.contact, self._lease)
        self._learn_again_s = 0.0
        self._faulty_polls = 0
        self._refusals = 0

    @property
    def troubles(self) -> int:
        """Return its troubles as a bit mask."""
        refusing = {Trouble.REFUSES_LIMITS} if self._refusals >= _FAULTY_ORDERS else set()
        return mask_of(self.device.troubles() | refusing)

    def forget(self, *, another_had_it: bool = False) -> None:
        """Learn it again: the connection was gone; where ``another_had_it``, also what was found before it wrote."""
        self.device.known = False
        self.owners_record.recalled = self.owners_record.recalled and not another_had_it

    async def poll(self, connection: ModbusConnection, now_s: float) -> None:
        """Read what changes, learning the device first if need be; put right what has outlived its lease.

        Raises:
            DeviceUnreachableError: No connection, or no answer.
            RefusedError: It will not be read; after an illegal address it is learnt anew.
            FrameError: What it holds makes no sense.
        """
        try:
            await self._learn(connection, now_s)
            self._judge_reads(await self.device.poll(connection, self.number), now_s)
        except RefusedError as error:
            self.device.known = self.device.known and error.code != _MOVED_CODE
            raise
        self._lease.show(self.device.lease_left_s(), now_s)
        await self._settle(connection, now_s)

    async def obey(self, connection: ModbusConnection, command: Command, now_s: float, lease_s: float) -> Verdict:
        """Carry out one instruction: write, read back, compare; raises NoConnectionError only."""
        given = self.device.default_given
        try:
            verdict = await self._carry_out(connection, command, now_s, lease_s)
        except RefusedError as error:
            self.contact.why = str(error)
            verdict = _refusal(error.code)
        except UnsupportedError as error:
            self.contact.why = str(error)
            return UNSUPPORTED
        except FrameError as error:
            self.contact.why = str(error)
            return OutcomeStatus.REJECTED, Reason.PROTOCOL
        except BehindGatewayError:
            return NOT_CONNECTED
        except NoAnswerError:
            return TIMED_OUT
        self._refusals = 0 if verdict == ACCEPTED else self._refusals + (verdict[0] is OutcomeStatus.REJECTED)
        self._note(command, accepted=verdict == ACCEPTED, given=given)
        return verdict

    def _note(self, command: Command, *, accepted: bool, given: bool) -> None:
        if not accepted:
            self.device.default_given = given
        elif command.layer is Layer.DISPATCH:
            self._lease.begin(command.until_s)
        elif command.layer is Layer.RELEASE:
            self._lease.release()

    async def _learn(self, connection: ModbusConnection, now_s: float) -> None:
        """Learn the device, or learn it again; where that fails, what is known stays good for a while."""
        if self.device.known and now_s < self._learn_again_s:
            await self._recall(now_s)
            return
        known = self.device.known
        try:
            await self.device.learn(connection, self.number)
        except (RefusedError, FrameError) as error:
            if not known:
                raise
            self.contact.why, self._learn_again_s = str(error), now_s + _AGAIN_AFTER_S
            return
        share = self.row * _SPREAD % 1.0
        self._learn_again_s = now_s + _LEARNT_FOR_S * (1.0 + share) / 2.0
        self._writes.reset_mode()
        self._faulty_polls = 0
        await self._recall(now_s)
        self._lease.show(self.device.lease_left_s(), now_s)

    async def _recall(self, now_s: float) -> None:
        """Fetch what was found in the device before an earlier process wrote to it."""
        if self.owners_record.recalled or not self.owners_record.due(now_s):
            return
        try:
            found = await self.owners_record.recall()
        except RetryError as error:  # measuring goes on; nothing is written before it is known
            self._memory_failed(error, now_s)
            return
        self.device.owners_values = found or None
        if self.device.owners_values is not None:
            self._lease.begin(max(self._lease.until_s, now_s + _RESUMED_S))

    def _judge_reads(self, refused: int, now_s: float) -> None:
        self._faulty_polls = self._faulty_polls + 1 if refused else 0
        if self._faulty_polls >= _FAULTY_POLLS:
            self._faulty_polls = 0
            self._learn_again_s = min(self._learn_again_s, now_s + _AGAIN_AFTER_S)

    async def _settle(self, connection: ModbusConnection, now_s: float) -> None:
        """End what has outlived its lease: the device kept no timer, or reverted to less than the owner's limit."""
        if self.device.owners_values is None or not self.owners_record.recalled:
            return
        if self._lease.until_s > now_s:
            await self._follow_owner(now_s)
            return
        if self._lease.dispatched and not self.device.released():
            if not self._lease.overdue:
                _log.warning("a value outlived its lease and is taken back", row=self.row, unit=self.number)
            self._lease.overdue = True
            await self._writes.release(connection)
            if not self.device.released():  # tried again at the next poll
                return
        self._lease.end()
        if not self.device.default_given:
            await self._return_to_owner(now_s)

    async def _follow_owner(self, now_s: float) -> None:
        """Take what another hand wrote during a value of ours as the owner's: orders keep to it from now on."""
        changes = self.device.owners_changes() if self.owners_record.due(now_s) else None
        if changes is None:
            return
        _log.info("the owner of a device has changed its limit", row=self.row, unit=self.number)
        try:
            await self.owners_record.remember(changes)
        except RetryError as error:
            self._memory_failed(error, now_s)
        self.device.owners_values = changes

    async def _return_to_owner(self, now_s: float) -> None:
        """Record that the registers are the owner's again."""
        if not self.owners_record.due(now_s):
            return
        try:
            await self.owners_record.remember({})
        except RetryError as error:  # tried again at a later poll
            self._memory_failed(error, now_s)
            return
        self.device.owners_values = None

    def _memory_failed(self, error: RetryError, now_s: float) -> None:
        self.contact.why = str(error)
        self.owners_record.postpone(now_s)

    async def _carry_out(self, connection: ModbusConnection, command: Command, now_s: float, lease_s: float) -> Verdict:
        await self._learn(connection, now_s)
        held = self._lease.until_s > now_s
        order = Order(layer=command.layer, power_kw=command.power_kw, lease_s=lease_s, held=held)
        instruction = self.device.instruction(order)
        if not instruction.groups:
            return ACCEPTED
        first_default = command.layer is Layer.DEFAULT and not self.device.default_given
        if self.device.owners_values is None or first_default:
            if not await self._record_owners_values(connection, instruction, command.layer):
                return EXPIRED
            instruction = self.device.instruction(order)
        return await self._writes.write(connection, instruction, command)

    async def _record_owners_values(self, connection: ModbusConnection, instruction: Instruction, layer: Layer) -> bool:
        """Read what stands in the device and record it before anything is written; return whether that is done."""
        if not self.owners_record.recalled:
            return False
        await self._writes.read_back(connection, instruction)
        given = self.device.default_given
        self.device.default_given = given or layer is Layer.DEFAULT
        found = self.device.snapshot()
        try:
            await self.owners_record.remember(found)
        except RetryError as error:
            self.contact.why, self.device.default_given = str(error), given
            return False
        self.device.owners_values = found
        return True


def _refusal(code: int) -> Verdict:
    return OutcomeStatus.REJECTED, Reason.PROTOCOL if code in _PROTOCOL_CODES else Reason.REFUSED
