"""Ceilings on the production of photovoltaics: models 704 and 123."""

import math
from collections.abc import Callable, Sequence

from adapters.modbus.devices.orders import Order, UnsupportedError
from adapters.modbus.devices.sunspec.control import FULL_PCT, Control, Effect, Points, Show, timer_s
from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.transport import registers
from vpp.domain.setpoint import Layer


class _Ceiling(Control):
    """Ceiling on production in per cent of the inverter's greatest power.

    Args:
        rating: Returns the inverter's greatest power in kW.
    """

    def __init__(self, block: Block, rating: Callable[[], float]) -> None:
        super().__init__(block)
        self.rating = rating
        self._ours_pct = math.nan
        self._foreign_pct = math.nan

    def adopt(self, before: Control) -> None:
        """See `Control`."""
        super().adopt(before)
        self._ours_pct = before._ours_pct if isinstance(before, _Ceiling) else math.nan  # noqa: SLF001 - one of us

    def taken(self, order: Order, groups: Sequence[Points]) -> None:
        """See `Control`."""
        self._foreign_pct = math.nan
        dispatched = order.layer is Layer.DISPATCH
        self._ours_pct = max((group[self.value] for group in groups), default=math.nan) if dispatched else math.nan

    def owners_changes(self) -> Points | None:
        """See `Control`; what two polls in a row show and we have not written is the owner's, a ramp moves on."""
        if self.owners_values is None or math.isnan(self._ours_pct) or self.shown(self.switch) != 1:
            return None
        percent = self.shown(self.value)
        resolution = registers.scaled(1.0, self.block.exponent(self.value))
        foreign = all(abs(percent - known) > resolution for known in (self._ours_pct, self.owners_pct()))
        again, self._foreign_pct = self._foreign_pct, percent if foreign else math.nan
        if not foreign or again != percent:
            return None
        return {**self.owners_values, self.value: percent, self.switch: 1.0, self.timer: 0.0}

    def percent(self, power_kw: float) -> float:
        """Return the ceiling as per cent for the most that may be fed in, a negative power; never above the owner's."""
        rated_kw = self.rating()
        if not rated_kw > 0.0 or math.isnan(power_kw):
            raise UnsupportedError(f"a ceiling needs a power and a rating, got {power_kw} kW of {rated_kw} kW")
        return min(max(-power_kw / rated_kw * FULL_PCT, 0.0), self.owners_pct())

    def owners_pct(self) -> float:
        """Return the owner's ceiling in per cent."""
        (percent,) = self.effect(self.owners)[:1]
        return FULL_PCT if math.isnan(percent) else percent

    def owners_bounds_kw(self) -> tuple[float, float]:
        """See `Control`."""
        percent = self.owners_pct()
        return (-self.rating() * percent / FULL_PCT if percent < FULL_PCT else -math.inf), math.inf

    def effect(self, show: Show) -> Effect:
        """Return the ceiling in force, in per cent; a switch that reads 1 at 100 % is none."""
        percent = show(self.value) if show(self.switch) == 1 else FULL_PCT
        return (min(percent, FULL_PCT),)

    def limit_kw(self) -> float:
        """Return the most it may feed in, a negative power; without a ceiling it is the rating."""
        enabled = self.block.raw(self.switch)
        if math.isnan(enabled):
            return math.nan
        percent = min(self.block.value(self.value), FULL_PCT) if enabled == 1 else FULL_PCT
        return -self.rating() * percent / FULL_PCT


class CeilingControl(_Ceiling):
    """Model 704, greatest active power in per cent: photovoltaics.

    The default is the owner's ceiling, or the full rating.
    """

    number = 704
    switch = "WMaxLimPctEna"
    value = "WMaxLimPct"
    timer = "WMaxLimPctRvrtTms"
    points = (
        *("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt"),
        *("WMaxLimPctRvrtTms", "WMaxLimPctRvrtRem"),
    )
    needed = ("WMaxLimPctEna", "WMaxLimPct")
    kept = ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")

    def groups(self, order: Order) -> Sequence[Points]:
        """Write ``WMaxLimPct`` over a reversion to the owner's ceiling."""
        match order.layer:
            case Layer.DEFAULT if order.held or self.owners_values is None:
                return ()
            case Layer.DEFAULT | Layer.RELEASE:
                return (self.restoring(),) if self.owners_values is not None else (self._free(),)
            case Layer.DISPATCH:
                owners_pct = self.owners_pct()
                return (
                    {
                        "WMaxLimPctEna": 1,
                        "WMaxLimPct": self.percent(order.power_kw),
                        "WMaxLimPctRvrt": owners_pct,
                        "WMaxLimPctEnaRvrt": int(owners_pct < FULL_PCT),
                        "WMaxLimPctRvrtTms": timer_s(self.block, "WMaxLimPctRvrtTms", order.lease_s),
                    },
                )

    def freeing(self) -> Sequence[Points]:
        """Take the ceiling away by its value, for a device whose switch cannot be turned off."""
        return (self._free(),) if self.owners_pct() >= FULL_PCT else ()

    def snapshot(self) -> Points:
        """See `Control`; a ceiling under a running timer is not the owner's, what it reverts to is."""
        shown = dict(super().snapshot())
        if not self.block.value("WMaxLimPctRvrtRem") > 0.0:
            return shown
        lasting = self.block.raw("WMaxLimPctEnaRvrt") == 1
        percent = shown.get("WMaxLimPctRvrt", FULL_PCT) if lasting else FULL_PCT
        return shown | {"WMaxLimPctEna": int(lasting), "WMaxLimPct": percent, "WMaxLimPctRvrtTms": 0.0}

    def lease_left_s(self) -> float:
        """Return ``WMaxLimPctRvrtRem``."""
        return self.block.value("WMaxLimPctRvrtRem")

    def _free(self) -> Points:
        full = {"WMaxLimPctRvrt": FULL_PCT, "WMaxLimPctEnaRvrt": 0}
        return {"WMaxLimPctEna": 0, "WMaxLimPct": FULL_PCT, **full, "WMaxLimPctRvrtTms": 0}


class OldCeilingControl(_Ceiling):
    """Model 123, immediate controls of older inverters; after the timer the device has no ceiling at all.

    An owner's ceiling is therefore put back when our value has run out without a release.
    """

    number = 123
    switch = "WMaxLim_Ena"
    value = "WMaxLimPct"
    timer = "WMaxLimPct_RvrtTms"
    points = ("WMaxLimPct", "WMaxLimPct_WinTms", "WMaxLimPct_RvrtTms", "WMaxLimPct_RmpTms", "WMaxLim_Ena")
    needed = ("WMaxLimPct", "WMaxLim_Ena")
    kept = ("WMaxLimPct", "WMaxLimPct_WinTms", "WMaxLimPct_RvrtTms", "WMaxLim_Ena")

    def groups(self, order: Order) -> Sequence[Points]:
        """Write ``WMaxLimPct`` with its timer, or put the owner's ceiling back."""
        match order.layer:
            case Layer.DEFAULT if order.held or self.owners_values is None:
                return ()
            case Layer.DEFAULT | Layer.RELEASE:
                return (self.restoring(),) if self.owners_values is not None else self.freeing()
            case Layer.DISPATCH:
                return (self._group(self.percent(order.power_kw), order.lease_s, enabled=True),)

    def freeing(self) -> Sequence[Points]:
        """Take the ceiling away by its value, for a device whose switch cannot be turned off."""
        return (self._group(FULL_PCT, 0.0, enabled=False),) if self.owners_pct() >= FULL_PCT else ()

    def _group(self, percent: float, lease_s: float, *, enabled: bool) -> Points:
        return {
            "WMaxLimPct": percent,
            "WMaxLimPct_WinTms": 0,
            "WMaxLimPct_RvrtTms": timer_s(self.block, "WMaxLimPct_RvrtTms", lease_s),
            "WMaxLim_Ena": int(enabled),
        }
