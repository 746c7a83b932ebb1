"""Registers of a mapped device as last read, as values of its map's points and back."""

import math

from adapters.modbus.devices.mapped.register_map import MapPoint, RegisterMap
from adapters.modbus.devices.orders import UnsupportedError
from adapters.modbus.transport import registers
from adapters.modbus.transport.connection import Table
from adapters.modbus.transport.reading import Read
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Change


class MapImage:
    """Values in kW, kWh, 0-1 or s, load positive.

    Args:
        register_map: The device's map.
    """

    def __init__(self, register_map: RegisterMap) -> None:
        self.register_map = register_map
        self._registers: dict[tuple[Table, int], int] = {}

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        self._registers.update({(read.table, read.address + i): value for i, value in enumerate(values)})

    def forget(self, read: Read) -> None:
        """Take registers as never read: the device would not show them."""
        for i in range(read.count):
            self._registers.pop((read.table, read.address + i), None)

    def value(self, point: MapPoint) -> float:
        """Return a point in its unit, NaN where it was not read, is not implemented or lies outside its bounds."""
        value = self.unbounded(point)
        return value if point.allows(value) else math.nan

    def unbounded(self, point: MapPoint) -> float:
        """Return a point in its unit whatever its bounds, NaN where it was not read or is not implemented."""
        shown = self._shown(point)
        return math.nan if shown is None else registers.number(point.kind, shown) * point.scale * point.sign + 0.0

    def agrees(self, point: MapPoint, value: float) -> bool:
        """Tell whether a point reads as it was written, to the resolution of its scale."""
        return abs(self.value(point) - value) <= abs(point.scale)

    def change(self, point: MapPoint, value: float) -> Change:
        """Return what sets a point.

        Raises:
            UnsupportedError: The map does not allow it to be written, or not with this value.
        """
        before = self._shown(point)
        return Change(
            name=str(point.role),
            address=point.address,
            values=self._encoded(point, value),
            before=None if before is None else self._ordered(before),
        )

    def _shown(self, point: MapPoint) -> Registers | None:
        """Return a point's registers with the high one first, ``None`` where not all were read."""
        found = [self._registers.get((point.table, point.address + i)) for i in range(point.size)]
        return None if None in found else self._ordered([value for value in found if value is not None])

    def _encoded(self, point: MapPoint, value: float) -> Registers:
        if not point.write or not point.allows(value):
            raise UnsupportedError(f"{value} is outside what register {point.address} may be given")
        raw = value / (point.scale * point.sign)
        try:
            return self._ordered(
                registers.encoded(point.kind, raw if point.kind.startswith("float") else float(round(raw)))
            )
        except OverflowError as error:
            raise UnsupportedError(str(error)) from error

    def _ordered(self, values: Registers) -> Registers:
        return values[::-1] if self.register_map.low_word_first else values
