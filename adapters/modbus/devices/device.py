"""Kind of device: reads and their meaning, instructions as writes, and the owner's values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.modbus.devices.orders import Check, Order
from adapters.modbus.transport.connection import ModbusConnection
from adapters.modbus.transport.reading import Read
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Group
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

OwnersValues = Mapping[str, float]
"""Values that stood in a device before our first write, by the names of its points; opaque to all but the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """Writes and read-back of one order.

    Attributes:
        groups: What to write, in order; empty where the device need not be touched.
        reads: What to read back afterwards.
        check: Compares what was read back with what was written.
        otherwise: Another way, to be tried where the read-back differs.
        taken: Called once the read-back agrees.
    """

    groups: Sequence[Group]
    reads: Sequence[Read]
    check: Callable[[], Check]
    otherwise: "Instruction | None" = None
    taken: Callable[[], None] | None = None


class Device(Protocol):
    """A kind of device, as a unit uses it.

    Attributes:
        known: It has been learnt, and what was learnt is still good.
        owners_values: What stood in the registers before our first write, while a value of ours may be in force;
            ``None`` while the registers are the owner's.
        timerless: It was seen not to keep a reversion timer.
        default_given: A default value of ours lies underneath.
    """

    known: bool

    @property
    def owners_values(self) -> OwnersValues | None:
        """See the attributes."""
        ...

    @owners_values.setter
    def owners_values(self, values: OwnersValues | None) -> None: ...

    @property
    def timerless(self) -> bool:
        """See the attributes."""
        ...

    @timerless.setter
    def timerless(self, timerless: bool) -> None: ...

    @property
    def default_given(self) -> bool:
        """See the attributes."""
        ...

    @default_given.setter
    def default_given(self, given: bool) -> None: ...

    async def learn(self, connection: ModbusConnection, unit: int) -> None:
        """Find out what it is, going on where an earlier try was interrupted; what was known stays until then.

        Raises:
            FrameError: It makes no sense.
            RefusedError: It will not be read.
            DeviceUnreachableError: It does not answer.
        """
        ...

    async def poll(self, connection: ModbusConnection, unit: int) -> int:
        """Read what changes; return how many reads were refused. Raises as `learn` does, RefusedError if all were."""
        ...

    def store(self, read: Read, values: Registers) -> None:
        """Keep what was read."""
        ...

    def samples(self) -> Sequence[tuple[Quantity, float]]:
        """Return what the device shows, as last read; load positive, unknown left out."""
        ...

    def troubles(self) -> frozenset[Trouble]:
        """Return its troubles, as far as its registers show them."""
        ...

    def limit_kw(self) -> float:
        """Return the setpoint in force as last read, NaN where none is."""
        ...

    def lease_left_s(self) -> float:
        """Return how long its dispatch value holds, in seconds; NaN where it does not show."""
        ...

    def instruction(self, order: Order) -> Instruction:
        """Return what carries out an order; raises UnsupportedError."""
        ...

    def snapshot(self) -> OwnersValues:
        """Return what a release is to put back, as last read."""
        ...

    def owners_changes(self) -> OwnersValues | None:
        """Return the owner's values where the owner has changed them during a value of ours, else ``None``."""
        ...

    def released(self) -> bool:
        """Tell whether what is in force is what a release leaves, as last read."""
        ...

    def card(self) -> Mapping[str, object]:
        """Return what is known of it."""
        ...
