"""A small Modbus TCP server: function codes 3, 6 and 16 over any number of units, thousands of reads a second."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, cast

_HEADER = struct.Struct(">HHHB")
_PAIR = struct.Struct(">HH")
_READ, _WRITE_ONE, _WRITE = 3, 6, 16
_MOST_READ, _MOST_WRITTEN = 125, 123
_SHORTEST, _LONGEST = 2, 254
"""Bounds of the length field: the unit and a PDU of 1 to 253 bytes."""


class Fault(IntEnum):
    """Exception codes (Modbus Application Protocol 1.1b3, section 7)."""

    FUNCTION = 1
    ADDRESS = 2
    VALUE = 3
    FAILURE = 4
    NO_PATH = 10
    NO_ANSWER = 11


class FaultError(Exception):
    """A request that is answered with an exception."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTreatment:
    """Response of a device to a write.

    Attributes:
        latency_wall_s: Seconds until it responds.
        carry_out: Called then; may raise FaultError.
    """

    latency_wall_s: float
    carry_out: Callable[[], None]


class ServedUnit(Protocol):
    """Registers behind one unit number."""

    def read(self, address: int, count: int) -> bytes:
        """Return registers; raises FaultError."""
        ...

    def write(self, address: int, data: bytes) -> WriteTreatment:
        """Return the response to a write; raises FaultError."""
        ...


class Endpoint:
    """One listening port with the units behind it.

    Attributes:
        open: While false every connection is cut and new ones are refused.
    """

    def __init__(self, units: Mapping[int, ServedUnit]) -> None:
        self.units = units
        self.open = True
        self.connections: set[Connection] = set()

    def unit(self, number: int) -> ServedUnit:
        """Return the unit with that number; raises FaultError."""
        if number not in self.units:
            raise FaultError(Fault.NO_PATH)
        return self.units[number]

    def connection(self) -> "Connection":
        """Return the protocol of a new connection."""
        return Connection(self)

    def cut(self) -> None:
        """Close every connection at once."""
        for connection in tuple(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client. Frames are answered in order of completion; a slow write delays no read."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or refuse it."""
        # uvloop's transports have asyncio's methods but not its base class.
        self._transport = cast("asyncio.Transport", transport)
        if self._endpoint.open:
            self._endpoint.connections.add(self)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Forget the client."""
        self._transport = None
        self._endpoint.connections.discard(self)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer every complete frame; after an invalid header the next frame's begin is unknown."""
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) > _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
            if protocol or not _SHORTEST <= length <= _LONGEST:
                self.abort()
                return
            end = _HEADER.size - 1 + length
            if len(buffer) < end:
                break
            self._answer(transaction, unit, buffer[_HEADER.size : end])
            buffer = buffer[end:]
        self._buffer = buffer

    def _answer(self, transaction: int, number: int, request: bytes) -> None:
        function = request[0]
        try:
            unit = self._endpoint.unit(number)
            if function in {_WRITE_ONE, _WRITE}:
                self._write(transaction, number, unit, request)
            else:
                self._reply(transaction, number, _read(unit, request))
        except FaultError as error:
            self._reply(transaction, number, bytes((function | 0x80, error.fault)))

    def _write(self, transaction: int, number: int, unit: ServedUnit, request: bytes) -> None:
        address, data = _written(request)
        treatment = unit.write(address, data)

        def finish() -> None:
            try:
                treatment.carry_out()
                answer = request[:5]
            except FaultError as error:
                answer = bytes((request[0] | 0x80, error.fault))
            self._reply(transaction, number, answer)

        if treatment.latency_wall_s > 0.0:
            asyncio.get_running_loop().call_later(treatment.latency_wall_s, finish)
        else:
            finish()

    def _reply(self, transaction: int, number: int, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(_HEADER.pack(transaction, 0, len(answer) + 1, number) + answer)


def _read(unit: ServedUnit, request: bytes) -> bytes:
    if request[0] != _READ:
        raise FaultError(Fault.FUNCTION)
    if len(request) != 1 + _PAIR.size:
        raise FaultError(Fault.VALUE)
    address, count = _PAIR.unpack_from(request, 1)
    if not 1 <= count <= _MOST_READ:
        raise FaultError(Fault.VALUE)
    data = unit.read(address, count)
    return bytes((_READ, len(data))) + data


def _written(request: bytes) -> tuple[int, bytes]:
    """Return address and registers of a write request."""
    if len(request) < 1 + _PAIR.size:
        raise FaultError(Fault.VALUE)
    address, count = _PAIR.unpack_from(request, 1)
    if request[0] == _WRITE_ONE:
        return address, request[3:5]
    data = request[6:]
    if not 1 <= count <= _MOST_WRITTEN or len(data) != 2 * count or request[5] != len(data):
        raise FaultError(Fault.VALUE)
    return address, data
