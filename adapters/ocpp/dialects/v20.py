"""Dialect of OCPP 2.0.1 and 2.1: meaning of a station's actions, and wording of instructions to it."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from adapters.ocpp.control import device_model
from adapters.ocpp.control.charging_needs import read_needs
from adapters.ocpp.control.control_test import control_test
from adapters.ocpp.control.instructions import install_default
from adapters.ocpp.control.scripts import (
    ACCEPTED,
    ProbePeriod,
    Profile,
    Script,
    make_valid,
    schedule_of,
    write_probe_period,
    written,
)
from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Answer, Call, CallFaultError, Fault, Json, Version, parse_stamp, stamp
from adapters.ocpp.profiles.charging_profiles import purpose_name
from adapters.ocpp.profiles.power_units import RateUnit, WireValue
from adapters.ocpp.station import grid_functions, transactions
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.telemetry.connector_status import charging_state, report_plugged, take_notify_event, take_status
from adapters.ocpp.telemetry.fast_path import heartbeat
from adapters.ocpp.telemetry.measurands import BOTH_WAYS, DIRECT, REBOOT, WANTED, lists_to_try
from adapters.ocpp.telemetry.readings import Metered, take_readings
from vpp.domain.trouble import Trouble

_TOKEN_ACCEPTED: Json = {"idTokenInfo": {"status": "Accepted"}}
_ACKNOWLEDGED: Mapping[str, Json] = {
    "BatterySwap": {},
    "ClearedChargingLimit": {},
    "ClosePeriodicEventStream": {},
    "DataTransfer": {"status": "UnknownVendorId"},
    "FirmwareStatusNotification": {},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "LogStatusNotification": {},
    "NotifyChargingLimit": {},
    "NotifyCustomerInformation": {},
    "NotifyDisplayMessages": {},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "NotifyMonitoringReport": {},
    "NotifyPriorityCharging": {},
    "NotifyReport": {},
    "NotifySettlement": {},
    "NotifyWebPaymentStarted": {},
    "OpenPeriodicEventStream": {"status": "Rejected"},
    "PublishFirmwareStatusNotification": {},
    "ReportChargingProfiles": {},
    "ReservationStatusUpdate": {},
    "SecurityEventNotification": {},
    "SignCertificate": {"status": "Rejected"},
}
"""Responses to actions without meaning for power."""
_GONE = frozenset({"EVDeparted", "EVCommunicationLost"})
_CONTROLLER = "SmartChargingCtrlr"
_ABILITIES = ("RateUnit", "ProfileStackLevel", "PeriodsPerSchedule")
_INTERVALS = (("SampledDataCtrlr", "TxUpdatedInterval"), ("AlignedDataCtrlr", "Interval"))
_LISTS = (("SampledDataCtrlr", "TxUpdatedMeasurands"), ("AlignedDataCtrlr", "Measurands"))


class Dialect20:
    """See ``scripts.Dialect``.

    Args:
        version: 2.0.1 or 2.1, which share all messages used here; only 2.1 has setpoints.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._served: Mapping[str, Callable[[StationState, Json], Json]] = {
            "Authorize": lambda _station, _payload: dict(_TOKEN_ACCEPTED),
            "BootNotification": self._boot,
            "Heartbeat": lambda station, _payload: {"currentTime": stamp(station.services.clock.now_s())},
            "MeterValues": self._meter_values,
            "NotifyDERAlarm": grid_functions.alarmed,
            "NotifyDERStartStop": grid_functions.started_or_stopped,
            "NotifyEVChargingNeeds": self._needs,
            "NotifyEvent": take_notify_event,
            "PullDynamicScheduleUpdate": _pull,
            "StatusNotification": self._status,
            "TransactionEvent": self._transaction,
        }

    def serve_fast(self, station: StationState, frame: CallFrame) -> bytes | None:
        """See ``scripts.Dialect``."""
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
        described, services = payload["chargingStation"], station.services
        firmware = described.get("firmwareVersion", "")
        station.take_identity(vendor=described["vendorName"], model=described["model"], firmware=firmware)
        now = stamp(services.clock.now_s())
        return {"currentTime": now, "interval": services.boot_interval_s, "status": "Accepted"}

    def _status(self, station: StationState, payload: Json) -> Json:
        port = payload["connectorId"]
        take_status(station, payload["evseId"], payload["connectorStatus"], payload["timestamp"], port)
        return {}

    def _meter_values(self, station: StationState, payload: Json) -> Json:
        take_readings(station, payload["evseId"], payload.get("meterValue", []))
        return {}

    def _transaction(self, station: StationState, payload: Json) -> Json:
        """Take an event of a transaction; one whose start was missed begins with the first event that comes."""
        event = _Event.of(station, payload)
        newest = take_readings(station, event.evse, payload.get("meterValue", []), queued=event.queued)
        match payload["eventType"]:
            case "Started":
                begun = (station, event.evse, event.transaction, event.at_s, newest.energy_kwh)
                transactions.begin(*begun, port=event.port, stamp_s=event.stamp_s)
            case "Updated":
                _updated(station, event, newest)
            case _:
                transactions.end(station, event.transaction, event.at_s)
        _note(station, event)
        return dict(_TOKEN_ACCEPTED) if "idToken" in payload else {}

    def _needs(self, station: StationState, payload: Json) -> Json:
        promise = read_needs(payload)
        if promise is None:
            return {"status": "Rejected", "statusInfo": {"reasonCode": "MissingParam"}}
        transactions.record_needs(station, payload["evseId"], promise)
        return {"status": "Processing"}

    # Instructions to the station.

    def setup(self, station: StationState) -> Script:
        """See ``scripts.Dialect``."""
        abilities = [(_CONTROLLER, name) for name in _ABILITIES]
        reported = yield from device_model.ask(abilities, patient=True)
        _learn(station, {name: value for (_, name), value in reported.items()})
        for evse in tuple(station.rows):
            yield from install_default(self, station, evse)
        yield from control_test(self, station)
        reported = yield from device_model.ask([*_INTERVALS, *_LISTS])
        reboot = yield from _set_up_readings(station, reported)
        for row in station.rows.values():
            station.troubles.set(row, Trouble.REBOOT_NEEDED, reboot)
        for evse in tuple(station.rows):
            yield _trigger("StatusNotification", {"id": evse, "connectorId": 1})
            yield _trigger("MeterValues", {"id": evse})
            yield _trigger("TransactionEvent", {"id": evse})
        return ACCEPTED

    def set_profile(self, profile: Profile) -> Call:
        """See ``scripts.Dialect``."""
        body: Json = {
            "id": profile.id,
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": purpose_name(self.version, profile.purpose),
            "chargingSchedule": [{"id": 1, **schedule_of(profile, _period)}],
        }
        make_valid(body, profile)
        if profile.max_offline_s is not None and self.version is Version.V21:
            body["maxOfflineDuration"] = profile.max_offline_s
            body["invalidAfterOfflineDuration"] = True
        if profile.transaction is not None:
            body["transactionId"] = profile.transaction
        return Call("SetChargingProfile", {"evseId": profile.connector, "chargingProfile": body})

    def probe(self, profile: Profile, extra: ProbePeriod | None, later_s: float) -> Call:
        """See ``scripts.Dialect``."""
        call = self.set_profile(profile)
        if extra is not None:
            call.payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"].append(
                write_probe_period(extra, later_s)
            )
        return call

    def clear_profile(self, profile_id: int) -> Call:
        """See ``scripts.Dialect``."""
        return Call("ClearChargingProfile", {"chargingProfileId": profile_id})

    def clear_dispatch(self, connector: int) -> Sequence[Call]:
        """See ``scripts.Dialect``."""
        tied: Json = {"evseId": connector, "chargingProfilePurpose": "TxProfile"}
        above: Json = {"evseId": connector, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
        return [Call("ClearChargingProfile", {"chargingProfileCriteria": criteria}) for criteria in (tied, above)]

    def update_profile(self, profile_id: int, profile: Profile) -> Call:
        """See ``scripts.Dialect``."""
        value = {"setpoint" if profile.setpoint else "limit": written(profile.wire.value)}
        return Call("UpdateDynamicSchedule", {"chargingProfileId": profile_id, "scheduleUpdate": value})

    def composite(self, connector: int, duration_s: int, unit: RateUnit) -> Call:
        """See ``scripts.Dialect``."""
        at: Json = {"evseId": connector, "duration": duration_s, "chargingRateUnit": unit.value}
        return Call("GetCompositeSchedule", at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """A TransactionEvent.

    Attributes:
        evse: Its EVSE, 0 where unknown.
        port: Connector of the EVSE, 0 where not stated.
        at_s: Its time by our clock; ``stamp_s`` by the station's.
        offline: It happened while the station had no connection.
        ended: It is the last of its transaction.
        gone: The car has left.
    """

    transaction: str
    evse: int
    port: int
    at_s: float
    stamp_s: float
    sequence: int
    offline: bool
    ended: bool
    gone: bool
    state: str

    @property
    def queued(self) -> bool:
        """Its readings may be old: kept while offline, or of the whole transaction at its end (J02)."""
        return self.offline or self.ended

    @classmethod
    def of(cls, station: StationState, payload: Json) -> "_Event":
        """Read an event."""
        info, place, offline = payload["transactionInfo"], payload.get("evse", {}), payload.get("offline", False)
        ended, stamp_s = payload["eventType"] == "Ended", parse_stamp(payload["timestamp"])
        now_s = station.services.clock.now_s()
        reason = info.get("stoppedReason")
        return cls(
            transaction=info["transactionId"],
            evse=_evse(station, place.get("id"), info["transactionId"]),
            port=place.get("connectorId", 0),
            at_s=station.clock.queued(now_s, stamp_s) if offline or ended else station.time_of(stamp_s),
            stamp_s=stamp_s,
            sequence=payload["seqNo"],
            offline=offline,
            ended=ended,
            gone=ended and (reason == "EVDisconnected" or payload["triggerReason"] in _GONE),
            state=info.get("chargingState", ""),
        )


def _evse(station: StationState, stated_evse: int | None, transaction_id: str) -> int:
    """Return the EVSE of an event: as stated, as known of the transaction, or the only candidate.

    Only the first event must name it (2.0.1 E01). For a transaction whose first event was missed it is the station's
    only EVSE, or the only one that is occupied without a transaction.
    """
    if stated_evse is not None:
        return stated_evse
    known = transactions.find_running(station, transaction_id) or transactions.find_ended(station, transaction_id)
    if known is not None:
        return known.connector
    if len(station.points) == 1:
        return station.points[0].connector
    free = [
        point.connector for point in station.points if point.occupied and point.connector not in station.transactions
    ]
    return free[0] if len(free) == 1 else 0


def _updated(station: StationState, event: _Event, newest: Metered) -> None:
    """Take an update of a running transaction; one kept while offline does not prove which one runs now."""
    point, running = station.point(event.evse), station.transactions.get(event.evse)
    if point is None or (event.offline and (running is None or running.id != event.transaction)):
        return
    power_kw = newest.power_kw if newest.at_s >= event.at_s - transactions.LATE_S else math.nan
    transactions.take_named_id(station, point, event.transaction, event.at_s, power_kw, port=event.port)


def _note(station: StationState, event: _Event) -> None:
    """Take the charging state of an event, unless a later event came first (``seqNo``)."""
    running = station.transactions.get(event.evse)
    if running is not None and running.id == event.transaction and event.sequence >= running.sequence:
        running.sequence = event.sequence
        if event.state:
            charging_state(station, event.evse, event.state)
    elif event.gone and running is None:
        report_plugged(station, event.evse, event.at_s, here=False)


def _pull(station: StationState, payload: Json) -> Json:
    """Answer PullDynamicScheduleUpdate: the present value of a dynamic profile."""
    for point in station.points:
        for installed in (point.tied, point.untied):
            if installed is None or installed.profile_id != payload["chargingProfileId"] or not installed.dynamic:
                continue
            nameplate, unit = point.nameplate, station.units_to_try()[0]
            setpoint = nameplate.p_min_kw < 0.0
            supply = station.services.profiles.supply
            wire = (supply.setpoint if setpoint else supply.limit)(installed.power_kw, unit, nameplate)
            value = {"setpoint" if setpoint else "limit": written(wire.value)}
            return {"status": "Accepted", "scheduleUpdate": value}
    return {"status": "Rejected"}


def _period(start_s: int, wire: WireValue, profile: Profile) -> Json:
    if profile.setpoint:
        return {"startPeriod": start_s, "operationMode": "CentralSetpoint", "setpoint": written(wire.value)}
    period: Json = {"startPeriod": start_s, "limit": written(wire.value)}
    if wire.unit is RateUnit.A and profile.phases:
        period["numberPhases"] = profile.phases
    return period


def _trigger(message: str, evse: Json) -> Call:
    return Call("TriggerMessage", {"requestedMessage": message, "evse": evse})


def _set_up_readings(station: StationState, reported: Mapping[tuple[str, str], str]) -> Generator[Call, Answer, bool]:
    """Set intervals and measurands of reports; return whether some take effect only from the next boot.

    A list that a station refuses is followed by shorter ones, where it reports less than is needed.
    """
    interval, statuses = str(station.services.sample_interval_s), list[str]()
    both_ways = any(station.nameplate(row).p_min_kw < 0.0 for row in station.rows.values())
    measurands = BOTH_WAYS if both_ways else DIRECT if station.by_direct_amperes else WANTED
    lists = {name: lists_to_try(reported.get(name), measurands) for name in _LISTS}
    wanted = [(name, interval) for name in _INTERVALS if reported.get(name) != interval]
    wanted += [(name, tries.pop(0)) for name, tries in lists.items() if tries]
    while wanted:
        fates = yield from device_model.write(wanted)
        statuses += fates.values()
        refused = [name for name, fate in fates.items() if fate == "Rejected"]
        wanted = [(name, lists[name].pop(0)) for name in refused if lists.get(name)]
    return REBOOT in statuses


def _learn(station: StationState, reported: Mapping[str, str]) -> None:
    units = (word.strip() for word in reported.get("RateUnit", "").split(","))
    abilities = station.abilities.with_stated(
        units=[RateUnit(word) for word in units if word in tuple(RateUnit)],
        max_stack_level=reported.get("ProfileStackLevel", ""),
        max_periods=reported.get("PeriodsPerSchedule", ""),
    )
    station.learn(abilities)
