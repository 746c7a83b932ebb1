"""Grid functions of OCPP 2.1 (block R): what a distributed resource does by itself for voltage and frequency.

A control is set, asked for and cleared by the service; what a station reports of its controls, their starts, stops
and alarms is kept with the station and shown on its card. Bodies are the standard's own, checked against its schema
before they leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import Call, CallFaultError, Json, Version
from adapters.ocpp.station.station_state import StationState
from vpp.domain.errors import InputError


class DerControlType(StrEnum):
    """``DERControlEnumType``."""

    ENTER_SERVICE = "EnterService"
    FREQ_DROOP = "FreqDroop"
    FREQ_WATT = "FreqWatt"
    FIXED_PF_ABSORB = "FixedPFAbsorb"
    FIXED_PF_INJECT = "FixedPFInject"
    FIXED_VAR = "FixedVar"
    GRADIENTS = "Gradients"
    HF_MUST_TRIP = "HFMustTrip"
    HF_MAY_TRIP = "HFMayTrip"
    HV_MUST_TRIP = "HVMustTrip"
    HV_MOM_CESS = "HVMomCess"
    HV_MAY_TRIP = "HVMayTrip"
    LIMIT_MAX_DISCHARGE = "LimitMaxDischarge"
    LF_MUST_TRIP = "LFMustTrip"
    LV_MUST_TRIP = "LVMustTrip"
    LV_MOM_CESS = "LVMomCess"
    LV_MAY_TRIP = "LVMayTrip"
    POWER_MONITORING_MUST_TRIP = "PowerMonitoringMustTrip"
    VOLT_VAR = "VoltVar"
    VOLT_WATT = "VoltWatt"
    WATT_PF = "WattPF"
    WATT_VAR = "WattVar"


_FIELDS: Mapping[DerControlType, str] = {
    DerControlType.ENTER_SERVICE: "enterService",
    DerControlType.FREQ_DROOP: "freqDroop",
    DerControlType.FIXED_PF_ABSORB: "fixedPFAbsorb",
    DerControlType.FIXED_PF_INJECT: "fixedPFInject",
    DerControlType.FIXED_VAR: "fixedVar",
    DerControlType.GRADIENTS: "gradient",
    DerControlType.LIMIT_MAX_DISCHARGE: "limitMaxDischarge",
}
"""Field that carries each type's settings; all others are curves."""
_REPORTED = (*_FIELDS.values(), "curve")
_SETTINGS_ONLY = frozenset({DerControlType.ENTER_SERVICE, DerControlType.GRADIENTS})
"""Types that are settings and cannot be scheduled, so they are always defaults (R04)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerControl:
    """One grid function.

    Attributes:
        id: At most 36 characters, unique at the station.
        settings: Body of the type's field in the standard's words, e.g. ``{"priority": 0, "pctMaxDischargePower": 50}``
            or a curve.
        is_default: It holds whenever nothing scheduled does; a scheduled one has ``startTime`` and ``duration``.
    """

    id: str
    type: DerControlType
    settings: Json = field(default_factory=dict)
    is_default: bool = True


def set_control(control: DerControl) -> Call:
    """Return the call that installs a grid function.

    Raises:
        InputError: The standard has no such body.
    """
    if control.type in _SETTINGS_ONLY and not control.is_default:
        raise InputError("is_default", False, f"true with {control.type}")  # noqa: FBT003 - the value that was given
    return _lawful(
        Call(
            "SetDERControl",
            {
                "isDefault": control.is_default,
                "controlId": control.id,
                "controlType": control.type.value,
                _FIELDS.get(control.type, "curve"): control.settings,
            },
        )
    )


def get_controls(request_id: int, control_type: DerControlType | None = None, control_id: str | None = None) -> Call:
    """Return the call that has a station report its grid functions, all of them unless some are named."""
    wanted: Json = {} if control_type is None else {"controlType": control_type.value}
    named: Json = {} if control_id is None else {"controlId": control_id}
    return _lawful(Call("GetDERControl", {"requestId": request_id, **wanted, **named}))


def clear_control(
    *, is_default: bool, control_type: DerControlType | None = None, control_id: str | None = None
) -> Call:
    """Return the call that takes grid functions away: one by id, or all defaults or schedules of a type."""
    wanted: Json = {} if control_type is None else {"controlType": control_type.value}
    named: Json = {} if control_id is None else {"controlId": control_id}
    return _lawful(Call("ClearDERControl", {"isDefault": is_default, **wanted, **named}))


def reported(charger: StationState, payload: Json) -> Json:
    """Keep what a ReportDERControl says; return its response."""
    known = dict(charger.der or {})
    for name in _REPORTED:
        for entry in payload.get(name, ()):
            known[entry["id"]] = {**known.get(entry["id"], {}), "type": entry.get("curveType", name), **entry}
    charger.der = known
    return {}


def started_or_stopped(charger: StationState, payload: Json) -> Json:
    """Keep what a NotifyDERStartStop says; return its response."""
    known = dict(charger.der or {})
    for superseded in payload.get("supersededIds", ()):
        known[superseded] = {**known.get(superseded, {}), "isSuperseded": payload["started"]}
    control_id = payload["controlId"]
    known[control_id] = {**known.get(control_id, {}), "active": payload["started"], "at": payload["timestamp"]}
    charger.der = known
    return {}


def alarmed(charger: StationState, payload: Json) -> Json:
    """Keep what a NotifyDERAlarm says, under its type; return its response."""
    known = dict(charger.der or {})
    fault = None if payload.get("alarmEnded") else payload.get("gridEventFault", "unknown")
    known[payload["controlType"]] = {"alarm": fault, "at": payload["timestamp"]}
    charger.der = known
    return {}


def _lawful(call: Call) -> Call:
    try:
        schemas.check_request(Version.V21, call.action, call.payload)
    except CallFaultError as fault:
        raise InputError(call.action, call.payload, f"what its schema takes: {fault.detail}") from fault
    return call
