"""OCPP 1.6J for the central system: what a station's actions mean, and how setpoints are written for it."""

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
    Odd,
    Pause,
    Profile,
    Script,
    make_valid,
    odd_period,
    schedule_of,
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
from adapters.ocpp.profiles.power_units import RateUnit, Told
from adapters.ocpp.station import transactions
from adapters.ocpp.station.station_records import Transaction
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.telemetry.connector_status import plugged, register_kwh, stated
from adapters.ocpp.telemetry.fast_path import heartbeat, meter_values_16
from adapters.ocpp.telemetry.measurands import DIRECT, REBOOT, TAKEN, WANTED, lists_to_try
from adapters.ocpp.telemetry.readings import metered
from vpp.domain.trouble import Trouble

_ACKNOWLEDGED: Mapping[str, Json] = {
    "DiagnosticsStatusNotification": {},
    "FirmwareStatusNotification": {},
    "LogStatusNotification": {},
    "SecurityEventNotification": {},
    "SignedFirmwareStatusNotification": {},
    "SignCertificate": {"status": "Rejected"},
}
"""Responses to actions that mean nothing for power."""
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
            "Authorize": lambda _charger, _payload: {"idTagInfo": {"status": "Accepted"}},
            "BootNotification": self._boot,
            "DataTransfer": self._data_transfer,
            "Heartbeat": lambda charger, _payload: {"currentTime": stamp(charger.services.clock.now_s())},
            "MeterValues": self._meter_values,
            "StartTransaction": self._start,
            "StatusNotification": self._status,
            "StopTransaction": self._stop,
        }

    def quick(self, charger: StationState, frame: CallFrame) -> bytes | None:
        """See ``scripts.Dialect``."""
        if frame.action == "MeterValues":
            return meter_values_16(charger, frame.payload)
        return heartbeat(charger, frame.payload) if frame.action == "Heartbeat" else None

    def serve(self, charger: StationState, action: str, payload: Json) -> Json:
        """See ``scripts.Dialect``."""
        served = self._served.get(action)
        if served is not None:
            return served(charger, payload)
        if action in _ACKNOWLEDGED:
            return dict(_ACKNOWLEDGED[action])
        raise CallFaultError(Fault.NOT_SUPPORTED, action)

    # What actions mean.

    def _boot(self, charger: StationState, payload: Json) -> Json:
        vendor, model = payload["chargePointVendor"], payload["chargePointModel"]
        charger.booted_as(vendor=vendor, model=model, firmware=payload.get("firmwareVersion", ""))
        services = charger.services
        now = stamp(services.clock.now_s())
        return {"currentTime": now, "interval": services.boot_interval_s, "status": "Accepted"}

    def _status(self, charger: StationState, payload: Json) -> Json:
        stated(charger, payload["connectorId"], payload["status"], payload.get("timestamp"))
        return {}

    def _meter_values(self, charger: StationState, payload: Json) -> Json:
        connector, transaction_id = payload["connectorId"], payload.get("transactionId", -1)
        newest = metered(charger, connector, payload.get("meterValue", []))
        post = charger.post(connector)
        # Some stations write -1 or 0 where there is none (evcc#15943), or a number of their own (lbbrhzn/ocpp#45).
        if post is not None and not math.isnan(newest.at_s) and 0 < transaction_id <= transactions.LARGEST_ID:
            transactions.named(charger, post, str(transaction_id), newest.at_s, newest.power_kw)
        return {}

    def _start(self, charger: StationState, payload: Json) -> Json:
        """Begin a transaction; the same start told again after a lost link gets the same id."""
        connector, told, meter_wh = payload["connectorId"], payload["timestamp"], payload["meterStart"]
        transaction_id = transactions.id_of_start(charger, connector, told, payload["idTag"], meter_wh)
        # 1.6 does not say so, but starts are queued.
        stamp_s = parse_stamp(told)
        at_s = charger.clock.queued(charger.services.clock.now_s(), stamp_s)
        meter_kwh = transactions.started(charger, connector, register_kwh(meter_wh), at_s)
        transactions.begin(charger, connector, str(transaction_id), at_s, meter_kwh, stamp_s=stamp_s)
        return {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}

    def _stop(self, charger: StationState, payload: Json) -> Json:
        """End a transaction; after an offline start the id may be -1 or 0 and means the one that runs (steve#292)."""
        at_s = charger.clock.queued(charger.services.clock.now_s(), parse_stamp(payload["timestamp"]))
        running = _stopped(charger, payload["transactionId"], at_s)
        transaction_id = str(payload["transactionId"]) if running is None else running.id
        if running is not None:
            metered(charger, running.connector, payload.get("transactionData", []), queued=True)
        if running is not None or payload["transactionId"] > 0:
            transactions.end(charger, transaction_id, at_s, register_kwh(payload["meterStop"]))
        if running is not None and payload.get("reason") == "EVDisconnected":
            plugged(charger, running.connector, at_s, here=False)
        return {"idTagInfo": {"status": "Accepted"}}

    def _data_transfer(self, charger: StationState, payload: Json) -> Json:
        if payload["vendorId"] != VENDOR:
            return {"status": "UnknownVendorId"}
        if payload.get("messageId") != DRIVER_PROMISE:
            return {"status": "UnknownMessageId"}
        try:
            transaction_id, promise = read_driver_promise(payload.get("data", ""))
        except (ValueError, TypeError, KeyError):
            charger.services.coalescer.rejected("promise")
            return {"status": "Rejected"}
        running = charger.transaction(transaction_id)
        if running is None:
            return {"status": "Rejected"}
        transactions.promise(charger, running.connector, promise)
        return {"status": "Accepted"}

    # What the station is told.

    def setup(self, charger: StationState) -> Script:
        """See ``scripts.Dialect``."""
        told = yield from _configuration()
        _learn(charger, told)
        for connector in tuple(charger.rows):
            yield from install_default(self, charger, connector)
        yield from control_test(self, charger)
        reboot = yield from _set_up_readings(charger, told)
        for row in charger.rows.values():
            charger.troubles.set(row, Trouble.REBOOT_NEEDED, reboot)
        for connector in tuple(charger.rows):
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

    def probe(self, profile: Profile, odd: Odd | None, later_s: float) -> Call:
        """See ``scripts.Dialect``."""
        call = self.set_profile(profile)
        if odd is not None:
            call.payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"].append(
                odd_period(odd, later_s)
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


def _period(start_s: int, told: Told, profile: Profile) -> Json:
    period: Json = {"startPeriod": start_s, "limit": written(told.value)}
    if told.unit is RateUnit.A and profile.phases:
        period["numberPhases"] = profile.phases
    return period


def _configuration() -> Generator[Call | Pause, Answer, dict[str, str]]:
    """Ask what is configured.

    A station that has not taken the answer to its boot yet refuses, and is asked again; one that takes no list of
    keys, or a shorter one (``GetConfigurationMaxKeys``), is asked for everything it has (1.6 5.8).
    """
    call = Call("GetConfiguration", {"key": [*_ABILITY_KEYS, *_INTERVAL_KEYS, *_DATA_KEYS]})
    answer = yield call
    if answer.kind is AnswerKind.ERROR:
        yield Pause(REFUSED_EARLY_WALL_S)
        answer = yield call
    if answer.kind is AnswerKind.ERROR and answer.code not in UNKNOWN_ACTIONS:
        answer = yield Call("GetConfiguration", {})
    return _told(answer.payload) if answer.kind is AnswerKind.RESULT else {}


def _set_up_readings(charger: StationState, told: Mapping[str, str]) -> Generator[Call, Answer, bool]:
    """Set how often and what to report; return whether some of it holds from the next boot on only."""
    interval, statuses = str(charger.services.sample_interval_s), []
    wanted = DIRECT if charger.by_direct_amperes else WANTED
    for key in _INTERVAL_KEYS:
        if told.get(key) != interval:
            answer = yield _configure(key, interval)
            statuses.append(answer.status)
    for key in _DATA_KEYS:
        for measurands in lists_to_try(told.get(key), wanted):
            answer = yield _configure(key, measurands)
            statuses.append(answer.status)
            if answer.status in TAKEN:
                break
    return REBOOT in statuses


def _stopped(charger: StationState, number: int, at_s: float) -> Transaction | None:
    """Return the running transaction that a stop means, ``None`` where it means none of them."""
    running = charger.transaction(str(number))
    if running is not None or number > 0 or len(charger.transactions) != 1:
        return running
    running = next(iter(charger.transactions.values()))
    return running if at_s >= running.began_s - transactions.STAMP_S else None


def _configure(key: str, value: str) -> Call:
    return Call("ChangeConfiguration", {"key": key, "value": value})


def _told(payload: Json) -> dict[str, str]:
    """Return what a station says of its configuration; one value that is no text is passed over."""
    entries = payload.get("configurationKey", [])
    return {entry["key"]: entry["value"] for entry in entries if isinstance(entry.get("value"), str)}


def _learn(charger: StationState, told: Mapping[str, str]) -> None:
    words = [word.strip() for word in told.get(_ABILITY_KEYS[0], "").split(",")]
    abilities = charger.abilities.told(
        units=[_UNIT_WORDS[word] for word in words if word in _UNIT_WORDS],
        max_stack_level=told.get(_ABILITY_KEYS[1], ""),
        max_periods=told.get(_ABILITY_KEYS[2], ""),
    )
    charger.learn(abilities)
