"""SunSpec models as data, and the block of registers that a device holds of one model.

The table in ``models.csv`` comes from the model definitions of the SunSpec Alliance (Apache-2.0); a test compares it
with theirs.
"""

import csv
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files

from adapters.modbus.transport import registers
from adapters.modbus.transport.registers import Registers

MARK = (0x5375, 0x6E53)
"""``SunS``, the two registers a SunSpec map begins with."""
BASES = (40000, 50000, 0)
"""Addresses at which a map may begin."""
END_MODEL = 0xFFFF
HEADER = 2
"""Registers of a model's id and length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a model.

    Attributes:
        offset: Registers from the model's id, or from the group's start where ``repeats``.
        size: Number of registers.
        scale: Name of the point that holds its scale factor, a literal exponent, or empty.
    """

    name: str
    offset: int
    kind: str
    size: int
    scale: str
    unit: str
    writable: bool
    repeats: bool


@dataclass(frozen=True, kw_only=True)
class Model:
    """All points of one model number."""

    number: int
    points: Mapping[str, Point]

    @cached_property
    def fixed(self) -> tuple[Point, ...]:
        """Points that stand once."""
        return tuple(point for point in self.points.values() if not point.repeats)

    @cached_property
    def group_size(self) -> int:
        """Registers of one repetition, 0 where nothing repeats."""
        return sum(point.size for point in self.points.values() if point.repeats)

    def length(self, groups: int = 0) -> int:
        """Return the registers after the header with that many repetitions."""
        return sum(point.size for point in self.fixed) - HEADER + groups * self.group_size


@lru_cache(maxsize=1)
def models() -> Mapping[int, Model]:
    """Return every model we know by its number."""
    source = files("adapters.modbus.devices.sunspec").joinpath("models.csv").read_text(encoding="utf-8")
    points: dict[int, dict[str, Point]] = {}
    for row in csv.DictReader(line for line in source.splitlines() if not line.startswith("#")):
        points.setdefault(int(row["model"]), {})[row["point"]] = Point(
            name=row["point"],
            offset=int(row["offset"]),
            kind=row["type"],
            size=int(row["size"]),
            scale=row["sf"],
            unit=row["units"],
            writable=row["access"] == "RW",
            repeats=row["repeat"] == "1",
        )
    return {number: Model(number=number, points=table) for number, table in points.items()}


@dataclass(slots=True, kw_only=True)
class Block:
    """One model in one device, with the registers last read of it.

    Attributes:
        start: Address of its id register.
        length: Registers after the header, as the device says.
    """

    model: Model
    start: int
    length: int
    _image: "array[int]" = field(init=False)
    _seen: bytearray = field(init=False)

    @property
    def end(self) -> int:
        """Address behind its last register."""
        return self.start + self.length + HEADER

    def __post_init__(self) -> None:
        self._image = array("H", [0]) * (self.length + HEADER)
        self._seen = bytearray(self.length + HEADER)

    def holds(self, name: str) -> bool:
        """Tell whether the device's version of the model is long enough to have this point."""
        point = self.model.points[name]
        return point.offset + point.size <= self.length + HEADER

    def span(self, *names: str) -> tuple[int, int]:
        """Return first address and register count that cover these points and their scale factors."""
        points = [self.model.points[name] for name in names if self.holds(name)]
        scales = [self.model.points[p.scale] for p in points if p.scale in self.model.points and self.holds(p.scale)]
        first = min((p.offset for p in points + scales), default=0)
        last = max((p.offset + p.size for p in points + scales), default=0)
        return self.start + first, last - first

    def places(self, *names: str) -> list[tuple[int, int]]:
        """Return address and register count of each of these points and of their scale factors, by address."""
        points = [self.model.points[name] for name in names]
        scales = [self.model.points[p.scale] for p in points if p.scale in self.model.points]
        here = {(self.start + p.offset, p.size) for p in points + scales if self.holds(p.name)}
        return sorted(here)

    def forget(self, address: int, count: int) -> None:
        """Take registers as never read: the device would not show them."""
        low, high = max(address - self.start, 0), min(address + count - self.start, len(self._seen))
        if low < high:
            self._seen[low:high] = bytes(high - low)

    def store(self, address: int, values: Registers) -> None:
        """Keep those of the registers read at ``address`` that belong to this block."""
        low = max(address, self.start)
        high = min(address + len(values), self.start + HEADER + self.length)
        if low < high:
            here = slice(low - self.start, high - self.start)
            self._image[here] = array("H", values[low - address : high - address])
            self._seen[here] = b"\1" * (high - low)

    def raw(self, name: str) -> float:
        """Return a point's unscaled number, NaN where it is not implemented or was not read."""
        found = self._registers(self.model.points[name])
        return math.nan if found is None else registers.number(self.model.points[name].kind, found)

    def exponent(self, name: str) -> float:
        """Return a point's scale factor: 0 where its model gives it none, NaN where the device does not implement it.

        A value whose scale factor reads 0x8000 is not implemented either, whatever its own registers hold.
        """
        scale = self.model.points[name].scale
        if not scale:
            return 0.0
        return self.raw(scale) if scale in self.model.points else float(scale)

    def value(self, name: str) -> float:
        """Return a point in its unit, NaN where it is not implemented or was not read."""
        return registers.scaled(self.raw(name), self.exponent(name))

    def text(self, name: str) -> str:
        """Return a string point, empty where it is not implemented or was not read."""
        found = self._registers(self.model.points[name])
        return "" if found is None else registers.text(found)

    def encoded(self, name: str, value: float) -> tuple[int, ...]:
        """Return the registers that set a point to ``value`` in its unit.

        Raises:
            OverflowError: The point cannot hold it, or its scale factor is not known.
        """
        raw = registers.unscaled(value, self.exponent(name))
        if math.isnan(raw) and not math.isnan(value):
            raise OverflowError(f"{name} of model {self.model.number} has no scale factor")
        return registers.encoded(self.model.points[name].kind, raw)

    def written(self, name: str) -> Registers | None:
        """Return the registers of a point as last read, ``None`` where they were not."""
        return self._registers(self.model.points[name])

    def between(self, first: int, last: int) -> Registers:
        """Return the registers at offsets ``first`` to before ``last``; raises LookupError if not all were read."""
        seen = self._seen[first:last]
        if len(seen) != last - first or not all(seen):
            raise LookupError(f"registers {first} to {last} of model {self.model.number} were not read")
        return self._image[first:last]

    def _registers(self, point: Point) -> Registers | None:
        here = slice(point.offset, point.offset + point.size)
        seen = self._seen[here]
        return self._image[here] if len(seen) == point.size and all(seen) else None
