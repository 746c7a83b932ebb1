"""Setpoints as SunSpec points: a dispatch value under a reversion timer over a default value.

Inside, load is positive; in SunSpec, production and discharging are. Every control turns an order into groups of
points; each group goes out in one write, so that a device never acts on half of it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from adapters.modbus import registers
from adapters.modbus.sunspec import Block
from vpp.domain.errors import SkipError
from vpp.domain.setpoint import Layer

W_PER_KW = 1000.0
FULL_PCT = 100.0
_LONGEST = {1: 0xFFFE, 2: 0xFFFF_FFFE}
"""Longest time a timer of one or two registers can hold; the value above says "not implemented"."""

Group = Mapping[str, float]
"""Values of points of one block, in the points' units, to be written at once."""


class UnsupportedError(SkipError):
    """The device has no way to do what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One instruction as a device takes it.

    Attributes:
        power_kw: Net power, load positive.
        lease_s: Seconds until the device falls back by itself; used for ``Layer.DISPATCH`` only.
        held: A dispatch value is in force now.
    """

    layer: Layer
    power_kw: float
    lease_s: float
    held: bool


class Control(Protocol):
    """One model's way to take orders.

    Attributes:
        number: The model's number.
        block: Where it stands in the device.
        switch: The point that shows whether a device implements the control.
        points: What must have been read before an order is turned into groups.
    """

    number: ClassVar[int]
    switch: ClassVar[str]
    points: ClassVar[tuple[str, ...]]
    block: Block

    def groups(self, order: Order) -> Sequence[Group]:
        """Return what to write; raises UnsupportedError."""
        ...

    def limit_kw(self) -> float:
        """Return the setpoint or limit in force as last read, NaN where none is."""
        ...

    def lease_left_s(self) -> float:
        """Return how long the dispatch value holds as last read, NaN where the device does not tell."""
        ...


class SetpointControl:
    """Model 704, active power in watts: storage."""

    number: ClassVar[int] = 704
    switch: ClassVar[str] = "WSetEna"
    points: ClassVar[tuple[str, ...]] = (
        *("WSetEna", "WSetMod", "WSet", "WSetRvrt", "WSetPct", "WSetPctRvrt", "WSetEnaRvrt"),
        *("WSetRvrtTms", "WSetRvrtRem"),
    )
    _WATTS = 1

    def __init__(self, block: Block) -> None:
        self.block = block

    def groups(self, order: Order) -> Sequence[Group]:
        """Write ``WSet`` over ``WSetRvrt``; a default alone leaves a running timer alone."""
        match order.layer:
            case Layer.DEFAULT if order.held:
                return ({"WSetRvrt": _export_w(order.power_kw), "WSetEnaRvrt": 1},)
            case Layer.DEFAULT:
                return (self._group(_export_w(order.power_kw), _export_w(order.power_kw), 0.0),)
            case Layer.DISPATCH:
                return (self._group(_export_w(order.power_kw), self._default_w(), order.lease_s),)
            case Layer.RELEASE:
                return (self._group(self._default_w(), self._default_w(), 0.0),)

    def limit_kw(self) -> float:
        """Return the setpoint in force, load positive."""
        return -self.block.value("WSet") / W_PER_KW if self.block.raw("WSetEna") == 1 else math.nan

    def lease_left_s(self) -> float:
        """Return ``WSetRvrtRem``."""
        return self.block.value("WSetRvrtRem")

    def _default_w(self) -> float:
        """Return the value to fall back to, NaN where the device is left to its own logic."""
        return self.block.value("WSetRvrt") if self.block.raw("WSetEnaRvrt") == 1 else math.nan

    def _group(self, set_w: float, default_w: float, lease_s: float) -> Group:
        own_logic = math.isnan(default_w)
        return {
            "WSetEna": 0 if math.isnan(set_w) else 1,
            "WSetMod": self._WATTS,
            "WSet": 0.0 if math.isnan(set_w) else set_w,
            "WSetRvrt": 0.0 if own_logic else default_w,
            "WSetEnaRvrt": 0 if own_logic else 1,
            "WSetRvrtTms": _timer_s(self.block, "WSetRvrtTms", lease_s),
        }


@dataclass(slots=True, kw_only=True)
class _Ceiling:
    """What both ceilings on production have in common: per cent of the inverter's greatest power.

    Attributes:
        rating: Returns the inverter's greatest power in kW.
    """

    block: Block
    rating: Callable[[], float]

    def percent(self, power_kw: float) -> float:
        """Return the ceiling as per cent for the most that may be fed in, a negative power."""
        rated_kw = self.rating()
        if not rated_kw > 0.0 or math.isnan(power_kw):
            raise UnsupportedError(f"a ceiling needs a power and a rating, got {power_kw} kW of {rated_kw} kW")
        return min(max(-power_kw / rated_kw * FULL_PCT, 0.0), FULL_PCT)

    def in_force_kw(self, enabled: float, percent: float) -> float:
        """Return the ceiling as a power, load positive; without one it is the rating."""
        if math.isnan(enabled):
            return math.nan
        return -self.rating() * (percent / FULL_PCT if enabled == 1 else 1.0)


class CeilingControl(_Ceiling):
    """Model 704, greatest active power in per cent: photovoltaics. The default is always the full rating."""

    number: ClassVar[int] = 704
    switch: ClassVar[str] = "WMaxLimPctEna"
    points: ClassVar[tuple[str, ...]] = (
        *("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt"),
        *("WMaxLimPctRvrtTms", "WMaxLimPctRvrtRem"),
    )

    def groups(self, order: Order) -> Sequence[Group]:
        """Write ``WMaxLimPct`` over a reversion to the full rating."""
        full = {"WMaxLimPctRvrt": FULL_PCT, "WMaxLimPctEnaRvrt": 0}
        match order.layer:
            case Layer.DEFAULT if order.held:
                return (full,)
            case Layer.DEFAULT | Layer.RELEASE:
                return ({"WMaxLimPctEna": 0, "WMaxLimPct": FULL_PCT, **full, "WMaxLimPctRvrtTms": 0},)
            case Layer.DISPATCH:
                timer_s = _timer_s(self.block, "WMaxLimPctRvrtTms", order.lease_s)
                percent = self.percent(order.power_kw)
                return ({"WMaxLimPctEna": 1, "WMaxLimPct": percent, **full, "WMaxLimPctRvrtTms": timer_s},)

    def limit_kw(self) -> float:
        """Return the most it may feed in, a negative power."""
        return self.in_force_kw(self.block.raw("WMaxLimPctEna"), self.block.value("WMaxLimPct"))

    def lease_left_s(self) -> float:
        """Return ``WMaxLimPctRvrtRem``."""
        return self.block.value("WMaxLimPctRvrtRem")


class OldCeilingControl(_Ceiling):
    """Model 123, immediate controls of older inverters; falls back to no ceiling at all."""

    number: ClassVar[int] = 123
    switch: ClassVar[str] = "WMaxLim_Ena"
    points: ClassVar[tuple[str, ...]] = (
        *("WMaxLimPct", "WMaxLimPct_WinTms", "WMaxLimPct_RvrtTms", "WMaxLimPct_RmpTms", "WMaxLim_Ena"),
    )

    def groups(self, order: Order) -> Sequence[Group]:
        """Write ``WMaxLimPct`` with its timer, or take the ceiling away."""
        match order.layer:
            case Layer.DEFAULT if order.held:
                return ()
            case Layer.DEFAULT | Layer.RELEASE:
                return (self._group(FULL_PCT, 0.0, enabled=False),)
            case Layer.DISPATCH:
                return (self._group(self.percent(order.power_kw), order.lease_s, enabled=True),)

    def limit_kw(self) -> float:
        """Return the most it may feed in, a negative power."""
        return self.in_force_kw(self.block.raw("WMaxLim_Ena"), self.block.value("WMaxLimPct"))

    def lease_left_s(self) -> float:
        """Model 123 does not tell."""
        return math.nan

    def _group(self, percent: float, lease_s: float, *, enabled: bool) -> Group:
        return {
            "WMaxLimPct": percent,
            "WMaxLimPct_WinTms": 0,
            "WMaxLimPct_RvrtTms": _timer_s(self.block, "WMaxLimPct_RvrtTms", lease_s),
            "WMaxLim_Ena": int(enabled),
        }


class OldStorageControl:
    """Model 124, basic storage control: charging and discharging rates in per cent of ``WChaMax``.

    A rate is a limit, so the power is pinned between the two: to charge at x, charge at most x and discharge at most
    -x. The model has no value to fall back to; after the timer the device follows its own logic.
    """

    number: ClassVar[int] = 124
    switch: ClassVar[str] = "StorCtl_Mod"
    points: ClassVar[tuple[str, ...]] = (
        *("WChaMax", "StorCtl_Mod", "ChaState"),
        *("OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms"),
    )
    _BOTH = 3

    def __init__(self, block: Block) -> None:
        self.block = block
        self._default_kw = math.nan

    def groups(self, order: Order) -> Sequence[Group]:
        """Write the rates first and then what switches them on."""
        match order.layer:
            case Layer.DEFAULT if order.held:
                raise UnsupportedError("model 124 cannot keep a default under a running setpoint")
            case Layer.DEFAULT:
                self._default_kw = order.power_kw
                return self._pinned(order.power_kw, 0.0)
            case Layer.DISPATCH:
                return self._pinned(order.power_kw, order.lease_s)
            case Layer.RELEASE:
                return self._free() if math.isnan(self._default_kw) else self._pinned(self._default_kw, 0.0)

    def limit_kw(self) -> float:
        """Return the power it is pinned to, load positive, NaN where it is free."""
        if self.block.raw("StorCtl_Mod") != self._BOTH:
            return math.nan
        return self.block.value("InWRte") / FULL_PCT * self.block.value("WChaMax") / W_PER_KW

    def lease_left_s(self) -> float:
        """Model 124 does not tell."""
        return math.nan

    def _pinned(self, power_kw: float, lease_s: float) -> Sequence[Group]:
        rated_w = self.block.value("WChaMax")
        if not rated_w > 0.0 or math.isnan(power_kw):
            raise UnsupportedError(f"a rate needs a power and a rating, got {power_kw} kW of {rated_w} W")
        percent = min(max(power_kw * W_PER_KW / rated_w * FULL_PCT, -FULL_PCT), FULL_PCT)
        timer_s = _timer_s(self.block, "InOutWRte_RvrtTms", lease_s)
        rates = {"OutWRte": -percent, "InWRte": percent, "InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": timer_s}
        return rates, {"StorCtl_Mod": self._BOTH}

    def _free(self) -> Sequence[Group]:
        rates = {"OutWRte": FULL_PCT, "InWRte": FULL_PCT, "InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": 0}
        return {"StorCtl_Mod": 0}, rates


def encoded(block: Block, group: Group) -> tuple[int, tuple[int, ...]]:
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


def agrees(block: Block, group: Group) -> bool:
    """Tell whether the block as read back holds what was written, to the resolution of its scale factors."""
    return all(_point_agrees(block, name, value) for name, value in group.items())


def _point_agrees(block: Block, name: str, value: float) -> bool:
    shown = block.raw(name)
    meant = registers.unscaled(value, block.exponent(name))
    if block.model.points[name].kind in {"enum16", "bitfield16"}:
        return shown == meant
    if name.endswith("RvrtTms"):  # a device may round a timer or count it down, but not ignore it
        return (shown > 0) == (meant > 0)
    return abs(shown - meant) <= 1


def _export_w(power_kw: float) -> float:
    if math.isnan(power_kw):
        raise UnsupportedError("a setpoint needs a power, got NaN")
    return -power_kw * W_PER_KW


def _timer_s(block: Block, name: str, lease_s: float) -> float:
    longest = _LONGEST[block.model.points[name].size]
    return float(min(math.ceil(lease_s), longest)) if math.isfinite(lease_s) else float(longest)
