"""OCPP 2.0.1 and 2.1 as a simulated station speaks them."""

import math
from collections.abc import Callable, Mapping

from adapters.ocpp.control.charging_needs import write_needs
from adapters.ocpp.messages.ocpp_j import Call, CallFaultError, Fault, Json, Version, parse_stamp, stamp
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.simulated.connector import Connector, Visit, ends_s
from adapters.ocpp.simulated.profile_stack import PURPOSES, Installed, Purpose
from adapters.ocpp.simulated.station import Station, Telling
from vpp.domain.device import PlugEvent
from vpp.domain.setpoint import Layer

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


class StationDialect2:
    """See ``station.Voice``."""

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

    # What it says.

    def boot(self, station: Station) -> Call:
        """See ``station.Voice``."""
        about: Json = {
            "vendorName": "VPP",
            "model": f"Simulated {self.version.value.removeprefix('ocpp')}",
            "serialNumber": station.id[:25],
            "firmwareVersion": "1.0",
        }
        reason = "PowerUp" if station.boots == 0 else "Unknown"
        return Call("BootNotification", {"chargingStation": about, "reason": reason})

    def heartbeat(self) -> Call:
        """See ``station.Voice``."""
        return Call("Heartbeat", {})

    def status(self, station: Station, connector: Connector) -> Call:
        """See ``station.Voice``."""
        status = "Available" if connector.visit is None else "Occupied"
        payload: Json = {"timestamp": stamp(station.now_s()), "connectorStatus": status}
        return Call("StatusNotification", {**payload, "evseId": connector.number, "connectorId": 1})

    def report(self, station: Station, connector: Connector, why: Telling) -> Call | None:
        """See ``station.Voice``."""
        context = "Trigger" if why is Telling.TRIGGERED else "Sample.Periodic"
        at_s, values = station.around.readings.at_s, _sampled(station, connector, context)
        visit = connector.transaction()
        if visit is None:
            reading = {"timestamp": stamp(at_s), "sampledValue": values}
            return Call("MeterValues", {"evseId": connector.number, "meterValue": [reading]})
        return _event(station, connector, visit, about=("Updated", why.value), at_s=at_s, values=values)

    def began(self, station: Station, connector: Connector, visit: Visit) -> None:
        """See ``station.Voice``."""
        visit.transaction = f"{visit.session}-{visit.began_s:.0f}"[:36]
        values = [_energy(visit.meter_kwh, "Transaction.Begin")]
        event = _event(
            station, connector, visit, about=("Started", "CablePluggedIn"), at_s=visit.began_s, values=values
        )
        event.payload["idToken"] = {"idToken": f"CAR{visit.session}", "type": "Central"}
        station.tell(lambda: _dated(station, event, visit.began_s), durable=True)

        def needs() -> Call | None:
            wanted = station.still_wanted(connector, visit)
            if wanted is None:
                return None
            volts = station.around.supply.volts
            return Call("NotifyEVChargingNeeds", write_needs(connector.number, wanted, connector.resource, volts))

        station.tell_wish(connector, visit, needs)

    def left(self, station: Station, connector: Connector, visit: Visit, event: PlugEvent) -> None:
        """See ``station.Voice``."""
        self._end(station, connector, visit, ("EVDeparted", "EVDisconnected"), (event.at_s, event.meter_kwh))

    # What it hears.

    def serve(self, station: Station, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``station.Voice``."""
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
        station.take_profile(message_id, number, _read_profile(station, number, body))

    def _clear_profile(self, station: Station, message_id: str, payload: Json) -> None:
        criteria = payload.get("chargingProfileCriteria", {})
        name = criteria.get("chargingProfilePurpose")
        station.clear_profiles(
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
        unit, supply = RateUnit(payload.get("chargingRateUnit", "W")), station.around.supply
        in_force_kw, both_ways = connector.in_force_kw(station.now_s()), _both_ways(self.version, connector)
        told = (supply.setpoint if both_ways else supply.limit)(in_force_kw, unit, connector.resource)
        period: Json = {"startPeriod": 0, "setpoint" if both_ways else "limit": told.value}
        schedule: Json = {
            "evseId": connector.number,
            "duration": payload["duration"],
            "scheduleStart": stamp(station.now_s()),
            "chargingRateUnit": unit.value,
            "chargingSchedulePeriod": [period],
        }
        return {"status": "Accepted", "schedule": schedule}

    def _trigger(self, station: Station, _message_id: str, payload: Json) -> Json:
        number = payload.get("evse", {}).get("id")
        chosen = [c for c in station.connectors.values() if number in (None, c.number)]
        match payload["requestedMessage"]:
            case "BootNotification":
                station.boot()
            case "Heartbeat":
                station.tell(self.heartbeat)
            case "StatusNotification":
                for connector in chosen:
                    station.tell_status(connector)
            case "MeterValues" | "TransactionEvent":
                for connector in chosen:
                    station.report_connector(connector, Telling.TRIGGERED)
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted" if chosen else "Rejected"}

    def _remote_start(self, station: Station, _message_id: str, payload: Json) -> Json:
        """Begin again with a car whose transaction was ended from afar."""
        for connector in station.connectors.values():
            visit = connector.visit
            if visit is not None and visit.stopped and payload.get("evseId") in (None, connector.number):
                meter_kwh = float(station.around.readings.energy_kwh[connector.row])
                fresh = Visit(
                    session=visit.session,
                    transaction="",
                    began_s=station.now_s(),
                    meter_kwh=meter_kwh,
                    promise=None,
                )
                connector.visit = fresh
                self.began(station, connector, fresh)
                station.around.world.apply(connector.row, Layer.RELEASE, math.nan, station.now_s())
                return {"status": "Accepted", "transactionId": fresh.transaction}
        return {"status": "Rejected"}

    def _remote_stop(self, station: Station, _message_id: str, payload: Json) -> Json:
        """End a transaction; the car stays and takes nothing."""
        for connector in station.connectors.values():
            visit = connector.transaction()
            if visit is not None and visit.transaction == payload["transactionId"]:
                visit.stopped = True
                meter_kwh = float(station.around.readings.energy_kwh[connector.row])
                self._end(station, connector, visit, ("RemoteStop", "Remote"), (station.now_s(), meter_kwh))
                station.end_transaction(connector)
                station.around.world.apply(connector.row, Layer.DISPATCH, 0.0, math.inf)
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _end(
        self, station: Station, connector: Connector, visit: Visit, why: tuple[str, str], end: tuple[float, float]
    ) -> None:
        """Queue the end of a transaction; ``why`` is trigger and reason, ``end`` instant and register."""
        trigger, reason = why
        at_s, meter_kwh = end
        values = [_energy(meter_kwh, "Transaction.End")]

        def build() -> Call:
            event = _event(station, connector, visit, about=("Ended", trigger), at_s=at_s, values=values)
            event.payload["transactionInfo"]["stoppedReason"] = reason
            return _dated(station, event, at_s)

        station.tell(build, durable=True)


def _event(
    station: Station, connector: Connector, visit: Visit, *, about: tuple[str, str], at_s: float, values: list[Json]
) -> Call:
    """Return a TransactionEvent; ``about`` is event type and trigger."""
    kind, trigger = about
    info: Json = {"transactionId": visit.transaction}
    if kind != "Ended":
        info["chargingState"] = _charging_state(float(station.around.readings.power_kw[connector.row]))
    return Call(
        "TransactionEvent",
        {
            "eventType": kind,
            "timestamp": stamp(at_s),
            "triggerReason": trigger,
            "seqNo": next(visit.sequence),
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


def _both_ways(version: Version, connector: Connector) -> bool:
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
    readings, row = station.around.readings, connector.row
    power_w, soc = float(readings.power_kw[row]) * 1000.0, float(readings.soc[row])
    values: list[Json] = []
    if not math.isnan(power_w):
        values.append(_power("Power.Active.Import", power_w, context))
        if connector.resource.p_min_kw < 0.0:
            values.append(_power("Power.Active.Export", -power_w, context))
    values.append(_energy(float(readings.energy_kwh[row]), context))
    if not math.isnan(soc) and connector.visit is not None:
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


def _read_profile(station: Station, number: int, body: Json) -> Installed | None:
    """Return a profile, ``None`` if its EVSE or purpose is unknown or it names a transaction that makes no sense."""
    connector = station.connectors.get(number) or next(iter(station.connectors.values()), None)
    schedule, purpose = body["chargingSchedule"][0], PURPOSES.get(body["chargingProfilePurpose"])
    if connector is None or purpose is None or (purpose is Purpose.TX and number == 0):
        return None
    start_s = parse_stamp(schedule.get("startSchedule"))
    from_s = station.now_s() if math.isnan(start_s) else start_s
    return Installed(
        id=body["id"],
        purpose=purpose,
        stack_level=body["stackLevel"],
        transaction=body.get("transactionId"),
        from_s=from_s,
        until_s=ends_s(body, schedule, from_s),
        periods=connector.periods(schedule, schedule["chargingSchedulePeriod"], station.around.supply),
        max_offline_s=float(body.get("maxOfflineDuration", math.inf)),
    )


def _update_schedule(station: Station, _message_id: str, payload: Json) -> Json:
    """Take another value for a dynamic profile, in W as this station's are."""
    values = payload["scheduleUpdate"]
    value = values.get("setpoint", values.get("limit", values.get("dischargeLimit")))
    done = value is not None and station.update_profile(payload["chargingProfileId"], float(value) / 1000.0)
    return {"status": "Accepted" if done else "Rejected"}
