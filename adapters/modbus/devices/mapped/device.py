"""A device read and written by a declared register map."""

import math
from collections.abc import Iterable, Mapping, Sequence

from adapters.modbus.devices.device import Instruction, OwnersValues
from adapters.modbus.devices.mapped.control import MapControl
from adapters.modbus.devices.mapped.image import MapImage
from adapters.modbus.devices.mapped.register_map import MapPoint, RegisterMap
from adapters.modbus.devices.orders import Check, Order
from adapters.modbus.transport.connection import BusyError, ModbusConnection, RefusedError
from adapters.modbus.transport.reading import Place, Plan, Read, reads_of
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Group
from vpp.domain.errors import FrameError
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble


class MappedDevice:
    """A `Device` whose points stand in a register map.

    Args:
        register_map: Its points.
        resource_class: What it is; see `MapControl`.
    """

    def __init__(self, *, register_map: RegisterMap, resource_class: ResourceClass = ResourceClass.STORAGE) -> None:
        self.known = False
        self._map = register_map
        self._image = MapImage(register_map)
        self._control = MapControl(self._image, resource_class)
        self._plan: Plan | None = None
        self._learning: Plan | None = None

    @property
    def owners_values(self) -> OwnersValues | None:
        """See `Device`."""
        return self._control.owners_values

    @owners_values.setter
    def owners_values(self, values: OwnersValues | None) -> None:
        self._control.owners_values = values

    @property
    def timerless(self) -> bool:
        """See `Device`."""
        return self._control.timerless

    @timerless.setter
    def timerless(self, timerless: bool) -> None:
        self._control.timerless = timerless

    @property
    def default_given(self) -> bool:
        """See `Device`."""
        return self._control.default_given

    @default_given.setter
    def default_given(self, given: bool) -> None:
        self._control.default_given = given

    async def learn(self, connection: ModbusConnection, unit: int) -> None:
        """Read everything once, going on where it was interrupted: a map that fits nothing is refused here."""
        learning = self._learning = self._learning or self._fresh_plan()
        try:
            await learning.run(connection, unit, resume=True)
        except BusyError:
            raise
        except (RefusedError, FrameError):
            self._learning = None
            raise
        self._plan, self._learning = learning, None
        self.timerless = False
        self.known = True

    async def poll(self, connection: ModbusConnection, unit: int) -> int:
        """Read everything; see `Device`."""
        self._plan = self._plan or self._fresh_plan()
        await self._plan.run(connection, unit)
        return len(self._plan.refused)

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        self._image.store(read, values)

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return what lies within its point's bounds, and the setpoint as read back."""
        values = [(p.quantity, self._image.value(p)) for p in self._map.points if p.quantity is not None]
        shown = [(quantity, value) for quantity, value in values if not math.isnan(value)]
        limit_kw = self.limit_kw()
        return shown if math.isnan(limit_kw) else [*shown, (Quantity.LIMIT_KW, limit_kw)]

    def troubles(self) -> frozenset[Trouble]:
        """See `MapControl.troubles`."""
        return self._control.troubles()

    def limit_kw(self) -> float:
        """Return the setpoint register, NaN where the map has none."""
        return self._control.limit_kw()

    def lease_left_s(self) -> float:
        """Return NaN: no map has a point for the time left on a timer."""
        return math.nan

    def instruction(self, order: Order) -> Instruction:
        """Return the writes of an order; see `MapControl.settings`."""
        if order.layer is Layer.RELEASE and self.owners_values is None:
            return Instruction(groups=(), reads=(), check=lambda: Check.AGREES)  # the registers are the owner's
        settings = self._control.settings(order)
        return Instruction(
            groups=[Group(changes=(self._image.change(point, value),)) for point, value in settings],
            reads=_reads(point for point, _ in settings),
            check=lambda: self._control.compared(settings),
        )

    def snapshot(self) -> OwnersValues:
        """See `MapControl.snapshot`."""
        return self._control.snapshot()

    def owners_changes(self) -> OwnersValues | None:
        """Return ``None``: no map shows another hand than ours."""
        return None

    def released(self) -> bool:
        """See `MapControl.released`."""
        return self._control.released()

    def card(self) -> Mapping[str, object]:
        """Return the description in the map, and the owner's values."""
        return {
            "protocol": "register map",
            "manufacturer": self._map.manufacturer,
            "model": self._map.model,
            "version": "",
            "serial": "",
            "models": [],
            "control_model": self._map.name if self._control.exists else None,
            "owners_values": dict(self.snapshot()),
        }

    def _fresh_plan(self) -> Plan:
        return Plan(reads=list(_reads(self._map.points)), store=self._image.store, forget=self._image.forget, gap=0)


def _reads(points: Iterable[MapPoint]) -> Sequence[Read]:
    """Return one read for every run of registers without a gap; such devices often refuse to read gaps."""
    return reads_of((Place(address=p.address, count=p.size, table=p.table) for p in points), gap=0)
