"""Finding out what a SunSpec device is: its base address and the models it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.modbus.registers import Registers
from adapters.modbus.sunspec import BASES, END_MODEL, HEADER, MARK, Block, models
from adapters.modbus.wire import RefusedError, Wire
from vpp.domain.errors import FrameError

_MOST_MODELS = 200
"""A chain longer than this is noise."""
_LAST_REGISTER = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What stands where in a device.

    Attributes:
        found: Every model number in order, those we do not know included.
        blocks: The first block of each model we know.
    """

    base: int
    found: tuple[int, ...]
    blocks: dict[int, Block]


async def discover(wire: Wire, unit: int, bases: Sequence[int] = BASES) -> Layout:
    """Find the map's base and walk its model headers to the end model.

    Raises:
        FrameError: No SunSpec map at any base, or a chain of models without end.
        DeviceUnreachableError: The unit does not answer; no further base is tried, a dead unit must fail fast.
    """
    base = await _base(wire, unit, bases)
    found: list[int] = []
    blocks: dict[int, Block] = {}
    address = base + len(MARK)
    while len(found) < _MOST_MODELS and address < _LAST_REGISTER:
        number, length = await _header(wire, unit, address)
        if number == END_MODEL:
            return Layout(base=base, found=tuple(found), blocks=blocks)
        found.append(number)
        if number in models() and number not in blocks:
            blocks[number] = Block(model=models()[number], start=address, length=length)
        address += HEADER + length
    raise FrameError(f"no end model after {len(found)} models, at address {address}")


async def _base(wire: Wire, unit: int, bases: Sequence[int]) -> int:
    for base in bases:
        try:
            mark = await wire.read(unit, base, len(MARK))
        except RefusedError:
            continue
        if tuple(mark) == MARK:
            return base
    raise FrameError(f"no SunSpec map at {', '.join(map(str, bases))}")


async def _header(wire: Wire, unit: int, address: int) -> Registers:
    try:
        return await wire.read(unit, address, HEADER)
    except RefusedError:  # some devices end right behind the end model's id, before its length
        (number,) = await wire.read(unit, address, 1)
        return number, 0
