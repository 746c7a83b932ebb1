"""Discovery of a SunSpec device: its base address and the models it holds.

Discovery goes step by step and keeps what it has: an interruption (silence, a busy device, a broken connection) costs
one step, not the whole.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.modbus.devices.sunspec.layout import Layout
from adapters.modbus.devices.sunspec.models import BASES, END_MODEL, HEADER, MARK, Block, models
from adapters.modbus.transport.connection import (
    BehindGatewayError,
    BusyError,
    Code,
    ModbusConnection,
    RefusedError,
    Table,
)
from adapters.modbus.transport.registers import Registers
from vpp.domain.errors import DeviceUnreachableError, FrameError

_MOST_MODELS = 200
"""A chain longer than this is noise."""
_LAST_REGISTER = 65535
_MOST_TRIES = 30
"""Interruptions after which discovery begins anew: the device may be another one by now."""
_NO_MODEL = 0


@dataclass(slots=True)
class Discovery:
    """The discovery of one device.

    Args:
        bases: Where its map may begin, the likeliest first.
    """

    bases: Sequence[int] = BASES
    _waiting: deque[int] = field(init=False)
    _table: Table = Table.HOLDING
    _base: int | None = None
    _address: int = 0
    _tries: int = 0
    _answered: bool = False
    _found: list[int] = field(default_factory=list)
    _blocks: dict[int, Block] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = deque(self.bases)

    async def run(self, connection: ModbusConnection, unit: int) -> Layout:
        """Find the map's base and walk its model headers to the end model, from where the last try ended.

        Raises:
            FrameError: No SunSpec map at any base, or a chain of models without end.
            DeviceUnreachableError: The unit does not answer. No further base is tried, as a dead unit must fail fast;
                the next try begins with the next base, as some devices say nothing where they have no map.
            RefusedError: It is busy, or refuses to be read at all.
        """
        self._answered = False
        try:
            if self._base is None:
                self._base = await self._mark(connection, unit)
                self._address = self._base + len(MARK)
            layout = None
            while layout is None:
                layout = await self._step(connection, unit, self._base)
        except (DeviceUnreachableError, BusyError):
            self._tries += 1
            if self._tries >= _MOST_TRIES:
                self._begin()
            raise
        except (FrameError, RefusedError):
            self._begin()
            raise
        self._begin()
        return layout

    def _begin(self) -> None:
        """Forget everything but which base comes first."""
        self._base, self._tries, self._found, self._blocks = None, 0, [], {}

    async def _mark(self, connection: ModbusConnection, unit: int) -> int:
        for _ in range(len(self._waiting)):
            base = self._waiting[0]
            self._waiting.rotate(-1)
            try:
                found = tuple(await self._read(connection, unit, base, len(MARK))) == MARK
            except BusyError:
                self._waiting.rotate(1)
                raise
            except RefusedError:
                found = False
            if found:
                self._waiting.rotate(1)
                return base
        raise FrameError(f"no SunSpec map at {', '.join(map(str, self.bases))}")

    async def _step(self, connection: ModbusConnection, unit: int, base: int) -> Layout | None:
        """Read one header; return the layout at the chain's end, ``None`` before it."""
        broken = False
        try:
            number, length = await self._header(connection, unit)
        except BusyError:
            raise
        except RefusedError:
            if not self._found:
                raise
            number, length, broken = _NO_MODEL, 0, True
        if number in {END_MODEL, _NO_MODEL}:
            return self._layout(base, self._address if broken or number == _NO_MODEL else None)
        self._note(number, length)
        return None

    def _note(self, number: int, length: int) -> None:
        self._found.append(number)
        if number in models() and number not in self._blocks:
            self._blocks[number] = Block(model=models()[number], start=self._address, length=length)
        self._address += HEADER + length
        if len(self._found) >= _MOST_MODELS or self._address >= _LAST_REGISTER:
            raise FrameError(f"no end model after {len(self._found)} models, at address {self._address}")

    def _layout(self, base: int, broken_at: int | None) -> Layout:
        if not self._found:
            raise FrameError(f"no model behind the SunSpec mark at {base}")
        return Layout(
            base=base, numbers=tuple(self._found), blocks=dict(self._blocks), table=self._table, broken_at=broken_at
        )

    async def _header(self, connection: ModbusConnection, unit: int) -> Registers:
        try:
            return await self._read(connection, unit, self._address, HEADER)
        except BusyError:
            raise
        except RefusedError:  # some devices end right behind the end model's id, before its length
            (number,) = await self._read(connection, unit, self._address, 1)
            if number != END_MODEL:
                raise
            return number, 0

    async def _read(self, connection: ModbusConnection, unit: int, address: int, count: int) -> Registers:
        """Read registers; of a device that has no holding registers at all, its input registers."""
        try:
            return await self._ask(connection, unit, address, count)
        except RefusedError as error:
            if error.code != Code.FUNCTION:
                raise
            self._table = Table.INPUT if self._table is Table.HOLDING else Table.HOLDING
            return await self._ask(connection, unit, address, count)

    async def _ask(self, connection: ModbusConnection, unit: int, address: int, count: int) -> Registers:
        """Read, and once more where a gateway misses a unit that has just answered."""
        try:
            values = await connection.read(unit, address, count, self._table)
        except BehindGatewayError:
            if not self._answered:
                raise
            values = await connection.read(unit, address, count, self._table)
        self._answered = True
        return values
