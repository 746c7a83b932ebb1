"""OCPP 2.0.1 and 2.1 on a simulated station."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from adapters.ocpp.control.charging_needs import write_needs
from adapters.ocpp.messages.ocpp_j import Call, CallFaultError, Fault, Json, Version, parse_stamp, stamp
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.simulated.connector import CarSession, Connector, ends_s
from adapters.ocpp.simulated.profile_stack import PURPOSES, InstalledProfile, Purpose
from adapters.ocpp.simulated.station import ReportReason, Station
from vpp.domain.device import PlugEvent

_INTERVALS = ("SampledDataCtrlr.TxUpdatedInterval", "AlignedDataCtrlr.Interval")
_WRITABLE = (
    *_INTERVALS,
    "SampledDataCtrlr.TxUpdatedMeasurands",
    "AlignedDataCtrlr.Measurands",
    "OCPPCommCtrlr.HeartbeatInterval",
)
_FIXED: Mapping[str, str] = {
    "SmartChargingCtrlr.Enabled": "true",
    "SmartChargingCtrlr.RateUnit": "A,W",
    "SmartChargingCtrlr.ProfileStackLevel": "8",
    "SmartChargingCtrlr.PeriodsPerSchedule": "24",
}


class SessionEnd(NamedTuple):
    """Trigger and reason of the end of a transaction, its instant (epoch seconds) and register (kWh)."""

    trigger: str
    reason: str
    at_s: float
    meter_kwh: float


class StationDialect2:
    """See ``station.StationDialect``."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self._served: Mapping[str, Callable[[Station, str, Json], Json | None]] = {
            "ClearChargingProfile": self._clear_profile,
            "GetCompositeSchedule": self._composite,
            "GetVariables": self._get_variables,
            "RequestStartTransaction": self._remote_start,
            "RequestStopTransaction": self._remote_stop,
            "SetChargingProfile": self._set_profile,
            "SetVariables": self._set_variables,
            "TriggerMessage": self._trigger,
            "UpdateDynamicSchedule": _update_schedule,
        }

    # Calls.

    def boot(self, station: Station) -> Call:
        """See ``station.StationDialect``."""
        about: Json = {
            "vendorName": "VPP",
            "model": f"Simulated {self.version.value.removeprefix('ocpp')}",
            "serialNumber": station.id[:25],
            "firmwareVersion": "1.0",
        }
        reason = "PowerUp" if station.boots == 0 else "Unknown"
        return Call("BootNotification", {"chargingStation": about, "reason": reason})

    def heartbeat(self) -> Call:
        """See ``station.StationDialect``."""
        return Call("Heartbeat", {})

    def status(self, station: Station, connector: Connector) -> Call:
        """See ``station.StationDialect``."""
        status = "Available" if connector.session is None else "Occupied"
        payload: Json = {"timestamp": stamp(station.now_s()), "connectorStatus": status}
        return Call("StatusNotification", {**payload, "evseId": connector.number, "connectorId": 1})

    def report(self, station: Station, connector: Connector, reason: ReportReason) -> Call | None:
        """See ``station.StationDialect``."""
        context = "Trigger" if reason is ReportReason.TRIGGERED else "Sample.Periodic"
        at_s, values = station.environment.readings.at_s, _sampled(station, connector, context)
        session = connector.transaction()
        if session is None:
            reading = {"timestamp": stamp(at_s), "sampledValue": values}
            return Call("MeterValues", {"evseId": connector.number, "meterValue": [reading]})
        return _event(station, connector, session, about=("Updated", reason.value), at_s=at_s, values=values)

    def session_started(self, station: Station, connector: Connector, session: CarSession) -> None:
        """See ``station.StationDialect``."""
        session.transaction = f"{session.number}-{session.started_s:.0f}"[:36]
        values = [_energy(session.meter_kwh, "Transaction.Begin")]
        event = _event(
            station, connector, session, about=("Started", "CablePluggedIn"), at_s=session.started_s, values=values
        )
        event.payload["idToken"] = {"idToken": f"CAR{session.number}", "type": "Central"}
        station.queue_call(lambda: _dated(station, event, session.started_s), durable=True)

        def needs() -> Call | None:
            promise = station.remaining_promise(connector, session)
            if promise is None:
                return None
            volts = station.environment.supply.volts
            return Call("NotifyEVChargingNeeds", write_needs(connector.number, promise, connector.resource, volts))

        station.queue_charging_needs(connector, session, needs)

    def session_ended(self, station: Station, connector: Connector, session: CarSession, event: PlugEvent) -> None:
        """See ``station.StationDialect``."""
        end = SessionEnd("EVDeparted", "EVDisconnected", event.at_s, event.meter_kwh)
        self._end(station, connector, session, end)

    # Calls of the central system.

    def serve(self, station: Station, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``station.StationDialect``."""
        served = self._served.get(action)
        if served is None:
            raise CallFaultError(Fault.NOT_SUPPORTED, action)
        return served(station, message_id, payload)

    def _get_variables(self, station: Station, _message_id: str, payload: Json) -> Json:
        known = {**_FIXED, **station.settings}
        results: list[Json] = []
        for wanted in payload["getVariableData"]:
            result: Json = {"component": wanted["component"], "variable": wanted["variable"]}
            value = known.get(_key(wanted))
            result["attributeStatus"] = "UnknownVariable" if value is None else "Accepted"
            if value is not None:
                result["attributeValue"] = value
            results.append(result)
        return {"getVariableResult": results}

    def _set_variables(self, station: Station, _message_id: str, payload: Json) -> Json:
        results: list[Json] = [
            {
                "component": wanted["component"],
                "variable": wanted["variable"],
                "attributeStatus": _set(station, _key(wanted), wanted["attributeValue"]),
            }
            for wanted in payload["setVariableData"]
        ]
        return {"setVariableResult": results}

    def _set_profile(self, station: Station, message_id: str, payload: Json) -> None:
        body, number = payload["chargingProfile"], payload["evseId"]
        station.profiles.install(message_id, number, _read_profile(station, number, body))

    def _clear_profile(self, station: Station, message_id: str, payload: Json) -> None:
        criteria = payload.get("chargingProfileCriteria", {})
        name = criteria.get("chargingProfilePurpose")
        station.profiles.clear(
            message_id,
            criteria.get("evseId", 0),
            profile_id=payload.get("chargingProfileId"),
            purpose=PURPOSES.get(name),
            stack_level=criteria.get("stackLevel"),
        )

    def _composite(self, station: Station, _message_id: str, payload: Json) -> Json:
        connector = station.connectors.get(payload["evseId"])
        if connector is None:
            return {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}
        unit, supply = RateUnit(payload.get("chargingRateUnit", "W")), station.environment.supply
        in_force_kw, bidirectional = connector.in_force_kw(station.now_s()), _bidirectional(self.version, connector)
        limit = (supply.setpoint if bidirectional else supply.limit)(in_force_kw, unit, connector.resource)
        period: Json = {"startPeriod": 0, "setpoint" if bidirectional else "limit": limit.value}
        schedule: Json = {
            "evseId": connector.number,
            "duration": payload["duration"],
            "scheduleStart": stamp(station.now_s()),
            "chargingRateUnit": unit.value,
            "chargingSchedulePeriod": [period],
        }
        return {"status": "Accepted", "schedule": schedule}

    def _trigger(self, station: Station, _message_id: str, payload: Json) -> Json:
        return {"status": station.trigger(payload["requestedMessage"], payload.get("evse", {}).get("id"))}

    def _remote_start(self, station: Station, _message_id: str, payload: Json) -> Json:
        session = station.restart_session(payload.get("evseId"))
        return (
            {"status": "Rejected"} if session is None else {"status": "Accepted", "transactionId": session.transaction}
        )

    def _remote_stop(self, station: Station, _message_id: str, payload: Json) -> Json:
        connector = station.stop_session(payload["transactionId"])
        if connector is None or connector.session is None:
            return {"status": "Rejected"}
        end = SessionEnd("RemoteStop", "Remote", station.now_s(), station.register_kwh(connector))
        self._end(station, connector, connector.session, end)
        return {"status": "Accepted"}

    def _end(self, station: Station, connector: Connector, session: CarSession, end: SessionEnd) -> None:
        """Queue the end of a transaction."""
        values = [_energy(end.meter_kwh, "Transaction.End")]

        def build() -> Call:
            event = _event(station, connector, session, about=("Ended", end.trigger), at_s=end.at_s, values=values)
            event.payload["transactionInfo"]["stoppedReason"] = end.reason
            return _dated(station, event, end.at_s)

        station.queue_call(build, durable=True)


def _event(
    station: Station,
    connector: Connector,
    session: CarSession,
    *,
    about: tuple[str, str],
    at_s: float,
    values: list[Json],
) -> Call:
    """Return a TransactionEvent; ``about`` is event type and trigger."""
    kind, trigger = about
    info: Json = {"transactionId": session.transaction}
    if kind != "Ended":
        info["chargingState"] = _charging_state(float(station.environment.readings.power_kw[connector.row]))
    return Call(
        "TransactionEvent",
        {
            "eventType": kind,
            "timestamp": stamp(at_s),
            "triggerReason": trigger,
            "seqNo": next(session.sequence),
            "transactionInfo": info,
            "evse": {"id": connector.number, "connectorId": 1},
            "meterValue": [{"timestamp": stamp(at_s), "sampledValue": values}],
        },
    )


def _dated(station: Station, event: Call, at_s: float) -> Call:
    """Mark an event that happened before the present connection."""
    if station.was_offline(at_s):
        event.payload["offline"] = True
    return event


def _charging_state(power_kw: float) -> str:
    return "Charging" if math.isnan(power_kw) or power_kw != 0.0 else "SuspendedEVSE"


def _bidirectional(version: Version, connector: Connector) -> bool:
    return version is Version.V21 and connector.resource.p_min_kw < 0.0


def _energy(energy_kwh: float, context: str) -> Json:
    return {
        "measurand": "Energy.Active.Import.Register",
        "value": round(energy_kwh * 1000.0, 1),
        "context": context,
        "unitOfMeasure": {"unit": "Wh"},
    }


def _sampled(station: Station, connector: Connector, context: str) -> list[Json]:
    """Return readings; a station that can discharge meters import and export apart."""
    readings, row = station.environment.readings, connector.row
    power_w, soc = float(readings.power_kw[row]) * 1000.0, float(readings.soc[row])
    values: list[Json] = []
    if not math.isnan(power_w):
        values.append(_power("Power.Active.Import", power_w, context))
        if connector.resource.p_min_kw < 0.0:
            values.append(_power("Power.Active.Export", -power_w, context))
    values.append(_energy(float(readings.energy_kwh[row]), context))
    if not math.isnan(soc) and connector.session is not None:
        percent = {"measurand": "SoC", "value": round(soc * 100.0, 1), "context": context}
        values.append({**percent, "unitOfMeasure": {"unit": "Percent"}})
    return values


def _power(measurand: str, power_w: float, context: str) -> Json:
    value = {"measurand": measurand, "value": round(max(power_w, 0.0), 1), "context": context}
    return {**value, "unitOfMeasure": {"unit": "W"}}


def _key(wanted: Json) -> str:
    return f"{wanted['component']['name']}.{wanted['variable']['name']}"


def _set(station: Station, key: str, value: str) -> str:
    if key in _FIXED:
        return "Rejected"
    if key not in _WRITABLE:
        return "UnknownVariable"
    if key in _INTERVALS and not station.set_interval(value):
        return "Rejected"
    station.settings[key] = value
    return "Accepted"


def _read_profile(station: Station, number: int, body: Json) -> InstalledProfile | None:
    """Return a profile, ``None`` if its EVSE or purpose is unknown or it names an impossible transaction."""
    connector = station.connectors.get(number) or next(iter(station.connectors.values()), None)
    schedule, purpose = body["chargingSchedule"][0], PURPOSES.get(body["chargingProfilePurpose"])
    if connector is None or purpose is None or (purpose is Purpose.TX and number == 0):
        return None
    start_s = parse_stamp(schedule.get("startSchedule"))
    from_s = station.now_s() if math.isnan(start_s) else start_s
    return InstalledProfile(
        id=body["id"],
        purpose=purpose,
        stack_level=body["stackLevel"],
        transaction=body.get("transactionId"),
        from_s=from_s,
        until_s=ends_s(body, schedule, from_s),
        periods=connector.periods(schedule, schedule["chargingSchedulePeriod"], station.environment.supply),
        max_offline_s=float(body.get("maxOfflineDuration", math.inf)),
    )


def _update_schedule(station: Station, _message_id: str, payload: Json) -> Json:
    """Take another value for a dynamic profile, in W as this station's are."""
    values = payload["scheduleUpdate"]
    value = values.get("setpoint", values.get("limit", values.get("dischargeLimit")))
    done = value is not None and station.profiles.update(payload["chargingProfileId"], float(value) / 1000.0)
    return {"status": "Accepted" if done else "Rejected"}
