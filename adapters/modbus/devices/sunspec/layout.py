"""Layout of a SunSpec device: which model stands where, and the reads that cover its points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.transport.connection import Table
from adapters.modbus.transport.reading import Place, Plan, Read, reads_of
from adapters.modbus.transport.registers import Registers


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Models of one device.

    Attributes:
        base: Address of the ``SunS`` mark, -1 before the device is known.
        numbers: Every model number in order, those without a definition here included.
        blocks: The first block of each model that has one.
        table: Where the map is read.
        broken_at: Address at which the chain of models could not be followed any further; ``None`` for a whole chain.
    """

    base: int
    numbers: tuple[int, ...]
    blocks: dict[int, Block]
    table: Table = Table.HOLDING
    broken_at: int | None = None

    def reads(self, block: Block, names: Iterable[str]) -> list[Read]:
        """Return the reads that cover points of one block and their scale factors."""
        return reads_of(self._places(block, names))

    def plan(self, points: Mapping[int, Iterable[str]]) -> Plan:
        """Return a plan that reads points into their blocks, by model number; models the device lacks are left out."""
        places = [
            place
            for number, names in points.items()
            if number in self.blocks
            for place in self._places(self.blocks[number], names)
        ]
        return Plan(reads=reads_of(places), store=self.store, forget=self._forget)

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read, in whichever blocks it belongs to."""
        first, last = read.address, read.address + len(values)
        for block in self.blocks.values():
            if block.start < last and first < block.end:
                block.store(first, values)

    def _forget(self, read: Read) -> None:
        for block in self.blocks.values():
            block.forget(read.address, read.count)

    def _places(self, block: Block, names: Iterable[str]) -> list[Place]:
        return [Place(address=a, count=c, within=block.start, table=self.table) for a, c in block.places(*names)]


NO_LAYOUT = Layout(base=-1, numbers=(), blocks={})
"""Of a device that is not known yet."""
