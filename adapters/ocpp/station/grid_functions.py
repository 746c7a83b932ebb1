"""Grid functions of OCPP 2.1 stations (block R): starts, stops and alarms, as the capability card shows them.

A station that rides through voltage or frequency by itself reports it unasked. Installing grid functions is the
network operator's and not offered here.
"""

from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.station.station_state import StationState


def started_or_stopped(station: StationState, payload: Json) -> Json:
    """Keep a NotifyDERStartStop under its control id; return its response."""
    known = dict(station.particulars.grid_functions or {})
    for superseded in payload.get("supersededIds", ()):
        known[superseded] = {**known.get(superseded, {}), "isSuperseded": payload["started"]}
    control_id = payload["controlId"]
    known[control_id] = {**known.get(control_id, {}), "active": payload["started"], "at": payload["timestamp"]}
    station.note(grid_functions=known)
    return {}


def alarmed(station: StationState, payload: Json) -> Json:
    """Keep a NotifyDERAlarm under its control type, its fault ``None`` once it has ended; return its response."""
    known = dict(station.particulars.grid_functions or {})
    fault = None if payload.get("alarmEnded") else payload.get("gridEventFault", "unknown")
    known[payload["controlType"]] = {"alarm": fault, "at": payload["timestamp"]}
    station.note(grid_functions=known)
    return {}
