"""Control of a mapped device: setpoint, default and timer under a dispatch value, its default and a release."""

import math
from collections.abc import Mapping, Sequence

from adapters.modbus.devices.mapped.image import MapImage
from adapters.modbus.devices.mapped.register_map import MapPoint, Role
from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.trouble import Trouble

Setting = tuple[MapPoint, float]
"""A point and the value it is to be given, in the point's unit, load positive."""
_DEFAULT_GIVEN = "default_given"
"""Among the owner's values: whether a default of ours lies underneath."""


class MapControl:
    """Orders as settings of a mapped device, within what its owner had set.

    Args:
        image: The device's registers as last read.
        resource_class: Photovoltaics take a setpoint as the most they may feed in, and keep to their owner's.

    Attributes:
        timerless: The device was seen not to keep a reversion timer.
        default_given: A default value of ours lies underneath.
    """

    def __init__(self, image: MapImage, resource_class: ResourceClass) -> None:
        self.timerless = False
        self.default_given = False
        self._image = image
        self._resource_class = resource_class
        self._owners_values: Mapping[str, float] | None = None
        self._default_kw = math.nan
        points = image.register_map.points
        of_role = {role: next((point for point in points if point.role is role), None) for role in Role}
        self._setpoint, self._default, self._timer = (of_role[r] for r in (Role.SETPOINT, Role.DEFAULT, Role.TIMER))

    @property
    def owners_values(self) -> Mapping[str, float] | None:
        """The owner's values while a value of ours may be in force; ``None`` while the registers are the owner's."""
        return self._owners_values

    @owners_values.setter
    def owners_values(self, values: Mapping[str, float] | None) -> None:
        self._owners_values = values
        self.default_given = bool((values or {}).get(_DEFAULT_GIVEN))

    @property
    def exists(self) -> bool:
        """The map has a setpoint."""
        return self._setpoint is not None

    def troubles(self) -> frozenset[Trouble]:
        """Return whether the device is measured only, keeps no timer, or stands under its owner's limit."""
        if not self.exists:
            return frozenset({Trouble.MEASURED_ONLY})
        untimed = self.timerless or self._timer is None
        seen = {Trouble.NO_REVERSION_TIMER: untimed, Trouble.OWNERS_LIMIT: self._owners_limit_kw() < 0.0}
        return frozenset(trouble for trouble, true in seen.items() if true)

    def limit_kw(self) -> float:
        """Return the setpoint register, NaN where the map has none."""
        return self._value(self._setpoint)

    def settings(self, order: Order) -> list[Setting]:
        """Return the settings of an order; a dispatch value needs a timer, or the device could not fall back.

        Raises:
            UnsupportedError: The map has no points for it, or the timer is not kept.
        """
        settings = self._settings(order)
        if not settings:
            raise UnsupportedError(f"map {self._image.register_map.name} has no points for {order.layer.name}")
        if order.layer is Layer.DEFAULT:
            self._default_kw = order.power_kw
        return settings

    def compared(self, settings: Sequence[Setting]) -> Check:
        """Return how the registers as read back compare with what was written."""
        plain = [(point, value) for point, value in settings if point.role is not Role.TIMER]
        if not all(self._image.agrees(point, value) for point, value in plain):
            return Check.DIFFERS
        timers = [point for point, value in settings if point.role is Role.TIMER and value > 0.0]
        return Check.AGREES if all(self._value(point) > 0.0 for point in timers) else Check.NO_TIMER

    def released(self) -> bool:
        """Tell whether setpoint and default are what a release leaves, as last read."""
        settings = self._settings(Order(layer=Layer.RELEASE, power_kw=math.nan, lease_s=0.0, held=False))
        return all(self._image.agrees(point, value) for point, value in settings if point.role is not Role.TIMER)

    def snapshot(self) -> Mapping[str, float]:
        """Return setpoint, default and timer as a release is to put them back, by role."""
        points = [point for point in (self._setpoint, self._default, self._timer) if point]
        shown = {str(point.role): self._value(point) for point in points}
        values = {name: value for name, value in shown.items() if not math.isnan(value)}
        kept = values if self.owners_values is None else self.owners_values
        return {**kept, _DEFAULT_GIVEN: float(self.default_given)}

    def _settings(self, order: Order) -> list[Setting]:
        setpoint, default, timer = self._setpoint, self._default, self._timer
        ending = [(timer, 0.0)] if timer else []
        match order.layer:
            case Layer.DISPATCH if self.timerless:
                name = self._image.register_map.name
                raise UnsupportedError(f"the timer of map {name} is not kept: a value would not end")
            case Layer.DISPATCH if setpoint and timer:
                timer_s = min(float(math.ceil(order.lease_s)), timer.maximum)
                return [*self._underneath(), (setpoint, self._allowed_kw(order.power_kw)), (timer, timer_s)]
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
        point, limit_kw = self._default, self._owners_limit_kw()
        if point is None or self.default_given or math.isnan(limit_kw) or not point.allows(limit_kw):
            return []
        return [] if self._image.agrees(point, limit_kw) else [(point, limit_kw)]

    def _allowed_kw(self, power_kw: float) -> float:
        """Return an order within the owner's limit."""
        limit_kw = self._owners_limit_kw()
        return power_kw if math.isnan(limit_kw) else max(power_kw, limit_kw)

    def _owners_limit_kw(self) -> float:
        """Return the most that may be fed in by the owner's setpoint, a negative power; NaN where it limits nothing.

        A setpoint of 0 in an inverter is none: it was never set.
        """
        limit_kw = self._owners_setpoint_kw() if self._resource_class is ResourceClass.PV else math.nan
        return limit_kw if limit_kw < 0.0 else math.nan

    def _fallback_kw(self) -> float:
        """Return what a release leaves: our default, or what was found."""
        if self.default_given or (self._default and self._resource_class is not ResourceClass.PV):
            ours_kw = self._value(self._default) if self._default else self._default_kw
            return self._owners_setpoint_kw() if math.isnan(ours_kw) else ours_kw
        return self._owners_setpoint_kw()

    def _owners_setpoint_kw(self) -> float:
        if self.owners_values is not None:
            return self.owners_values.get(str(Role.SETPOINT), math.nan)
        return self._value(self._setpoint)

    def _value(self, point: MapPoint | None) -> float:
        return math.nan if point is None else self._image.value(point)
