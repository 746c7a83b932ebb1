"""Setpoints of storage: models 704 and 124."""

import math
from collections.abc import Sequence

from adapters.modbus.devices.orders import Order, UnsupportedError
from adapters.modbus.devices.sunspec.control import FULL_PCT, W_PER_KW, Control, Effect, Points, Show, timer_s
from adapters.modbus.devices.sunspec.models import Block
from vpp.domain.setpoint import Layer


class SetpointControl(Control):
    """Model 704, active power in watts: storage."""

    number = 704
    switch = "WSetEna"
    value = "WSet"
    timer = "WSetRvrtTms"
    points = (
        *("WSetEna", "WSetMod", "WSet", "WSetRvrt", "WSetPct", "WSetPctRvrt", "WSetEnaRvrt"),
        *("WSetRvrtTms", "WSetRvrtRem"),
    )
    needed = ("WSetEna", "WSet")
    kept = ("WSetEna", "WSetMod", "WSet", "WSetRvrt", "WSetPct", "WSetEnaRvrt", "WSetRvrtTms")
    _WATTS = 1

    def groups(self, order: Order) -> Sequence[Points]:
        """Write ``WSet`` over ``WSetRvrt``; a default alone leaves a running timer alone."""
        match order.layer:
            case Layer.DEFAULT if order.held:
                return ({"WSetRvrt": _export_w(order.power_kw), "WSetEnaRvrt": 1},)
            case Layer.DEFAULT:
                return (self._group(_export_w(order.power_kw), _export_w(order.power_kw), 0.0),)
            case Layer.DISPATCH:
                return (self._group(_export_w(order.power_kw), self._default_w(), order.lease_s),)
            case Layer.RELEASE if not self.default_given and self.owners_values is not None:
                return (self.restoring(),)
            case Layer.RELEASE:
                return (self._group(self._default_w(), self._default_w(), 0.0),)

    def effect(self, show: Show) -> Effect:
        """Return the setpoint now and the one it reverts to, in watts."""
        after_w = show("WSetRvrt") if show("WSetEnaRvrt") == 1 else math.nan
        if show("WSetEna") != 1:
            return math.nan, after_w
        return (show("WSet") if show("WSetMod") == self._WATTS else show("WSetPct")), after_w

    def limit_kw(self) -> float:
        """Return the setpoint in force, load positive."""
        return -self.block.value("WSet") / W_PER_KW if self.block.raw("WSetEna") == 1 else math.nan

    def snapshot(self) -> Points:
        """See `Control`; a setpoint under a running timer is not the owner's, what it reverts to is."""
        shown = dict(super().snapshot())
        if not self.lease_left_s() > 0.0:
            return shown
        lasting = self.block.raw("WSetEnaRvrt") == 1
        setpoint_w = shown.get("WSetRvrt", 0.0) if lasting else 0.0
        return shown | {"WSetEna": int(lasting), "WSet": setpoint_w, "WSetRvrtTms": 0.0}

    def lease_left_s(self) -> float:
        """Return ``WSetRvrtRem``."""
        return self.block.value("WSetRvrtRem")

    def _default_w(self) -> float:
        """Return the value to fall back to, NaN where the device is left to its own logic.

        An owner's setpoint without a timer is one, too: our value's end must not end it.
        """
        if self.block.raw("WSetEnaRvrt") == 1:
            return self.block.value("WSetRvrt")
        in_watts = self.owners("WSetEna") == 1 and self.owners("WSetMod") == self._WATTS
        return self.owners("WSet") if self.owners_values is not None and in_watts else math.nan

    def _group(self, set_w: float, default_w: float, lease_s: float) -> Points:
        own_logic = math.isnan(default_w)
        return {
            "WSetEna": 0 if math.isnan(set_w) else 1,
            "WSetMod": self._WATTS,
            "WSet": 0.0 if math.isnan(set_w) else set_w,
            "WSetRvrt": 0.0 if own_logic else default_w,
            "WSetEnaRvrt": 0 if own_logic else 1,
            "WSetRvrtTms": timer_s(self.block, "WSetRvrtTms", lease_s),
        }


class OldStorageControl(Control):
    """Model 124, basic storage control: charging and discharging rates in per cent of ``WChaMax``.

    A rate is a limit, so the power is pinned between the two: to charge at x, charge at most x and discharge at most
    -x. The model has no value to fall back to; after the timer the device follows its own logic.
    """

    number = 124
    switch = "StorCtl_Mod"
    value = "InWRte"
    timer = "InOutWRte_RvrtTms"
    points = (
        *("WChaMax", "StorCtl_Mod", "ChaState"),
        *("OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms"),
    )
    needed = ("OutWRte", "InWRte", "StorCtl_Mod")
    kept = ("OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms", "StorCtl_Mod")
    _CHARGE, _DISCHARGE, _BOTH = 1, 2, 3

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.default_kw = math.nan

    def adopt(self, before: Control) -> None:
        """See `Control`."""
        super().adopt(before)
        self.default_kw = before.default_kw if isinstance(before, OldStorageControl) else math.nan

    def groups(self, order: Order) -> Sequence[Points]:
        """Write the rates first and then what switches them on."""
        match order.layer:
            case Layer.DEFAULT if order.held:
                raise UnsupportedError("model 124 cannot keep a default under a running setpoint")
            case Layer.DEFAULT:
                self.default_kw = order.power_kw
                return self._pinned(order.power_kw, 0.0)
            case Layer.DISPATCH:
                return self._pinned(order.power_kw, order.lease_s)
            case Layer.RELEASE if not math.isnan(self.default_kw):
                return self._pinned(self.default_kw, 0.0)
            case Layer.RELEASE:
                return self.freeing() if self.owners_values is None else self._restoring()

    def freeing(self) -> Sequence[Points]:
        """Leave the device to its own logic."""
        rates = {"OutWRte": FULL_PCT, "InWRte": FULL_PCT, "InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": 0}
        return {"StorCtl_Mod": 0}, rates

    def effect(self, show: Show) -> Effect:
        """Return the greatest rates of discharging and charging, in per cent."""
        mode = show("StorCtl_Mod")
        bits = 0 if math.isnan(mode) else int(mode)
        charge = show("InWRte") if bits & self._CHARGE else FULL_PCT
        return (show("OutWRte") if bits & self._DISCHARGE else FULL_PCT), charge

    def owners_bounds_kw(self) -> tuple[float, float]:
        """See `Control`; a negative rate pins the power, which is no limit."""
        discharge, charge = (FULL_PCT if math.isnan(rate) else rate for rate in self.effect(self.owners))
        if discharge < 0.0 or charge < 0.0:
            return -math.inf, math.inf
        rated_kw = self.block.value("WChaMax") / W_PER_KW
        return (
            -rated_kw * discharge / FULL_PCT if discharge < FULL_PCT else -math.inf,
            rated_kw * charge / FULL_PCT if charge < FULL_PCT else math.inf,
        )

    def limit_kw(self) -> float:
        """Return the power it is pinned to, load positive, NaN where it is not."""
        discharge, charge = self.effect(self.shown)
        pinned = self.block.raw("StorCtl_Mod") == self._BOTH and abs(discharge + charge) <= 1.0
        return charge / FULL_PCT * self.block.value("WChaMax") / W_PER_KW if pinned else math.nan

    def _restoring(self) -> Sequence[Points]:
        values = dict(self.restoring())
        mode = values.pop("StorCtl_Mod", 0.0)
        return (values, {"StorCtl_Mod": mode}) if mode else ({"StorCtl_Mod": 0.0}, values)

    def _pinned(self, power_kw: float, lease_s: float) -> Sequence[Points]:
        rated_w = self.block.value("WChaMax")
        if not rated_w > 0.0 or math.isnan(power_kw):
            raise UnsupportedError(f"a rate needs a power and a rating, got {power_kw} kW of {rated_w} W")
        least_kw, most_kw = self.owners_bounds_kw()
        allowed_w = min(max(power_kw, least_kw), most_kw) * W_PER_KW
        percent = min(max(allowed_w / rated_w * FULL_PCT, -FULL_PCT), FULL_PCT)
        lasts_s = timer_s(self.block, "InOutWRte_RvrtTms", lease_s)
        rates = {"OutWRte": -percent, "InWRte": percent, "InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": lasts_s}
        return rates, {"StorCtl_Mod": self._BOTH}


def _export_w(power_kw: float) -> float:
    if math.isnan(power_kw):
        raise UnsupportedError("a setpoint needs a power, got NaN")
    return -power_kw * W_PER_KW
