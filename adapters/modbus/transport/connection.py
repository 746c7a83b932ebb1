"""One persistent Modbus TCP connection on pymodbus.

Avoided: pymodbus leaves a request waiting for its timeout after the connection is gone, reconnects without
jitter, gives up a connection after a few silences of any one unit, may lose a cancellation, and lets an answer that it
cannot decode raise inside the event loop.

Added: a device that is busy is asked again (Modbus Application Protocol 1.1b3, section 7, codes 05 and 06), and
one that closes its connection after an answer is dialled again and asked where it was left.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import NoReturn

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from adapters.modbus.transport.registers import Registers, unpacked
from vpp.domain.errors import DeviceUnreachableError, FrameError, SkipError

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # we log a loss once; it would log every request

_NEVER = 1 << 30
_LENGTHS, _LENGTHS_AT, _UNIT_AT, _FUNCTION_AT = struct.Struct(">HH"), 2, 6, 7
"""Protocol and length in the header, their offset, and the offsets of unit and function."""
_SHORTEST, _LONGEST = 3, 254
"""Bounds of the length of an answer: the unit, and a PDU of 2 to 253 bytes."""
_READING, _WRITING, _EXCEPTION = {3, 4}, {6, 16}, 0x80
_EXCEPTION_BYTES, _WRITTEN_BYTES = 2, 5
"""Length of answers (Modbus Application Protocol 1.1b3, sections 6.6, 6.12 and 7)."""
_BUSY_WAITS_WALL_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Waits before a busy device is asked once more."""

Request = Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]]
"""One request, to be made on whatever connection there is."""


class Code(IntEnum):
    """Exception codes (Modbus Application Protocol 1.1b3, section 7)."""

    FUNCTION = 0x01
    ADDRESS = 0x02
    VALUE = 0x03
    FAILURE = 0x04
    ACKNOWLEDGE = 0x05
    BUSY = 0x06
    NO_PATH = 0x0A
    NO_TARGET = 0x0B


_LATER = {Code.ACKNOWLEDGE, Code.BUSY}
_BEHIND: Mapping[int, str] = {
    Code.NO_PATH: "the gateway has no path to the unit (Modbus exception 10)",
    Code.NO_TARGET: "the gateway answered that the unit does not (Modbus exception 11)",
}
_MEANINGS: Mapping[int, str] = {
    Code.FUNCTION: "function not supported",
    Code.ADDRESS: "no such register",
    Code.VALUE: "value or length not accepted",
    Code.FAILURE: "device failure",
    Code.ACKNOWLEDGE: "still at work",
    Code.BUSY: "busy",
}


class Table(Enum):
    """One of a device's two tables of 16-bit registers."""

    HOLDING = "holding"
    INPUT = "input"


class _HoldingAnswer(ReadHoldingRegistersResponse):
    """An answer whose registers are unpacked at once, where pymodbus takes them one by one and writes them out."""

    def decode(self, data: bytes) -> None:
        """Decode the registers; `is_answers` has seen to their number."""
        self.registers = list(unpacked(data[1 : 1 + data[0]]))

    def __str__(self) -> str:
        return type(self).__name__


class _InputAnswer(_HoldingAnswer, ReadInputRegistersResponse):
    """The same for input registers."""

    function_code = ReadInputRegistersResponse.function_code


class NoConnectionError(DeviceUnreachableError):
    """There is no connection, or it broke before the answer came."""


class NoAnswerError(DeviceUnreachableError):
    """The connection stands, but the unit did not answer in time."""


class BehindGatewayError(NoAnswerError):
    """A gateway answered that the unit behind it does not."""


class RefusedError(SkipError):
    """The device answered with a Modbus exception.

    Args:
        code: The exception code, one of `Code`; 0 where there was none to be read.
    """

    def __init__(self, code: int) -> None:
        meaning = _MEANINGS.get(code)
        super().__init__(f"the device answered with Modbus exception {code}" + (f", {meaning}" if meaning else ""))
        self.code = code


class BusyError(RefusedError):
    """The device asks to be asked later, and did so as often as it was asked."""


class ModbusConnection:
    """A connection to one endpoint; at most one request is outstanding at a time.

    Args:
        endpoint: Host and port.
        timeout_wall_s: How long to wait for a connection or an answer, in the network's own seconds.
        on_lost: Called once when an open connection breaks.
        busy_waits_wall_s: How long to wait before each further try with a busy device.
    """

    def __init__(
        self,
        endpoint: tuple[str, int],
        *,
        timeout_wall_s: float,
        on_lost: Callable[[], None],
        busy_waits_wall_s: Sequence[float] = _BUSY_WAITS_WALL_S,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_wall_s = timeout_wall_s
        self._on_lost = on_lost
        self._busy_waits_wall_s = busy_waits_wall_s
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False
        self._answered = False

    @property
    def connected(self) -> bool:
        """The connection stands."""
        return self._client is not None and self._client.connected

    async def open(self) -> None:
        """Connect, once; raises NoConnectionError."""
        self.close()
        host, port = self._endpoint
        self._client = AsyncModbusTcpClient(
            host,
            port=port,
            timeout=self._timeout_wall_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._changed,
            trace_packet=self._packet,
        )
        self._client.set_max_no_responses(_NEVER)
        self._client.register(_HoldingAnswer)
        self._client.register(_InputAnswer)
        connected = await self._client.connect()
        _pass_on_cancellation()
        if not connected:
            self.close()
            raise NoConnectionError(f"{host}:{port} takes no connection")

    async def resume(self) -> None:
        """Dial a device again that closed the connection after an answer; raises NoConnectionError if it is gone.

        A connection that ended before anything was asked on it is left alone until there is something to ask: a device
        that tolerates none without work is dialled once for each answer and never more often.
        """
        if not self.connected and self._answered:
            await self.open()

    def close(self) -> None:
        """Leave; nothing is reported."""
        self._answered = False
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, unit: int, address: int, count: int, table: Table = Table.HOLDING) -> Registers:
        """Return ``count`` registers.

        Raises:
            NoConnectionError: The connection is gone, and so is the device.
            NoAnswerError: No answer in time.
            BusyError: It was busy each time it was asked.
            RefusedError: Another Modbus exception.
            FrameError: The answer has another length.
        """

        def ask(client: AsyncModbusTcpClient) -> Awaitable[ModbusPDU]:
            reading = client.read_holding_registers if table is Table.HOLDING else client.read_input_registers
            return reading(address, count=count, device_id=unit)

        answer = await self._exchange(ask)
        if len(answer.registers) != count:
            raise FrameError(f"expected {count} registers from {address}, got {len(answer.registers)}")
        return answer.registers

    async def write(self, unit: int, address: int, values: Registers) -> None:
        """Write registers in one request (function code 16); raises as `read` does."""
        await self._exchange(lambda client: client.write_registers(address, list(values), device_id=unit))

    async def write_one(self, unit: int, address: int, value: int) -> None:
        """Write one register (function code 6); raises as `read` does."""
        await self._exchange(lambda client: client.write_register(address, value, device_id=unit))

    async def _exchange(self, request: Request) -> ModbusPDU:
        """Ask until there is an answer other than that the device is busy."""
        for wait_wall_s in self._busy_waits_wall_s:
            try:
                return await self._ask(request)
            except BusyError:
                await asyncio.sleep(wait_wall_s)
        return await self._ask(request)

    async def _ask(self, request: Request) -> ModbusPDU:
        """Ask, and once more on a new connection where the one that stood had answered before it broke."""
        fresh = not self.connected
        if fresh:
            await self._again()
        try:
            return await self._answer(lambda: request(self._standing()))
        except NoConnectionError:
            if fresh or not self._answered:
                raise
        await self._again()
        return await self._answer(lambda: request(self._standing()))

    async def _again(self) -> None:
        if self._client is None:
            raise NoConnectionError("not connected")
        await self.open()

    def _standing(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise NoConnectionError("not connected")
        return self._client

    async def _answer(self, ask: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        self._asking = True
        try:
            answer = await ask()
        except ConnectionException as error:
            raise NoConnectionError(str(error)) from error
        except ModbusException as error:
            raise NoAnswerError(str(error)) from error
        finally:
            self._asking = False
            _pass_on_cancellation()
        self._answered = True
        if answer.isError():
            _refuse(answer.exception_code if isinstance(answer, ExceptionResponse) else 0)
        return answer

    def _packet(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - the signature is pymodbus's
        """Pass bytes on; those that are no answers end the connection, as it is unknown where the next one begins."""
        client = self._client
        if sending or client is None or is_answers(data):
            return data
        waiting = client.ctx.response_future
        if self._asking and not waiting.done():
            waiting.set_exception(FrameError(f"{len(data)} bytes that are no Modbus answer"))
        if client.ctx.transport is not None:
            client.ctx.transport.close()
        return b""

    def _changed(self, connected: bool) -> None:  # noqa: FBT001 - the signature is pymodbus's
        if connected or self._client is None:
            return
        waiting = self._client.ctx.response_future
        if self._asking and not waiting.done():
            waiting.set_exception(ConnectionException("the connection broke"))
        self._on_lost()


def is_answers(data: bytes) -> bool:
    """Tell whether bytes are whole answers to our requests, with perhaps the beginning of one more behind them."""
    at = 0
    while len(data) - at >= _FUNCTION_AT + 1:
        protocol, length = _LENGTHS.unpack_from(data, at + _LENGTHS_AT)
        if protocol or not _SHORTEST <= length <= _LONGEST:
            return False
        end = at + _UNIT_AT + length
        if len(data) < end:
            return True
        if not _is_answer(data[at + _FUNCTION_AT : end]):
            return False
        at = end
    return True


def _is_answer(body: bytes) -> bool:
    function, size = body[0], len(body)
    if function & _EXCEPTION:
        return function != _EXCEPTION and size == _EXCEPTION_BYTES  # there is no function 0 to be refused
    if function in _READING:
        return size == body[1] + 2 and not body[1] % 2
    return function in _WRITING and size == _WRITTEN_BYTES


def _refuse(code: int) -> NoReturn:
    if code in _BEHIND:
        raise BehindGatewayError(_BEHIND[code])
    raise (BusyError if code in _LATER else RefusedError)(code)


def _pass_on_cancellation() -> None:
    """Raise CancelledError if this task was cancelled while pymodbus waited.

    Its ``asyncio.wait_for`` loses a cancellation that comes in the same turn as the answer (fixed in Python 3.12).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
