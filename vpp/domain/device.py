"""Readings and responses of simulated devices: the seam between physical model and device-side protocols."""

from dataclasses import dataclass

from vpp.domain.session import Promise
from vpp.domain.telemetry import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReadings:
    """Readings of the meters and controllers of all simulated devices now; shape ``(n_resources,)`` each.

    Attributes:
        at_s: Epoch seconds of the reading.
        power_kw: Metered net power with meter noise, load positive.
        energy_kwh: Register of energy taken in.
        soc: State of charge 0-1, NaN where there is none.
        plugged: A car is plugged in.
        online: The device has its link; while false its simulator must drop the connection and stay away.
        p_min_kw: Least net power it can take now, load positive.
        p_max_kw: Greatest net power it can take now, load positive.
    """

    at_s: float
    power_kw: FloatArray
    energy_kwh: FloatArray
    soc: FloatArray
    plugged: BoolArray
    online: BoolArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResponse:
    """Response of one device to one command.

    Attributes:
        latency_s: Seconds from receipt to answer.
        refused: It refuses.
        ignored: It accepts and does nothing.
    """

    latency_s: float
    refused: bool
    ignored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugEvent:
    """A car was plugged in or out at a simulated charging station.

    Attributes:
        session: Number of the visit, unique in the model.
        promise: Wish of its driver; ``None`` when plugged out.
        meter_kwh: Register at that moment.
    """

    row: int
    session: int
    plugged: bool
    at_s: float
    meter_kwh: float
    promise: Promise | None = None
