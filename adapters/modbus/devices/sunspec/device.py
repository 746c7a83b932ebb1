"""A device that describes itself by SunSpec models."""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence

from adapters.modbus.devices.device import Instruction, OwnersValues
from adapters.modbus.devices.orders import Check, Order, UnsupportedError
from adapters.modbus.devices.sunspec import sources
from adapters.modbus.devices.sunspec.control import Control, Points
from adapters.modbus.devices.sunspec.controls import controls_of
from adapters.modbus.devices.sunspec.discovery import Discovery
from adapters.modbus.devices.sunspec.layout import NO_LAYOUT, Layout
from adapters.modbus.devices.sunspec.readings import UNBOUNDED_KW, SunSpecReadings, points_of
from adapters.modbus.devices.sunspec.sources import Source
from adapters.modbus.devices.sunspec.writes import write_of
from adapters.modbus.transport.connection import BusyError, ModbusConnection, RefusedError
from adapters.modbus.transport.reading import Plan, Read
from adapters.modbus.transport.registers import Registers
from vpp.domain.errors import FrameError
from vpp.domain.resource import Resource
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

_DEVICE = "device"
"""Among the owner's values: the device they belong to."""
_MODEL = "model"
"""Among the owner's values: the control's model."""
_DEFAULT_GIVEN = "default"
"""Among the owner's values: whether a default of ours lies underneath."""


class SunSpecDevice:
    """A `Device` that describes itself by models.

    Args:
        resource: Whose device it is.
    """

    def __init__(self, *, resource: Resource) -> None:
        self.known = False
        self._resource = resource
        self._layout = NO_LAYOUT
        self._readings = SunSpecReadings(NO_LAYOUT, resource)
        self._control: Control | None = None
        self._discovery = Discovery()
        self._learning: _Learning | None = None
        self._read_backs: Sequence[Read] = ()
        self._limited = False
        self._plan: Plan | None = None

    async def learn(self, connection: ModbusConnection, unit: int) -> None:
        """Discover the models, read what does not change and choose what to poll."""
        learning = self._learning
        if learning is None:
            learning = self._learning = _Learning(await self._discovery.run(connection, unit), self._resource)
        try:
            await learning.plan.run(connection, unit, resume=True)
        except BusyError:
            raise
        except (RefusedError, FrameError):
            self._learning = None
            raise
        self._learning = None
        self._adopt(learning)

    def _adopt(self, learning: "_Learning") -> None:
        """Take what was learnt; what is known of values of our own stays with the device."""
        layout, before = learning.layout, self._control
        readings = SunSpecReadings(layout, self._resource)
        candidates = controls_of(self._resource, layout.blocks, readings.rated_kw)
        control = next((c for c in candidates if not math.isnan(c.block.raw(c.switch))), None)
        if before is not None and control is not None and before.number == control.number:
            control.adopt(before)
        self._layout, self._readings, self._control = layout, readings, control
        self._read_backs = layout.reads(control.block, control.points) if control else ()
        self._limited = control is not None and control.owners_bounds_kw() != UNBOUNDED_KW
        self._plan = _plan_of(layout, readings.choose(learning.plan.refused), [control] if control else [])
        self.known = True

    async def poll(self, connection: ModbusConnection, unit: int) -> int:
        """Read the source in use of each quantity, and the control's points."""
        if self._plan is None:
            return 0
        await self._plan.run(connection, unit)
        return len(self._plan.refused)

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read, in whichever blocks it belongs to."""
        self._layout.store(read, values)

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return power, energy, state of charge, bounds and the setpoint in force."""
        owners_kw = self._control.owners_bounds_kw() if self._control else UNBOUNDED_KW
        self._limited = owners_kw != UNBOUNDED_KW
        shown = [*self._readings.samples(owners_kw), (Quantity.LIMIT_KW, self.limit_kw())]
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
            raise UnsupportedError(f"{self._resource.id} holds no model that takes setpoints")
        if order.layer is Layer.RELEASE and control.owners_values is None:
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
            groups=[write_of(control, points) for points in groups],
            reads=self._read_backs if groups else (),
            check=lambda: control.compared(groups),
            otherwise=otherwise if otherwise is not None and otherwise.groups else None,
            taken=lambda: control.taken(order, groups),
        )

    @property
    def owners_values(self) -> OwnersValues | None:
        """See `Device`."""
        return self._control.owners_values if self._control else None

    @owners_values.setter
    def owners_values(self, values: OwnersValues | None) -> None:
        control = self._control
        if control is None:
            return
        known = values is not None and values.get(_MODEL) == control.number and self._is(values.get(_DEVICE, 0.0))
        control.owners_values = {k: v for k, v in (values or {}).items() if k in control.kept} if known else None
        control.default_given = known and bool((values or {}).get(_DEFAULT_GIVEN))

    def snapshot(self) -> OwnersValues:
        """Return the control's points as a release is to put them back."""
        control = self._control
        if control is None:
            return {}
        return self._named(control.snapshot() if control.owners_values is None else control.owners_values)

    def _named(self, values: Points) -> OwnersValues:
        """Return values together with the device and the model they belong to."""
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
        """See `Device`."""
        return self._control is not None and self._control.timerless

    @timerless.setter
    def timerless(self, timerless: bool) -> None:
        if self._control is not None:
            self._control.timerless = timerless

    @property
    def default_given(self) -> bool:
        """See `Device`."""
        return self._control is not None and self._control.default_given

    @default_given.setter
    def default_given(self, given: bool) -> None:
        if self._control is not None:
            self._control.default_given = given

    def owners_changes(self) -> OwnersValues | None:
        """Return the control's points as their owner wants them now, ``None`` where that has not changed."""
        changes = self._control.owners_changes() if self._control else None
        return None if changes is None else self._named(changes)

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
            "models": list(self._layout.numbers),
            "map_broken_at": self._layout.broken_at,
            "control_model": self._control.number if self._control else None,
            "owners_values": dict(self._control.restoring()) if self._control else None,
        }


class _Learning:
    """A device's models while everything of interest is read once."""

    def __init__(self, layout: Layout, resource: Resource) -> None:
        self.layout = layout
        everything = (
            *sources.power_of(resource.resource_class),
            *(*sources.ENERGY, *sources.SOC, *sources.AVAILABLE, *sources.STATIC),
        )
        self.plan = _plan_of(layout, everything, controls_of(resource, layout.blocks, lambda: math.nan))


def _plan_of(layout: Layout, chosen: Iterable[Source], controls: Sequence[Control]) -> Plan:
    """Return the plan that reads sources and all points of controls."""
    points = points_of([*chosen, *((control.number, name) for control in controls for name in control.points)])
    return layout.plan(points)
