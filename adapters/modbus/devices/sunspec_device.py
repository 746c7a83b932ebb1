"""A device that describes itself by SunSpec models."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.modbus.devices import sources
from adapters.modbus.devices.controls import (
    W_PER_KW,
    Check,
    Control,
    Order,
    Points,
    UnsupportedError,
    controls_of,
    encoded,
)
from adapters.modbus.devices.device import Found, Instruction
from adapters.modbus.devices.discovery import Discovery, Layout
from adapters.modbus.devices.sources import Source, Sources
from adapters.modbus.devices.sunspec_models import Block
from adapters.modbus.transport.connection import BusyError, ModbusConnection, RefusedError
from adapters.modbus.transport.reading import Place, Plan, Read, reads_of
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Change, Group
from vpp.domain.errors import FrameError
from vpp.domain.resource import STORING, Resource, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

_WH_PER_KWH = 1000.0
_PERCENT = 100.0
_UNBOUNDED = (-math.inf, math.inf)
_DEVICE = "device"
"""Names the device among the values found."""
_MODEL = "model"
"""Names the control's model among the values found."""
_DEFAULT_GIVEN = "default"
"""Says among the values found that a default of ours lies underneath."""


@dataclass(slots=True, kw_only=True)
class SunSpecDevice:
    """A device that describes itself by SunSpec models."""

    resource: Resource
    known: bool = False
    _layout: Layout = field(default_factory=lambda: Layout(base=-1, found=(), blocks={}))
    _control: Control | None = None
    _used: dict[Sources, Source | None] = field(default_factory=dict)
    _survey: Discovery = field(default_factory=Discovery)
    _learning: "_Learning | None" = None
    _reading_back: Sequence[Read] = ()
    _limited: bool = False
    _plan: Plan | None = None

    async def learn(self, wire: ModbusConnection, unit: int) -> None:
        """Discover the models, read what does not change and choose what to poll."""
        learning = self._learning
        if learning is None:
            learning = self._learning = _Learning(await self._survey.run(wire, unit), self.resource)
        try:
            await learning.plan.run(wire, unit, resume=True)
        except BusyError:
            raise
        except (RefusedError, FrameError):
            self._learning = None
            raise
        self._learning = None
        self._adopt(learning)

    def _adopt(self, learning: "_Learning") -> None:
        """Take what was learnt; what we know of values of our own stays with the device."""
        before = self._control
        self._layout = learning.layout
        candidates = controls_of(self.resource, self._layout.blocks, self._rated_kw)
        self._control = next((c for c in candidates if not math.isnan(c.block.raw(c.switch))), None)
        if before is not None and self._control is not None and before.number == self._control.number:
            self._control.take_over(before)
        control = self._control
        self._reading_back = reads_of(_places(control.block, control.points, self._layout)) if control else ()
        self._limited = control is not None and control.owners_bounds_kw() != _UNBOUNDED
        power = sources.power_of(self.resource.resource_class)
        self._used = {wanted: self._chosen(wanted, learning.plan.refused) for wanted in (power, *self._polled())}
        chosen = [s for s in self._used.values() if s]
        self._plan = _plan_of(self._layout, chosen, [self._control] if self._control else [])
        self.known = True

    async def poll(self, wire: ModbusConnection, unit: int) -> int:
        """Read the first source of each quantity, and the control's points."""
        if self._plan is None:
            return 0
        await self._plan.run(wire, unit)
        return len(self._plan.refused)

    def reads(self) -> Sequence[Read]:
        """Return the requests of one poll."""
        return self._plan.reads if self._plan else ()

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read, in whichever blocks it belongs to."""
        _store(self._layout, read, values)

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return power, energy, state of charge, bounds and the setpoint in force."""
        owners_kw = self._control.owners_bounds_kw() if self._control else _UNBOUNDED
        self._limited = owners_kw != _UNBOUNDED
        p_min_kw, p_max_kw = self._bounds_kw(owners_kw)
        shown = (
            (Quantity.POWER_KW, self._power_kw()),
            (Quantity.ENERGY_KWH, self._value(sources.ENERGY) / _WH_PER_KWH),
            (Quantity.SOC, self._value(sources.SOC) / _PERCENT),
            (Quantity.P_MIN_KW, p_min_kw),
            (Quantity.P_MAX_KW, p_max_kw),
            (Quantity.LIMIT_KW, self.limit_kw()),
        )
        return [(quantity, value) for quantity, value in shown if not math.isnan(value)]

    def troubles(self) -> frozenset[Trouble]:
        """Return whether it is measured only, keeps no timer, or stands under its owner's limit."""
        control = self._control
        if control is None:
            return frozenset({Trouble.MEASURED_ONLY})
        untimed = control.timerless or not control.implemented(control.timer)
        seen = {Trouble.NO_REVERSION_TIMER: untimed, Trouble.OWNERS_LIMIT: self._limited}
        return frozenset(trouble for trouble, true in seen.items() if true)

    def limit_kw(self) -> float:
        """Return what the control reads back."""
        return self._control.limit_kw() + 0.0 if self._control else math.nan

    def lease_left_s(self) -> float:
        """Return what the control reads back."""
        return self._control.lease_left_s() if self._control else math.nan

    def instruction(self, order: Order) -> Instruction:
        """Return the writes of the control in use, and the read-back of what it wrote."""
        control = self._control
        if control is None:
            raise UnsupportedError(f"{self.resource.id} holds no model that takes setpoints")
        if order.layer is Layer.RELEASE and control.found is None:
            return Instruction(groups=(), reads=(), check=lambda: Check.AGREES)  # the registers are the owner's
        groups = control.wanted(order)
        if order.layer is Layer.DISPATCH or not groups:
            return self._instructed(control, order, groups)
        freeing = self._instructed(control, order, control.only_implemented(control.freeing()))
        return self._instructed(control, order, groups, freeing)

    def _instructed(
        self, control: Control, order: Order, groups: Sequence[Points], otherwise: Instruction | None = None
    ) -> Instruction:
        return Instruction(
            groups=[_group(control, points) for points in groups],
            reads=self._reading_back if groups else (),
            check=lambda: control.compared(groups),
            otherwise=otherwise if otherwise is not None and otherwise.groups else None,
            taken=lambda: control.taken(order, groups),
        )

    @property
    def found(self) -> Found | None:
        """The owner's values while a value of ours may be in force."""
        return self._control.found if self._control else None

    @found.setter
    def found(self, found: Found | None) -> None:
        control = self._control
        if control is None:
            return
        known = found is not None and found.get(_MODEL) == control.number and self._is(found.get(_DEVICE, 0.0))
        control.found = {k: v for k, v in (found or {}).items() if k in control.kept} if known else None
        control.default_given = known and bool((found or {}).get(_DEFAULT_GIVEN))

    def snapshot(self) -> Found:
        """Return the control's points as a release is to put them back."""
        control = self._control
        if control is None:
            return {}
        return self._named(control.snapshot() if control.found is None else control.found)

    def _named(self, values: Points) -> Found:
        """Return values with what says whose they are."""
        control = self._control
        number, given = (control.number, control.default_given) if control else (0, False)
        return {**values, _MODEL: number, _DEVICE: self._nameplate(), _DEFAULT_GIVEN: float(given)}

    def _is(self, nameplate: float) -> bool:
        """Tell whether this may be the device of that nameplate: another one at its address has another's values."""
        return nameplate in {0.0, self._nameplate()} or not self._nameplate()

    def _nameplate(self) -> float:
        """Return a number for make, model and serial number, 0 where they are not shown."""
        common = self._layout.blocks.get(1)
        names = "".join(common.text(name) for name in ("Mn", "Md", "SN")) if common else ""
        return float(zlib.crc32(names.encode()))

    @property
    def timerless(self) -> bool:
        """The device was seen not to keep a reversion timer."""
        return self._control is not None and self._control.timerless

    @timerless.setter
    def timerless(self, timerless: bool) -> None:
        if self._control is not None:
            self._control.timerless = timerless

    @property
    def default_given(self) -> bool:
        """A default value of ours lies underneath."""
        return self._control is not None and self._control.default_given

    @default_given.setter
    def default_given(self, given: bool) -> None:
        if self._control is not None:
            self._control.default_given = given

    def owners_news(self) -> Found | None:
        """Return the control's points as their owner wants them now, ``None`` where that has not changed."""
        news = self._control.owners_news() if self._control else None
        return None if news is None else self._named(news)

    def released(self) -> bool:
        """Tell whether what is in force is what a release leaves, as last read."""
        return self._control is None or self._control.released()

    def card(self) -> Mapping[str, object]:
        """Return identity, models and the control in use."""
        common = self._layout.blocks.get(1)
        identity = {name: common.text(name) if common else "" for name in sources.IDENTITY}
        return {
            "protocol": "sunspec",
            "manufacturer": identity["Mn"],
            "model": identity["Md"],
            "version": identity["Vr"],
            "serial": identity["SN"],
            "base_address": self._layout.base,
            "models": list(self._layout.found),
            "map_broken_at": self._layout.broken_at,
            "control_model": self._control.number if self._control else None,
            "owners_values": dict(self._control.restoring()) if self._control else None,
        }

    def _rated_kw(self) -> float:
        rated_kw = self._value(sources.RATED) / W_PER_KW
        return -self.resource.p_min_kw if math.isnan(rated_kw) else rated_kw

    def _polled(self) -> Sequence[Sources]:
        if self.resource.resource_class in STORING:
            return sources.ENERGY, sources.SOC, sources.CHARGE, sources.DISCHARGE
        return sources.ENERGY, sources.AVAILABLE

    def _chosen(self, wanted: Sources, refused: Sequence[Read]) -> Source | None:
        """Return the first source that shows a value; failing that, the first that may show one later."""
        held = [s for s in wanted if s[0] in self._layout.blocks and self._block(s).holds(s[1])]
        showing = [s for s in held if not math.isnan(self._block(s).value(s[1]))]
        hidden = {(read.address, read.count) for read in refused}
        hopeful = [s for s in held if not hidden.intersection(self._block(s).places(s[1]))]
        return next(iter(showing or hopeful), None)

    def _power_kw(self) -> float:
        power = sources.power_of(self.resource.resource_class)
        used = self._used.get(power)
        return math.nan if used is None else sources.load_sign(used) * self._value(power) / W_PER_KW + 0.0

    def _value(self, wanted: Sources) -> float:
        """Return the value of the source that is polled; of what is not polled, the first value that is known."""
        polled = self._used.get(wanted)
        for source in (polled,) if polled else wanted:
            if source[0] in self._layout.blocks:
                value = self._block(source).value(source[1])
                if not math.isnan(value):
                    return value
        return math.nan

    def _block(self, source: Source) -> Block:
        return self._layout.blocks[source[0]]

    def _bounds_kw(self, owners_kw: tuple[float, float]) -> tuple[float, float]:
        """Return least and greatest net power it can take now, within what its owner allows."""
        (least_kw, most_kw) = owners_kw
        p_min_kw, p_max_kw = self._able_kw()
        return (
            p_min_kw if math.isnan(p_min_kw) else max(p_min_kw, least_kw),
            p_max_kw if math.isnan(p_max_kw) else min(p_max_kw, most_kw),
        )

    def _able_kw(self) -> tuple[float, float]:
        if self.resource.resource_class is ResourceClass.PV:
            return -self._value(sources.AVAILABLE) / W_PER_KW + 0.0, 0.0
        if self.resource.resource_class not in STORING:
            return math.nan, math.nan
        soc, least, most = (self._value(s) for s in (sources.SOC, sources.SOC_MIN, sources.SOC_MAX))
        empty = soc <= (0.0 if math.isnan(least) else least)
        full = soc >= (_PERCENT if math.isnan(most) else most)
        return (
            0.0 if empty else -self._value(sources.DISCHARGE) / W_PER_KW,
            0.0 if full else self._value(sources.CHARGE) / W_PER_KW,
        )


class _Learning:
    """A device's models while everything of interest is read once."""

    def __init__(self, layout: Layout, resource: Resource) -> None:
        self.layout = layout
        everything = (
            *sources.power_of(resource.resource_class),
            *(*sources.ENERGY, *sources.SOC, *sources.AVAILABLE, *sources.STATIC),
        )
        self.plan = _plan_of(layout, everything, controls_of(resource, layout.blocks, lambda: math.nan))


def _plan_of(layout: Layout, chosen: Sequence[Source], controls: Sequence[Control]) -> Plan:
    names: dict[int, list[str]] = {}
    for number, name in chosen:
        names.setdefault(number, []).append(name)
    for control in controls:
        names.setdefault(control.number, []).extend(control.points)
    blocks = layout.blocks
    places = [
        p for number, points in names.items() if number in blocks for p in _places(blocks[number], points, layout)
    ]
    return Plan(
        reads=reads_of(places),
        store=lambda read, values: _store(layout, read, values),
        forget=lambda read: _forget(layout, read),
    )


def _places(block: Block, names: Sequence[str], layout: Layout) -> list[Place]:
    return [Place(address=a, count=c, within=block.start, table=layout.table) for a, c in block.places(*names)]


def _store(layout: Layout, read: Read, values: Registers) -> None:
    first, last = read.address, read.address + len(values)
    for block in layout.blocks.values():
        if block.start < last and first < block.end:
            block.store(first, values)


def _forget(layout: Layout, read: Read) -> None:
    for block in layout.blocks.values():
        block.forget(read.address, read.count)


def _group(control: Control, points: Points) -> Group:
    """Return what sets points, in one request where nothing stands in the way.

    Raises:
        UnsupportedError: A value its point cannot hold.
    """
    block = control.block
    whole = _whole(block, points)
    if whole is None:
        return Group(changes=tuple(_change(control, name, value) for name, value in points.items()))
    address, values = whole
    before = tuple(block.between(address - block.start, address - block.start + len(values)))
    return Group(whole=whole, split=lambda: _split(control, points, address, values, before))


def _split(control: Control, points: Points, address: int, values: Registers, before: Registers) -> tuple[Change, ...]:
    """Return the changes of a request, point by point."""
    changes = []
    for name in points:
        point = control.block.model.points[name]
        first = control.block.start + point.offset - address
        here = slice(first, first + point.size)
        changes.append(_made(control, name, values[here], before[here]))
    return tuple(changes)


def _change(control: Control, name: str, value: float) -> Change:
    try:
        return _made(control, name, control.block.encoded(name, value), control.block.written(name))
    except OverflowError as error:
        raise UnsupportedError(f"cannot write {name} = {value}: {error}") from error


def _made(control: Control, name: str, values: Registers, before: Registers | None) -> Change:
    return Change(
        name=name,
        address=control.block.start + control.block.model.points[name].offset,
        values=tuple(values),
        before=None if before is None else tuple(before),
        optional=name not in control.needed and name != control.timer,
        switch=name == control.switch,
    )


def _whole(block: Block, points: Points) -> tuple[int, Registers] | None:
    """Return one request for all points, unless what lies between is not implemented or was never read."""
    inside = [block.model.points[name] for name in points]
    first, last = min(p.offset for p in inside), max(p.offset + p.size for p in inside)
    if sum(p.size for p in inside) < last - first:
        between = [p for p in block.model.fixed if first <= p.offset < last and p.name not in points]
        if any(not p.writable or math.isnan(block.raw(p.name)) for p in between):
            return None
    try:
        return encoded(block, points)
    except UnsupportedError:
        return None
