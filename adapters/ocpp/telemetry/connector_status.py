"""Connector states: a car is plugged in or not, it has paused, the connector is out of service."""

import math

from adapters.ocpp.messages.ocpp_j import Json, parse_stamp
from adapters.ocpp.station import transactions
from adapters.ocpp.station.connector_state import OUTAGES, PAUSED, PLUGGED, ConnectorState
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.station.transactions import STAMP_S
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

LATE_STATE_S = 60.0
"""An older state is history where a newer one is known; stations stamp a state with its beginning."""
_AVAILABILITY = "AvailabilityState"


def take_status(station: StationState, connector: int, state: str, stamp: object, port: int = 1) -> None:
    """Take the state of a connector.

    Args:
        station: Its station.
        connector: Connector (1.6) or EVSE (2.x); 0 is the station as a whole.
        state: Its ``status`` (1.6) or ``connectorStatus`` (2.x).
        stamp: The station's stamp.
        port: Connector of the EVSE (2.x), which has as many states as connectors (G01).
    """
    stamp_s = parse_stamp(stamp)
    at_s = station.time_of(stamp_s)
    station.note_connector(connector)
    if connector == 0:
        _take_station_status(station, state)
        return
    point = station.point(connector)
    if point is None or _is_history(station, point, at_s, stamp_s):
        return
    point.state_s = max(point.state_s, at_s)
    first = not point.states
    point.put_state(port, state)
    if state == "Preparing":  # no transaction runs there, whatever ran before
        station.doubt(connector)
    if state in PLUGGED:
        report_plugged(station, connector, at_s, here=True)
    elif state == "Available":
        _take_available(station, point, port, at_s)
    if state in PLUGGED and state != "Occupied":
        point.paused = state in PAUSED
    if first or _outage(station, point) != _reported_outage(station, point):
        _report_outage(station, point)


def _take_station_status(station: StationState, state: str) -> None:
    """Take the state of a station as a whole, which goes for all its connectors."""
    outage = state if state in OUTAGES else ""
    if outage != station.particulars.outage:
        station.note(outage=outage)
        for point in station.points:
            _report_outage(station, point)


def report_plugged(station: StationState, connector: int, at_s: float, *, here: bool) -> None:
    """Report that a car is or is not plugged in; without one a transaction has ended."""
    point = station.point(connector)
    if point is None:
        return
    station.services.batcher.sample(point.row, Quantity.PLUGGED, float(here), at_s)
    running = station.transactions.get(connector)
    if running is not None and not here:
        transactions.end(station, running.id, at_s)


def take_notify_event(station: StationState, payload: Json) -> Json:
    """Take a NotifyEvent: 2.1 stations may state availability so rather than by StatusNotification (G01)."""
    for event in payload["eventData"]:
        component, evse = event["component"]["name"], event["component"].get("evse")
        if event["variable"]["name"] != _AVAILABILITY:
            continue
        if evse is not None and component in ("Connector", "EVSE"):
            take_status(station, evse["id"], event["actualValue"], event["timestamp"], evse.get("connectorId", 1))
        elif component == "ChargingStation":
            take_status(station, 0, event["actualValue"], event["timestamp"])
    return {}


def _is_history(station: StationState, point: ConnectorState, at_s: float, stamp_s: float) -> bool:
    """Tell whether a state is older than what is known of its connector.

    A state from before the running transaction is, however fresh, if both clocks agree: our estimate of the station's
    clock may have been wrong a moment ago, and that clock may have been set.
    """
    running = station.transactions.get(point.connector)
    if running is not None and stamp_s < running.stamp_s - STAMP_S and at_s < running.began_s - STAMP_S:
        return True
    if station.services.clock.now_s() - at_s <= LATE_STATE_S:
        return False
    newest_s = point.state_s if running is None else max(point.state_s, running.began_s, running.last_s)
    return at_s < newest_s - STAMP_S


def _take_available(station: StationState, point: ConnectorState, port: int, at_s: float) -> None:
    """Take the car at ``port`` for unplugged; one at another connector of the EVSE stays."""
    running = station.transactions.get(point.connector)
    known = running is None or running.port or (point.states.keys() == {port} and port > 1)
    elsewhere = running is not None and known and running.port != port
    if not point.occupied and not elsewhere:
        report_plugged(station, point.connector, at_s, here=False)


def _outage(station: StationState, point: ConnectorState) -> Trouble | None:
    """Return the outage of a connector, ``None`` where it is in service."""
    running = station.transactions.get(point.connector)
    return station.whole_outage or point.outage(0 if running is None else running.port)


def _reported_outage(station: StationState, point: ConnectorState) -> Trouble | None:
    reported = (one for one in (Trouble.FAULTED, Trouble.OUT_OF_SERVICE) if station.troubles.has(point.row, one))
    return next(reported, None)


def _report_outage(station: StationState, point: ConnectorState) -> None:
    """Report the power range of a connector: none while it is faulted or out of service (1.6 4.9)."""
    outage, now_s = _outage(station, point), station.services.clock.now_s()
    for trouble in (Trouble.FAULTED, Trouble.OUT_OF_SERVICE):
        station.troubles.set(point.row, trouble, outage is trouble)
    sample = station.services.batcher.sample
    sample(point.row, Quantity.P_MAX_KW, point.nameplate.p_max_kw if outage is None else 0.0, now_s)
    if point.nameplate.p_min_kw < 0.0:
        sample(point.row, Quantity.P_MIN_KW, point.nameplate.p_min_kw if outage is None else 0.0, now_s)


def charging_state(station: StationState, evse: int, state: object) -> None:
    """Take the chargingState of a 2.x transaction."""
    point = station.point(evse)
    if point is not None and isinstance(state, str):
        point.paused = state in PAUSED


def register_kwh(meter_wh: float) -> float:
    """Return a register of a start or stop in kWh, NaN where it is below 0, which is invalid (ocpp-go#114)."""
    return meter_wh / 1000.0 if meter_wh >= 0.0 else math.nan
