"""Dialect of OCPP 1.6J: meaning of a station's actions, and wording of instructions to it."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from adapters.ocpp.control.charging_needs import DRIVER_PROMISE, VENDOR, read_driver_promise
from adapters.ocpp.control.control_test import control_test
from adapters.ocpp.control.instructions import install_default
from adapters.ocpp.control.scripts import (
    ACCEPTED,
    REFUSED_EARLY_WALL_S,
    UNKNOWN_ACTIONS,
    Pause,
    ProbePeriod,
    Profile,
    Script,
    make_valid,
    schedule_of,
    write_probe_period,
    written,
)
from adapters.ocpp.messages.envelope import CallFrame
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
from adapters.ocpp.profiles.charging_profiles import purpose_name
from adapters.ocpp.profiles.power_units import RateUnit, WireValue
from adapters.ocpp.station import transactions
from adapters.ocpp.station.station_records import Transaction
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.telemetry.connector_status import register_kwh, report_plugged, take_status
from adapters.ocpp.telemetry.fast_path import heartbeat, meter_values_16
from adapters.ocpp.telemetry.measurands import DIRECT, REBOOT, TAKEN, WANTED, lists_to_try
from adapters.ocpp.telemetry.readings import take_readings
from vpp.domain.trouble import Trouble

_ACKNOWLEDGED: Mapping[str, Json] = {
    "DiagnosticsStatusNotification": {},
    "FirmwareStatusNotification": {},
    "LogStatusNotification": {},
    "SecurityEventNotification": {},
    "SignedFirmwareStatusNotification": {},
    "SignCertificate": {"status": "Rejected"},
}
"""Responses to actions without meaning for power."""
_ABILITY_KEYS = (
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleMaxPeriods",
)
_INTERVAL_KEYS = ("MeterValueSampleInterval", "ClockAlignedDataInterval")
_DATA_KEYS = ("MeterValuesSampledData", "MeterValuesAlignedData")
_UNIT_WORDS: Mapping[str, RateUnit] = {
    "Power": RateUnit.W,
    "W": RateUnit.W,
    "Current": RateUnit.A,
    "A": RateUnit.A,
}


class Dialect16:
    """See ``scripts.Dialect``."""

    version = Version.V16

    def __init__(self) -> None:
        self._served: Mapping[str, Callable[[StationState, Json], Json]] = {
            "Authorize": lambda _station, _payload: {"idTagInfo": {"status": "Accepted"}},
            "BootNotification": self._boot,
            "DataTransfer": self._data_transfer,
            "Heartbeat": lambda station, _payload: {"currentTime": stamp(station.services.clock.now_s())},
            "MeterValues": self._meter_values,
            "StartTransaction": self._start,
            "StatusNotification": self._status,
            "StopTransaction": self._stop,
        }

    def serve_fast(self, station: StationState, frame: CallFrame) -> bytes | None:
        """See ``scripts.Dialect``."""
        if frame.action == "MeterValues":
            return meter_values_16(station, frame.payload)
        return heartbeat(station, frame.payload) if frame.action == "Heartbeat" else None

    def serve(self, station: StationState, action: str, payload: Json) -> Json:
        """See ``scripts.Dialect``."""
        served = self._served.get(action)
        if served is not None:
            return served(station, payload)
        if action in _ACKNOWLEDGED:
            return dict(_ACKNOWLEDGED[action])
        raise CallFaultError(Fault.NOT_SUPPORTED, action)

    # Actions of the station.

    def _boot(self, station: StationState, payload: Json) -> Json:
        vendor, model = payload["chargePointVendor"], payload["chargePointModel"]
        station.take_identity(vendor=vendor, model=model, firmware=payload.get("firmwareVersion", ""))
        services = station.services
        now = stamp(services.clock.now_s())
        return {"currentTime": now, "interval": services.boot_interval_s, "status": "Accepted"}

    def _status(self, station: StationState, payload: Json) -> Json:
        take_status(station, payload["connectorId"], payload["status"], payload.get("timestamp"))
        return {}

    def _meter_values(self, station: StationState, payload: Json) -> Json:
        connector, transaction_id = payload["connectorId"], payload.get("transactionId", -1)
        newest = take_readings(station, connector, payload.get("meterValue", []))
        point = station.point(connector)
        # Some stations write -1 or 0 where there is none (evcc#15943), or a number of their own (lbbrhzn/ocpp#45).
        if point is not None and not math.isnan(newest.at_s) and 0 < transaction_id <= transactions.LARGEST_ID:
            transactions.take_named_id(station, point, str(transaction_id), newest.at_s, newest.power_kw)
        return {}

    def _start(self, station: StationState, payload: Json) -> Json:
        """Begin a transaction; the same start repeated after a lost link gets the same id."""
        connector, begun, meter_wh = payload["connectorId"], payload["timestamp"], payload["meterStart"]
        transaction_id = transactions.id_of_start(station, connector, begun, payload["idTag"], meter_wh)
        # 1.6 does not say so, but starts are queued.
        stamp_s = parse_stamp(begun)
        at_s = station.clock.queued(station.services.clock.now_s(), stamp_s)
        meter_kwh = transactions.register_at_start(station, connector, register_kwh(meter_wh), at_s)
        transactions.begin(station, connector, str(transaction_id), at_s, meter_kwh, stamp_s=stamp_s)
        return {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}

    def _stop(self, station: StationState, payload: Json) -> Json:
        """End a transaction; after an offline start the id may be -1 or 0 and means the one that runs (steve#292)."""
        at_s = station.clock.queued(station.services.clock.now_s(), parse_stamp(payload["timestamp"]))
        running = _stopped(station, payload["transactionId"], at_s)
        transaction_id = str(payload["transactionId"]) if running is None else running.id
        if running is not None:
            take_readings(station, running.connector, payload.get("transactionData", []), queued=True)
        if running is not None or payload["transactionId"] > 0:
            transactions.end(station, transaction_id, at_s, register_kwh(payload["meterStop"]))
        if running is not None and payload.get("reason") == "EVDisconnected":
            report_plugged(station, running.connector, at_s, here=False)
        return {"idTagInfo": {"status": "Accepted"}}

    def _data_transfer(self, station: StationState, payload: Json) -> Json:
        if payload["vendorId"] != VENDOR:
            return {"status": "UnknownVendorId"}
        if payload.get("messageId") != DRIVER_PROMISE:
            return {"status": "UnknownMessageId"}
        try:
            transaction_id, promise = read_driver_promise(payload.get("data", ""))
        except (ValueError, TypeError, KeyError):
            station.services.batcher.rejected("promise")
            return {"status": "Rejected"}
        running = transactions.find_running(station, transaction_id)
        if running is None:
            return {"status": "Rejected"}
        transactions.record_needs(station, running.connector, promise)
        return {"status": "Accepted"}

    # Instructions to the station.

    def setup(self, station: StationState) -> Script:
        """See ``scripts.Dialect``."""
        reported = yield from _configuration()
        _learn(station, reported)
        for connector in tuple(station.rows):
            yield from install_default(self, station, connector)
        yield from control_test(self, station)
        reboot = yield from _set_up_readings(station, reported)
        for row in station.rows.values():
            station.troubles.set(row, Trouble.REBOOT_NEEDED, reboot)
        for connector in tuple(station.rows):
            for message in ("StatusNotification", "MeterValues"):
                yield Call("TriggerMessage", {"requestedMessage": message, "connectorId": connector})
        return ACCEPTED

    def set_profile(self, profile: Profile) -> Call:
        """See ``scripts.Dialect``."""
        body: Json = {
            "chargingProfileId": profile.id,
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": purpose_name(Version.V16, profile.purpose),
            "chargingSchedule": schedule_of(profile, _period),
        }
        make_valid(body, profile)
        if profile.transaction is not None:
            body["transactionId"] = int(profile.transaction)
        return Call("SetChargingProfile", {"connectorId": profile.connector, "csChargingProfiles": body})

    def probe(self, profile: Profile, extra: ProbePeriod | None, later_s: float) -> Call:
        """See ``scripts.Dialect``."""
        call = self.set_profile(profile)
        if extra is not None:
            call.payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"].append(
                write_probe_period(extra, later_s)
            )
        return call

    def clear_profile(self, profile_id: int) -> Call:
        """See ``scripts.Dialect``."""
        return Call("ClearChargingProfile", {"id": profile_id})

    def clear_dispatch(self, connector: int) -> Sequence[Call]:
        """See ``scripts.Dialect``."""
        at: Json = {"connectorId": connector}
        return (
            Call("ClearChargingProfile", {**at, "chargingProfilePurpose": "TxProfile"}),
            Call("ClearChargingProfile", {**at, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}),
        )

    def update_profile(self, profile_id: int, profile: Profile) -> Call:
        """See ``scripts.Dialect``; 1.6 has no such thing, so the whole profile is sent under its own id."""
        return self.set_profile(replace(profile, id=profile_id))

    def composite(self, connector: int, duration_s: int, unit: RateUnit) -> Call:
        """See ``scripts.Dialect``."""
        at: Json = {"connectorId": connector, "duration": duration_s, "chargingRateUnit": unit.value}
        return Call("GetCompositeSchedule", at)


def _period(start_s: int, wire: WireValue, profile: Profile) -> Json:
    period: Json = {"startPeriod": start_s, "limit": written(wire.value)}
    if wire.unit is RateUnit.A and profile.phases:
        period["numberPhases"] = profile.phases
    return period


def _configuration() -> Generator[Call | Pause, Answer, dict[str, str]]:
    """Ask for the configuration.

    A station that has not taken the answer to its boot yet refuses, and is asked again; one that accepts no list of
    keys, or a shorter one (``GetConfigurationMaxKeys``), is asked for everything it has (1.6 5.8).
    """
    call = Call("GetConfiguration", {"key": [*_ABILITY_KEYS, *_INTERVAL_KEYS, *_DATA_KEYS]})
    answer = yield call
    if answer.kind is AnswerKind.ERROR:
        yield Pause(REFUSED_EARLY_WALL_S)
        answer = yield call
    if answer.kind is AnswerKind.ERROR and answer.code not in UNKNOWN_ACTIONS:
        answer = yield Call("GetConfiguration", {})
    return _reported_keys(answer.payload) if answer.kind is AnswerKind.RESULT else {}


def _set_up_readings(station: StationState, reported: Mapping[str, str]) -> Generator[Call, Answer, bool]:
    """Set intervals and measurands of reports; return whether some take effect only from the next boot."""
    interval, statuses = str(station.services.sample_interval_s), []
    wanted = DIRECT if station.by_direct_amperes else WANTED
    for key in _INTERVAL_KEYS:
        if reported.get(key) != interval:
            answer = yield _configure(key, interval)
            statuses.append(answer.status)
    for key in _DATA_KEYS:
        for measurands in lists_to_try(reported.get(key), wanted):
            answer = yield _configure(key, measurands)
            statuses.append(answer.status)
            if answer.status in TAKEN:
                break
    return REBOOT in statuses


def _stopped(station: StationState, number: int, at_s: float) -> Transaction | None:
    """Return the running transaction that a stop refers to, ``None`` where it refers to none."""
    running = transactions.find_running(station, str(number))
    if running is not None or number > 0 or len(station.transactions) != 1:
        return running
    running = next(iter(station.transactions.values()))
    return running if at_s >= running.began_s - transactions.STAMP_S else None


def _configure(key: str, value: str) -> Call:
    return Call("ChangeConfiguration", {"key": key, "value": value})


def _reported_keys(payload: Json) -> dict[str, str]:
    """Return a station's configuration by key; a value that is no text is ignored."""
    entries = payload.get("configurationKey", [])
    return {entry["key"]: entry["value"] for entry in entries if isinstance(entry.get("value"), str)}


def _learn(station: StationState, reported: Mapping[str, str]) -> None:
    words = [word.strip() for word in reported.get(_ABILITY_KEYS[0], "").split(",")]
    abilities = station.abilities.with_stated(
        units=[_UNIT_WORDS[word] for word in words if word in _UNIT_WORDS],
        max_stack_level=reported.get(_ABILITY_KEYS[1], ""),
        max_periods=reported.get(_ABILITY_KEYS[2], ""),
    )
    station.learn(abilities)
