"""One persistent Modbus TCP connection, by pymodbus, with its corners taken off.

What is taken off: pymodbus leaves a request waiting for its timeout after the connection is gone, reconnects without
jitter, gives up a connection after a few silences of any one unit, and may lose a cancellation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import NoReturn

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from adapters.modbus.registers import Registers
from vpp.domain.errors import DeviceUnreachableError, FrameError, SkipError

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # we log a loss once; it would log every request

_GATEWAY_CODES = {0x0A, 0x0B}
_NEVER = 1 << 30


class Table(Enum):
    """Which of a device's two tables of 16-bit registers."""

    HOLDING = "holding"
    INPUT = "input"


class NoConnectionError(DeviceUnreachableError):
    """There is no connection, or it broke before the answer came."""


class NoAnswerError(DeviceUnreachableError):
    """The connection stands, but the unit did not answer in time."""


class BehindGatewayError(NoAnswerError):
    """A gateway answered that the unit behind it does not."""


class RefusedError(SkipError):
    """The device answered with a Modbus exception.

    Args:
        code: The exception code (Modbus Application Protocol 1.1b3, section 7).
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the device answered with Modbus exception {code}")
        self.code = code


class Wire:
    """A connection to one endpoint; at most one request is outstanding at a time.

    Args:
        endpoint: Host and port.
        timeout_wall_s: How long to wait for a connection or an answer, in the network's own seconds.
        on_lost: Called once when an open connection breaks.
    """

    def __init__(self, endpoint: tuple[str, int], *, timeout_wall_s: float, on_lost: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._timeout_wall_s = timeout_wall_s
        self._on_lost = on_lost
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False

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
        )
        self._client.set_max_no_responses(_NEVER)
        connected = await self._client.connect()
        _pass_on_cancellation()
        if not connected:
            self.close()
            raise NoConnectionError(f"{host}:{port} takes no connection")

    def close(self) -> None:
        """Leave; nothing is reported."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, unit: int, address: int, count: int, table: Table = Table.HOLDING) -> Registers:
        """Return ``count`` registers.

        Raises:
            NoConnectionError: The connection is gone.
            NoAnswerError: No answer in time.
            RefusedError: A Modbus exception.
            FrameError: The answer has another length.
        """
        client = self._standing()
        ask = client.read_holding_registers if table is Table.HOLDING else client.read_input_registers
        answer = await self._answer(lambda: ask(address, count=count, device_id=unit))
        if len(answer.registers) != count:
            raise FrameError(f"expected {count} registers from {address}, got {len(answer.registers)}")
        return answer.registers

    async def write(self, unit: int, address: int, values: Registers) -> None:
        """Write registers in one request (function code 16); raises as `read` does."""
        client = self._standing()
        await self._answer(lambda: client.write_registers(address, list(values), device_id=unit))

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
        if answer.isError():
            _refuse(answer.exception_code if isinstance(answer, ExceptionResponse) else 0)
        return answer

    def _changed(self, connected: bool) -> None:  # noqa: FBT001 - the signature is pymodbus's
        if connected or self._client is None:
            return
        waiting = self._client.ctx.response_future
        if self._asking and not waiting.done():
            waiting.set_exception(ConnectionException("the connection broke"))
        self._on_lost()


def _refuse(code: int) -> NoReturn:
    if code in _GATEWAY_CODES:
        raise BehindGatewayError(f"the gateway answered with Modbus exception {code}")
    raise RefusedError(code)


def _pass_on_cancellation() -> None:
    """Raise CancelledError if this task was cancelled while pymodbus waited.

    Its ``asyncio.wait_for`` loses a cancellation that comes in the same turn as the answer (fixed in Python 3.12).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
