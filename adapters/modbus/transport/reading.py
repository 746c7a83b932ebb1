"""Reads that cover what is wanted of a device, divided as finely as the device demands.

Few requests are best: what stands close together is read at once, over the borders of models and over gaps. Devices
differ in what they allow. A read that is refused is divided at the borders of its models, then in halves, down to
single points, and stays divided; a single point that is refused counts as unknown, and its neighbours are used. A read
that is met with silence twice in a row is divided for the next try, as some devices do not answer a long one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from adapters.modbus.transport.connection import (
    BehindGatewayError,
    BusyError,
    Code,
    ModbusConnection,
    NoAnswerError,
    RefusedError,
    Table,
)
from adapters.modbus.transport.registers import Registers

SPAN = 125
"""Most registers one read can carry (Modbus Application Protocol 1.1b3, section 6.3)."""
_WHOLE_UNIT = {Code.FUNCTION}
"""Exceptions that say something of the unit, not of the registers that were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Registers that are of no use unless they are read together.

    Attributes:
        within: What they belong to, such as the start of their model; reads are divided at its borders first.
    """

    address: int
    count: int
    within: int = 0
    table: Table = Table.HOLDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read request.

    Attributes:
        places: What it is for, by address; empty where it cannot be divided.
    """

    address: int
    count: int
    table: Table = Table.HOLDING
    places: tuple[Place, ...] = ()

    def halves(self, *, gap: int) -> "Sequence[Read]":
        """Return two or more reads for the same places; this one alone where there is but one place."""
        borders = {place.within for place in self.places}
        if len(borders) > 1:
            parts = [[p for p in self.places if p.within == border] for border in sorted(borders)]
        else:
            middle = len(self.places) // 2
            parts = [list(self.places[:middle]), list(self.places[middle:])]
        return [read for part in parts if part for read in reads_of(part, gap=gap)] if len(self.places) > 1 else [self]


def reads_of(places: Iterable[Place], *, gap: int = SPAN) -> list[Read]:
    """Return few reads that cover all places; gaps of up to ``gap`` registers are read along."""
    reads: list[Read] = []
    tables: dict[Table, list[Place]] = {}
    for place in places:
        tables.setdefault(place.table, []).append(place)
    for table, some in tables.items():
        ordered = sorted(set(some), key=lambda p: (p.address, p.count))
        for address, count in merged(((p.address, p.count) for p in ordered), gap=gap):
            inside = tuple(p for p in ordered if address <= p.address < address + count)
            reads.append(Read(address=address, count=count, table=table, places=inside))
    return reads


@dataclass(slots=True, kw_only=True)
class Plan:
    """Reads for one purpose.

    Attributes:
        reads: The requests as they stand now; they become more where the device refuses.
        store: Takes what was read.
        forget: Takes what the device would not show.
        gap: Registers that may be read along between two places.
        refused: What the device would not show when it was last asked.
    """

    reads: list[Read]
    store: Callable[[Read, Registers], None]
    forget: Callable[[Read], None]
    gap: int = SPAN
    refused: list[Read] = field(default_factory=list)
    _done: int = 0
    _answered: bool = True
    _silent: Read | None = None

    async def run(self, connection: ModbusConnection, unit: int, *, resume: bool = False) -> None:
        """Read everything, from where it was interrupted if ``resume``.

        Raises:
            DeviceUnreachableError: No connection, or no answer.
            BusyError: It is busy.
            RefusedError: It shows none of what was asked for.
            FrameError: An answer made no sense.
        """
        if not resume or not self._done:
            self._done, self.refused = 0, []
        while self._done < len(self.reads):
            await self._one(connection, unit, self.reads[self._done])
        self._done = 0
        if self.refused and len(self.refused) == len(self.reads):
            raise RefusedError(Code.ADDRESS)

    async def _one(self, connection: ModbusConnection, unit: int, read: Read) -> None:
        try:
            values = await self._read(connection, unit, read)
        except BusyError:
            raise
        except NoAnswerError:
            if self._silent == read:
                self._divide(read)
            self._silent = read
            raise
        except RefusedError as error:
            if error.code in _WHOLE_UNIT:
                raise
            if not self._divide(read):
                self._pass_over(read)
        else:
            self.store(read, values)
            self._done += 1

    async def _read(self, connection: ModbusConnection, unit: int, read: Read) -> Registers:
        """Read, and once more where a gateway misses a unit that answered before."""
        again, self._answered = self._answered, False
        try:
            values = await connection.read(unit, read.address, read.count, read.table)
        except BehindGatewayError:
            if not again:
                raise
            values = await connection.read(unit, read.address, read.count, read.table)
        self._answered = True
        return values

    def _divide(self, read: Read) -> bool:
        """Put parts in a read's place; tell whether there are any."""
        parts = read.halves(gap=self.gap)
        self.reads[self._done : self._done + 1] = parts
        return len(parts) > 1 or parts[0] != read

    def _pass_over(self, read: Read) -> None:
        self.forget(read)
        self.refused.append(read)
        self._done += 1


def merged(spans: Iterable[tuple[int, int]], *, limit: int = SPAN, gap: int = SPAN) -> list[tuple[int, int]]:
    """Return few reads, in order of address, that cover all ``(address, count)`` spans.

    Gaps of up to ``gap`` registers are read along where the whole still fits one read: a request costs more than the
    registers in it. A span longer than ``limit`` is cut.
    """
    reads: list[tuple[int, int]] = []
    for address, count in sorted(_cut(spans, limit)):
        first, covered = reads[-1] if reads else (-limit - gap - 1, 0)
        if address + count - first <= limit and address - first - covered <= gap:
            reads[-1] = (first, max(covered, address + count - first))
        else:
            reads.append((address, count))
    return reads


def _cut(spans: Iterable[tuple[int, int]], limit: int) -> Iterable[tuple[int, int]]:
    for address, count in spans:
        for done in range(0, count, limit):
            yield address + done, min(limit, count - done)
