"""One vehicle's wish while it is plugged in, and what has become of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a driver was promised.

    Attributes:
        energy_kwh: Energy into the car since plug-in, by departure.
        departure_s: Epoch seconds of the departure.
        floor_kwh: Energy to be given first, at full power, before anything may be shed.
        opted_out: The driver takes no part: never shed.
        boost: The driver wants full power for this session: never shed, but counted as a participant.
    """

    energy_kwh: float
    departure_s: float
    floor_kwh: float = 0.0
    opted_out: bool = False
    boost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSession:
    """An OCPP transaction joined with the driver's promise.

    Attributes:
        id: ``station:transaction``, unique for ever.
        row: Row of the resource.
        started_s: Epoch seconds of plug-in.
        promise: ``None`` until somebody states one; such a session is never shed.
        delivered_kwh: Energy into the car so far, from the meter.
        ended_s: Epoch seconds of unplugging, ``None`` while plugged in.
    """

    id: str
    row: int
    started_s: float
    promise: Promise | None = None
    delivered_kwh: float = 0.0
    ended_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    """A car was plugged in; told at least once, the id makes it idempotent."""

    session_id: str
    row: int
    at_s: float
    meter_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPromised:
    """A promise was stated for a session, by the car, the driver or the operator."""

    session_id: str
    promise: Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """A car was unplugged."""

    session_id: str
    row: int
    at_s: float
    meter_kwh: float


SessionEvent = SessionStarted | SessionPromised | SessionEnded
