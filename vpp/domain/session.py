"""Charging sessions: one vehicle while it is plugged in, and the promise made to its driver."""

import math
from dataclasses import dataclass, replace

from vpp.domain.errors import InputError
from vpp.domain.units import SECONDS_PER_DAY

MOST_KWH = 2000.0
"""Beyond any vehicle's battery, those of lorries included; kWh."""
MOST_AHEAD_S = 90.0 * SECONDS_PER_DAY
"""Departures further ahead are broken dates (OCPP senders write the year 9999)."""
MOST_PAST_S = SECONDS_PER_DAY * 30.0
"""Age of the oldest session; a departure longer ago is a broken date (the year 1 stands for no date)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Promise made to a driver.

    Attributes:
        energy_kwh: Energy into the car since plug-in, by departure.
        departure_s: Epoch seconds of the departure.
        floor_kwh: Energy to be given first, at full power, before anything may be shed.
        opted_out: The driver takes no part; no request sheds the session.
        boost: Full power for this session: shed for no request, but counted as a participant.
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
        promise: ``None`` until somebody states one; no request sheds such a session.
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
    """A car was plugged in; delivered at least once, idempotent by its id. ``meter_kwh`` is the register then."""

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
    """A car was unplugged. ``meter_kwh`` is the register then, NaN where it is not known."""

    session_id: str
    row: int
    at_s: float
    meter_kwh: float


SessionEvent = SessionStarted | SessionPromised | SessionEnded


def check_promise(promise: Promise, now_s: float) -> None:
    """Refuse a promise out of all bounds; raises InputError naming the field."""
    if not 0.0 <= promise.energy_kwh <= MOST_KWH:
        raise InputError("energy_kwh", promise.energy_kwh, f"a number from 0 to {MOST_KWH:g}")
    if not 0.0 <= promise.floor_kwh <= promise.energy_kwh:
        raise InputError("floor_kwh", promise.floor_kwh, f"a number from 0 to energy_kwh = {promise.energy_kwh:g}")
    if not -MOST_PAST_S <= promise.departure_s - now_s <= MOST_AHEAD_S:
        raise InputError(
            "departure_at",
            f"{(promise.departure_s - now_s) / SECONDS_PER_DAY:,.0f} days from now",
            f"an instant within {MOST_AHEAD_S / SECONDS_PER_DAY:g} days",
        )


def sound(event: SessionEvent, now_s: float) -> SessionEvent:
    """Return an event of a session with a plausible instant: one stamped out of all bounds counts as of now.

    Raises:
        InputError: It is a promise out of all bounds.
    """
    if isinstance(event, SessionPromised):
        check_promise(event.promise, now_s)
        return event
    meter_kwh = event.meter_kwh if math.isfinite(event.meter_kwh) else math.nan
    at_s = event.at_s if -MOST_PAST_S <= event.at_s - now_s <= MOST_AHEAD_S else now_s
    same = at_s == event.at_s and (meter_kwh == event.meter_kwh or math.isnan(event.meter_kwh))
    return event if same else replace(event, at_s=at_s, meter_kwh=meter_kwh)
