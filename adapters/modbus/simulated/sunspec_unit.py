"""Simulated SunSpec devices: readings of the physical model as registers, written registers as its setpoints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from adapters.modbus.simulated.register_image import RegisterImage
from adapters.modbus.simulated.server import Fault, FaultError, WriteTreatment
from vpp.domain.device import DeviceReadings
from vpp.domain.resource import Resource
from vpp.domain.setpoint import Layer
from vpp.ports import Clock, DeviceWorld


@dataclass(slots=True, kw_only=True)
class RevertingSetpoint:
    """A setpoint with its reversion, in the unit of its registers.

    Attributes:
        enabled: It is in force.
        value: The setpoint.
        default: Value it reverts to; NaN where it reverts to the device's own control.
        ends_s: Epoch seconds at which it reverts, infinite without a timer.
    """

    enabled: bool = False
    value: float
    default: float = math.nan
    ends_s: float = math.inf

    def revert_if_due(self, now_s: float) -> bool:
        """Revert if it is due; return whether it was."""
        if now_s < self.ends_s:
            return False
        self.enabled = not math.isnan(self.default)
        self.value = self.default if self.enabled else self.value
        self.ends_s = math.inf
        return True

    def remaining_s(self, now_s: float) -> float:
        """Return the whole seconds until it reverts, 0 without a timer."""
        return math.ceil(self.ends_s - now_s) if math.isfinite(self.ends_s) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPoints:
    """The points of one model that control a setpoint.

    Attributes:
        number: The model.
        default: Value after the timer; empty where the model has none.
        reverted_enabled: Whether that value is enabled; empty where the model has none.
        remaining: Time left; empty where the model has none.
    """

    number: int
    enabled: str
    value: str
    timer: str
    default: str = ""
    reverted_enabled: str = ""
    remaining: str = ""

    def names(self) -> Sequence[str]:
        """Return the points that can be written."""
        return [name for name in (self.enabled, self.value, self.timer, self.default, self.reverted_enabled) if name]


@dataclass(slots=True, kw_only=True)
class SimulatedDevice:
    """One row of the physical model as a SunSpec unit; subclasses name the models and their points.

    Attributes:
        setpoint: The setpoint in force.
        readings: Readings that are shown.
        injected_kwh: Energy fed in since the begin.
    """

    controls: ClassVar[Sequence[ControlPoints]]
    world: DeviceWorld
    clock: Clock
    row: int
    base: int
    image: RegisterImage = field(init=False)
    setpoint: RevertingSetpoint = field(init=False)
    readings: DeviceReadings | None = field(init=False, default=None)
    injected_kwh: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.image = RegisterImage(self.base, self.chain(), self.scales())
        self.setpoint = self.idle_setpoint()
        self.nameplate()
        self.show_setpoint()

    @property
    def resource(self) -> Resource:
        """The row's registration."""
        return self.world.index.resources[self.row]

    def chain(self) -> Sequence[tuple[int, int]]:
        """Return its models, each with the number of repetitions of its group."""
        raise NotImplementedError

    def scales(self) -> Mapping[int, Mapping[str, int]]:
        """Return scale factors by model and point."""
        raise NotImplementedError

    def idle_setpoint(self) -> RevertingSetpoint:
        """Return the setpoint of a device without any command."""
        raise NotImplementedError

    def nameplate(self) -> None:
        """Show identity and ratings, which never change."""
        raise NotImplementedError

    def measure(self, readings: DeviceReadings) -> None:
        """Show the meters' readings."""
        raise NotImplementedError

    def power_kw(self, value: float) -> float:
        """Return a setpoint as net power in kW, load positive."""
        raise NotImplementedError

    def fits(self, value: float) -> bool:
        """Return whether a setpoint is within bounds."""
        raise NotImplementedError

    def refresh(self, readings: DeviceReadings) -> None:
        """Show newer readings; does nothing if they are already shown."""
        if self.setpoint.revert_if_due(readings.at_s):
            self.show_setpoint()
        if readings is self.readings:
            return
        if self.readings is not None:
            hours = max(readings.at_s - self.readings.at_s, 0.0) / 3600.0
            self.injected_kwh += max(-float(readings.power_kw[self.row]), 0.0) * hours
        self.readings = readings
        self.measure(readings)
        for control in self.controls:
            if control.remaining:
                self.image.put(control.number, control.remaining, self.setpoint.remaining_s(readings.at_s))

    def read(self, address: int, count: int) -> bytes:
        """Return registers; raises FaultError."""
        first = address - self.image.base
        if first < 0 or first + count > len(self.image):
            raise FaultError(Fault.ADDRESS)
        return bytes(self.image.data[2 * first : 2 * (first + count)])

    def write(self, address: int, data: bytes) -> WriteTreatment:
        """Return how the device treats a write; one that sets no setpoint is stored at once. Raises FaultError."""
        first = address - self.image.base
        written = range(first, first + len(data) // 2)
        if first < 0 or written.stop > len(self.image) or not all(self.image.writable[first : written.stop]):
            raise FaultError(Fault.ADDRESS)
        control = next(
            (control for control in self.controls if self._overlaps(control, control.names(), written)), None
        )
        if control is None:
            return WriteTreatment(latency_wall_s=0.0, carry_out=lambda: self._store(first, data))
        self._check(control, first, data)
        response = self.world.response(self.row)

        def carry_out() -> None:
            if response.refused:
                raise FaultError(Fault.FAILURE)
            self._store(first, data)
            self._take_setpoint(control, written, ignored=response.ignored)

        return WriteTreatment(latency_wall_s=self.clock.wall(response.latency_s), carry_out=carry_out)

    def show_setpoint(self) -> None:
        """Show the setpoint in every model that has it."""
        setpoint = self.setpoint
        for control in self.controls:
            self.image.put(control.number, control.enabled, int(setpoint.enabled))
            self.image.put(control.number, control.value, setpoint.value)
            if control.default and not math.isnan(setpoint.default):
                self.image.put(control.number, control.default, setpoint.default)
            if control.remaining:
                self.image.put(control.number, control.remaining, setpoint.remaining_s(self.clock.now_s()))

    def _store(self, first: int, data: bytes) -> None:
        self.image.data[2 * first : 2 * first + len(data)] = data

    def _overlaps(self, control: ControlPoints, names: Sequence[str], written: range) -> bool:
        spans = (self.image.span(control.number, name) for name in names if name)
        return any(written.start < span.stop and span.start < written.stop for span in spans)

    def _check(self, control: ControlPoints, first: int, data: bytes) -> None:
        """Raise FaultError for invalid values, leaving the image unchanged."""
        before = bytes(self.image.data)
        self._store(first, data)
        numbers = [self.image.value(control.number, name) for name in (control.value, control.default) if name]
        switches = [
            self.image.value(control.number, name) for name in (control.enabled, control.reverted_enabled) if name
        ]
        self.image.data[:] = before
        if not all(map(self.fits, numbers)) or not {0.0, 1.0}.issuperset(switches):
            raise FaultError(Fault.VALUE)

    def _take_setpoint(self, control: ControlPoints, written: range, *, ignored: bool) -> None:
        """Take the setpoint from the registers and, unless the device ignores it, apply it."""
        now_s, setpoint, before = self.clock.now_s(), self.setpoint, self.setpoint.default
        timer_s = self.image.value(control.number, control.timer)
        setpoint.enabled = self.image.value(control.number, control.enabled) == 1
        setpoint.value = self.image.value(control.number, control.value)
        if not control.default:
            setpoint.default = math.nan
        elif self._overlaps(control, (control.default, control.reverted_enabled), written):
            kept = self.image.value(control.number, control.reverted_enabled) == 1
            setpoint.default = self.image.value(control.number, control.default) if kept else math.nan
        if self._overlaps(control, (control.enabled, control.timer), written):
            setpoint.ends_s = now_s + timer_s if setpoint.enabled and timer_s > 0 else math.inf
        self.show_setpoint()
        if ignored:
            return
        if setpoint.default != before and not (math.isnan(setpoint.default) and math.isnan(before)):
            self._apply_default()
        if self._overlaps(control, (control.enabled, control.value, control.timer), written):
            self._apply_value()

    def _apply_default(self) -> None:
        fallback = self.idle_setpoint().value if math.isnan(self.setpoint.default) else self.setpoint.default
        self.world.apply(self.row, Layer.DEFAULT, self.power_kw(fallback), math.inf)

    def _apply_value(self) -> None:
        setpoint = self.setpoint
        power_kw = self.power_kw(setpoint.value)
        if setpoint.enabled and (math.isfinite(setpoint.ends_s) or setpoint.value != setpoint.default):
            self.world.apply(self.row, Layer.DISPATCH, power_kw, setpoint.ends_s)
        else:
            self.world.apply(self.row, Layer.RELEASE, power_kw, setpoint.ends_s)
