"""The corners of pymodbus stay inside the wire."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from adapters.modbus.transport.connection import (
    BehindGatewayError,
    ModbusConnection,
    NoAnswerError,
    NoConnectionError,
    RefusedError,
    is_answers,
)


def _wire() -> ModbusConnection:
    return ModbusConnection(("127.0.0.1", 1), timeout_wall_s=1.0, on_lost=lambda: None)


@pytest.mark.parametrize("ending", ["answer", "error"])
async def test_a_cancellation_is_never_lost_to_what_pymodbus_makes_of_it(ending: str) -> None:
    waiting = asyncio.Event()

    async def swallow() -> ModbusPDU:
        try:
            waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ending == "error":
                raise ModbusIOException("cancelled") from None
        return ReadHoldingRegistersResponse(registers=[1])

    asking = asyncio.create_task(_wire()._answer(swallow))
    await waiting.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_exception_of_the_device_is_a_refusal_and_one_of_its_gateway_is_silence() -> None:
    async def answer(code: int) -> ModbusPDU:
        return ExceptionResponse(3, code)

    with pytest.raises(RefusedError) as refused:
        await _wire()._answer(lambda: answer(4))
    assert refused.value.code == 4
    with pytest.raises(BehindGatewayError):
        await _wire()._answer(lambda: answer(0x0B))


async def test_no_answer_is_told_apart_from_no_connection() -> None:
    async def fail() -> ModbusPDU:
        raise ModbusIOException("silence")

    with pytest.raises(NoAnswerError):
        await _wire()._answer(fail)
    with pytest.raises(NoConnectionError):
        await _wire().read(1, 0, 1)
    with pytest.raises(NoConnectionError):
        await _wire().open()


@pytest.mark.parametrize(
    ("data", "sane"),
    [
        ("0001 0000 0005 01 03 02 0000", True),
        ("0001 0000 0005 01 03 02 0000 0002 0000", True),
        ("0001 0000 0003 01 83 02", True),
        ("0001 0000 0006 01 10 0001 0002", True),
        ("0001 0000 00", True),
        ("0001 0007 0005 01 03 02 0000", False),
        ("0001 0000 ffff 01 03 02 0000", False),
        ("0001 0000 0002 01 03", False),
        ("0001 0000 0005 01 03 04 0000", False),
        ("0001 0000 0005 01 2b 02 0000", False),
        ("0001 0000 0004 01 83 02 00", False),
        ("0001 0000 0003 01 80 02", False),
        ("0001 0000 0005 01 03 02 0000 4854 5450 2f31 2e31", False),
    ],
)
def test_bytes_that_are_no_answers_are_told_from_those_that_are(data: str, *, sane: bool) -> None:
    assert is_answers(bytes.fromhex(data)) is sane


@given(function=st.integers(0, 255), rest=st.binary(max_size=12))
def test_the_library_can_read_whatever_counts_as_an_answer(function: int, rest: bytes) -> None:
    body = bytes((function,)) + rest
    if is_answers(struct.pack(">HHHB", 1, 0, len(body) + 1, 1) + body):
        assert DecodePDU(is_server=False).decode(body) is not None
