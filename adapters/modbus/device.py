"""One device as our side knows it: what to read of it, what that means and how to write to it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapters.modbus.control import (
    W_PER_KW,
    CeilingControl,
    Control,
    OldCeilingControl,
    OldStorageControl,
    Order,
    SetpointControl,
    UnsupportedError,
    agrees,
    encoded,
)
from adapters.modbus.discovery import Layout, discover
from adapters.modbus.registers import Registers
from adapters.modbus.sunspec import Block, merged
from adapters.modbus.wire import Table, Wire
from vpp.domain.resource import STORING, Resource, ResourceClass
from vpp.domain.telemetry import Quantity

Source = tuple[int, str]
"""A model number and one of its points."""
Sources = tuple[Source, ...]
"""Where a quantity may come from, the best first."""

_WH_PER_KWH = 1000.0
_IDENTITY = ("Mn", "Md", "Vr", "SN")
_POWER: Sources = ((701, "W"), (103, "W"), (102, "W"), (101, "W"), (802, "W"))
_ENERGY: Sources = ((701, "TotWhAbs"),)
_SOC: Sources = ((713, "SoC"), (802, "SoC"), (124, "ChaState"))
_CHARGE: Sources = ((702, "WChaRteMax"), (702, "WChaRteMaxRtg"), (802, "WChaRteMax"), (120, "MaxChaRte"))
_DISCHARGE: Sources = (
    *((702, "WDisChaRteMax"), (702, "WDisChaRteMaxRtg")),
    *((802, "WDisChaRteMax"), (120, "MaxDisChaRte")),
)
_AVAILABLE: Sources = ((122, "WAval"),)
_RATED: Sources = ((702, "WMax"), (702, "WMaxRtg"), (121, "WMax"), (120, "WRtg"))
_SOC_MIN: Sources = ((802, "SoCMin"),)
_SOC_MAX: Sources = ((802, "SoCMax"),)
_STATIC: Sources = (*_RATED, *_CHARGE, *_DISCHARGE, *_SOC_MIN, *_SOC_MAX, *((1, name) for name in _IDENTITY))
_PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read request."""

    address: int
    count: int
    table: Table = Table.HOLDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What carries out one order.

    Attributes:
        writes: Address and registers, in order.
        reads: What to read back afterwards.
        confirmed: Says whether what was read back is what was written.
    """

    writes: Sequence[tuple[int, Registers]]
    reads: Sequence[Read]
    confirmed: Callable[[], bool]


class Device(Protocol):
    """What a unit needs of a kind of device.

    Attributes:
        known: It has been learnt and need not be again.
    """

    known: bool

    async def learn(self, wire: Wire, unit: int) -> None:
        """Find out what it is; raises FrameError, RefusedError or DeviceUnreachableError."""
        ...

    def reads(self) -> Sequence[Read]:
        """Return what one poll reads."""
        ...

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        ...

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return what the device shows, as last read; load positive, unknown left out."""
        ...

    def limit_kw(self) -> float:
        """Return the setpoint in force as last read, NaN where none is."""
        ...

    def lease_left_s(self) -> float:
        """Return how long its dispatch value holds, NaN where it does not tell."""
        ...

    def instruction(self, order: Order) -> Instruction:
        """Return what carries out an order; raises UnsupportedError."""
        ...

    def card(self) -> Mapping[str, object]:
        """Return what is known of it."""
        ...


@dataclass(slots=True, kw_only=True)
class SunSpecDevice:
    """A device that describes itself by SunSpec models."""

    resource: Resource
    known: bool = False
    _layout: Layout = field(default_factory=lambda: Layout(base=-1, found=(), blocks={}))
    _control: Control | None = None
    _poll: Sequence[Read] = ()
    _used: dict[Sources, Source | None] = field(default_factory=dict)

    async def learn(self, wire: Wire, unit: int) -> None:
        """Discover the models, read what does not change and choose what to poll."""
        self._layout = await discover(wire, unit)
        candidates = self._controls()
        everything = (*_POWER, *_ENERGY, *_SOC, *_AVAILABLE, *_STATIC)
        for read in self._plan(everything, candidates):
            self.store(read, await wire.read(unit, read.address, read.count))
        self._control = next((c for c in candidates if not math.isnan(c.block.raw(c.switch))), None)
        self._used = {sources: self._chosen(sources) for sources in self._polled()}
        self._poll = self._plan([s for s in self._used.values() if s], [self._control] if self._control else [])
        self.known = True

    def reads(self) -> Sequence[Read]:
        """Return what one poll reads: the first source of each quantity, and the control's points."""
        return self._poll

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read, in whichever blocks it belongs to."""
        for block in self._layout.blocks.values():
            block.store(read.address, values)

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return power, energy, state of charge, bounds and the setpoint in force."""
        p_min_kw, p_max_kw = self._bounds_kw()
        shown = (
            (Quantity.POWER_KW, -self._value(_POWER) / W_PER_KW + 0.0),
            (Quantity.ENERGY_KWH, self._value(_ENERGY) / _WH_PER_KWH),
            (Quantity.SOC, self._value(_SOC) / _PERCENT),
            (Quantity.P_MIN_KW, p_min_kw),
            (Quantity.P_MAX_KW, p_max_kw),
            (Quantity.LIMIT_KW, self.limit_kw()),
        )
        return [(quantity, value) for quantity, value in shown if not math.isnan(value)]

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
        groups = control.groups(order)
        return Instruction(
            writes=[encoded(control.block, group) for group in groups],
            reads=_reads([control.block.span(*control.points)]) if groups else (),
            confirmed=lambda: all(agrees(control.block, group) for group in groups),
        )

    def card(self) -> Mapping[str, object]:
        """Return identity, models and the control in use."""
        common = self._layout.blocks.get(1)
        identity = {name: common.text(name) if common else "" for name in _IDENTITY}
        return {
            "protocol": "sunspec",
            "manufacturer": identity["Mn"],
            "model": identity["Md"],
            "version": identity["Vr"],
            "serial": identity["SN"],
            "base_address": self._layout.base,
            "models": list(self._layout.found),
            "control_model": self._control.number if self._control else None,
        }

    def _controls(self) -> list[Control]:
        """Return the controls this kind of resource could be moved by, the best first."""
        blocks = self._layout.blocks
        controls: list[Control] = []
        if self.resource.resource_class in STORING:
            controls += [SetpointControl(blocks[704])] if 704 in blocks else []  # noqa: PLR2004 - a model number
            controls += [OldStorageControl(blocks[124])] if 124 in blocks else []  # noqa: PLR2004 - a model number
        if self.resource.resource_class is ResourceClass.PV:
            kinds = (CeilingControl, OldCeilingControl)
            controls += [k(block=blocks[k.number], rating=self._rated_kw) for k in kinds if k.number in blocks]
        return controls

    def _rated_kw(self) -> float:
        rated_kw = self._value(_RATED) / W_PER_KW
        return -self.resource.p_min_kw if math.isnan(rated_kw) else rated_kw

    def _polled(self) -> Sequence[Sources]:
        if self.resource.resource_class in STORING:
            return _POWER, _ENERGY, _SOC, _CHARGE, _DISCHARGE
        return _POWER, _ENERGY, _AVAILABLE

    def _plan(self, sources: Sequence[Source], controls: Sequence[Control]) -> Sequence[Read]:
        names: dict[int, list[str]] = {}
        for number, name in sources:
            names.setdefault(number, []).append(name)
        for control in controls:
            names.setdefault(control.number, []).extend(control.points)
        blocks = self._layout.blocks
        return _reads([blocks[number].span(*points) for number, points in names.items() if number in blocks])

    def _chosen(self, sources: Sources) -> Source | None:
        """Return the first source that shows a value; failing that, the first that may show one later."""
        held = [s for s in sources if s[0] in self._layout.blocks and self._layout.blocks[s[0]].holds(s[1])]
        showing = [s for s in held if not math.isnan(self._block(s).value(s[1]))]
        return next(iter(showing or held), None)

    def _value(self, sources: Sources) -> float:
        """Return the value of the source that is polled; of what is not polled, the first value that is known."""
        polled = self._used.get(sources)
        for source in (polled,) if polled else sources:
            if source[0] in self._layout.blocks:
                value = self._block(source).value(source[1])
                if not math.isnan(value):
                    return value
        return math.nan

    def _block(self, source: Source) -> Block:
        return self._layout.blocks[source[0]]

    def _bounds_kw(self) -> tuple[float, float]:
        """Return least and greatest net power it can take now."""
        if self.resource.resource_class is ResourceClass.PV:
            return -self._value(_AVAILABLE) / W_PER_KW + 0.0, 0.0
        if self.resource.resource_class not in STORING:
            return math.nan, math.nan
        soc, least, most = self._value(_SOC), self._value(_SOC_MIN), self._value(_SOC_MAX)
        empty = soc <= (0.0 if math.isnan(least) else least)
        full = soc >= (_PERCENT if math.isnan(most) else most)
        return (
            0.0 if empty else -self._value(_DISCHARGE) / W_PER_KW,
            0.0 if full else self._value(_CHARGE) / W_PER_KW,
        )


def _reads(spans: Sequence[tuple[int, int]]) -> Sequence[Read]:
    return [Read(address=address, count=count) for address, count in merged(s for s in spans if s[1])]
