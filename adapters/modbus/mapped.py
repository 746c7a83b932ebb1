"""A device read and written by a declared register map."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.modbus import registers
from adapters.modbus.control import Order, UnsupportedError
from adapters.modbus.device import Instruction, Read
from adapters.modbus.registers import Registers
from adapters.modbus.regmap import MapPoint, RegisterMap, Role
from adapters.modbus.sunspec import merged
from adapters.modbus.wire import Table, Wire
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

Change = tuple[MapPoint, float]
"""A point and what to write to it, in the point's unit, load positive."""


@dataclass(slots=True, kw_only=True)
class MappedDevice:
    """A device whose registers somebody wrote down for us."""

    register_map: RegisterMap
    known: bool = False
    _image: dict[tuple[Table, int], int] = field(default_factory=dict)
    _default_kw: float = math.nan

    async def learn(self, wire: Wire, unit: int) -> None:
        """Read everything once: a map that does not fit is refused here."""
        for read in self.reads():
            self.store(read, await wire.read(unit, read.address, read.count, read.table))
        self.known = True

    def reads(self) -> Sequence[Read]:
        """Return one read for every run of registers without a gap; such devices often refuse to read gaps."""
        return _reads(self.register_map.points)

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        self._image.update({(read.table, read.address + i): value for i, value in enumerate(values)})

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return what lies within its point's bounds, and the setpoint as read back."""
        values = [(p.quantity, self._value(p)) for p in self.register_map.points if p.quantity is not None]
        shown = [(quantity, value) for quantity, value in values if not math.isnan(value)]
        limit_kw = self.limit_kw()
        return shown if math.isnan(limit_kw) else [*shown, (Quantity.LIMIT_KW, limit_kw)]

    def limit_kw(self) -> float:
        """Return the setpoint register, NaN where the map has none."""
        point = self._role(Role.SETPOINT)
        return self._value(point) if point else math.nan

    def lease_left_s(self) -> float:
        """No map says how long a timer still runs."""
        return math.nan

    def instruction(self, order: Order) -> Instruction:
        """Return the writes for an order; a dispatch value needs a timer, or the device could not fall back."""
        changes = self._changes(order)
        if not changes:
            raise UnsupportedError(f"map {self.register_map.name} has no points for {order.layer.name}")
        if order.layer is Layer.DEFAULT:
            self._default_kw = order.power_kw
        return Instruction(
            writes=[(point.address, self._encoded(point, value)) for point, value in changes],
            reads=_reads(point for point, _ in changes),
            confirmed=lambda: all(self._agrees(point, value) for point, value in changes),
        )

    def card(self) -> Mapping[str, object]:
        """Return what the map says of the device."""
        return {
            "protocol": "register map",
            "manufacturer": self.register_map.manufacturer,
            "model": self.register_map.model,
            "version": "",
            "serial": "",
            "models": [],
            "control_model": self.register_map.name if self._role(Role.SETPOINT) else None,
        }

    def _changes(self, order: Order) -> list[Change]:
        setpoint, default, timer = (self._role(role) for role in (Role.SETPOINT, Role.DEFAULT, Role.TIMER))
        ending = [(timer, 0.0)] if timer else []
        match order.layer:
            case Layer.DISPATCH if setpoint and timer:
                return [(setpoint, order.power_kw), (timer, min(float(math.ceil(order.lease_s)), timer.maximum))]
            case Layer.DEFAULT:
                kept = [(default, order.power_kw)] if default else []
                return kept if order.held or not setpoint else [*kept, (setpoint, order.power_kw), *ending]
            case Layer.RELEASE if setpoint and not math.isnan(self._fallback_kw()):
                return [(setpoint, self._fallback_kw()), *ending]
            case Layer.RELEASE:
                return ending
        return []

    def _fallback_kw(self) -> float:
        point = self._role(Role.DEFAULT)
        return self._value(point) if point else self._default_kw

    def _role(self, role: Role) -> MapPoint | None:
        return next((point for point in self.register_map.points if point.role is role), None)

    def _value(self, point: MapPoint) -> float:
        """Return a point in its unit, NaN where it was not read or lies outside its bounds."""
        found = [self._image.get((point.table, point.address + i)) for i in range(point.size)]
        if None in found:
            return math.nan
        ordered = self._ordered([value for value in found if value is not None])
        value = registers.number(point.kind, ordered) * point.scale * point.sign + 0.0
        return value if point.allows(value) else math.nan

    def _encoded(self, point: MapPoint, value: float) -> Registers:
        if not point.write or not point.allows(value):
            raise UnsupportedError(f"{value} is outside what register {point.address} may be given")
        try:
            return self._ordered(registers.encoded(point.kind, _raw(point, value)))
        except OverflowError as error:
            raise UnsupportedError(str(error)) from error

    def _ordered(self, values: Registers) -> Registers:
        return values[::-1] if self.register_map.low_word_first else values

    def _agrees(self, point: MapPoint, value: float) -> bool:
        shown = self._value(point)
        if point.role is Role.TIMER:  # a device may count it down
            return (shown > 0.0) == (value > 0.0)
        return abs(shown - value) <= abs(point.scale)


def _raw(point: MapPoint, value: float) -> float:
    raw = value / (point.scale * point.sign)
    return raw if point.kind.startswith("float") else float(round(raw))


def _reads(points: Iterable[MapPoint]) -> Sequence[Read]:
    spans: dict[Table, list[tuple[int, int]]] = {}
    for point in points:
        spans.setdefault(point.table, []).append((point.address, point.size))
    return [Read(address=a, count=c, table=t) for t, some in spans.items() for a, c in merged(some, gap=0)]
