"""Register image of a simulated SunSpec device, in wire format."""

import math
import struct
from collections.abc import Mapping, Sequence

from adapters.modbus.devices.sunspec.models import END_MODEL, HEADER, MARK, Point, models
from adapters.modbus.transport import registers
from adapters.modbus.transport.registers import KINDS

_BYTES = 2


class RegisterImage:
    """A chain of models behind the ``SunS`` mark, everything "not implemented" at first.

    Args:
        base: Address of the mark.
        chain: Model numbers in order, each with the number of repetitions of its group.
        scales: Scale factors by model number and point.
    """

    def __init__(self, base: int, chain: Sequence[tuple[int, int]], scales: Mapping[int, Mapping[str, int]]) -> None:
        self.base = base
        self._starts: dict[int, int] = {}
        self._slots: dict[tuple[int, str, int], tuple[int, Point, int]] = {}
        self._scales = scales
        words = list(MARK)
        for number, groups in chain:
            self._starts[number] = len(words)
            words += _blank(number, groups, scales.get(number, {}))
        words += [END_MODEL, 0]
        self.data = bytearray(registers.packed(words))
        self.writable = self._writable()

    def __len__(self) -> int:
        """Return the number of registers."""
        return len(self.data) // _BYTES

    def offset(self, number: int, name: str) -> int:
        """Return a point's register, counted from the base."""
        return self._starts[number] + models()[number].points[name].offset

    def span(self, number: int, *names: str) -> range:
        """Return the registers from the first to the last of these points, counted from the base."""
        points = [models()[number].points[name] for name in names]
        start = self._starts[number]
        return range(start + min(p.offset for p in points), start + max(p.offset + p.size for p in points))

    def put(self, number: int, name: str, value: float, *, group: int = 0) -> None:
        """Show ``value``, in the point's unit, as near as its type and scale factor allow; NaN as not implemented."""
        at, point, exponent = self._slot(number, name, group)
        kind = KINDS[point.kind]
        raw = registers.unscaled(value, exponent)
        if math.isnan(raw):
            raw = kind.absent or 0
        else:
            least, greatest = kind.bounds
            raw = min(max(raw, least + (kind.absent == least)), greatest - (kind.absent == greatest))
        struct.pack_into(">" + kind.code, self.data, at, int(raw))

    def put_text(self, number: int, name: str, text: str) -> None:
        """Show a string, cut to the point's size."""
        at, point, _ = self._slot(number, name, 0)
        size = point.size * _BYTES
        self.data[at : at + size] = text.encode()[:size].ljust(size, b"\0")

    def value(self, number: int, name: str) -> float:
        """Return what a point shows, in its unit."""
        at, point, exponent = self._slot(number, name, 0)
        shown = registers.unpacked(bytes(self.data[at : at + point.size * _BYTES]))
        return registers.scaled(registers.number(point.kind, shown), exponent)

    def _slot(self, number: int, name: str, group: int) -> tuple[int, Point, int]:
        key = (number, name, group)
        if key not in self._slots:
            model = models()[number]
            point = model.points[name]
            exponent = self._scales.get(number, {}).get(point.scale, 0)
            ahead = model.length() + HEADER + group * model.group_size if point.repeats else 0
            self._slots[key] = ((self._starts[number] + ahead + point.offset) * _BYTES, point, exponent)
        return self._slots[key]

    def _writable(self) -> bytearray:
        flags = bytearray(len(self))
        for number, start in self._starts.items():
            for point in models()[number].points.values():
                if point.writable and not point.repeats:
                    flags[start + point.offset : start + point.offset + point.size] = b"\1" * point.size
        return flags


def _blank(number: int, groups: int, scales: Mapping[str, int]) -> list[int]:
    """Return one model's registers with its header and scale factors, all else not implemented."""
    model = models()[number]
    words = [number, model.length(groups)]
    for point in model.fixed[HEADER:]:
        words += _absent(point, scales)
    repeating = [word for point in model.points.values() if point.repeats for word in _absent(point, scales)]
    return words + repeating * groups


def _absent(point: Point, scales: Mapping[str, int]) -> Sequence[int]:
    if point.kind == "string":
        return [0] * point.size
    if point.kind == "pad":
        return [0x8000]
    return registers.encoded(point.kind, scales.get(point.name, math.nan))
