"""Simulated SunSpec devices: what the physical model shows as registers, and what is written as its setpoints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from adapters.modbus.simulated.register_image import Image
from adapters.modbus.simulated.server import Fault, FaultError, Treatment
from vpp.domain.device import DeviceReadings
from vpp.domain.resource import Resource
from vpp.domain.setpoint import Layer
from vpp.ports import Clock, DeviceWorld


@dataclass(slots=True, kw_only=True)
class Lever:
    """A setpoint with its reversion, in the unit of its registers.

    Attributes:
        default: What it reverts to; NaN where it reverts to the device's own logic.
        ends_s: When it reverts, infinite without a timer.
    """

    enabled: bool = False
    value: float
    default: float = math.nan
    ends_s: float = math.inf

    def settle(self, now_s: float) -> bool:
        """Revert if it is time; tell whether it was."""
        if now_s < self.ends_s:
            return False
        self.enabled = not math.isnan(self.default)
        self.value = self.default if self.enabled else self.value
        self.ends_s = math.inf
        return True

    def left_s(self, now_s: float) -> float:
        """Return the whole seconds until it reverts, 0 without a timer."""
        return math.ceil(self.ends_s - now_s) if math.isfinite(self.ends_s) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The points by which one model shows a lever.

    Attributes:
        default: Value after the timer; empty where the model has none.
        after: Whether that value is enabled; empty where the model has none.
        left: Time left; empty where the model does not tell.
    """

    number: int
    enabled: str
    value: str
    timer: str
    default: str = ""
    after: str = ""
    left: str = ""

    def names(self) -> Sequence[str]:
        """Return the points that can be written."""
        return [name for name in (self.enabled, self.value, self.timer, self.default, self.after) if name]


@dataclass(slots=True, kw_only=True)
class SimulatedDevice:
    """One row of the physical model as a SunSpec unit; subclasses say which models and what they show.

    Attributes:
        lever: What it is told to do.
        readings: What was shown last.
    """

    faces: ClassVar[Sequence[Face]]
    world: DeviceWorld
    clock: Clock
    row: int
    base: int
    image: Image = field(init=False)
    lever: Lever = field(init=False)
    readings: DeviceReadings | None = field(init=False, default=None)
    injected_kwh: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.image = Image(self.base, self.chain(), self.scales())
        self.lever = self.rest()
        self.nameplate()
        self.show_lever()

    @property
    def resource(self) -> Resource:
        """The row's registration."""
        return self.world.index.resources[self.row]

    def chain(self) -> Sequence[tuple[int, int]]:
        """Return the models it holds, each with how often its group repeats."""
        raise NotImplementedError

    def scales(self) -> Mapping[int, Mapping[str, int]]:
        """Return scale factors by model and point."""
        raise NotImplementedError

    def rest(self) -> Lever:
        """Return the lever of a device nobody has told anything."""
        raise NotImplementedError

    def nameplate(self) -> None:
        """Show what never changes."""
        raise NotImplementedError

    def measure(self, readings: DeviceReadings) -> None:
        """Show what the meters show."""
        raise NotImplementedError

    def power_kw(self, value: float) -> float:
        """Return a lever's value as net power, load positive."""
        raise NotImplementedError

    def fits(self, value: float) -> bool:
        """Tell whether a lever can be set so."""
        raise NotImplementedError

    def refresh(self, readings: DeviceReadings) -> None:
        """Show newer readings; does nothing if they are already shown."""
        if self.lever.settle(readings.at_s):
            self.show_lever()
        if readings is self.readings:
            return
        if self.readings is not None:
            hours = max(readings.at_s - self.readings.at_s, 0.0) / 3600.0
            self.injected_kwh += max(-float(readings.power_kw[self.row]), 0.0) * hours
        self.readings = readings
        self.measure(readings)
        for face in self.faces:
            if face.left:
                self.image.put(face.number, face.left, self.lever.left_s(readings.at_s))

    def read(self, address: int, count: int) -> bytes:
        """Return registers; raises FaultError."""
        first = address - self.image.base
        if first < 0 or first + count > len(self.image):
            raise FaultError(Fault.ADDRESS)
        return bytes(self.image.data[2 * first : 2 * (first + count)])

    def write(self, address: int, data: bytes) -> Treatment:
        """Return how the device treats a write; one that moves no lever is stored at once. Raises FaultError."""
        first = address - self.image.base
        written = range(first, first + len(data) // 2)
        if first < 0 or written.stop > len(self.image) or not all(self.image.writable[first : written.stop]):
            raise FaultError(Fault.ADDRESS)
        face = next((face for face in self.faces if self._touched(face, face.names(), written)), None)
        if face is None:
            return Treatment(latency_wall_s=0.0, carry_out=lambda: self._store(first, data))
        self._check(face, first, data)
        response = self.world.response(self.row)

        def carry_out() -> None:
            if response.refused:
                raise FaultError(Fault.FAILURE)
            self._store(first, data)
            self._pull(face, written, ignored=response.ignored)

        return Treatment(latency_wall_s=self.clock.wall(response.latency_s), carry_out=carry_out)

    def show_lever(self) -> None:
        """Show the lever in every model that has it."""
        lever = self.lever
        for face in self.faces:
            self.image.put(face.number, face.enabled, int(lever.enabled))
            self.image.put(face.number, face.value, lever.value)
            if face.default and not math.isnan(lever.default):
                self.image.put(face.number, face.default, lever.default)
            if face.left:
                self.image.put(face.number, face.left, lever.left_s(self.clock.now_s()))

    def _store(self, first: int, data: bytes) -> None:
        self.image.data[2 * first : 2 * first + len(data)] = data

    def _touched(self, face: Face, names: Sequence[str], written: range) -> bool:
        spans = (self.image.span(face.number, name) for name in names if name)
        return any(written.start < span.stop and span.start < written.stop for span in spans)

    def _check(self, face: Face, first: int, data: bytes) -> None:
        """Raise FaultError for values that make no sense, leaving the image as it was."""
        before = bytes(self.image.data)
        self._store(first, data)
        numbers = [self.image.value(face.number, name) for name in (face.value, face.default) if name]
        switches = [self.image.value(face.number, name) for name in (face.enabled, face.after) if name]
        self.image.data[:] = before
        if not all(map(self.fits, numbers)) or not {0.0, 1.0}.issuperset(switches):
            raise FaultError(Fault.VALUE)

    def _pull(self, face: Face, written: range, *, ignored: bool) -> None:
        """Set the lever as the registers now say and, unless the device ignores it, act on it."""
        now_s, lever, before = self.clock.now_s(), self.lever, self.lever.default
        timer_s = self.image.value(face.number, face.timer)
        lever.enabled = self.image.value(face.number, face.enabled) == 1
        lever.value = self.image.value(face.number, face.value)
        if not face.default:
            lever.default = math.nan
        elif self._touched(face, (face.default, face.after), written):
            kept = self.image.value(face.number, face.after) == 1
            lever.default = self.image.value(face.number, face.default) if kept else math.nan
        if self._touched(face, (face.enabled, face.timer), written):
            lever.ends_s = now_s + timer_s if lever.enabled and timer_s > 0 else math.inf
        self.show_lever()
        if ignored:
            return
        if lever.default != before and not (math.isnan(lever.default) and math.isnan(before)):
            self._apply_default()
        if self._touched(face, (face.enabled, face.value, face.timer), written):
            self._apply_value()

    def _apply_default(self) -> None:
        fallback = self.rest().value if math.isnan(self.lever.default) else self.lever.default
        self.world.apply(self.row, Layer.DEFAULT, self.power_kw(fallback), math.inf)

    def _apply_value(self) -> None:
        lever = self.lever
        power_kw = self.power_kw(lever.value)
        if lever.enabled and (math.isfinite(lever.ends_s) or lever.value != lever.default):
            self.world.apply(self.row, Layer.DISPATCH, power_kw, lever.ends_s)
        else:
            self.world.apply(self.row, Layer.RELEASE, power_kw, lever.ends_s)
