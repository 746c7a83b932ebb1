"""A device read and written by a declared register map."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.modbus.devices.controls import Check, Order, UnsupportedError
from adapters.modbus.devices.device import Found, Instruction
from adapters.modbus.devices.register_map import MapPoint, RegisterMap, Role
from adapters.modbus.transport import registers
from adapters.modbus.transport.connection import BusyError, ModbusConnection, RefusedError, Table
from adapters.modbus.transport.reading import Place, Plan, Read, reads_of
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Change, Group
from vpp.domain.errors import FrameError
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

Setting = tuple[MapPoint, float]
"""A point and what to write to it, in the point's unit, load positive."""
_DEFAULT_GIVEN = "default_given"
"""Says among the values found that a default of ours lies underneath."""


@dataclass(slots=True, kw_only=True)
class MappedDevice:
    """A device whose registers somebody wrote down for us.

    Attributes:
        resource_class: What it is; photovoltaics take a setpoint as the most they may feed in.
    """

    register_map: RegisterMap
    resource_class: ResourceClass = ResourceClass.STORAGE
    known: bool = False
    timerless: bool = False
    default_given: bool = False
    _found: Found | None = None
    _image: dict[tuple[Table, int], int] = field(default_factory=dict)
    _default_kw: float = math.nan
    _plan: Plan | None = None
    _learning: Plan | None = None

    @property
    def found(self) -> Found | None:
        """The owner's values while a value of ours may be in force."""
        return self._found

    @found.setter
    def found(self, found: Found | None) -> None:
        self._found = found
        self.default_given = bool((found or {}).get(_DEFAULT_GIVEN))

    async def learn(self, wire: ModbusConnection, unit: int) -> None:
        """Read everything once, going on where it was interrupted: a map that fits nothing is refused here."""
        learning = self._learning = self._learning or self._fresh_plan()
        try:
            await learning.run(wire, unit, resume=True)
        except BusyError:
            raise
        except (RefusedError, FrameError):
            self._learning = None
            raise
        self._plan, self._learning = learning, None
        self.timerless = False
        self.known = True

    async def poll(self, wire: ModbusConnection, unit: int) -> int:
        """Read everything; see `Device`."""
        self._plan = self._plan or self._fresh_plan()
        await self._plan.run(wire, unit)
        return len(self._plan.refused)

    def reads(self) -> Sequence[Read]:
        """Return one read for every run of registers without a gap; such devices often refuse to read gaps."""
        return self._plan.reads if self._plan else _reads(self.register_map.points)

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        self._image.update({(read.table, read.address + i): value for i, value in enumerate(values)})

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return what lies within its point's bounds, and the setpoint as read back."""
        values = [(p.quantity, self._value(p)) for p in self.register_map.points if p.quantity is not None]
        shown = [(quantity, value) for quantity, value in values if not math.isnan(value)]
        limit_kw = self.limit_kw()
        return shown if math.isnan(limit_kw) else [*shown, (Quantity.LIMIT_KW, limit_kw)]

    def troubles(self) -> frozenset[Trouble]:
        """Return whether it is measured only, keeps no timer, or stands under its owner's limit."""
        if self._role(Role.SETPOINT) is None:
            return frozenset({Trouble.MEASURED_ONLY})
        untimed = self.timerless or self._role(Role.TIMER) is None
        seen = {Trouble.NO_REVERSION_TIMER: untimed, Trouble.OWNERS_LIMIT: self._owners_limit_kw() < 0.0}
        return frozenset(trouble for trouble, true in seen.items() if true)

    def limit_kw(self) -> float:
        """Return the setpoint register, NaN where the map has none."""
        point = self._role(Role.SETPOINT)
        return self._value(point) if point else math.nan

    def lease_left_s(self) -> float:
        """No map says how long a timer still runs."""
        return math.nan

    def instruction(self, order: Order) -> Instruction:
        """Return the writes for an order; a dispatch value needs a timer, or the device could not fall back."""
        if order.layer is Layer.RELEASE and self.found is None:
            return Instruction(groups=(), reads=(), check=lambda: Check.AGREES)  # the registers are the owner's
        changes = self._changes(order)
        if not changes:
            raise UnsupportedError(f"map {self.register_map.name} has no points for {order.layer.name}")
        if order.layer is Layer.DEFAULT:
            self._default_kw = order.power_kw
        return Instruction(
            groups=[Group(changes=(self._change(point, value),)) for point, value in changes],
            reads=_reads(point for point, _ in changes),
            check=lambda: self._compared(changes),
        )

    def snapshot(self) -> Found:
        """Return setpoint, default and timer as a release is to put them back."""
        roles = (Role.SETPOINT, Role.DEFAULT, Role.TIMER)
        shown = {str(role): self._value(point) for role in roles if (point := self._role(role))}
        values = {name: value for name, value in shown.items() if not math.isnan(value)}
        kept = values if self.found is None else {k: v for k, v in self.found.items() if k != _DEFAULT_GIVEN}
        return {**kept, _DEFAULT_GIVEN: float(self.default_given)}

    def owners_news(self) -> Found | None:
        """No map tells a hand other than ours."""
        return None

    def released(self) -> bool:
        """Tell whether setpoint and default are what a release leaves, as last read."""
        changes = self._changes(Order(layer=Layer.RELEASE, power_kw=math.nan, lease_s=0.0, held=False))
        return all(self._agrees(point, value) for point, value in changes if point.role is not Role.TIMER)

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
            "owners_values": dict(self.snapshot()),
        }

    def _fresh_plan(self) -> Plan:
        return Plan(reads=list(_reads(self.register_map.points)), store=self.store, forget=self._forget, gap=0)

    def _forget(self, read: Read) -> None:
        for i in range(read.count):
            self._image.pop((read.table, read.address + i), None)

    def _changes(self, order: Order) -> list[Setting]:
        setpoint, default, timer = (self._role(role) for role in (Role.SETPOINT, Role.DEFAULT, Role.TIMER))
        ending = [(timer, 0.0)] if timer else []
        match order.layer:
            case Layer.DISPATCH if self.timerless:
                raise UnsupportedError(f"the timer of map {self.register_map.name} is not kept: a value would not end")
            case Layer.DISPATCH if setpoint and timer:
                timer_s = min(float(math.ceil(order.lease_s)), timer.maximum)
                return [*self._underneath(), (setpoint, self._allowed(order.power_kw)), (timer, timer_s)]
            case Layer.DEFAULT:
                kept = [(default, order.power_kw)] if default else []
                return kept if order.held or not setpoint else [*kept, (setpoint, order.power_kw), *ending]
            case Layer.RELEASE if setpoint and not math.isnan(self._fallback_kw()):
                return [(setpoint, self._fallback_kw()), *ending]
            case Layer.RELEASE:
                return ending
        return []

    def _underneath(self) -> list[Setting]:
        """Return the owner's limit as the value to fall back to, where nothing of ours lies underneath."""
        point, limit_kw = self._role(Role.DEFAULT), self._owners_limit_kw()
        if point is None or self.default_given or math.isnan(limit_kw) or not point.allows(limit_kw):
            return []
        return [] if self._agrees(point, limit_kw) else [(point, limit_kw)]

    def _allowed(self, power_kw: float) -> float:
        """Return an order within the owner's limit."""
        limit_kw = self._owners_limit_kw()
        return power_kw if math.isnan(limit_kw) else max(power_kw, limit_kw)

    def _owners_limit_kw(self) -> float:
        """Return the most that may be fed in by the owner's setpoint, NaN where it limits nothing.

        A setpoint of 0 in an inverter that nobody has given one yet is none.
        """
        limit_kw = self._owners(Role.SETPOINT) if self.resource_class is ResourceClass.PV else math.nan
        return limit_kw if limit_kw < 0.0 else math.nan

    def _fallback_kw(self) -> float:
        """Return what a release leaves: our default, or what was found."""
        point = self._role(Role.DEFAULT)
        if self.default_given or (point and self.resource_class is not ResourceClass.PV):
            ours = self._value(point) if point else self._default_kw
            return self._owners(Role.SETPOINT) if math.isnan(ours) else ours
        return self._owners(Role.SETPOINT)

    def _owners(self, role: Role) -> float:
        if self.found is not None:
            return self.found.get(str(role), math.nan)
        point = self._role(role)
        return self._value(point) if point else math.nan

    def _role(self, role: Role) -> MapPoint | None:
        return next((point for point in self.register_map.points if point.role is role), None)

    def _value(self, point: MapPoint) -> float:
        """Return a point in its unit, NaN where it was not read or lies outside its bounds."""
        ordered = self._shown(point)
        if ordered is None:
            return math.nan
        value = registers.number(point.kind, ordered) * point.scale * point.sign + 0.0
        return value if point.allows(value) else math.nan

    def _shown(self, point: MapPoint) -> Registers | None:
        found = [self._image.get((point.table, point.address + i)) for i in range(point.size)]
        return None if None in found else self._ordered([value for value in found if value is not None])

    def _change(self, point: MapPoint, value: float) -> Change:
        before = self._shown(point)
        return Change(
            name=str(point.role),
            address=point.address,
            values=self._encoded(point, value),
            before=None if before is None else self._ordered(before),
        )

    def _encoded(self, point: MapPoint, value: float) -> Registers:
        if not point.write or not point.allows(value):
            raise UnsupportedError(f"{value} is outside what register {point.address} may be given")
        try:
            return self._ordered(registers.encoded(point.kind, _raw(point, value)))
        except OverflowError as error:
            raise UnsupportedError(str(error)) from error

    def _ordered(self, values: Registers) -> Registers:
        return values[::-1] if self.register_map.low_word_first else values

    def _compared(self, changes: Sequence[Setting]) -> Check:
        plain = [(point, value) for point, value in changes if point.role is not Role.TIMER]
        if not all(self._agrees(point, value) for point, value in plain):
            return Check.DIFFERS
        timers = [(point, value) for point, value in changes if point.role is Role.TIMER and value > 0.0]
        return Check.AGREES if all(self._value(point) > 0.0 for point, _ in timers) else Check.NO_TIMER

    def _agrees(self, point: MapPoint, value: float) -> bool:
        return abs(self._value(point) - value) <= abs(point.scale)


def _raw(point: MapPoint, value: float) -> float:
    raw = value / (point.scale * point.sign)
    return raw if point.kind.startswith("float") else float(round(raw))


def _reads(points: Iterable[MapPoint]) -> Sequence[Read]:
    return reads_of((Place(address=p.address, count=p.size, table=p.table) for p in points), gap=0)
