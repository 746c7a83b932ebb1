"""What stations say of their connectors: a car is there or not, it has paused, nothing can be had."""

import math

from adapters.ocpp.messages.ocpp_j import Json, parse_stamp
from adapters.ocpp.station import transactions
from adapters.ocpp.station.connector_state import OUTAGES, PAUSED, PLUGGED, ConnectorState
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.station.transactions import STAMP_S
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

LATE_STATE_S = 60.0
"""A state of longer ago is history where something newer is known; stations stamp it with its beginning."""
_AVAILABILITY = "AvailabilityState"


def stated(charger: StationState, connector: int, state: str, stamp: object, port: int = 1) -> None:
    """Take the state of a connector.

    Args:
        charger: Its station.
        connector: Connector (1.6) or EVSE (2.x); 0 is the station as a whole.
        state: Its ``status`` (1.6) or ``connectorStatus`` (2.x).
        stamp: The station's stamp.
        port: Connector of the EVSE (2.x), which has as many states as connectors (G01).
    """
    stamp_s = parse_stamp(stamp)
    at_s = charger.instant(stamp_s)
    charger.speaks_of(connector)
    if connector == 0:
        _stated_whole(charger, state)
        return
    post = charger.post(connector)
    if post is None or _is_history(charger, post, at_s, stamp_s):
        return
    post.state_s = max(post.state_s, at_s)
    first = not post.states
    post.put_state(port, state)
    if state == "Preparing":  # nothing runs there, whatever ran before
        charger.doubt(connector)
    if state in PLUGGED:
        plugged(charger, connector, at_s, here=True)
    elif state == "Available":
        _freed(charger, post, port, at_s)
    if state in PLUGGED and state != "Occupied":
        post.paused = state in PAUSED
    if first or _outage(charger, post) != _told_outage(charger, post):
        _tell_outage(charger, post)


def _stated_whole(charger: StationState, state: str) -> None:
    """Take the state of a station as a whole, which goes for all its connectors."""
    outage = state if state in OUTAGES else ""
    if outage != charger.outage:
        charger.outage = outage
        for post in charger.every_post():
            _tell_outage(charger, post)


def plugged(charger: StationState, connector: int, at_s: float, *, here: bool) -> None:
    """Pass on that a car is or is not plugged in; without one a transaction cannot go on."""
    post = charger.post(connector)
    if post is None:
        return
    charger.services.coalescer.sample(post.row, Quantity.PLUGGED, float(here), at_s)
    running = charger.transactions.get(connector)
    if running is not None and not here:
        transactions.end(charger, running.id, at_s)


def notified(charger: StationState, payload: Json) -> Json:
    """Take a NotifyEvent: 2.1 stations may state availability so rather than by StatusNotification (G01)."""
    for event in payload["eventData"]:
        component, evse = event["component"]["name"], event["component"].get("evse")
        if event["variable"]["name"] != _AVAILABILITY:
            continue
        if evse is not None and component in ("Connector", "EVSE"):
            stated(charger, evse["id"], event["actualValue"], event["timestamp"], evse.get("connectorId", 1))
        elif component == "ChargingStation":
            stated(charger, 0, event["actualValue"], event["timestamp"])
    return {}


def _is_history(charger: StationState, post: ConnectorState, at_s: float, stamp_s: float) -> bool:
    """Tell whether a state is older than what is known of its connector.

    A state from before the running transaction began is, however fresh, if both clocks say so: ours may have been
    wrong about the station's a moment ago, and the station's may have been set.
    """
    running = charger.transactions.get(post.connector)
    if running is not None and stamp_s < running.stamp_s - STAMP_S and at_s < running.began_s - STAMP_S:
        return True
    if charger.services.clock.now_s() - at_s <= LATE_STATE_S:
        return False
    newest_s = post.state_s if running is None else max(post.state_s, running.began_s, running.last_s)
    return at_s < newest_s - STAMP_S


def _freed(charger: StationState, post: ConnectorState, port: int, at_s: float) -> None:
    """Let the car go that was at ``port``; one at another connector of the EVSE stays."""
    running = charger.transactions.get(post.connector)
    known = running is None or running.port or (post.states.keys() == {port} and port > 1)
    elsewhere = running is not None and known and running.port != port
    if not post.taken and not elsewhere:
        plugged(charger, post.connector, at_s, here=False)


def _outage(charger: StationState, post: ConnectorState) -> Trouble | None:
    """Return why nothing can be had of a connector, ``None`` where something can."""
    running = charger.transactions.get(post.connector)
    return charger.whole_outage or post.outage(0 if running is None else running.port)


def _told_outage(charger: StationState, post: ConnectorState) -> Trouble | None:
    told = (one for one in (Trouble.FAULTED, Trouble.OUT_OF_SERVICE) if charger.troubles.has(post.row, one))
    return next(told, None)


def _tell_outage(charger: StationState, post: ConnectorState) -> None:
    """Say what can be had of a connector: nothing while it is faulted or out of service (1.6 4.9)."""
    outage, now_s = _outage(charger, post), charger.services.clock.now_s()
    for trouble in (Trouble.FAULTED, Trouble.OUT_OF_SERVICE):
        charger.troubles.set(post.row, trouble, outage is trouble)
    sample = charger.services.coalescer.sample
    sample(post.row, Quantity.P_MAX_KW, post.plate.p_max_kw if outage is None else 0.0, now_s)
    if post.plate.p_min_kw < 0.0:
        sample(post.row, Quantity.P_MIN_KW, post.plate.p_min_kw if outage is None else 0.0, now_s)


def charging_state(charger: StationState, evse: int, state: object) -> None:
    """Take the chargingState of a 2.x transaction."""
    post = charger.post(evse)
    if post is not None and isinstance(state, str):
        post.paused = state in PAUSED


def register_kwh(meter_wh: float) -> float:
    """Return a register of a start or stop in kWh, NaN where it is below 0, which is none (ocpp-go#114)."""
    return meter_wh / 1000.0 if meter_wh >= 0.0 else math.nan
