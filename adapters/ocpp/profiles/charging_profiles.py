"""Charging profiles in full: purpose, kind, periods, and the operation modes of V2X.

``dialects`` write the one-period profiles of the fast loop; here is everything else the standards allow, in the
terms of the version a station speaks: 1.6 (3.13), 2.0.1 (K01) and 2.1 (K, Q). Signs are ours, load positive: a
setpoint above 0 charges and below 0 discharges, a limit is 0 or more, a discharge limit 0 or less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import Call, CallFaultError, Json, Version, stamp
from adapters.ocpp.profiles.power_units import RateUnit
from vpp.domain.errors import InputError

_W = 1000.0


class ProfilePurpose(StrEnum):
    """``chargingProfilePurpose``; the cap of a whole station has another name in 1.6."""

    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"
    EXTERNAL = "ChargingStationExternalConstraints"
    PRIORITY = "PriorityCharging"
    LOCAL_GENERATION = "LocalGeneration"


class ProfileKind(StrEnum):
    """``chargingProfileKind``."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"
    DYNAMIC = "Dynamic"


class OperationMode(StrEnum):
    """``operationMode`` of a period (2.1, block Q)."""

    IDLE = "Idle"
    CHARGING_ONLY = "ChargingOnly"
    CENTRAL_SETPOINT = "CentralSetpoint"
    EXTERNAL_SETPOINT = "ExternalSetpoint"
    EXTERNAL_LIMITS = "ExternalLimits"
    CENTRAL_FREQUENCY = "CentralFrequency"
    LOCAL_FREQUENCY = "LocalFrequency"
    LOCAL_LOAD_BALANCING = "LocalLoadBalancing"


_TAKES: Mapping[OperationMode, frozenset[str]] = {
    OperationMode.IDLE: frozenset(),
    OperationMode.CHARGING_ONLY: frozenset({"limit", "setpoint"}),
    OperationMode.CENTRAL_SETPOINT: frozenset({"setpoint", "limit", "dischargeLimit"}),
    OperationMode.EXTERNAL_SETPOINT: frozenset({"limit", "dischargeLimit"}),
    OperationMode.EXTERNAL_LIMITS: frozenset(),
    OperationMode.CENTRAL_FREQUENCY: frozenset({"setpoint", "limit", "dischargeLimit"}),
    OperationMode.LOCAL_FREQUENCY: frozenset({"setpoint", "limit", "dischargeLimit", "v2xFreqWattCurve"}),
    OperationMode.LOCAL_LOAD_BALANCING: frozenset({"limit", "dischargeLimit"}),
}
"""Fields each mode takes; others must be left out (2.1, Q, table of operation modes)."""
_NEEDS: Mapping[OperationMode, frozenset[str]] = {
    OperationMode.CENTRAL_SETPOINT: frozenset({"setpoint"}),
    OperationMode.CENTRAL_FREQUENCY: frozenset({"setpoint"}),
    OperationMode.LOCAL_FREQUENCY: frozenset({"v2xFreqWattCurve"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What holds from ``start_s`` seconds after the schedule's start.

    Attributes:
        limit_kw: Most power to take; NaN for none stated.
        discharge_limit_kw: Greatest discharging power, as a negative number; NaN for none stated.
        setpoint_kw: Power to take, negative to discharge; NaN for none stated.
        phases: Number of phases, ``None`` to leave it open.
        mode: Operation mode (2.1); ``None`` for a plain limit.
        freq_watt: Power in kW at frequencies in Hz, for ``OperationMode.LOCAL_FREQUENCY``.
    """

    start_s: int = 0
    limit_kw: float = math.nan
    discharge_limit_kw: float = math.nan
    setpoint_kw: float = math.nan
    phases: int | None = None
    mode: OperationMode | None = None
    freq_watt: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileDraft:
    """A charging profile.

    Attributes:
        transaction: Transaction a ``TX`` profile belongs to.
        start_s: Epoch seconds of the schedule's start; needed unless the kind is relative.
        duration_s: Length of the schedule, ``None`` for open end.
        from_s, to_s: Validity, ``None`` for always.
        recurrency: ``Daily`` or ``Weekly`` for ``ProfileKind.RECURRING``.
        max_offline_s: After so long without a connection the profile stops to hold (2.1).
        update_interval_s: How often the station asks for a dynamic profile's value (2.1).
    """

    id: int
    stack_level: int
    purpose: ProfilePurpose
    kind: ProfileKind
    periods: Sequence[Period]
    unit: RateUnit = RateUnit.W
    volts: float = 220.0
    transaction: str | None = None
    start_s: float | None = None
    duration_s: int | None = None
    from_s: float | None = None
    to_s: float | None = None
    recurrency: str | None = None
    max_offline_s: int | None = None
    update_interval_s: int | None = None


def set_profile(version: Version, connector: int, draft: ProfileDraft) -> Call:
    """Return the SetChargingProfile that installs a draft at a connector, or at 0 for the whole station.

    Raises:
        InputError: The version or the standard's rules have no such profile.
    """
    _check(version, connector, draft)
    body: Json = {
        "chargingProfileId" if version is Version.V16 else "id": draft.id,
        "stackLevel": draft.stack_level,
        "chargingProfilePurpose": purpose_name(version, draft.purpose),
        "chargingProfileKind": draft.kind.value,
    }
    if draft.transaction is not None:
        body["transactionId"] = int(draft.transaction) if version is Version.V16 else draft.transaction
    optional = (
        ("validFrom", None if draft.from_s is None else stamp(draft.from_s)),
        ("validTo", None if draft.to_s is None else stamp(draft.to_s)),
        ("recurrencyKind", draft.recurrency),
        ("maxOfflineDuration", draft.max_offline_s),
        ("invalidAfterOfflineDuration", None if draft.max_offline_s is None else True),
        ("dynUpdateInterval", draft.update_interval_s),
    )
    body.update((name, value) for name, value in optional if value is not None)
    schedule = _schedule(version, draft)
    if version is Version.V16:
        call = Call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": body})
        body["chargingSchedule"] = schedule
    else:
        call = Call("SetChargingProfile", {"evseId": connector, "chargingProfile": body})
        body["chargingSchedule"] = [{"id": 1, **schedule}]
    return _lawful(version, call)


def remote_start(version: Version, connector: int, token: str, draft: ProfileDraft | None, remote_id: int = 1) -> Call:
    """Return the call that starts a transaction remotely, with a profile where one is given (TC_059)."""
    profile: Json = {}
    if draft is not None:
        body = set_profile(version, connector, draft).payload
        profile = {"chargingProfile": body["csChargingProfiles" if version is Version.V16 else "chargingProfile"]}
    if version is Version.V16:
        return _lawful(version, Call("RemoteStartTransaction", {"connectorId": connector, "idTag": token, **profile}))
    started: Json = {"evseId": connector, "remoteStartId": remote_id, **profile}
    started["idToken"] = {"idToken": token, "type": "Central"}
    return _lawful(version, Call("RequestStartTransaction", started))


def clear_profiles(
    version: Version,
    *,
    profile_id: int | None = None,
    connector: int | None = None,
    purpose: ProfilePurpose | None = None,
    stack_level: int | None = None,
) -> Call:
    """Return the ClearChargingProfile by id, by criteria, or with none of them for all (TC_067, K10)."""
    criteria: Json = {
        name: value
        for name, value in (
            ("connectorId" if version is Version.V16 else "evseId", connector),
            ("chargingProfilePurpose", None if purpose is None else purpose_name(version, purpose)),
            ("stackLevel", stack_level),
        )
        if value is not None
    }
    if version is Version.V16:
        named: Json = {} if profile_id is None else {"id": profile_id}
        return _lawful(version, Call("ClearChargingProfile", {**named, **criteria}))
    if profile_id is not None:
        return _lawful(version, Call("ClearChargingProfile", {"chargingProfileId": profile_id}))
    # 2.x wants an id or a criterion; level 0 and upwards have no wildcard, so everything is one purpose after another.
    if not criteria:
        raise InputError("criteria", criteria, "a connector, a purpose or a stack level with 2.x")
    return _lawful(version, Call("ClearChargingProfile", {"chargingProfileCriteria": criteria}))


def get_profiles(version: Version, request_id: int, connector: int, purpose: ProfilePurpose | None = None) -> Call:
    """Return the GetChargingProfiles that has a 2.x station report what is installed (K09)."""
    criterion: Json = {} if purpose is None else {"chargingProfilePurpose": purpose.value}
    payload: Json = {"requestId": request_id, "evseId": connector, "chargingProfile": criterion}
    return _lawful(version, Call("GetChargingProfiles", payload))


def _schedule(version: Version, draft: ProfileDraft) -> Json:
    schedule: Json = {
        "chargingRateUnit": draft.unit.value,
        "chargingSchedulePeriod": [_period(version, period, draft) for period in draft.periods],
    }
    if draft.kind is not ProfileKind.RELATIVE and draft.start_s is not None:
        schedule["startSchedule"] = stamp(draft.start_s)
    if draft.duration_s is not None:
        schedule["duration"] = draft.duration_s
    return schedule


def _period(version: Version, period: Period, draft: ProfileDraft) -> Json:
    written: Json = {"startPeriod": period.start_s, **_values(period, draft.unit, draft.volts)}
    if period.phases is not None:
        written["numberPhases"] = period.phases
    if version is Version.V21 and period.mode is not None:
        written["operationMode"] = period.mode.value
    if period.freq_watt:
        points = [{"frequency": hertz, "power": power_kw * _W} for hertz, power_kw in period.freq_watt]
        written["v2xFreqWattCurve"] = points
    return written


def _values(period: Period, unit: RateUnit, volts: float) -> Json:
    per_kw = _W if unit is RateUnit.W else _W / (volts * (period.phases or 3))
    stated = (
        ("limit", period.limit_kw),
        ("dischargeLimit", period.discharge_limit_kw),
        ("setpoint", period.setpoint_kw),
    )
    return {name: round(value * per_kw, 1) for name, value in stated if not math.isnan(value)}


def _check(version: Version, connector: int, draft: ProfileDraft) -> None:
    """Raise InputError where a draft breaks a rule that no schema knows."""
    if (draft.purpose is ProfilePurpose.TX) != (
        draft.transaction is not None
    ) and draft.kind is not ProfileKind.RELATIVE:
        raise InputError("transaction", draft.transaction, "the transaction of a TxProfile, and of nothing else")
    if draft.purpose is ProfilePurpose.STATION_MAX and (connector != 0 or draft.kind is ProfileKind.RELATIVE):
        raise InputError("connector", connector, "0 with the station's own cap, which is never relative (K01.FR.35)")
    if draft.purpose is ProfilePurpose.TX and connector == 0:
        raise InputError("connector", connector, "the connector of the transaction")
    if draft.kind is ProfileKind.RECURRING and (draft.recurrency is None or draft.start_s is None):
        raise InputError("recurrency", draft.recurrency, "Daily or Weekly, and a start, with a recurring profile")
    if draft.kind is ProfileKind.DYNAMIC and version is not Version.V21:
        raise InputError("kind", draft.kind.value, f"a kind that {version.value} knows")
    if not draft.periods or draft.periods[0].start_s != 0:
        raise InputError("periods", len(draft.periods), "periods of which the first starts at 0")
    for period in draft.periods:
        _check_period(version, period)


def _check_period(version: Version, period: Period) -> None:
    if period.limit_kw < 0.0 or period.discharge_limit_kw > 0.0:
        raise InputError("period", period, "a limit of 0 or more and a discharge limit of 0 or less")
    stated = set(_values(period, RateUnit.W, 1.0)) | ({"v2xFreqWattCurve"} if period.freq_watt else set())
    if version is not Version.V21:
        if stated != {"limit"} or period.mode is not None:
            raise InputError("period", period, f"a limit, which is all {version.value} knows")
        return
    mode = period.mode or OperationMode.CHARGING_ONLY
    missing, needless = _NEEDS.get(mode, frozenset()) - stated, stated - _TAKES[mode]
    if missing or needless:
        raise InputError("period", period, f"what {mode.value} takes: {sorted(_TAKES[mode]) or 'nothing'}")


def purpose_name(version: Version, purpose: ProfilePurpose) -> str:
    """Return a purpose as a version spells it."""
    is_cap = purpose is ProfilePurpose.STATION_MAX and version is Version.V16
    return "ChargePointMaxProfile" if is_cap else purpose.value


def _lawful(version: Version, call: Call) -> Call:
    try:
        schemas.check_request(version, call.action, call.payload)
    except CallFaultError as fault:
        raise InputError(call.action, call.payload, f"what {version.value} takes: {fault.detail}") from fault
    return call
