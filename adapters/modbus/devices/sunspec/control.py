"""Setpoints as SunSpec points: a dispatch value under a reversion timer over a default value.

Inside, load is positive; in SunSpec, production and discharging are. Every control turns an order into groups of
points; each group goes out in one write where the device allows it, so that it never acts on half of it.

What stood in the registers before the first write is the owner's: a release puts it back, and a static limit found
there is never loosened, neither by an order nor by what a timer reverts to.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.transport import registers
from vpp.domain.setpoint import Layer

W_PER_KW = 1000.0
FULL_PCT = 100.0
_LONGEST = {1: 0xFFFE, 2: 0xFFFF_FFFE}
"""Longest time a timer of one or two registers can hold; the value above says "not implemented"."""
_CODES = {"enum16", "bitfield16"}

Points = Mapping[str, float]
"""Values of points of one block, in the points' units, to be written at once."""
Effect = tuple[float, ...]
"""Effect of registers, in the control's own unit; NaN where they leave the device to its own logic."""
Show = Callable[[str], float]
"""Returns a point's value in its unit: codes as they are, NaN where it is not known."""


class Control:
    """One model by which a device takes orders.

    Attributes:
        number: The model's number.
        switch: The point that shows whether a device implements the control.
        value: The point that holds the setpoint or limit.
        timer: The point that holds the reversion timer.
        points: What must have been read before an order is turned into groups.
        needed: Points without which there is no control; a device may lack any other.
        kept: Points that are the owner's before they are ours.
        block: Where the model stands in the device.
        owners_values: The owner's values, in the points' units, while a value of ours may be in force; ``None`` while
            the registers themselves are the owner's.
        timerless: The device does not keep a reversion timer, as was seen.
        default_given: A default value of ours lies underneath, which nothing but another one ends.
    """

    number: ClassVar[int]
    switch: ClassVar[str]
    value: ClassVar[str]
    timer: ClassVar[str]
    points: ClassVar[tuple[str, ...]]
    needed: ClassVar[tuple[str, ...]]
    kept: ClassVar[tuple[str, ...]]

    def __init__(self, block: Block) -> None:
        self.block = block
        self.owners_values: Points | None = None
        self.timerless = False
        self.default_given = False

    def adopt(self, before: "Control") -> None:
        """Take over what the control before this one knew of values of ours."""
        self.owners_values, self.default_given = before.owners_values, before.default_given

    def groups(self, order: Order) -> Sequence[Points]:
        """Return what to write; raises UnsupportedError."""
        raise NotImplementedError

    def freeing(self) -> Sequence[Points]:
        """Return what to write where a release did not end the value; nothing where there is no other way."""
        return ()

    def limit_kw(self) -> float:
        """Return the setpoint or limit in force as last read, NaN where none is."""
        raise NotImplementedError

    def lease_left_s(self) -> float:
        """Return how long the dispatch value holds as last read, NaN where the device does not show it."""
        return math.nan

    def effect(self, show: Show) -> Effect:
        """Return the effect of the points."""
        raise NotImplementedError

    def owners_bounds_kw(self) -> tuple[float, float]:
        """Return least and greatest net power the owner's static limit allows, infinite where there is none."""
        return -math.inf, math.inf

    def taken(self, order: Order, groups: Sequence[Points]) -> None:
        """Note that the device holds what an order wrote."""

    def owners_changes(self) -> Points | None:
        """Return the owner's values where another hand has changed them during a value of ours, else ``None``."""
        return None

    def snapshot(self) -> Points:
        """Return the values that a release is to put back, as last read."""
        shown = {name: self.shown(name) for name in self.kept}
        return {name: value for name, value in shown.items() if not math.isnan(value)}

    def shown(self, name: str) -> float:
        """Return a point as last read: a code as it is, anything else in its unit."""
        coded = self.block.model.points[name].kind in _CODES
        return self.block.raw(name) if coded else self.block.value(name)

    def owners(self, name: str) -> float:
        """Return the owner's value of a point, NaN where it is not known."""
        return self.shown(name) if self.owners_values is None else self.owners_values.get(name, math.nan)

    def implemented(self, name: str) -> bool:
        """Tell whether the device shows a point as implemented."""
        return self.block.holds(name) and not math.isnan(self.block.raw(name))

    def wanted(self, order: Order) -> Sequence[Points]:
        """Return the groups of an order without the points the device does not implement.

        Raises:
            UnsupportedError: It cannot be carried out, or only without the timer that would end it.
        """
        if order.layer is Layer.DISPATCH and (self.timerless or not self.implemented(self.timer)):
            raise UnsupportedError(f"model {self.number} keeps no reversion timer here: a value of ours would not end")
        return self.only_implemented(self.groups(order))

    def only_implemented(self, groups: Sequence[Points]) -> Sequence[Points]:
        """Return groups without optional points that the device does not implement."""
        kept = [{n: v for n, v in group.items() if n in self.needed or self.implemented(n)} for group in groups]
        return [group for group in kept if group]

    def compared(self, groups: Sequence[Points]) -> Check:
        """Return how the block as read back compares with what was written: point by point, or by what it amounts to.

        A switch that cannot be turned off and stands at no limit is as good as one turned off.
        """
        meant: dict[str, float] = {}
        for group in groups:
            meant |= group
        plain = {name: value for name, value in meant.items() if name != self.timer}
        if not agrees(self.block, plain) and not self._same_effect(meant):
            return Check.DIFFERS
        timed = meant.get(self.timer, 0.0) > 0.0
        return Check.NO_TIMER if timed and not self.block.raw(self.timer) > 0.0 else Check.AGREES

    def released(self) -> bool:
        """Tell whether the registers amount to what a release leaves, as last read."""
        order = Order(layer=Layer.RELEASE, power_kw=math.nan, lease_s=0.0, held=False)
        return self.compared(self.only_implemented(self.groups(order))) is not Check.DIFFERS

    def _same_effect(self, meant: Points) -> bool:
        shown = self.effect(self.shown)
        wanted = self.effect(lambda name: meant.get(name, self.shown(name)))
        resolution = registers.scaled(1.0, self.block.exponent(self.value))
        return all(
            (math.isnan(a) and math.isnan(b)) or abs(a - b) <= resolution for a, b in zip(shown, wanted, strict=True)
        )

    def restoring(self) -> Points:
        """Return what puts the owner's values back."""
        return self.snapshot() if self.owners_values is None else dict(self.owners_values)


def encoded(block: Block, group: Points) -> tuple[int, tuple[int, ...]]:
    """Return address and registers that write a group; what lies between its points is written as it was read.

    Raises:
        UnsupportedError: A value does not fit its point, or what lies between was never read.
    """
    points = [block.model.points[name] for name in group]
    first = min(point.offset for point in points)
    last = max(point.offset + point.size for point in points)
    try:
        values = list(block.between(first, last))
        for point in points:
            at = point.offset - first
            values[at : at + point.size] = block.encoded(point.name, group[point.name])
    except (OverflowError, LookupError) as error:
        raise UnsupportedError(f"cannot write {dict(group)}: {error}") from error
    return block.start + first, tuple(values)


def agrees(block: Block, group: Points) -> bool:
    """Tell whether the block as read back holds what was written, to the resolution of its scale factors."""
    return all(_point_agrees(block, name, value) for name, value in group.items())


def _point_agrees(block: Block, name: str, value: float) -> bool:
    shown = block.raw(name)
    meant = registers.unscaled(value, block.exponent(name))
    if block.model.points[name].kind in _CODES:
        return shown == meant
    if name.endswith("RvrtTms"):  # a device may round a timer or count it down, but not ignore it
        return (shown > 0) == (meant > 0)
    return abs(shown - meant) <= 1


def timer_s(block: Block, name: str, lease_s: float) -> float:
    """Return a lease in whole seconds, as long as its point can hold."""
    longest = _LONGEST[block.model.points[name].size]
    return float(min(math.ceil(lease_s), longest)) if math.isfinite(lease_s) else float(longest)
