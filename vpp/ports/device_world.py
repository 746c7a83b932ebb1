"""Simulated devices: the physical model, and the device side of a protocol."""

from typing import Protocol

from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.setpoint import Layer
from vpp.fleet.index import FleetIndex


class DeviceWorld(Protocol):
    """The physical model behind simulated devices, as their protocol ends see it; load positive."""

    index: FleetIndex

    def readings(self) -> DeviceReadings:
        """Return the readings of all meters now."""
        ...

    def response(self, row: int) -> DeviceResponse:
        """Draw how the device in ``row`` will treat one instruction."""
        ...

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a default or dispatch value in force, or end the dispatch value for ``Layer.RELEASE``."""
        ...

    def plug_events(self) -> list[PlugEvent]:
        """Return the cars plugged in and unplugged since the last call."""
        ...


class DeviceSimulator(Protocol):
    """Device side of one protocol: speaks for its share of the world until cancelled."""

    async def run(self) -> None:
        """Connect, report, obey; returns only by cancellation."""
        ...
