"""One unit behind a connection: polled in turn, given one instruction at a time.

Before the first value of ours is written, what stands in the device is read and remembered durably; a release puts it
back. A value that a read-back calls refused is taken back at once, and one that has outlived its lease as soon as that
is seen.
"""

import asyncio
from dataclasses import dataclass, field

import structlog

from adapters.modbus.devices.device import Device, Instruction
from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from adapters.modbus.transport.connection import BehindGatewayError, Code, ModbusConnection, NoAnswerError, RefusedError
from adapters.modbus.transport.writing import Group, RegisterWriter, put_back
from vpp.domain.errors import DeviceUnreachableError, FrameError, RetryError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.trouble import Trouble, mask_of
from vpp.ports import DeviceMemory

_log = structlog.get_logger(__name__)
_LOST_AFTER = 2
"""Silences in a row after which a unit counts as lost."""
_LEARNT_FOR_S = 6 * 3600.0
"""What was learnt of a device is learnt again after half of this to all of it: firmware and settings change."""
_AGAIN_AFTER_S = 600.0
"""How long to go on with what is known where learning again failed."""
_FAULTY_POLLS = 3
"""Polls in a row with refused reads after which a device is learnt again."""
_FAULTY_ORDERS = 3
"""Orders in a row that were refused after which that is a trouble of the device."""
_MEMORY_AGAIN_S = 60.0
"""How long not to ask again for what cannot be recalled or recorded now: measuring goes on."""
_RESUMED_S = 600.0
"""How long a value of ours that is found after a restart may wait for the service to renew or release it."""
_SHOWN_AFTER_WALL_S = (0.1, 0.2, 0.2)
"""When to read back once more what is not as it was written: no device is faster because the clock is."""
_SPREAD = 0.618034
"""Golden ratio: spreads rows evenly over an interval."""
_MOVED_CODE = Code.ADDRESS
"""The map is not the one we learnt."""
_PROTOCOL_CODES = {0x00, Code.FUNCTION, Code.ADDRESS}

Verdict = tuple[OutcomeStatus, Reason]
ACCEPTED: Verdict = (OutcomeStatus.ACCEPTED, Reason.NONE)
NOT_CONNECTED: Verdict = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
READBACK: Verdict = (OutcomeStatus.REJECTED, Reason.READBACK)
_RELEASE = Order(layer=Layer.RELEASE, power_kw=float("nan"), lease_s=0.0, held=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way.

    Attributes:
        sent_s: Epoch seconds at which it was handed over.
    """

    id: int
    row: int
    layer: Layer
    power_kw: float
    until_s: float
    sent_s: float

    def expired(self, now_s: float) -> bool:
        """Tell whether its lease has ended."""
        return self.layer is Layer.DISPATCH and self.until_s <= now_s


@dataclass(slots=True, kw_only=True)
class Unit:
    """A device in one fleet row.

    Attributes:
        memory: Where what was found in the device outlives us.
        due_s: When it is to be polled next.
        connected: Its link is up; ``None`` before the first try.
        silences: Tries in a row without an answer.
        lease_until_s: When its dispatch value ends, as far as known.
        dispatched: A dispatch value of ours was written and has neither been released nor been seen to have ended.
        overdue: That a value has outlived its lease was logged.
        told: Its loss was logged, so its recovery will be.
        told_troubles: Troubles that were told last, ``None`` before.
        ack_s: How long the last instruction took.
        said: Last words on why it cannot be used, for its card.
    """

    row: int
    number: int
    device: Device
    memory: DeviceMemory
    due_s: float
    connected: bool | None = None
    since_s: float = 0.0
    silences: int = 0
    lease_until_s: float = 0.0
    dispatched: bool = False
    overdue: bool = False
    told: bool = False
    told_troubles: int | None = None
    ack_s: float | None = None
    said: str = ""
    _pen: RegisterWriter = field(default_factory=RegisterWriter)
    _recalled: bool = False
    _learn_again_s: float = 0.0
    _memory_again_s: float = 0.0
    _faulty_polls: int = 0
    _refusals: int = 0

    @property
    def lost(self) -> bool:
        """It was silent, or absent, often enough to say so."""
        return self.silences >= _LOST_AFTER or self.connected is None

    @property
    def troubles(self) -> int:
        """Return what is the matter with it as a bit mask."""
        refusing = {Trouble.REFUSES_LIMITS} if self._refusals >= _FAULTY_ORDERS else set()
        return mask_of(self.device.troubles() | refusing)

    def forget(self, *, another_had_it: bool = False) -> None:
        """Learn it again: the connection was gone; where ``another_had_it``, also what was found before it wrote."""
        self.device.known = False
        self._recalled = self._recalled and not another_had_it

    async def poll(self, wire: ModbusConnection, now_s: float) -> None:
        """Read what changes, learning the device first if need be; put right what has outlived its lease.

        Raises:
            DeviceUnreachableError: No connection, or no answer.
            RefusedError: It will not be read; after an illegal address it is learnt anew.
            FrameError: What it holds makes no sense.
        """
        try:
            await self._learn(wire, now_s)
            self._judge_reads(await self.device.poll(wire, self.number), now_s)
        except RefusedError as error:
            self.device.known = self.device.known and error.code != _MOVED_CODE
            raise
        self._note_lease(now_s)
        await self._settle(wire, now_s)

    async def obey(self, wire: ModbusConnection, command: Command, now_s: float, lease_s: float) -> Verdict:
        """Carry out one instruction: write, read back, compare; raises NoConnectionError only."""
        given = self.device.default_given
        try:
            verdict = await self._carry_out(wire, command, now_s, lease_s)
        except RefusedError as error:
            self.said = str(error)
            verdict = _refusal(error.code)
        except (UnsupportedError, FrameError) as error:
            self.said = str(error)
            unsupported = isinstance(error, UnsupportedError)
            return OutcomeStatus.REJECTED, Reason.UNSUPPORTED if unsupported else Reason.PROTOCOL
        except BehindGatewayError:
            return NOT_CONNECTED
        except NoAnswerError:
            return OutcomeStatus.UNREACHABLE, Reason.TIMEOUT
        self._refusals = 0 if verdict == ACCEPTED else self._refusals + (verdict[0] is OutcomeStatus.REJECTED)
        self._note(command, accepted=verdict == ACCEPTED, given=given)
        return verdict

    def _note(self, command: Command, *, accepted: bool, given: bool) -> None:
        if not accepted:
            self.device.default_given = given
        elif command.layer is not Layer.DEFAULT:
            self.dispatched = command.layer is Layer.DISPATCH
            self.lease_until_s = command.until_s if self.dispatched else 0.0

    async def _learn(self, wire: ModbusConnection, now_s: float) -> None:
        """Learn the device, or learn it again; where that fails, what is known stays good for a while."""
        if self.device.known and now_s < self._learn_again_s:
            await self._recall(now_s)
            return
        known = self.device.known
        try:
            await self.device.learn(wire, self.number)
        except (RefusedError, FrameError) as error:
            if not known:
                raise
            self.said, self._learn_again_s = str(error), now_s + _AGAIN_AFTER_S
            return
        share = self.row * _SPREAD % 1.0
        self._learn_again_s = now_s + _LEARNT_FOR_S * (1.0 + share) / 2.0
        self._pen, self._faulty_polls = RegisterWriter(), 0
        await self._recall(now_s)
        self._note_lease(now_s)

    async def _recall(self, now_s: float) -> None:
        """Fetch what was found in the device before an earlier life of ours wrote to it."""
        if self._recalled or now_s < self._memory_again_s:
            return
        try:
            found = await self.memory.recall(self.row)
        except RetryError as error:  # measuring goes on; nothing is written before it is known
            self.said, self._memory_again_s = str(error), now_s + _MEMORY_AGAIN_S
            return
        self._recalled = True
        self.device.found = found or None
        if self.device.found is not None:
            self.dispatched, self.lease_until_s = True, max(self.lease_until_s, now_s + _RESUMED_S)

    def _judge_reads(self, refused: int, now_s: float) -> None:
        self._faulty_polls = self._faulty_polls + 1 if refused else 0
        if self._faulty_polls >= _FAULTY_POLLS:
            self._faulty_polls = 0
            self._learn_again_s = min(self._learn_again_s, now_s + _AGAIN_AFTER_S)

    def _note_lease(self, now_s: float) -> None:
        left_s = self.device.lease_left_s()
        if left_s > 0.0 or (left_s == 0.0 and not self.dispatched):
            self.lease_until_s = now_s + left_s

    async def _settle(self, wire: ModbusConnection, now_s: float) -> None:
        """End what has outlived its lease: the device kept no timer, or reverted to less than the owner's limit."""
        if self.device.found is None or not self._recalled:
            return
        if self.lease_until_s > now_s:
            await self._hear_owner(now_s)
            return
        if self.dispatched and not self.device.released():
            if not self.overdue:
                _log.warning("a value outlived its lease and is taken back", row=self.row, unit=self.number)
            self.overdue = True
            await self._release(wire)
            if not self.device.released():  # tried again at the next poll
                return
        self.dispatched = self.overdue = False
        if not self.device.default_given:
            await self._close(now_s)

    async def _hear_owner(self, now_s: float) -> None:
        """Take what somebody else wrote during a value of ours for the owner's: orders keep to it from now on."""
        news = self.device.owners_news() if now_s >= self._memory_again_s else None
        if news is None:
            return
        _log.info("the owner of a device has changed its limit", row=self.row, unit=self.number)
        try:
            await self.memory.remember(self.row, news)
        except RetryError as error:
            self.said, self._memory_again_s = str(error), now_s + _MEMORY_AGAIN_S
        self.device.found = news

    async def _release(self, wire: ModbusConnection) -> None:
        """Put back what was found, or our default."""
        try:
            instruction = self.device.instruction(_RELEASE)
            for group in instruction.groups:
                await self._pen.write(wire, self.number, group)
            await self._read_back(wire, instruction)
        except (RefusedError, UnsupportedError, FrameError) as error:
            self.said = str(error)

    async def _close(self, now_s: float) -> None:
        """Note that the registers are the owner's again."""
        if now_s < self._memory_again_s:
            return
        try:
            await self.memory.remember(self.row, {})
        except RetryError as error:  # tried again at a later poll
            self.said, self._memory_again_s = str(error), now_s + _MEMORY_AGAIN_S
            return
        self.device.found = None

    async def _carry_out(self, wire: ModbusConnection, command: Command, now_s: float, lease_s: float) -> Verdict:
        await self._learn(wire, now_s)
        held = self.lease_until_s > now_s
        order = Order(layer=command.layer, power_kw=command.power_kw, lease_s=lease_s, held=held)
        instruction = self.device.instruction(order)
        if not instruction.groups:
            return ACCEPTED
        if self.device.found is None or (command.layer is Layer.DEFAULT and not self.device.default_given):
            if not await self._note_found(wire, instruction, command.layer):
                return OutcomeStatus.REJECTED, Reason.EXPIRED
            instruction = self.device.instruction(order)
        return await self._write(wire, instruction, command)

    async def _note_found(self, wire: ModbusConnection, instruction: Instruction, layer: Layer) -> bool:
        """Read what stands in the device and remember it before anything is written; tell whether that is done."""
        if not self._recalled:
            return False
        await self._read_back(wire, instruction)
        given = self.device.default_given
        self.device.default_given = given or layer is Layer.DEFAULT
        found = self.device.snapshot()
        try:
            await self.memory.remember(self.row, found)
        except RetryError as error:
            self.said, self.device.default_given = str(error), given
            return False
        self.device.found = found
        return True

    async def _write(self, wire: ModbusConnection, instruction: Instruction, command: Command) -> Verdict:
        """Write, read back and compare; what is refused, in whole or in part, is taken back."""
        layer, begun, taken = command.layer, list[Group](), self._pen.taken
        try:
            for group in instruction.groups:
                begun.append(group)
                await self._pen.write(wire, self.number, group)
            check = await self._checked(wire, instruction)
        except DeviceUnreachableError:  # whether it was taken shows at the next contact; see `_settle`
            if layer is Layer.DISPATCH:
                self.dispatched, self.lease_until_s = True, command.until_s
            raise
        except (RefusedError, FrameError):
            if self._pen.taken > taken:
                await put_back(self._pen, wire, self.number, begun)
            raise
        if check is Check.AGREES or (check is Check.NO_TIMER and layer is not Layer.DISPATCH):
            if instruction.taken is not None:
                instruction.taken()
            return ACCEPTED
        if instruction.otherwise is not None:
            return await self._write(wire, instruction.otherwise, command)
        self.device.timerless = self.device.timerless or check is Check.NO_TIMER
        self.said = "the device keeps no reversion timer" if check is Check.NO_TIMER else "reads back something else"
        if layer is not Layer.RELEASE:
            await put_back(self._pen, wire, self.number, instruction.groups)
            await self._read_back(wire, instruction)
        return READBACK

    async def _checked(self, wire: ModbusConnection, instruction: Instruction) -> Check:
        """Read back and compare, a few times where that differs: some devices show a value only after they took it."""
        await self._read_back(wire, instruction)
        for wait_wall_s in _SHOWN_AFTER_WALL_S:
            if instruction.check() is Check.AGREES:
                break
            await asyncio.sleep(wait_wall_s)
            await self._read_back(wire, instruction)
        return instruction.check()

    async def _read_back(self, wire: ModbusConnection, instruction: Instruction) -> None:
        for read in instruction.reads:
            self.device.store(read, await wire.read(self.number, read.address, read.count, read.table))


def _refusal(code: int) -> Verdict:
    return OutcomeStatus.REJECTED, Reason.PROTOCOL if code in _PROTOCOL_CODES else Reason.REFUSED
