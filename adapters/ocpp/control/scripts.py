"""Scripts: generators that yield calls, receive their answers and return a verdict.

A script carries out one instruction or one set-up. Scripts are the same for every version; a ``Dialect`` words their
calls. Here are their parts: pauses, verdicts, profiles, and the dialect's protocol.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call, Json, Version, stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import Nameplate
from adapters.ocpp.profiles.power_units import RateUnit, WireValue
from adapters.ocpp.profiles.setpoint_forms import End
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import OutcomeStatus, Reason


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which a station is sent nothing, because it is not ready.

    Attributes:
        wall_s: Wall seconds: stations do not start faster with the clock.
    """

    wall_s: float


Script = Generator["Call | Pause", Answer, "Verdict"]
"""Yields what to send next and is sent what came back; a pause is answered by ``PAUSED``."""
PAUSED = Answer(AnswerKind.RESULT, {})

DEFAULT_STACK_LEVEL = 0
DISPATCH_STACK_LEVEL = 1
HEADSTART_S = 60.0
"""Profiles start this long ago, so that a station whose clock is slow does not wait."""
REFUSED_EARLY_WALL_S = 2.0
"""A station that refuses its first question is asked again so much later: it may still be busy with its boot."""
_ALL, _DURATION, _RELATIVE, _PERIODS = End.ALL, End.DURATION, End.RELATIVE, End.PERIODS
UNKNOWN_ACTIONS = frozenset({"NotSupported", "NotImplemented"})
"""Codes of a CALLERROR that another form of the same call does not cure."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an instruction ended."""

    status: OutcomeStatus
    reason: Reason = Reason.NONE


ACCEPTED = Verdict(OutcomeStatus.ACCEPTED)
REFUSED = Verdict(OutcomeStatus.REJECTED, Reason.REFUSED)
EXPIRED = Verdict(OutcomeStatus.REJECTED, Reason.EXPIRED)
UNSUPPORTED = Verdict(OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
PROTOCOL = Verdict(OutcomeStatus.REJECTED, Reason.PROTOCOL)
TIMED_OUT = Verdict(OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
NOT_CONNECTED = Verdict(OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


@dataclass(slots=True, kw_only=True)
class Profile:
    """A charging profile, before its spelling in one version. Its times are those of the station's own clock.

    One is made for every instruction, so it is not frozen, but never changed.

    Attributes:
        transaction: Id of the transaction a TxProfile belongs to, ``None`` with every other purpose.
        until_s: End of the lease, ``None`` for a profile that holds until replaced.
        end: How its end is stated.
        after: What a second period has, with ``End.PERIODS``.
        setpoint: The value is to be taken, not a ceiling (OCPP 2.1 CentralSetpoint).
        phases: Number of phases where the unit is A, 0 where there are none (DC).
        dynamic: Its value can be updated in place (OCPP 2.1).
        max_offline_s: How long it holds without a connection (OCPP 2.1), ``None`` for its whole lease.
    """

    id: int
    connector: int
    stack_level: int
    transaction: str | None
    from_s: float
    until_s: float | None
    wire: WireValue
    setpoint: bool
    phases: int
    dynamic: bool = False
    max_offline_s: int | None = None
    purpose: ProfilePurpose = ProfilePurpose.TX_DEFAULT
    end: End = End.ALL
    after: WireValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePeriod:
    """What a probe asks beyond the default value, in one later period.

    Attributes:
        value: Limit in the unit of the probe.
        phases: Number of phases, ``None`` to leave it out.
    """

    value: float
    phases: int | None = None


class Dialect(Protocol):
    """Meaning and wording of one version."""

    version: Version

    def serve(self, station: StationState, action: str, payload: Json) -> Json:
        """Handle a station's lawful request and return the response; raises CallFaultError."""
        ...

    def serve_fast(self, station: StationState, frame: CallFrame) -> bytes | None:
        """Handle a frequent request and return the response as JSON; ``None`` to have it take the slow path."""
        ...

    def setup(self, station: StationState) -> Script:
        """Return the script that follows a boot or reconnection: abilities, defaults, intervals, present state."""
        ...

    def set_profile(self, profile: Profile) -> Call:
        """Return the call that installs a profile."""
        ...

    def probe(self, profile: Profile, extra: ProbePeriod | None, later_s: float) -> Call:
        """Return a profile whose one odd period begins only ``later_s`` seconds later."""
        ...

    def clear_profile(self, profile_id: int) -> Call:
        """Return the call that removes one profile."""
        ...

    def clear_dispatch(self, connector: int) -> Sequence[Call]:
        """Return the calls that remove dispatch profiles of unknown id."""
        ...

    def update_profile(self, profile_id: int, profile: Profile) -> Call:
        """Return the call that gives a dynamic profile another value (OCPP 2.1)."""
        ...

    def composite(self, connector: int, duration_s: int, unit: RateUnit) -> Call:
        """Return the call that asks for the schedule in force."""
        ...


def write_probe_period(extra: ProbePeriod, later_s: float) -> Json:
    """Return the one unusual period of a probe."""
    phases: Json = {} if extra.phases is None else {"numberPhases": extra.phases}
    return {"startPeriod": round(later_s), "limit": extra.value, **phases}


def schedule_of(profile: Profile, period: Callable[[int, WireValue, Profile], Json]) -> Json:
    """Return a profile's schedule as every version has it; ``period`` writes one period."""
    schedule: Json = {
        "chargingRateUnit": profile.wire.unit.value,
        "chargingSchedulePeriod": [period(0, profile.wire, profile)],
    }
    until_s, end = profile.until_s, profile.end
    if end is not _RELATIVE:
        schedule["startSchedule"] = stamp(profile.from_s)
    if until_s is None:
        return schedule
    if end is _ALL or end is _DURATION:
        schedule["duration"] = math.ceil(until_s - profile.from_s)
    elif profile.after is not None:
        after = period(math.ceil(until_s - profile.from_s), profile.after, profile)
        schedule["chargingSchedulePeriod"].append(after)
    return schedule


def make_valid(body: Json, profile: Profile) -> None:
    """Write into a profile its kind, and from when to when it is valid, as every version has it.

    An absolute schedule that ends names all four times: OCTT TC_057_CSMS.
    """
    end = profile.end
    absolute = "Dynamic" if profile.dynamic else "Absolute"
    body["chargingProfileKind"] = "Relative" if end is _RELATIVE else absolute
    if profile.until_s is not None and end is not _DURATION and end is not _PERIODS:
        body["validFrom"], body["validTo"] = stamp(profile.from_s), stamp(profile.until_s)


def written(value: float) -> float | int:
    """Return a limit as it goes on the wire: whole where it is, for validators that reckon in binary fractions."""
    return int(value) if value == int(value) else value


def wants_setpoint(dialect: Dialect, resource: Nameplate) -> bool:
    """Tell whether a resource is given setpoints rather than ceilings: it can discharge and speaks 2.1."""
    return dialect.version is Version.V21 and resource.p_min_kw < 0.0


def judge(answer: Answer) -> Verdict:
    """Return what an answer means for the instruction it is to."""
    match answer.kind:
        case AnswerKind.RESULT:  # first: what nearly every answer is
            if answer.status == "Accepted":
                return ACCEPTED
            return UNSUPPORTED if answer.status == "NotSupported" else REFUSED
        case AnswerKind.TIMEOUT:
            return TIMED_OUT
        case AnswerKind.LOST:
            return NOT_CONNECTED
        case AnswerKind.ERROR:
            return UNSUPPORTED if answer.code in UNKNOWN_ACTIONS else PROTOCOL
