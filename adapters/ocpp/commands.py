"""How one instruction is carried out: a script that yields calls, hears their answers and returns a verdict.

The scripts are the same for every version; a ``Dialect`` gives them the words.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from adapters.ocpp.charger import Charger, Command, Lease
from adapters.ocpp.envelope import CallFrame
from adapters.ocpp.plates import Nameplate
from adapters.ocpp.units import FINEST_STEP, RateUnit, Told
from adapters.ocpp.wire import Answer, AnswerKind, Call, Json, Version
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason

Script = Generator[Call, Answer, "Verdict"]
"""Yields what to send next and is sent what came back."""

DEFAULT_STACK_LEVEL = 0
DISPATCH_STACK_LEVEL = 1
HEADSTART_S = 60.0
"""Profiles start this long ago, so that a station whose clock is slow does not wait."""
_LAST_PROFILE_ID = 2**31 - 1
_PROBES_BELOW = 1000
PROBE_PROFILE_ID = _LAST_PROFILE_ID - _PROBES_BELOW
"""The one profile of a control test; ids from here up are the link's own, and no command's."""
_UNSUPPORTED = frozenset({"NotSupported", "NotImplemented"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A charging profile of one period, before its spelling in one version.

    Attributes:
        transaction: Id of the transaction a TxProfile belongs to; ``None`` makes it a TxDefaultProfile.
        until_s: End of the lease, ``None`` for a profile that holds until replaced.
        setpoint: The value is to be taken, not a ceiling (OCPP 2.1 CentralSetpoint).
        phases: Number of phases where the unit is A.
        dynamic: Its value can be updated in place (OCPP 2.1).
        max_offline_s: How long it holds without a connection (OCPP 2.1), ``None`` for its whole lease.
    """

    id: int
    connector: int
    stack_level: int
    transaction: str | None
    from_s: float
    until_s: float | None
    told: Told
    setpoint: bool
    phases: int
    dynamic: bool = False
    max_offline_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """What a probe asks for beyond the default value; each is one later period.

    Attributes:
        value: Limit in the unit of the probe.
        phases: Number of phases, ``None`` to leave it out.
    """

    value: float
    phases: int | None = None


class Dialect(Protocol):
    """The words of one version for the central system."""

    version: Version

    def serve(self, charger: Charger, action: str, payload: Json) -> Json:
        """Take note of a station's lawful request and return the response; raises CallFaultError."""
        ...

    def quick(self, charger: Charger, frame: CallFrame) -> bytes | None:
        """Take note of a frequent request and return the response as JSON; ``None`` to have it go the long way."""
        ...

    def setup(self, charger: Charger) -> Script:
        """Return the script that follows a boot or reconnection: abilities, defaults, intervals, present state."""
        ...

    def set_profile(self, profile: Profile) -> Call:
        """Return the call that installs a profile."""
        ...

    def probe(self, profile: Profile, odd: Odd | None, later_s: float) -> Call:
        """Return a profile whose one odd period begins only ``later_s`` seconds later."""
        ...

    def clear_profile(self, profile_id: int) -> Call:
        """Return the call that takes one profile away."""
        ...

    def clear_dispatch(self, connector: int) -> Sequence[Call]:
        """Return the calls that take away dispatch profiles of unknown id."""
        ...

    def update_profile(self, profile_id: int, profile: Profile) -> Call:
        """Return the call that gives a dynamic profile another value (OCPP 2.1)."""
        ...

    def composite(self, connector: int, duration_s: int, unit: RateUnit) -> Call:
        """Return the call that asks for the schedule in force."""
        ...


def odd_period(odd: Odd, later_s: float) -> Json:
    """Return the one unusual period of a probe."""
    phases: Json = {} if odd.phases is None else {"numberPhases": odd.phases}
    return {"startPeriod": round(later_s), "limit": odd.value, **phases}


def reserved_profile_id(connector: int) -> int:
    """Return the id of the default profile the link itself installs; no command id comes near it."""
    return _LAST_PROFILE_ID - connector


def carry_out(dialect: Dialect, charger: Charger, command: Command) -> Script:
    """Return the script of one instruction."""
    if command.layer is Layer.RELEASE:
        return _release(dialect, charger, command)
    return _install(dialect, charger, command)


def install_default(dialect: Dialect, charger: Charger, connector: int) -> Script:
    """Return the script that makes sure the default value lies underneath; a refusal is asked once more."""
    row = charger.rows[connector]
    command = Command(
        id=reserved_profile_id(connector),
        row=row,
        connector=connector,
        layer=Layer.DEFAULT,
        power_kw=charger.default_kw(row),
        until_s=math.inf,
    )
    verdict = yield from _install(dialect, charger, command)
    if verdict is REFUSED:
        verdict = yield from _install(dialect, charger, command)
    return verdict


def wants_setpoint(dialect: Dialect, resource: Nameplate) -> bool:
    """Tell whether a resource is given setpoints rather than ceilings: it can discharge and speaks 2.1."""
    return dialect.version is Version.V21 and resource.p_min_kw < 0.0


def _install(dialect: Dialect, charger: Charger, command: Command) -> Script:
    refusal = _before_sending(dialect, charger, command)
    if refusal is not None:
        return refusal
    for unit in charger.units_to_try():
        profile = _profile(dialect, charger, command, unit)
        lease = _updatable(charger, command, profile)
        call = dialect.set_profile(profile) if lease is None else dialect.update_profile(lease.profile_id, profile)
        answer = yield call
        charger.ack_s = answer.took_s
        verdict = _judge(answer)
        if verdict is ACCEPTED:
            _record(charger, command, profile, unit, updated=lease is not None)
            return ACCEPTED
        if verdict is not REFUSED:
            return verdict
    return REFUSED


def _before_sending(dialect: Dialect, charger: Charger, command: Command) -> Verdict | None:
    abilities = charger.abilities
    if command.layer is Layer.DISPATCH and command.until_s <= charger.services.clock.now_s():
        return EXPIRED
    if command.power_kw < 0.0 and not wants_setpoint(dialect, charger.plate(command.row)):
        return UNSUPPORTED
    if command.power_kw <= 0.0 and abilities.zero_allowed is False and command.layer is Layer.DISPATCH:
        return UNSUPPORTED  # the least it takes is its floor, which is more than was asked for
    stackable = abilities.max_stack_level is None or abilities.max_stack_level >= DISPATCH_STACK_LEVEL
    if command.layer is Layer.DISPATCH and not stackable and command.connector not in charger.transactions:
        return UNSUPPORTED  # the dispatch profile would replace the default it must fall back to
    return None


def _profile(dialect: Dialect, charger: Charger, command: Command, unit: RateUnit) -> Profile:
    """Return a default at the bottom; a dispatch on the running transaction, else above the default."""
    plate, dispatch, services = charger.plate(command.row), command.layer is Layer.DISPATCH, charger.services
    running = charger.transactions.get(command.connector) if dispatch else None
    setpoint, supply = wants_setpoint(dialect, plate), services.supply
    step = charger.abilities.step or FINEST_STEP
    return Profile(
        id=command.id,
        connector=command.connector,
        stack_level=DISPATCH_STACK_LEVEL if dispatch and running is None else DEFAULT_STACK_LEVEL,
        transaction=None if running is None else running.id,
        from_s=math.floor(services.clock.now_s() - HEADSTART_S),
        until_s=command.until_s if dispatch else None,
        told=(supply.setpoint if setpoint else supply.limit)(command.power_kw, unit, plate, step),
        setpoint=setpoint,
        phases=plate.phases,
        dynamic=dispatch and services.dynamic and dialect.version is Version.V21,
        max_offline_s=services.max_offline_s if dispatch else None,
    )


def _updatable(charger: Charger, command: Command, profile: Profile) -> Lease | None:
    """Return the dynamic value in force whose end is the same, so that another value is all there is to tell."""
    if not profile.dynamic:
        return None
    lease = charger.leases.get((command.row, profile.transaction is not None))
    return lease if lease is not None and lease.dynamic and lease.until_s == command.until_s else None


def _record(charger: Charger, command: Command, profile: Profile, unit: RateUnit, *, updated: bool) -> None:
    if not charger.abilities.units:
        charger.learn(replace(charger.abilities, units=(unit,)))
    tied = profile.transaction is not None
    if command.layer is Layer.DEFAULT:
        charger.defaulted(command.row, profile.told.power_kw)
    elif updated:
        charger.updated(command.row, profile.told.power_kw, tied=tied)
    else:
        charger.dispatched(command, profile.told.power_kw, tied=tied, dynamic=profile.dynamic)


def _release(dialect: Dialect, charger: Charger, command: Command) -> Script:
    """Take the dispatch profiles away; a station that knows none of them has nothing to be released from."""
    known = [dialect.clear_profile(profile_id) for profile_id in charger.dispatch_profiles(command.row)]
    for call in known or dialect.clear_dispatch(command.connector):
        answer = yield call
        charger.ack_s = answer.took_s
        verdict = ACCEPTED if answer.status == "Unknown" else _judge(answer)
        if verdict is not ACCEPTED:
            return verdict
    charger.released(command.row)
    return ACCEPTED


def _judge(answer: Answer) -> Verdict:
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
            return UNSUPPORTED if answer.code in _UNSUPPORTED else PROTOCOL
