"""What a simulated device shows and takes: the seam between the physical model and the device-side protocols."""

from dataclasses import dataclass

from vpp.domain.session import Promise
from vpp.domain.telemetry import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReadings:
    """What the meters and controllers of all simulated devices show now; shape ``(n_resources,)`` each.

    Attributes:
        at_s: Epoch seconds of the reading.
        power_kw: Metered net power with meter noise, load positive.
        energy_kwh: Register of energy taken in.
        soc: State of charge 0-1, NaN where there is none.
        plugged: A car is plugged in.
        online: The device has its link; while false its simulator must drop the connection and stay away.
        p_min_kw: Least net power it can take now.
        p_max_kw: Greatest net power it can take now.
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
    """How one device will treat one instruction.

    Attributes:
        latency_s: Time from receipt to answer.
        refused: It answers no.
        ignored: It answers yes and does nothing.
    """

    latency_s: float
    refused: bool
    ignored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugEvent:
    """A car was plugged in or out at a simulated charging station.

    Attributes:
        session: Number of the visit, unique in the model.
        promise: What its driver wants; ``None`` when plugged out.
        meter_kwh: Register at that moment.
    """

    row: int
    session: int
    plugged: bool
    at_s: float
    meter_kwh: float
    promise: Promise | None = None
