"""OCPP 1.6J on a simulated station."""

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
from adapters.ocpp.simulated.connector import CarSession, Connector, ends_s
from adapters.ocpp.simulated.profile_stack import PURPOSES, InstalledProfile, Purpose
from adapters.ocpp.simulated.station import ReportReason, Station
from vpp.domain.device import PlugEvent

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
    """See ``station.StationDialect``."""

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

    # Calls.

    def boot(self, station: Station) -> Call:
        """See ``station.StationDialect``."""
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
        """See ``station.StationDialect``."""
        return Call("Heartbeat", {})

    def status(self, station: Station, connector: Connector) -> Call:
        """See ``station.StationDialect``."""
        session = connector.session
        status = "Available" if session is None else "Finishing" if session.stopped else "Charging"
        payload: Json = {"connectorId": connector.number, "errorCode": "NoError", "status": status}
        return Call("StatusNotification", {**payload, "timestamp": stamp(station.now_s())})

    def report(self, station: Station, connector: Connector, reason: ReportReason) -> Call | None:
        """See ``station.StationDialect``."""
        values = _sampled(station, connector, "Trigger" if reason is ReportReason.TRIGGERED else "Sample.Periodic")
        payload: Json = {"connectorId": connector.number}
        running = connector.transaction()
        if running is not None and running.transaction:
            payload["transactionId"] = int(running.transaction)
        payload["meterValue"] = [{"timestamp": stamp(station.environment.readings.at_s), "sampledValue": values}]
        return Call("MeterValues", payload)

    def session_started(self, station: Station, connector: Connector, session: CarSession) -> None:
        """See ``station.StationDialect``; the driver's promise follows once the transaction has its id."""
        start: Json = {
            "connectorId": connector.number,
            "idTag": f"CAR{session.number}"[:20],
            "meterStart": round(session.meter_kwh * 1000.0),
            "timestamp": stamp(session.started_s),
        }

        def started(answer: Answer) -> None:
            if answer.kind is AnswerKind.RESULT:
                session.transaction = str(answer.payload["transactionId"])
                self._queue_promise(station, connector, session)

        station.queue_call(lambda: Call("StartTransaction", start), started, durable=True)

    def session_ended(
        self,
        station: Station,
        connector: Connector,  # noqa: ARG002 - 1.6 names only the transaction
        session: CarSession,
        event: PlugEvent,
    ) -> None:
        """See ``station.StationDialect``."""
        self._stop(station, session, "EVDisconnected", event.at_s, event.meter_kwh)

    # Calls of the central system.

    def serve(self, station: Station, message_id: str, action: str, payload: Json) -> Json | None:
        """See ``station.StationDialect``."""
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
        station.profiles.install(message_id, number, _read_profile(station, number, body))

    def _clear_profile(self, station: Station, message_id: str, payload: Json) -> None:
        name = payload.get("chargingProfilePurpose")
        station.profiles.clear(
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
        limit = station.environment.supply.limit(limit_kw, unit, connector.resource)
        start = stamp(station.now_s())
        return {
            "status": "Accepted",
            "connectorId": connector.number,
            "scheduleStart": start,
            "chargingSchedule": {
                "duration": payload["duration"],
                "startSchedule": start,
                "chargingRateUnit": unit.value,
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit.value}],
            },
        }

    def _trigger(self, station: Station, _message_id: str, payload: Json) -> Json:
        return {"status": station.trigger(payload["requestedMessage"], payload.get("connectorId"))}

    def _remote_start(self, station: Station, _message_id: str, payload: Json) -> Json:
        restarted = station.restart_session(payload.get("connectorId"))
        return {"status": "Rejected" if restarted is None else "Accepted"}

    def _remote_stop(self, station: Station, _message_id: str, payload: Json) -> Json:
        connector = station.stop_session(str(payload["transactionId"]))
        if connector is None or connector.session is None:
            return {"status": "Rejected"}
        self._stop(station, connector.session, "Remote", station.now_s(), station.register_kwh(connector))
        return {"status": "Accepted"}

    def _queue_promise(self, station: Station, connector: Connector, session: CarSession) -> None:
        def build() -> Call | None:
            promise = station.remaining_promise(connector, session)
            if promise is None:
                return None
            text = write_driver_promise(int(session.transaction), promise)
            return Call("DataTransfer", {"vendorId": VENDOR, "messageId": DRIVER_PROMISE, "data": text})

        station.queue_charging_needs(connector, session, build)

    def _stop(self, station: Station, session: CarSession, reason: str, at_s: float, meter_kwh: float) -> None:
        """Queue the end of a transaction; its id may not have been assigned yet when the car leaves."""

        def build() -> Call | None:
            if not session.transaction:
                return None  # the start was refused: there is nothing to end
            payload: Json = {"transactionId": int(session.transaction), "meterStop": round(meter_kwh * 1000.0)}
            return Call("StopTransaction", {**payload, "timestamp": stamp(at_s), "reason": reason})

        station.queue_call(build, durable=True)


def _sampled(station: Station, connector: Connector, context: str) -> list[Json]:
    readings, row = station.environment.readings, connector.row
    power_w, soc = float(readings.power_kw[row]) * 1000.0, float(readings.soc[row])
    values: list[Json] = []
    if not math.isnan(power_w):
        values.append({"measurand": "Power.Active.Import", "unit": "W", "value": f"{max(power_w, 0.0):.1f}"})
    energy_wh = float(readings.energy_kwh[row]) * 1000.0
    values.append({"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": f"{energy_wh:.1f}"})
    if not math.isnan(soc) and connector.session is not None:
        values.append({"measurand": "SoC", "unit": "Percent", "value": f"{soc * 100.0:.1f}"})
    return [{**value, "context": context} for value in values]


def _read_profile(station: Station, number: int, body: Json) -> InstalledProfile | None:
    """Return a profile, ``None`` if its connector is unknown or it names an impossible transaction."""
    connector = station.connectors.get(number) or next(iter(station.connectors.values()), None)
    schedule, purpose = body["chargingSchedule"], PURPOSES[body["chargingProfilePurpose"]]
    if connector is None or (purpose is Purpose.TX and number == 0):
        return None
    start_s = parse_stamp(schedule.get("startSchedule"))
    from_s = station.now_s() if math.isnan(start_s) else start_s
    transaction = body.get("transactionId")
    return InstalledProfile(
        id=body["chargingProfileId"],
        purpose=purpose,
        stack_level=body["stackLevel"],
        transaction=None if transaction is None else str(transaction),
        from_s=from_s,
        until_s=ends_s(body, schedule, from_s),
        periods=connector.periods(schedule, schedule["chargingSchedulePeriod"], station.environment.supply),
    )
