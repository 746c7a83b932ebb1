"""OCPP 1.6J as a simulated station speaks it."""

import math
from collections.abc import Callable, Mapping

from adapters.ocpp.control.charging_needs import DRIVER_PROMISE, VENDOR, write_driver_promise
from adapters.ocpp.messages.ocpp_j import (
    Answer,
    AnswerKind,
    Call,
    CallFaultError,
    Fault,
    Json,
    Version,
    parse_stamp,
    stamp,
)
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.simulated.connector import Connector, Visit, ends_s
from adapters.ocpp.simulated.profile_stack import PURPOSES, Installed, Purpose
from adapters.ocpp.simulated.station import Station, Telling
from vpp.domain.device import PlugEvent
from vpp.domain.setpoint import Layer

_INTERVALS = ("MeterValueSampleInterval", "ClockAlignedDataInterval")
_WRITABLE = (*_INTERVALS, "HeartbeatInterval", "MeterValuesSampledData", "MeterValuesAlignedData")
_FIXED: Mapping[str, str] = {
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": "24",
    "MaxChargingProfilesInstalled": "10",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
}


class StationDialect16:
    """See ``station.Voice``."""

    version = Version.V16

    def __init__(self) -> None:
        self._served: Mapping[str, Callable[[Station, str, Json], Json | None]] = {
            "ChangeConfiguration": self._change_configuration,
            "ClearChargingProfile": self._clear_profile,
            "GetCompositeSchedule": self._composite,
            "GetConfiguration": self._get_configuration,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "SetChargingProfile": self._set_profile,
            "TriggerMessage": self._trigger,
        }

    # What it says.

    def boot(self, station: Station) -> Call:
        """See ``station.Voice``."""
        return Call(
            "BootNotification",
            {
                "chargePointVendor": "VPP",
                "chargePointModel": "Simulated 1.6",
                "chargePointSerialNumber": station.id[:25],
                "firmwareVersion": "1.0",
            },
        )

    def heartbeat(self) -> Call:
        """See ``station.Voice``."""
        return Call("Heartbeat", {})

    def status(self, station: Station, connector: Connector) -> Call:
        """See ``station.Voice``."""
        visit = connector.visit
        status = "Available" if visit is None else "Finishing" if visit.stopped else "Charging"
        payload: Json = {"connectorId": connector.number, "errorCode": "NoError", "status": status}
        return Call("StatusNotification", {**payload, "timestamp": stamp(station.now_s())})

    def report(self, station: Station, connector: Connector, why: Telling) -> Call | None:
        """See ``station.Voice``."""
        values = _sampled(station, connector, "Trigger" if why is Telling.TRIGGERED else "Sample.Periodic")
        payload: Json = {"connectorId": connector.number}
        running = connector.transaction()
        if running is not None and running.transaction:
            payload["transactionId"] = int(running.transaction)
        payload["meterValue"] = [{"timestamp": stamp(station.around.readings.at_s), "sampledValue": values}]
        return Call("MeterValues", payload)

    def began(self, station: Station, connector: Connector, visit: Visit) -> None:
        """See ``station.Voice``; the promise follows once the transaction has its id."""
        start: Json = {
            "connectorId": connector.number,
            "idTag": f"CAR{visit.session}"[:20],
            "meterStart": round(visit.meter_kwh * 1000.0),
            "timestamp": stamp(visit.began_s),
        }

        def started(answer: Answer) -> None:
            if answer.kind is AnswerKind.RESULT:
                visit.transaction = str(answer.payload["transactionId"])
                self._promise(station, connector, visit)

        station.tell(lambda: Call("StartTransaction", start), started, durable=True)

    def left(
        self,
        station: Station,
        connector: Connector,  # noqa: ARG002 - 1.6 names only the transaction
        visit: Visit,
        event: PlugEvent,
    ) -> None:
        """See ``station.Voice``."""
        self._stop(station, visit, "EVDisconnected", event.at_s, event.meter_kwh)

    # What it hears.

    def serve(self, station: Station, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``station.Voice``."""
        served = self._served.get(action)
        if served is None:
            raise CallFaultError(Fault.NOT_SUPPORTED, action)
        return served(station, message_id, payload)

    def _change_configuration(self, station: Station, _message_id: str, payload: Json) -> Json:
        key, value = payload["key"], payload["value"]
        if key in _FIXED:
            return {"status": "Rejected"}
        if key not in _WRITABLE:
            return {"status": "NotSupported"}
        if key in _INTERVALS and not station.set_interval(value):
            return {"status": "Rejected"}
        station.settings[key] = value
        return {"status": "Accepted"}

    def _get_configuration(self, station: Station, _message_id: str, payload: Json) -> Json:
        known = {**_FIXED, **station.settings, "NumberOfConnectors": str(len(station.connectors))}
        wanted = payload.get("key") or list(known)
        found = [{"key": key, "readonly": key not in _WRITABLE, "value": known[key]} for key in wanted if key in known]
        return {"configurationKey": found, "unknownKey": [key for key in wanted if key not in known]}

    def _set_profile(self, station: Station, message_id: str, payload: Json) -> None:
        body, number = payload["csChargingProfiles"], payload["connectorId"]
        station.take_profile(message_id, number, _read_profile(station, number, body))

    def _clear_profile(self, station: Station, message_id: str, payload: Json) -> None:
        name = payload.get("chargingProfilePurpose")
        station.clear_profiles(
            message_id,
            payload.get("connectorId", 0),
            profile_id=payload.get("id"),
            purpose=None if name is None else PURPOSES[name],
            stack_level=payload.get("stackLevel"),
        )

    def _composite(self, station: Station, _message_id: str, payload: Json) -> Json:
        connector = station.connectors.get(payload["connectorId"])
        if connector is None:
            return {"status": "Rejected"}
        unit = RateUnit(payload.get("chargingRateUnit", "W"))
        limit_kw = connector.in_force_kw(station.now_s())
        told = station.around.supply.limit(limit_kw, unit, connector.resource)
        start = stamp(station.now_s())
        return {
            "status": "Accepted",
            "connectorId": connector.number,
            "scheduleStart": start,
            "chargingSchedule": {
                "duration": payload["duration"],
                "startSchedule": start,
                "chargingRateUnit": unit.value,
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": told.value}],
            },
        }

    def _trigger(self, station: Station, _message_id: str, payload: Json) -> Json:
        number = payload.get("connectorId")
        chosen = [c for c in station.connectors.values() if number in (None, c.number)]
        match payload["requestedMessage"]:
            case "BootNotification":
                station.boot()
            case "Heartbeat":
                station.tell(self.heartbeat)
            case "StatusNotification":
                for connector in chosen:
                    station.tell_status(connector)
            case "MeterValues":
                for connector in chosen:
                    station.report_connector(connector, Telling.TRIGGERED)
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted" if chosen else "Rejected"}

    def _remote_start(self, station: Station, _message_id: str, payload: Json) -> Json:
        """Begin again with a car whose transaction was ended from afar."""
        for connector in station.connectors.values():
            visit = connector.visit
            if visit is not None and visit.stopped and payload.get("connectorId") in (None, connector.number):
                readings = station.around.readings
                connector.visit = fresh = Visit(
                    session=visit.session,
                    transaction="",
                    began_s=station.now_s(),
                    meter_kwh=float(readings.energy_kwh[connector.row]),
                    promise=None,
                )
                self.began(station, connector, fresh)
                station.around.world.apply(connector.row, Layer.RELEASE, math.nan, station.now_s())
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _remote_stop(self, station: Station, _message_id: str, payload: Json) -> Json:
        """End a transaction; the car stays and takes nothing."""
        for connector in station.connectors.values():
            visit = connector.transaction()
            if visit is not None and visit.transaction == str(payload["transactionId"]):
                visit.stopped = True
                meter_kwh = float(station.around.readings.energy_kwh[connector.row])
                self._stop(station, visit, "Remote", station.now_s(), meter_kwh)
                station.end_transaction(connector)
                station.around.world.apply(connector.row, Layer.DISPATCH, 0.0, math.inf)
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _promise(self, station: Station, connector: Connector, visit: Visit) -> None:
        def build() -> Call | None:
            wanted = station.still_wanted(connector, visit)
            if wanted is None:
                return None
            text = write_driver_promise(int(visit.transaction), wanted)
            return Call("DataTransfer", {"vendorId": VENDOR, "messageId": DRIVER_PROMISE, "data": text})

        station.tell_wish(connector, visit, build)

    def _stop(self, station: Station, visit: Visit, reason: str, at_s: float, meter_kwh: float) -> None:
        """Queue the end of a transaction; its id may still be on its way when the car leaves."""

        def build() -> Call | None:
            if not visit.transaction:
                return None  # the start was refused: there is nothing to end
            payload: Json = {"transactionId": int(visit.transaction), "meterStop": round(meter_kwh * 1000.0)}
            return Call("StopTransaction", {**payload, "timestamp": stamp(at_s), "reason": reason})

        station.tell(build, durable=True)


def _sampled(station: Station, connector: Connector, context: str) -> list[Json]:
    readings, row = station.around.readings, connector.row
    power_w, soc = float(readings.power_kw[row]) * 1000.0, float(readings.soc[row])
    values: list[Json] = []
    if not math.isnan(power_w):
        values.append({"measurand": "Power.Active.Import", "unit": "W", "value": f"{max(power_w, 0.0):.1f}"})
    energy_wh = float(readings.energy_kwh[row]) * 1000.0
    values.append({"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": f"{energy_wh:.1f}"})
    if not math.isnan(soc) and connector.visit is not None:
        values.append({"measurand": "SoC", "unit": "Percent", "value": f"{soc * 100.0:.1f}"})
    return [{**value, "context": context} for value in values]


def _read_profile(station: Station, number: int, body: Json) -> Installed | None:
    """Return a profile, ``None`` if its connector is unknown or it names a transaction that makes no sense."""
    connector = station.connectors.get(number) or next(iter(station.connectors.values()), None)
    schedule, purpose = body["chargingSchedule"], PURPOSES[body["chargingProfilePurpose"]]
    if connector is None or (purpose is Purpose.TX and number == 0):
        return None
    start_s = parse_stamp(schedule.get("startSchedule"))
    from_s = station.now_s() if math.isnan(start_s) else start_s
    transaction = body.get("transactionId")
    return Installed(
        id=body["chargingProfileId"],
        purpose=purpose,
        stack_level=body["stackLevel"],
        transaction=None if transaction is None else str(transaction),
        from_s=from_s,
        until_s=ends_s(body, schedule, from_s),
        periods=connector.periods(schedule, schedule["chargingSchedulePeriod"], station.around.supply),
    )
